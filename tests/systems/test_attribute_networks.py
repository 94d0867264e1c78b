"""ASENet and AG-MAN as systems: published sizes, edits by class means, stages and refusals."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE, FakeDataset
from small_networks import network

from fashionsearchnet import evaluation
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.networks.backbones import Trunk, build_backbone
from fashionsearchnet.networks.levels import above_tap, lower_tap, two_levels
from fashionsearchnet.systems.agman.model import AGMAN
from fashionsearchnet.systems.agman.stages import EmbeddingStage
from fashionsearchnet.systems.asenet.model import ASENet
from fashionsearchnet.systems.features import attribute_logits, extract_features
from fashionsearchnet.systems.memory import class_means
from fashionsearchnet.systems.representations import fill_memory
from fashionsearchnet.systems.triplet_stage import TripletStage
from fashionsearchnet.systems.value_stage import ValueStage


def asenet(variant="asenet_v2", **arguments) -> ASENet:
    keras.utils.set_random_seed(0)
    return ASENet(SPACE, variant=variant, hidden_dim=8, embedding_dim=10, **network(), **arguments)


@pytest.fixture(scope="module")
def published() -> AGMAN:
    """With the published network and input, which are the defaults."""
    return AGMAN(SPACE)


def test_the_published_network_has_the_published_shapes(published):
    assert published.backbone.model.output_shape == (None, 14, 14, 1024)
    assert published.trunk.output_shape == (None, 14, 14, 512 + 1024)
    assert published.upper_part.output_shape == (None, 7, 7, 2048)
    assert published.head.reduction.kernel.shape == (2048, 512)
    assert published.head.dim == 512
    assert (published.image_input.size, published.image_input.fit) == (224, "crop")
    images = tf.random.normal([1, 224, 224, 3])
    features, attention = published.features_and_attention(images)
    assert features["embedding"].shape == (1, 3, 512)
    assert attention["maps"].shape == (1, 3, 14, 14)
    np.testing.assert_allclose(np.sum(attention["maps"], axis=(2, 3)), 1.0, rtol=1e-5)
    assert published.name_attribute(published.levels(published.trunk(images))).shape == (1, 3)


def test_the_pooled_lower_level_is_the_published_pooling(published):
    """3x3 of stride 2 with one padded cell, as PyTorch pads on both sides."""
    images = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype(np.float32)
    maps = published.backbone.maps["layer2"]
    lower = keras.Model(published.backbone.network.inputs[0], maps)(images).numpy()
    pooled = published.trunk(images).numpy()[..., :512]
    padded = np.pad(lower, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=-np.inf)
    for y, x in ((0, 0), (5, 13), (13, 13)):
        window = padded[0, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
        np.testing.assert_allclose(pooled[0, y, x], window.max(axis=(0, 1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "size", "tap", "lower", "channels"),
    [
        ("alexnet", 64, "conv4", "conv2", 256 + 384),
        ("efficientnet_lite0", 100, "stage5", "stage3", 40 + 112),
    ],
)
def test_both_levels_of_other_trunks_lie_on_one_grid(name, size, tap, lower, channels):
    backbone = build_backbone(Trunk(name, first_stride=2, tap=tap), size)
    model, upper = two_levels(backbone), backbone.model.output_shape
    assert lower_tap(backbone) == lower
    assert model.output_shape == (*upper[:3], channels)
    images = np.random.default_rng(0).normal(size=(1, size, size, 3)).astype(np.float32)
    both = model(images).numpy()
    np.testing.assert_allclose(both[..., -upper[3] :], backbone.model(images), rtol=1e-4, atol=1e-4)
    rest = above_tap(backbone)
    if rest is None:
        assert name == "alexnet"
    else:
        whole = backbone.network(images)
        np.testing.assert_allclose(rest(both[..., -upper[3] :]), whole, rtol=1e-3, atol=1e-3)


def test_a_trunk_without_a_lower_level_is_refused():
    with pytest.raises(ValueError, match=r"the multi-level embedding joins.*Use another"):
        AGMAN(SPACE, **network(tap="conv2"))


@pytest.fixture
def remembering() -> ASENet:
    """A system whose memory holds the class means of its training images."""
    system, dataset = asenet(), FakeDataset()
    images = next(iter(dataset.images("train", system.image_input)))
    vectors = system.image_features(images)["embedding"].numpy()
    system.memory.memory.assign(class_means(SPACE, [vectors], dataset.labels("train"))[0])
    return system


def test_an_edit_puts_the_mean_vector_of_the_value(remembering, rng):
    system = remembering
    images = tf.constant(rng.normal(0.0, 60.0, (2, 40, 40, 3)), tf.float32)
    features = system.image_features(images)
    edit = tf.constant([[-1, 1, -1], [2, -1, -1]], tf.int32)
    query = system.query_embedding(features, edit).numpy().reshape(2, 3, -1)
    plain = system.gallery_embedding(features).numpy().reshape(2, 3, -1)
    np.testing.assert_allclose(np.linalg.norm(query, axis=-1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(query[0, [0, 2]], plain[0, [0, 2]])
    mean = system.memory.memory.numpy()[SPACE.offsets[1] + 1]
    np.testing.assert_allclose(query[0, 1], mean / np.linalg.norm(mean), rtol=1e-4, atol=1e-5)


def test_logits_are_cosines_to_the_means(remembering, rng):
    system = remembering
    features = system.image_features(tf.constant(rng.normal(0, 60, (2, 40, 40, 3)), tf.float32))
    logits = system.attribute_logits(features).numpy()
    means = system.memory.memory.numpy()
    for a, (offset, size) in enumerate(zip(SPACE.offsets, SPACE.num_values, strict=True)):
        for value in range(size):
            mean = means[offset + value]
            cosine = features["embedding"][0, a].numpy() @ mean / np.linalg.norm(mean)
            assert logits[0, offset + value] == pytest.approx(20.0 * cosine, rel=1e-3, abs=1e-3)


def test_no_image_is_read_as_a_value_that_training_never_showed(tmp_path):
    dataset, model = FakeDataset(), asenet("csn")
    labels = dataset.labels("train")
    labels[labels[:, 0] == 1, 0] = 2  # nothing is green
    fill_memory(model, dataset, "train", tmp_path)
    rows = model.memory.memory.numpy()
    assert not rows[1].any() and (np.abs(rows).sum(axis=1) > 0).sum() == SPACE.total_values - 1
    features = extract_features(model, dataset, "train")
    logits = attribute_logits(model, features)
    assert logits is not None and (logits[:, :3].argmax(axis=1) != 1).all()
    # An edit to it says nothing of the colour: all images are as far from it.
    vectors = model.query_embedding(features, np.tile([1, -1, -1], (len(labels), 1))).numpy()
    blocks = vectors.reshape(len(labels), 3, -1)
    assert not blocks[:, 0].any() and blocks[:, 1].any()


def test_the_triplet_net_has_one_vector_for_all_attributes(rng):
    system = asenet("triplet_net")
    features = system.image_features(tf.constant(rng.normal(0, 60, (2, 40, 40, 3)), tf.float32))
    assert features["embedding"].shape == (2, 1, 10)
    first, last = (system.attribute_embedding(features, a) for a in (0, 2))
    np.testing.assert_array_equal(first, last)
    assert system.gallery_embedding(features).shape == (2, 30)


def test_a_stage_on_edits_needs_a_system_that_ranks_them():
    with pytest.raises(ValueError, match="built without edit_ranking"):
        print(asenet().ranking_variables)
    with pytest.raises(ValueError, match="block_dim is for a system with edit_ranking; got 4"):
        asenet(block_dim=4)
    with pytest.raises(ValueError, match="block_dim must be between 1 and 10; got 11"):
        asenet("csn", edit_ranking=True, block_dim=11)
    system = asenet("csn", edit_ranking=True, block_dim=4)
    assert system.stages == ("embedding", "global")
    assert [v.shape[-1] for v in system.ranking_variables] == [3, 4, 10]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "asenet"}, "variant must be one of triplet_net, csn, asenet_v1, asenet_v2"),
        ({"hidden_dim": 0}, "hidden_dim must be at least 1; got 0"),
        ({"attention_normalization": "layer"}, "attention_normalization must be one of"),
    ],
)
def test_arguments_out_of_their_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ASENet(SPACE, **{"hidden_dim": 8, **arguments}, **network())
    with pytest.raises(ValueError, match="loss_weighting must be one of equal, uncertainty"):
        AGMAN(SPACE, loss_weighting="learned", **network())
    with pytest.raises(ValueError, match=r"variant 'attention' .* has no second branch"):
        AGMAN(SPACE, variant="attention", loss_weighting="uncertainty", **network())
    weighed = AGMAN(SPACE, hidden_dim=8, loss_weighting="uncertainty", **network())
    with pytest.raises(ValueError, match="classification_weight 0 leaves one loss"):
        EmbeddingStage(weighed, FakeDataset(), classification_weight=0.0)
    with pytest.raises(ValueError, match=r"classification_weight must be .*got -1"):
        EmbeddingStage(weighed, FakeDataset(), classification_weight=-1.0)


def test_the_loss_of_triplets_is_that_of_the_published_code():
    stage = TripletStage(asenet(), FakeDataset(), global_batch_size=8)
    batch = next(iter(stage.examples(0, None)))
    loss, logged = stage.loss(batch, tf.constant([0, 1]))
    vectors, _ = stage.model.embed(
        stage.model.trunk(batch["image"], training=True),
        tf.tile(batch["attribute"], [3])[:, None],
        training=True,
    )
    anchor, positive, negative = np.split(vectors.numpy()[:, 0], 3)
    near, far = (anchor * positive).sum(axis=1), (anchor * negative).sum(axis=1)
    expected = np.maximum(0.0, far - near + 0.2).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-3)
    assert float(logged["in_order"]) == pytest.approx((near > far).mean())


def test_losses_of_two_branches_are_added_or_weighed():
    losses = {}
    for weighting in ("equal", "uncertainty"):
        keras.utils.set_random_seed(0)
        model = AGMAN(SPACE, hidden_dim=8, loss_weighting=weighting, **network())
        stage = EmbeddingStage(model, FakeDataset(), global_batch_size=8)
        batch = next(iter(stage.examples(0, None)))
        loss, logged = stage.loss(batch, tf.constant([0, 1]))
        parts = float(logged["triplet_loss"]), float(logged["branch_loss"])
        losses[weighting] = float(loss), sum(parts)
    assert losses["equal"][0] == pytest.approx(losses["equal"][1], rel=1e-5)
    # exp(-0) / 2 of each, and no s yet.
    assert losses["uncertainty"][0] == pytest.approx(losses["uncertainty"][1] / 2, rel=1e-5)


def test_without_the_weight_of_the_branch_nothing_of_it_learns():
    keras.utils.set_random_seed(0)
    model = AGMAN(SPACE, hidden_dim=8, **network())
    stage = EmbeddingStage(model, FakeDataset(), global_batch_size=8, classification_weight=0.0)
    (update,) = stage.updates()
    assert not any("branch" in variable.path for variable in update.variables)
    assert "branch_loss" not in stage.loss(next(iter(stage.examples(0, None))), None)[1]


def test_both_tasks_are_measured():
    kinds = (evaluation.AttributeProtocol, evaluation.ManipulationProtocol)
    for kind in kinds:
        protocol = kind(top_k=(1, 20), num_resamples=10)
        measured = evaluation.evaluate(asenet("asenet_v1"), FakeDataset(), protocol)
        assert measured.rows[-1].name == "ASENet V1"


def test_values_are_learned_as_rows_near_the_vectors_of_their_images():
    keras.utils.set_random_seed(0)
    model = AGMAN(SPACE, hidden_dim=8, learns_from="values", **network())
    stage = ValueStage(model, FakeDataset(), global_batch_size=8)
    batch = next(iter(stage.examples(0, None)))
    loss, logged = stage.loss(batch, tf.constant([0, 1]))
    vectors = model.embed_all(stage.outputs_of(batch), training=True)[0]
    assert model.value_memory is not None
    vectors, rows = vectors.numpy(), model.value_memory.memory.numpy()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    losses, hits = [], []
    for image, labels in enumerate(batch["attributes"].numpy()):
        for a, label in enumerate(labels):
            logits = 20.0 * rows[SPACE.offsets[a] :][: SPACE.num_values[a]] @ vectors[image, a]
            if label >= 0:
                losses.append(np.log(np.exp(logits).sum()) - logits[label])
                hits.append(np.argmax(logits) == label)
    assert float(loss) == pytest.approx(sum(losses) / 8, rel=1e-3)
    assert float(logged["accuracy"]) == pytest.approx(np.mean(hits))


def test_a_network_that_learned_from_values_ranks_by_agreement(rng):
    system = asenet("csn", learns_from="values")
    features = system.image_features(tf.constant(rng.normal(0, 60, (3, 40, 40, 3)), tf.float32))
    logits = system.attribute_logits(features)
    assert logits is not None
    read = tf.nn.softmax(logits[:, : SPACE.num_values[0]])
    queries = system.attribute_query(features, 0).numpy()
    found = queries @ system.attribute_embedding(features, 0).numpy().T
    np.testing.assert_allclose(found, read @ tf.transpose(read), atol=1e-5)
    assert system.title == "CSN, from values"


def test_a_network_that_learns_from_values_needs_some():
    with pytest.raises(
        ValueError, match="learns_from must be one of triplets, values; got 'edits'"
    ):
        asenet(learns_from="edits")
    with pytest.raises(ValueError, match="learns_from 'values' is for attributes with values"):
        ASENet(AttributeSpace(("heel",), ((),)), hidden_dim=8, learns_from="values", **network())
    two_branches: dict[str, Any] = {"learns_from": "values", "loss_weighting": "uncertainty"}
    with pytest.raises(ValueError, match="'uncertainty' weighs the losses of two branches, but"):
        AGMAN(SPACE, hidden_dim=8, **two_branches, **network())
    with pytest.raises(ValueError, match="no rows of values to train; build it with"):
        ValueStage(asenet(), FakeDataset())
