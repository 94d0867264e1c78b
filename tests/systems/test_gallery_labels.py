import keras
import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE
from small_networks import network

from fashionsearchnet.attributes import one_hot_blocks
from fashionsearchnet.index.exact import ExactIndex
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.gallery_labels import (
    ChosenBlend,
    beliefs_of,
    blend_blocks,
    check_blend,
)

NUM = SPACE.num_attributes


def blended(blocks, prototypes, beliefs, blend):
    """The blend of blocks [B, 3, dim] with prototypes [9, dim]."""
    arguments = (tf.constant(x, tf.float32) for x in (blocks, prototypes, beliefs, blend))
    return blend_blocks(SPACE, *arguments).numpy()


def test_blends_worked_by_hand():
    """[3, 0] and [0, 4]: halfway lies [1.5, 2] of length 2.5, and the length wanted is 3.5."""
    prototypes = np.tile([0, 4], (9, 1))
    label = one_hot_blocks(SPACE, np.array([[0, 1, 2], [-1, -1, 0]]))
    found = blended(np.tile([3, 0], (2, 3, 1)), prototypes, label, [0.5, 0, 1])
    wanted = np.array([[[2.1, 2.8], [3, 0], [0, 4]], [[3, 0], [3, 0], [0, 4]]])
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_what_is_read_weighs_the_prototypes_of_its_values():
    """Halves of [8, 0] and [0, 4]: [4, 2], which with [3, 0] makes [3.5, 1] of length 4.5."""
    prototypes = np.zeros((9, 2))
    prototypes[3:5] = [[8, 0], [0, 4]]
    read = np.zeros((1, 9))
    read[0, 3:5] = 0.5
    found = blended(np.tile([3, 0], (1, 3, 1)), prototypes, read, [0.5] * 3)
    length = np.hypot(3.5, 1)
    wanted = np.array([[[3, 0], [3.5 * 4.5 / length, 4.5 / length], [3, 0]]])
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    labelled = beliefs_of(SPACE, np.array([[-1, 1, -1]]), read)
    np.testing.assert_array_equal(labelled, [[0, 0, 0, 0, 1, 0, 0, 0, 0]])
    np.testing.assert_array_equal(beliefs_of(SPACE, np.array([[-1, 1, -1]])), labelled)


def test_what_is_read_counts_half_of_a_label():
    """A quarter of [0, 4] and three of [4, 0] make [3, 1] of length 4; a label makes [2, 2]."""
    prototypes = np.tile([0.0, 4.0], (9, 1))
    read = np.tile(np.eye(3, dtype=np.float32)[0], (1, 3))
    beliefs = beliefs_of(SPACE, np.array([[0, -1, -1]]), read)
    np.testing.assert_array_equal(beliefs, [[1, 0, 0, 0.5, 0, 0, 0.5, 0, 0]])
    found = blended(np.tile([4.0, 0.0], (1, 3, 1)), prototypes, beliefs, [0.5] * 3)
    as_read, as_label = np.array([3.0, 1.0]), np.array([2.0, 2.0])
    wanted = [4.0 * each / np.linalg.norm(each) for each in (as_label, as_read, as_read)]
    np.testing.assert_allclose(found, [wanted], rtol=1e-6)


def some(rng, number=20, dim=8):
    """Blocks, prototypes and labels."""
    blocks, prototypes = rng.normal(size=(number, 3, dim)), rng.normal(size=(9, dim))
    return blocks, prototypes, rng.integers(0, SPACE.num_values, (number, 3))


def test_blocks_of_equal_length_keep_it(rng):
    blocks, prototypes, values = some(rng)
    for each in (blocks, prototypes):
        each *= 2.0 / np.linalg.norm(each, axis=-1, keepdims=True)
    for blend in (0.1, 0.5, 0.9):
        found = blended(blocks, prototypes, one_hot_blocks(SPACE, values), [blend] * 3)
        np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 2.0, rtol=1e-5)


def test_a_blend_without_a_direction_is_the_images():
    label = one_hot_blocks(SPACE, np.array([[0, 0, 0]]))
    found = blended(np.tile([1.0, 0.0], (1, 3, 1)), np.tile([-1.0, 0.0], (9, 1)), label, [0.5] * 3)
    np.testing.assert_array_equal(found, np.tile([1.0, 0.0], (1, 3, 1)))


def test_a_label_that_no_training_image_had_changes_nothing():
    label = one_hot_blocks(SPACE, np.array([[0, 0, 0]]))
    blocks = np.tile([3.0, 4.0], (1, 3, 1))
    for blend in (0.5, 1.0):
        found = blended(blocks, np.zeros((9, 2)), label, [blend] * 3)
        np.testing.assert_array_equal(found, blocks)


def test_a_blend_comes_nearer_to_its_prototype_as_it_grows(rng):
    blocks, prototypes, values = some(rng)
    wanted = prototypes[values + np.array(SPACE.offsets)]
    cosines = []
    for blend in np.linspace(0.0, 1.0, 11):
        found = blended(blocks, prototypes, one_hot_blocks(SPACE, values), [blend] * 3)
        lengths = np.linalg.norm(found, axis=-1) * np.linalg.norm(wanted, axis=-1)
        cosines.append((found * wanted).sum(axis=-1) / lengths)
    assert (np.diff(cosines, axis=0) > -1e-6).all()


@pytest.mark.parametrize("variant", ["ours", "full", "rank"])
def test_labels_find_more_at_every_share(variant, rng):
    """Photos that show their values through noise: Top-5 with labels used, and without them."""
    keras.utils.set_random_seed(0)
    system = FashionSearchNetV2(
        SPACE, variant=variant, hidden_dims=(8,), representation_dim=16, global_dim=32, **network()
    )
    means = rng.normal(size=system.memory.memory.shape).astype(np.float32)
    system.memory.memory.assign(means)
    offsets = np.array(SPACE.offsets)

    def photos(number):
        values = rng.integers(0, SPACE.num_values, (number, NUM)).astype(np.int32)
        noise = rng.normal(0.0, 2.0, (number, NUM, means.shape[1]))
        return values, (means[values + offsets] + noise).astype(np.float32)

    gallery_values, gallery = photos(400)
    values, queries = photos(150)
    edits = np.full_like(values, -1)
    edited = np.arange(150) % NUM
    wanted = (values[np.arange(150), edited] + 1) % np.array(SPACE.num_values)[edited]
    edits[np.arange(150), edited] = wanted
    targets = np.where(edits >= 0, edits, values)
    vectors = system.query_embedding({"embedding": tf.constant(queries)}, tf.constant(edits))
    blocks = system.gallery_blocks({"embedding": tf.constant(gallery)})

    def top_5(told, blend=0.5):
        index = ExactIndex(
            system.labelled_embedding(blocks, beliefs_of(SPACE, told), [blend] * NUM).numpy()
        )
        found = gallery_values[index.search(vectors.numpy(), 5)[1]]
        return (found == targets[:, None]).all(axis=2).any(axis=1).mean()

    alone = top_5(np.full_like(gallery_values, -1))
    draw, other = (
        rng.random(gallery_values.shape),
        rng.integers(1, SPACE.num_values, gallery_values.shape),
    )
    found = [top_5(np.where(draw < share, gallery_values, -1)) for share in (0.25, 0.5, 0.75, 1.0)]
    wrong = (gallery_values + other) % np.array(SPACE.num_values)
    found += [top_5(np.where(draw < share, wrong, gallery_values)) for share in (0.05, 0.1, 0.2)]
    assert min(found) >= alone and found[3] > alone + 0.05


def test_which_blends_are_refused():
    assert check_blend(SPACE, 0.3) == (0.3,) * 3 and check_blend(SPACE, [0, 1, 0.5]) == (0, 1, 0.5)
    with pytest.raises(ValueError, match="one for each of colour, sleeve, neckline; got 2"):
        check_blend(SPACE, [0.1, 0.2])
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="label_blend must be"):
            check_blend(SPACE, wrong)


def test_a_blend_is_stored_with_its_run(tmp_path):
    assert ChosenBlend.load(tmp_path, SPACE, "ab") == ChosenBlend((0.5,) * 3)
    chosen = ChosenBlend((0.25, 0.5, 1.0), "ab", {"query_split": "validation[:30%]"})
    path = chosen.save(tmp_path)
    assert ChosenBlend.load(tmp_path, SPACE, "ab") == chosen
    with pytest.raises(ValueError, match=r"other weights.*tools/choose_blend\.py"):
        ChosenBlend.load(tmp_path, SPACE, "cd")
    for damaged in ('{"blend": [2]}', '{"weights": "ab"}', '{"blend": 0.5, "x": 1}', "[1]"):
        path.write_text(damaged)
        with pytest.raises(ValueError, match="does not hold a blend of labels"):
            ChosenBlend.load(tmp_path, SPACE, "ab")
