"""Triplets and pairs: what every draw keeps, what is drawn how often, and what is refused."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.training import PairSampler, TripletSampler
from fashionsearchnet.training.sampler import Sampler

SPACE = AttributeSpace.from_dict(
    {"colour": ["red", "green", "blue"], "sleeve": ["short", "long"], "fit": ["slim", "wide"]}
)


def labels(seed: int, num: int = 80, missing: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, SPACE.num_values, (num, 3))
    values[rng.random(values.shape) < missing] = -1
    return values.astype(np.int32)


@pytest.mark.parametrize("seed", range(5))
def test_every_triplet_holds_what_it_promises(seed):
    values = labels(seed)
    batch = TripletSampler(SPACE, values).sample(np.random.default_rng(seed), 3000)
    assert batch.mirrored.dtype == bool
    arrays = (batch.anchor, batch.positive, batch.negative, batch.attribute)
    assert {array.dtype for array in arrays} == {np.dtype(np.int32)}
    anchor, positive, negative = (
        values[images, batch.attribute] for images in (batch.anchor, batch.positive, batch.negative)
    )
    assert (anchor >= 0).all() and (negative >= 0).all()
    assert (positive == anchor).all() and (negative != anchor).all()
    assert (batch.positive != batch.anchor).all()


def test_every_possible_triplet_has_its_turn():
    values = np.array([[0], [0], [0], [1], [1], [-1]], np.int32)
    space = AttributeSpace.from_dict({"sleeve": ["short", "long"]})
    batch = TripletSampler(space, values).sample(np.random.default_rng(0), 2000)
    table = np.stack([batch.anchor, batch.positive, batch.negative], axis=1)
    drawn = {tuple(row) for row in table.tolist()}
    short, long = (0, 1, 2), (3, 4)
    expected = {(a, p, n) for a, p in itertools.permutations(short, 2) for n in long}
    expected |= {(a, p, n) for a, p in itertools.permutations(long, 2) for n in short}
    assert drawn == expected


def test_attributes_values_and_images_are_drawn_uniformly():
    """Whatever their numbers: colour is labelled ten times as often, and red is most of it."""
    colour = np.array([0] * 90 + [1] * 6 + [2] * 4)
    values = np.full((100, 3), -1, np.int32)
    values[:, 0], values[:10, 1], values[:10, 2] = colour, [0, 1] * 5, [0] * 2 + [1] * 8
    number = 30_000
    batch = TripletSampler(SPACE, values).sample(np.random.default_rng(1), number)
    shares = np.bincount(batch.attribute, minlength=3) / number
    np.testing.assert_allclose(shares, 1 / 3, atol=0.015)
    of_colour = batch.attribute == 0
    drawn = np.bincount(colour[batch.anchor[of_colour]], minlength=3) / of_colour.sum()
    np.testing.assert_allclose(drawn, 1 / 3, atol=0.015)
    for images in (batch.anchor, batch.positive):
        blue = images[of_colour & (colour[batch.anchor] == 2)]
        shares = np.bincount(blue, minlength=100)[96:] / len(blue)
        np.testing.assert_allclose(shares, 1 / 4, atol=0.025)
    # A negative is any image of another value, so those of a common value come most often.
    of_blue = batch.negative[of_colour & (colour[batch.anchor] == 2)]
    assert np.mean(colour[of_blue] == 0) == pytest.approx(90 / 96, abs=0.01)


def test_a_rare_value_is_refused_by_name_with_its_number():
    values = labels(0)
    values[values[:, 0] == 2, 0] = -1
    values[0, 0] = 2
    message = r"too few show colour=blue \(1 image\)\. Label more .* set rare_values to 'leave_out'"
    for sampler in (TripletSampler, PairSampler.of_attributes):
        with pytest.raises(ValueError, match=message):
            sampler(SPACE, values)
    values[0, 0] = -1
    with pytest.raises(ValueError, match=r"colour=blue \(0 images\)"):
        TripletSampler(SPACE, values)


def test_a_rare_value_that_is_left_out_is_named_and_still_a_negative():
    values = labels(0)
    values[values[:, 0] == 2, 0] = -1
    values[0, 0] = 2
    sampler = TripletSampler(SPACE, values, "leave_out")
    assert sampler.left_out == ("colour=blue (1 image)",)
    batch = sampler.sample(np.random.default_rng(0), 5000)
    colour = batch.attribute == 0
    assert set(values[batch.anchor[colour], 0]) == {0, 1}
    assert 0 in batch.negative[colour]


def test_an_attribute_of_which_images_show_one_value_is_not_drawn():
    values = labels(0)
    values[:, 1] = np.where(values[:, 1] >= 0, 0, -1)
    sampler = TripletSampler(SPACE, values, "leave_out")
    expected = ("sleeve=long (0 images)", "sleeve (images show one value at most)")
    assert sampler.left_out == expected
    assert set(sampler.sample(np.random.default_rng(0), 1000).attribute) == {0, 2}
    # A pair needs no other value.
    pairs = PairSampler.of_attributes(SPACE, values, "leave_out")
    assert pairs.left_out == expected[:1]
    assert set(pairs.sample(np.random.default_rng(0), 1000).attribute) == {0, 1, 2}


@pytest.mark.parametrize("values", [np.zeros((0, 3)), [[-1, -1, -1]] * 4, [[0, 0, 0], [1, 1, 1]]])
def test_labels_without_any_triplet(values):
    with pytest.raises(ValueError, match="no attribute can be drawn"):
        TripletSampler(SPACE, np.array(values, np.int32), "leave_out")


@pytest.mark.parametrize("seed", range(3))
def test_pairs_agree_in_their_attribute(seed):
    values = labels(seed)
    batch = PairSampler.of_attributes(SPACE, values).sample(np.random.default_rng(seed), 2000)
    first, second = (values[images, batch.attribute] for images in (batch.first, batch.second))
    assert (first == second).all() and (first >= 0).all()
    assert (batch.first != batch.second).all()
    assert set(batch.attribute) == {0, 1, 2}


def test_pairs_of_an_item():
    ids = ["b", "a", "b", "c", "a", "b"]
    with pytest.raises(ValueError, match=r"too few show instance=c \(1 image\)"):
        PairSampler.of_instances(ids)
    with pytest.raises(ValueError, match="image 1 of the training images has no instance id"):
        PairSampler.of_instances(["a", "", "a"])
    sampler = PairSampler.of_instances(ids, "leave_out")
    assert sampler.left_out == ("instance=c (1 image)",)
    batch = sampler.sample(np.random.default_rng(0), 4000)
    drawn = set(zip(batch.first.tolist(), batch.second.tolist(), strict=True))
    same = [*itertools.permutations((0, 2, 5), 2), *itertools.permutations((1, 4), 2)]
    assert drawn == set(same)
    assert np.isin(batch.first, (1, 4)).mean() == pytest.approx(0.5, abs=0.03)  # items, not images
    assert (batch.attribute == 0).all()


SAMPLERS: dict[str, Callable[[], Sampler]] = {
    "triplets": lambda: TripletSampler(SPACE, labels(0)),
    "pairs": lambda: PairSampler.of_attributes(SPACE, labels(0)),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_batches_depend_on_seed_and_step_and_replicas_share_them(name):
    def batches(first_step, context=None, seed=3):
        examples = SAMPLERS[name]().examples(
            seed=seed, first_step=first_step, global_batch_size=8, context=context
        )
        return [np.column_stack(list(b.values())) for b in examples.take(4).as_numpy_iterator()]

    straight = batches(0)
    assert straight[0].shape[0] == 8
    np.testing.assert_array_equal(batches(2)[:2], straight[2:])
    assert (batches(0, seed=4)[0] != straight[0]).any()
    first, second = (
        tf.distribute.InputContext(
            num_input_pipelines=2, input_pipeline_id=worker, num_replicas_in_sync=4
        )
        for worker in (0, 1)
    )
    # Two replicas of each worker take two rows each, one after the other.
    shares = [*batches(0, first)[:2], *batches(0, second)[:2]]
    np.testing.assert_array_equal(np.concatenate(shares), straight[0])


def test_negatives_of_values_are_uniform_over_the_other_values():
    """Of sixty images in red, thirty in green and ten in blue; two more have no label."""
    values = np.full((102, 3), -1, np.int32)
    values[:100, 0] = [0] * 60 + [1] * 30 + [2] * 10
    values[:10, 1], values[:10, 2] = [0, 1] * 5, [0] * 2 + [1] * 8
    sampler = TripletSampler(SPACE, values, negatives_of="values")
    batch = sampler.sample(np.random.default_rng(0), 30_000)
    chosen = batch.attribute == 0
    anchor, negative = values[batch.anchor[chosen], 0], values[batch.negative[chosen], 0]
    assert (anchor != negative).all()
    for value in range(3):
        shares = np.bincount(negative[anchor == value], minlength=3) / (anchor == value).sum()
        expected = np.where(np.arange(3) == value, 0.0, 0.5)
        np.testing.assert_allclose(shares, expected, atol=0.03)
    images = np.bincount(batch.negative[chosen][negative == 2], minlength=102)[90:100]
    np.testing.assert_allclose(images / images.sum(), 0.1, atol=0.02)
    with pytest.raises(ValueError, match="negatives_of must be one of images, values"):
        TripletSampler(SPACE, values, negatives_of="hardest")
