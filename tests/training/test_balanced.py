"""Batches in which every attribute has a triplet."""

import itertools

import numpy as np
import pytest

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.training import BalancedSampler, EpochSampler

SPACE = AttributeSpace.from_dict(
    {"colour": ["red", "green", "blue"], "sleeve": ["short", "long"], "fit": ["slim", "wide"]}
)


@pytest.fixture
def sparse(rng):
    """Two hundred images with one label each; most of them show the colour."""
    values = np.full((200, 3), -1, np.int32)
    for image, attribute in enumerate(rng.choice(3, 200, p=[0.9, 0.05, 0.05])):
        values[image, attribute] = rng.integers(SPACE.num_values[attribute])
    return values


def triplets_of(values):
    """For each attribute, whether the images hold two that agree and one that differs."""
    counts = [np.bincount(column[column >= 0], minlength=3) for column in values.T]
    return [count.max() >= 2 and (count > 0).sum() >= 2 for count in counts]


@pytest.mark.parametrize("batch_size", [9, 16, 64])
def test_every_attribute_has_a_triplet_in_every_batch(sparse, batch_size):
    sampler = BalancedSampler(SPACE, sparse)
    by_chance = []
    for step, batch in enumerate(itertools.islice(sampler.batches(3, 0, batch_size), 50)):
        assert batch.position.shape == (batch_size,) and batch.position.dtype == np.int32
        assert all(triplets_of(sparse[batch.position])), step
        drawn = np.random.default_rng(step).integers(200, size=batch_size)
        by_chance.append(all(triplets_of(sparse[drawn])))
    assert np.mean(by_chance) < 0.7  # so that the labels are sparse enough to matter


def test_batches_depend_on_seed_and_step_and_mirror_half_of_the_images(sparse):
    sampler = BalancedSampler(SPACE, sparse)
    third = next(itertools.islice(sampler.batches(3, 0, 30), 2, None))
    again = next(sampler.batches(3, 2, 30))
    for name, array in vars(third).items():
        np.testing.assert_array_equal(array, vars(again)[name])
    mirrored = next(sampler.batches(3, 0, 3000)).mirrored
    assert 0.45 < mirrored.mean() < 0.55


def test_a_batch_that_is_too_small_is_refused(sparse):
    with pytest.raises(ValueError, match=r"at least 9 .*for each of 3 attributes; got 8"):
        next(BalancedSampler(SPACE, sparse).batches(0, 0, 8))


def test_an_attribute_without_a_triplet_is_left_out_and_named(sparse):
    sparse[:, 2] = -1
    sampler = BalancedSampler(SPACE, sparse)
    assert "fit (images show one value at most)" in sampler.left_out
    next(sampler.batches(0, 0, 6))


def positions(sampler, first_step, num_steps, batch_size=4, seed=0):
    drawn = itertools.islice(sampler.batches(seed, first_step, batch_size), num_steps)
    return [batch.position.tolist() for batch in drawn]


def test_an_epoch_has_each_image_once_in_its_own_order():
    sampler = EpochSampler(10)
    flat = np.concatenate(positions(sampler, 0, 15))
    epochs = flat.reshape(6, 10)
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))
    assert len({tuple(epoch) for epoch in epochs}) == 6
    assert positions(sampler, 0, 2, seed=1) != positions(sampler, 0, 2)


@pytest.mark.parametrize(("num", "batch_size"), [(10, 4), (3, 8), (8, 4)])
def test_a_batch_depends_on_its_step_only(num, batch_size):
    sampler = EpochSampler(num)
    through = list(itertools.islice(sampler.batches(7, 0, batch_size), 9))
    resumed = list(itertools.islice(sampler.batches(7, 5, batch_size), 4))
    for straight, after in zip(through[5:], resumed, strict=True):
        np.testing.assert_array_equal(straight.position, after.position)
        np.testing.assert_array_equal(straight.mirrored, after.mirrored)
        assert len(straight.position) == batch_size


def test_an_epoch_needs_images():
    with pytest.raises(ValueError, match="number of images must be at least 1; got 0"):
        EpochSampler(0)
