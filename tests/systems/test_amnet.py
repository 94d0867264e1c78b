from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE, FakeDataset
from small_networks import network

from fashionsearchnet import evaluation
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.amnet.extraction import fill_memory, load_convolved
from fashionsearchnet.systems.amnet.model import AMNet
from fashionsearchnet.systems.amnet.stages import ManipulationStage
from fashionsearchnet.systems.memory import class_means
from fashionsearchnet.training import distribution

SIZE, DIM = 39, 12
NETWORK: dict[str, Any] = {"image_size": SIZE, "first_stride": 1}


def build(feature_dim=DIM, dropout_rate=0.5, **network_arguments) -> AMNet:
    """A tiny model whose memory and fusion do something."""
    keras.utils.set_random_seed(0)
    arguments = network(**{**NETWORK, **network_arguments})
    model = AMNet(SPACE, feature_dim=feature_dim, dropout_rate=dropout_rate, **arguments)
    rng = np.random.default_rng(0)
    for variable in (model.memory.memory, model.fusion.kernel, model.fusion.bias):
        variable.assign(rng.normal(size=variable.shape))
    return model


@pytest.fixture
def images(rng):
    return rng.normal(0.0, 60.0, (5, SIZE, SIZE, 3)).astype(np.float32)


def test_shapes(images):
    model = build()
    signature = [tf.TensorSpec([None, SIZE, SIZE, 3])]
    features = tf.function(model.image_features, input_signature=signature, autograph=False)
    for batch in (5, 1):
        found = features(images[:batch])
        assert {key: tuple(value.shape) for key, value in found.items()} == {
            "embedding": (batch, DIM),
            "logits": (batch, SPACE.total_values),
        }
        manipulation = tf.constant([[-1, 1, -1]] * batch)
        for embedding in (
            model.query_embedding(found, manipulation),
            model.gallery_embedding(found),
        ):
            assert embedding.shape == (batch, DIM) and embedding.dtype == tf.float32
    assert model.attention(images) is None and not model.has_attention
    assert model.title == "AMNet"


def test_the_smallest_image():
    assert build(image_size=25).encode_gallery(tf.zeros([2, 25, 25, 3])).shape == (2, DIM)


def test_an_edit_is_the_fusion_of_feature_and_prototypes(images):
    model = build()
    feature = model.image_features(images)["embedding"].numpy()
    manipulation = np.array([[2, -1, -1], [-1, 1, -1], [-1, -1, 0], [-1, 0, 3], [1, 1, 1]])
    query = model.encode_query(images, tf.constant(manipulation, tf.int32)).numpy()
    memory = model.memory.memory.numpy()
    kernel, bias = model.fusion.get_weights()
    for i, rows in enumerate([[2], [4], [5], [3, 8], [1, 4, 6]]):
        prototype = sum(memory[row] for row in rows)
        expected = np.concatenate([feature[i], prototype]) @ kernel + bias
        np.testing.assert_allclose(query[i], expected, rtol=1e-3, atol=1e-3)


def test_an_image_without_an_edit_searches_as_it_is(images):
    model = build()
    gallery = model.encode_gallery(images)
    np.testing.assert_array_equal(model.encode_query(images, tf.fill([5, 3], -1)), gallery)


def test_a_new_fusion_leaves_the_feature_as_it_is(images):
    model = AMNet(SPACE, feature_dim=DIM, **network(**NETWORK))
    np.testing.assert_array_equal(model.memory.memory, np.zeros((9, DIM)))
    model.memory.memory.assign(np.random.default_rng(0).normal(size=(9, DIM)))
    query = model.encode_query(images, tf.constant([[0, -1, -1]] * 5))
    np.testing.assert_allclose(query, model.encode_gallery(images), rtol=1e-5)


def test_moving_the_origin_changes_no_distance_and_no_logit(images, rng):
    model = build()
    before = model.image_features(images)
    origin = rng.normal(size=DIM).astype(np.float32)
    model.move_origin(origin)
    after = model.image_features(images)
    np.testing.assert_allclose(
        after["embedding"], before["embedding"] - origin, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(after["logits"], before["logits"], atol=1e-4)


def test_dropout_needs_a_seed_and_thins_two_layers_apart(images):
    model = build()
    convolved = model.convolve(images)
    whole = model.represent(convolved)
    seed = tf.constant([1, 2])
    thinned, again = model.represent(convolved, seed), model.represent(convolved, seed)
    for key, value in whole.items():
        np.testing.assert_array_equal(thinned[key], again[key])
        assert (np.abs(thinned[key] - value) > 1e-6).any()
    other = model.represent(convolved, tf.constant([1, 3]))
    assert (np.abs(other["embedding"] - thinned["embedding"]) > 1e-6).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feature_dim": 0}, "feature_dim must be at least 1"),
        ({"dropout_rate": 1.0}, "dropout_rate must be between"),
        ({"backbone": "vgg"}, "backbone must be one of"),
    ],
)
def test_models_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A model after the first stage, and its folder."""
    workdir = tmp_path_factory.mktemp("classification")
    model = build(normalization="batch", mean=(1.0, 2.0, 3.0))
    dataset = FakeDataset(missing=0.1)
    before = model.get_weights()
    fill_memory(model, dataset, "train", workdir)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    registry.save_system(workdir, model, "classification", dataset=dataset.name)
    return model, dataset, workdir


def test_the_memory_holds_class_means_about_the_mean_of_all(finished):
    model, dataset, workdir = finished
    convolved = load_convolved(workdir, dataset, "train")
    features = model.represent(tf.constant(convolved))["embedding"].numpy()
    scale = np.abs(features).max()
    np.testing.assert_allclose(features.mean(axis=0) / scale, np.zeros(DIM), atol=1e-5)
    means, _ = class_means(SPACE, [features], dataset.labels("train"))
    np.testing.assert_allclose(model.memory.memory / scale, means / scale, atol=1e-5)


def test_stored_features_of_another_split_or_run(finished, tmp_path):
    _, dataset, workdir = finished
    with pytest.raises(ValueError, match=r"holds 64 images, but split 'gallery'.* has 48; use the"):
        load_convolved(workdir, dataset, "gallery")
    with pytest.raises(FileNotFoundError, match=r"finished run of tools/amnet/train_classif"):
        load_convolved(tmp_path, dataset, "train")


@pytest.mark.parametrize("strategy", ["one_device", "mirrored"])
def test_a_system_survives_its_folder(finished, images, strategy):
    model, _, workdir = finished
    assert registry.describe_system(workdir)["system"] == "amnet"
    with distribution.get_strategy(strategy).scope():
        loaded = registry.load_system(workdir)
    assert loaded.arguments == model.arguments and loaded.space == SPACE
    assert loaded.image_input.mean == (1.0, 2.0, 3.0)
    manipulation = tf.constant([[0, -1, 2]] * 5)
    np.testing.assert_array_equal(
        loaded.encode_query(images, manipulation), model.encode_query(images, manipulation)
    )


def test_evaluation_takes_it(finished):
    model, dataset, _ = finished
    protocol = evaluation.ManipulationProtocol(top_k=(1, 20), num_resamples=10)
    measured = evaluation.evaluate(model, dataset, protocol)
    assert [row.name for row in measured.rows][-1] == "AMNet"
    assert measured.localization is None


def test_the_loss_is_classification_of_the_target_and_a_hinge(rng):
    model = build()
    values = FakeDataset().labels("train")
    convolved = rng.normal(size=(len(values), model.convolved_dim)).astype(np.float32)
    margin, weight = 2.0, 0.5
    stage = ManipulationStage(
        model, convolved, values, global_batch_size=8, margin=margin, triplet_weight=weight
    )
    batch = next(iter(stage.examples(0, None)))
    loss, logged = stage.loss(batch, tf.constant([0, 1]))
    names = ("anchor", "positive", "negative")
    anchor, *others = (model.represent(batch[name])["embedding"] for name in names)
    query = model.query_embedding({"embedding": anchor}, batch["manipulation"]).numpy()
    logits = model.classifiers(query).numpy().astype(np.float64)
    expected = 0.0
    for i in range(8):
        for a, (offset, size) in enumerate(zip(SPACE.offsets, SPACE.num_values, strict=True)):
            block = logits[i, offset : offset + size]
            expected += np.log(np.exp(block).sum()) - block[int(batch["target"][i, a])]
        near, far = (float(np.linalg.norm(query[i] - other[i].numpy())) for other in others)
        expected += weight * np.maximum(0.0, margin + near - far)
    assert float(loss) == pytest.approx(expected / 8, rel=1e-4)
    assert float(logged["l_c"] + weight * logged["l_t"]) == pytest.approx(float(loss), rel=1e-5)


def test_the_target_has_the_edit_and_is_what_the_positive_shows(rng):
    model = build()
    values = FakeDataset(missing=0.2).labels("train")
    # Features that say which image they are of.
    convolved = np.zeros((len(values), model.convolved_dim), np.float32)
    convolved[:, 0] = np.arange(len(values))
    stage = ManipulationStage(model, convolved, values, global_batch_size=32, num_changes=2)
    batch = {k: v.numpy() for k, v in next(iter(stage.examples(3, None))).items()}
    anchor, positive, negative = (
        batch[k][:, 0].astype(int) for k in ("anchor", "positive", "negative")
    )
    edited = batch["manipulation"] >= 0
    assert set(edited.sum(axis=1)) == {1, 2}
    np.testing.assert_array_equal(batch["target"][edited], batch["manipulation"][edited])
    np.testing.assert_array_equal(batch["target"][~edited], values[anchor][~edited])
    np.testing.assert_array_equal(batch["target"], values[positive])
    assert (batch["target"] != values[negative]).any(axis=1).all()


@pytest.mark.parametrize("settings", [{"margin": -1.0}, {"triplet_weight": -1.0}])
def test_stages_that_cannot_be(settings: dict[str, Any]):
    values = FakeDataset().labels("train")
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be at least 0"):
        ManipulationStage(build(), np.zeros((64, 4), np.float32), values, **settings)
