import json
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import network

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.fashionsearchnet_v2.attention import AttributeActivationMap
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.representations import (
    AttributeHeads,
    pool_regions,
    pool_whole,
)
from fashionsearchnet.systems.fashionsearchnet_v2.variants import (
    PAPER_VARIANTS,
    VARIANTS,
    check_shares_representations,
)

SIZE, DIM, GLOBAL_DIM = 39, 8, 12
NETWORK: dict[str, Any] = {"image_size": SIZE, "first_stride": 1}
HEADS = {"hidden_dims": (10, 6), "representation_dim": DIM, "global_dim": GLOBAL_DIM}


def build(space, variant="full", **settings):
    """A tiny model whose activation maps are not all alike."""
    keras.utils.set_random_seed(0)
    names = ("image_size", "first_stride", "width", "normalization", "mean", "backbone")
    seen = {name: settings.pop(name) for name in names if name in settings}
    arguments = {**network(**{**NETWORK, **seen}), **HEADS, **settings}
    model = FashionSearchNetV2(space, variant=variant, **arguments)
    if model.has_attention:
        kernel = model.attention_maps.classifier.kernel
        kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    return model


@pytest.fixture
def images(rng):
    return rng.normal(0.0, 60.0, (5, SIZE, SIZE, 3)).astype(np.float32)


@pytest.mark.parametrize("variant", VARIANTS)
def test_shapes_of_every_variant(space, images, variant):
    model = build(space, variant)
    names = {"embedding", "logits"} | ({"boxes"} if VARIANTS[variant].localization else set())
    signature = [tf.TensorSpec([None, SIZE, SIZE, 3])]
    features = tf.function(model.image_features, input_signature=signature, autograph=False)
    joint = VARIANTS[variant].global_ranking and not VARIANTS[variant].blockwise
    dim = GLOBAL_DIM if joint else 3 * DIM
    for batch in (5, 1):
        found = features(images[:batch])
        assert set(found) == names
        assert {value.dtype for value in found.values()} == {tf.float32}
        assert found["embedding"].shape == (batch, 3, DIM)
        assert found["logits"].shape == (batch, space.total_values)
        if "boxes" in found:
            boxes = found["boxes"].numpy()
            assert boxes.shape == (batch, 3, 4)
            assert (boxes >= 0).all() and (boxes <= 1).all()
            assert (boxes[..., :2] < boxes[..., 2:]).all()
        manipulation = tf.constant([[-1, 1, -1]] * batch)
        for embedding in (
            model.query_embedding(found, manipulation),
            model.gallery_embedding(found),
        ):
            assert embedding.shape == (batch, dim) and embedding.dtype == tf.float32


def test_the_ablation_is_that_of_the_paper():
    rows = {
        # ranking, localisation, feature fusion, global ranking, updatable memory
        "without_rank": (False, False, False, False, False),
        "rank": (True, False, False, False, False),
        "rank_l": (True, True, False, False, False),
        "rank_lg": (True, True, False, True, False),
        "full": (True, True, False, True, True),
        "full_ff": (True, True, True, True, True),
    }
    found = {
        name: (v.ranking, v.localization, v.fusion, v.global_ranking, v.updatable_memory)
        for name, v in VARIANTS.items()
        if name in PAPER_VARIANTS
    }
    assert found == rows


@pytest.mark.parametrize("variant", ["rank_l", "full"])
def test_keeping_every_attribute_gives_the_gallery_embedding(space, images, variant):
    model = build(space, variant)
    model.memory.memory.assign(np.random.default_rng(1).normal(size=(9, DIM)))
    keep = tf.fill([5, 3], -1)
    gallery = model.encode_gallery(images)
    np.testing.assert_array_equal(model.encode_query(images, keep), gallery)
    edited = model.encode_query(images, tf.constant([[1, -1, -1]] * 5)).numpy()
    assert (np.abs(edited - gallery.numpy()).max(axis=1) > 0.1).all()


def test_an_edit_swaps_the_block_for_the_row_of_the_memory(space, images):
    model = build(space, "rank_l")
    model.memory.memory.assign(np.random.default_rng(1).normal(size=(9, DIM)))
    embedding = model.image_features(images)["embedding"].numpy()
    query = model.encode_query(images, tf.constant([[-1, -1, 3]] * 5)).numpy()
    np.testing.assert_allclose(query[:, : 2 * DIM], embedding[:, :2].reshape(5, -1), atol=1e-5)
    np.testing.assert_array_equal(query[:, 2 * DIM :], [model.memory.memory.numpy()[8]] * 5)


def test_activation_maps_are_equation_3(space, rng):
    layer = AttributeActivationMap(space.num_values, 6)
    layer.build((None, 4, 5, 7))
    layer.classifier.set_weights([rng.normal(size=w.shape) for w in layer.classifier.weights])
    logits, conv7 = layer(rng.normal(size=(3, 4, 5, 7)).astype(np.float32))
    kernel, bias = layer.classifier.get_weights()
    pooled = conv7.numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(logits, pooled @ kernel + bias, rtol=1e-4, atol=1e-5)
    maps = layer.maps(conv7, logits).numpy()
    assert maps.shape == (3, 3, 4, 5)
    for i in range(3):
        for a, (first, last) in enumerate([(0, 3), (3, 5), (5, 9)]):
            value = first + int(np.argmax(logits[i, first:last]))
            for y in range(4):
                for x in range(5):
                    expected = sum(conv7.numpy()[i, y, x, k] * kernel[k, value] for k in range(6))
                    assert maps[i, a, y, x] == pytest.approx(expected, rel=1e-3, abs=1e-4)
            # What a map adds up to is what the classifier saw: Eq. 1 with the mean.
            assert maps[i, a].mean() + bias[value] == pytest.approx(
                float(logits[i, value]), rel=1e-3, abs=1e-4
            )


def sample(grid, y, x):
    """Bilinear interpolation of `[h, w, c]` at a point that may lie between cells."""
    y0, x0 = int(np.floor(y)), int(np.floor(x))
    y1, x1 = min(y0 + 1, grid.shape[0] - 1), min(x0 + 1, grid.shape[1] - 1)
    top = grid[y0, x0] * (1 - (x - x0)) + grid[y0, x1] * (x - x0)
    bottom = grid[y1, x0] * (1 - (x - x0)) + grid[y1, x1] * (x - x0)
    return top * (1 - (y - y0)) + bottom * (y - y0)


def test_pooled_regions_equal_a_bilinear_sampler(rng):
    conv5 = rng.normal(size=(2, 7, 9, 4)).astype(np.float32)
    boxes = np.array(
        [[[0, 0, 6, 8], [2, 3, 2, 3], [1, 2, 4, 8]], [[6, 8, 6, 8], [0, 4, 6, 5], [3, 0, 3, 8]]]
    )
    size = 3
    pooled = pool_regions(conv5, tf.constant(boxes, tf.int32), size).numpy()
    assert pooled.shape == (2, 3, size * size * 4)
    for i in range(2):
        for a in range(3):
            top, left, bottom, right = boxes[i, a]
            rows, columns = np.linspace(top, bottom, 2 * size), np.linspace(left, right, 2 * size)
            crop = np.array([[sample(conv5[i], y, x) for x in columns] for y in rows])
            expected = crop.reshape(size, 2, size, 2, 4).max(axis=(1, 3))
            np.testing.assert_allclose(pooled[i, a], expected.ravel(), atol=1e-4)


def test_pooling_the_whole_equals_pooling_boxes_of_the_whole(rng):
    conv5 = rng.normal(size=(3, 6, 5, 4)).astype(np.float32)
    boxes = tf.constant([[[0, 0, 5, 4]] * 2] * 3)
    np.testing.assert_array_equal(pool_whole(conv5, 2, 3), pool_regions(conv5, boxes, 3))


def test_feature_fusion_pools_the_region_and_the_whole(space, images):
    model = build(space, "full_ff")
    located = model.localize(images)
    _, boxes = model.attend(located)
    joined = tf.concat(
        [pool_regions(located["conv5"], boxes, 3), pool_whole(located["conv5"], 3, 3)], axis=-1
    )
    expected, _ = model.heads(joined)
    np.testing.assert_allclose(model.represent(located)["embedding"], expected, atol=1e-5)


def test_no_gradient_passes_through_the_boxes(space, images):
    model = build(space)
    with tf.GradientTape() as tape:
        located = model.localize(images, training=True)
        total = tf.reduce_sum(model.represent(located)["logits"])
    kernel = model.attention_maps.classifier.kernel.value
    conv5 = model.conv5.convolution.kernel.value
    gradients = tape.gradient(total, [kernel, conv5])
    assert gradients[0] is None
    assert float(tf.reduce_max(tf.abs(gradients[1]))) > 0


def test_heads_equal_a_loop(space, rng):
    heads = AttributeHeads(space.num_values, (10, 6), DIM, 0.5)
    inputs = rng.normal(size=(4, 3, 20)).astype(np.float32)
    heads.build(inputs.shape)
    representations, logits = heads(inputs)
    layers = [*heads.hidden, heads.output_layer]
    assert [layer.name for layer in layers] == ["fc8", "fc9", "fc10"]
    for a in range(3):
        x = inputs[:, a]
        for layer in layers:
            x = x @ layer.kernel.numpy()[a] + layer.bias.numpy()[a]
            x = x if layer is heads.output_layer else np.maximum(x, 0)
        np.testing.assert_allclose(representations[:, a], x, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(logits, heads.classifiers(representations), atol=1e-5)


def test_dropout_thins_what_the_triplets_do_not_see(space, rng):
    heads = AttributeHeads(space.num_values, (), DIM, 0.5)
    inputs = rng.normal(size=(4, 3, 20)).astype(np.float32)
    heads.build(inputs.shape)
    whole, logits = heads(inputs)
    seed = tf.constant([1, 2])
    trained, thinned = heads(inputs, seed=seed)
    np.testing.assert_array_equal(whole, trained)
    assert (np.abs(logits - thinned) > 1e-6).any()
    np.testing.assert_array_equal(thinned, heads(inputs, seed=seed)[1])


def test_layers_do_not_drop_the_same_units(space):
    heads = AttributeHeads(space.num_values, (50, 50), DIM, 0.5)
    heads.build((None, 3, 50))
    for layer in heads.hidden:
        layer.kernel.assign(np.repeat(np.eye(50)[None], 3, axis=0))
    heads.output_layer.kernel.assign(np.ones((3, 50, DIM)))
    representations, _ = heads(tf.ones([20, 3, 50]), seed=tf.constant([1, 2]))
    # A unit is kept by both of two independent halves with 1/4, and doubled twice.
    kept = representations.numpy()[..., 0] / 4 / 50
    assert kept.mean() == pytest.approx(0.25, abs=0.03)


def test_the_attention_explains_the_boxes(space, images):
    model = build(space)
    attention = model.attention(images)
    assert attention["maps"].shape == (5, 3, 6, 6)
    assert attention["logits"].shape == (5, 9)
    np.testing.assert_array_equal(attention["boxes"], model.image_features(images)["boxes"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "ful"}, r"variant must be one of without_rank, .*did you mean full"),
        ({"map_scaling": "softmax"}, "map_scaling must be one of max, min_max"),
        ({"map_threshold": 1.5}, "map_threshold must be between"),
        ({"map_threshold": 1.0}, "map_threshold must be between 0.0 and 0.999"),
        (
            {"image_size": 520, "first_stride": 2},
            "--image_size=520 and --first_stride=2 give maps of 63 cells",
        ),
        ({"dropout_rate": 1.0}, "dropout_rate must be between"),
        ({"region_size": 0}, "region_size must be at least 1; got 0"),
        ({"representation_dim": 0}, "representation_dim must be at least 1"),
        ({"hidden_dims": (8, 0)}, "hidden_dims must be at least 1"),
        ({"global_dim": -3}, "global_dim must be at least 1; got -3"),
        ({"backbone": "vgg"}, "backbone must be one of"),
        ({"image_size": 20}, "image_size must be at least 25"),
        ({"variant": "ours", "block_dim": DIM + 1}, f"block_dim must be between 1 and {DIM}"),
        ({"block_dim": 2}, r"per attribute \(ours, ours_pooled\); got 2 for 'Full'"),
    ],
)
def test_models_that_cannot_be(space, settings, message):
    with pytest.raises(ValueError, match=message):
        build(space, **settings)


def test_parts_are_taken_over(space, images):
    first, second = build(space), build(space)
    for variable in second.variables:
        variable.assign(variable.value + 0.1)
    second.copy_parts(first, "trunk", "conv5", "attention_maps")
    np.testing.assert_array_equal(
        first.localize(images)["logits"], second.localize(images)["logits"]
    )
    assert (first.heads.classifiers.kernel.numpy() != second.heads.classifiers.kernel.numpy()).all()


@pytest.mark.parametrize(
    ("settings", "part", "message"),
    [
        ({"hidden_dims": (10, 7)}, "heads", r"fc9/kernel \(3, 10, 7\) .* fc9/kernel \(3, 10, 6\)"),
        ({"hidden_dims": (10, 6, 4)}, "heads", "heads: "),
        # gamma has the shape of the bias that stands in its place.
        ({"normalization": "batch"}, "conv5", r"normalization/gamma .* convolution/bias"),
        ({"width": 0.1}, "trunk", "convolution/kernel"),
    ],
)
def test_parts_that_do_not_fit_are_not_taken_over(space, settings, part, message):
    model, other = build(space), build(space, **settings)
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"{message}.*use the same settings"):
        model.copy_parts(other, "attention_maps" if part == "heads" else part, part)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("wanted", "trained"),
    [(w, t) for w in ("rank_l", "rank_lg", "full") for t in ("rank_l", "rank_lg", "full")]
    + [("rank", "rank"), ("full_ff", "full_ff"), ("without_rank", "without_rank")],
)
def test_variants_that_share_their_representations(wanted, trained):
    check_shares_representations(wanted, trained, "here")


@pytest.mark.parametrize(
    ("wanted", "trained", "cure"),
    [
        ("full", "rank", "rank_l"),
        ("full_ff", "full", "full_ff"),
        ("rank", "without_rank", "rank"),
        ("rank_lg", "full_ff", "rank_l"),
        ("full_normalized_triplets", "rank_l", "full_normalized_triplets"),
    ],
)
def test_variants_that_do_not(wanted, trained, cure):
    message = rf"^run/x holds .* variant '{trained}', which '{wanted}' cannot use.* of {cure}\.$"
    with pytest.raises(ValueError, match=message):
        check_shares_representations(wanted, trained, "run/x")


@pytest.fixture
def saved(space, tmp_path):
    """A trained-looking model and the folder that holds it."""
    model = build(space, "full_ff", normalization="batch", mean=(1.0, 2.0, 3.0))
    for i, variable in enumerate(model.variables):
        variable.assign(variable.value + 0.001 * (i + 1))
    registry.save_system(tmp_path, model, "global", dataset="fake/1.0.0")
    return model, tmp_path


def test_a_system_survives_its_folder(saved, images):
    model, workdir = saved
    description = registry.describe_system(workdir)
    assert description["system"] == "fashionsearchnet_v2"
    assert (description["stage"], description["dataset"]) == ("global", "fake/1.0.0")
    assert sorted(p.name for p in workdir.iterdir()) == [
        "attribute_space.json",
        "model.json",
        "model.weights.h5",
    ]
    loaded = registry.load_system(workdir)
    assert loaded.space == model.space and loaded.image_input.mean == (1.0, 2.0, 3.0)
    assert loaded.arguments == model.arguments
    manipulation = tf.constant([[0, -1, 2]] * 5)
    np.testing.assert_array_equal(
        loaded.encode_query(images, manipulation), model.encode_query(images, manipulation)
    )


def test_a_damaged_weights_file(saved):
    _, workdir = saved
    weights = workdir / "model.weights.h5"
    content = weights.read_bytes()
    message = r"model\.weights\.h5 does not fit the model .*damaged or of another run"
    for share in (0.0, 0.01, 0.3, 0.9):
        weights.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ValueError, match=message):
            registry.load_system(workdir)
    weights.write_bytes(b"\0" * len(content))
    with pytest.raises(ValueError, match=message):
        registry.load_system(workdir)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.weights\.h5 does not exist\. Train it"):
        registry.load_system(workdir)


def test_weights_of_another_model(saved, space):
    _, workdir = saved
    build(space, "full", normalization="batch").save_weights(workdir / "model.weights.h5")
    with pytest.raises(ValueError, match="does not fit the model"):
        registry.load_system(workdir)


def test_an_attribute_space_of_another_run(saved):
    _, workdir = saved
    AttributeSpace.from_dict({"fit": ["slim", "wide"]}).save(workdir / "attribute_space.json")
    with pytest.raises(ValueError, match="does not fit the model"):
        registry.load_system(workdir)


def test_a_folder_that_holds_no_system(saved):
    _, workdir = saved
    with pytest.raises(FileNotFoundError, match=r"model\.json does not exist.*<system>/train"):
        registry.load_system(workdir / "elsewhere")
    path = workdir / "model.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "system": "fashionsearchnet"}))
    with pytest.raises(ValueError, match=r"must be one of .*did you mean fashionsearchnet_v2"):
        registry.load_system(workdir)
    for broken in ("{}", "[]", json.dumps({**content, "arguments": {"depth": 3}})):
        path.write_text(broken)
        with pytest.raises(ValueError, match=r"model\.json"):
            registry.load_system(workdir)
