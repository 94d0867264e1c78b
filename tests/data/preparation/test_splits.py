import numpy as np
import pytest

from fashionsearchnet.data.preparation.splits import split_indices

SIZES = {"query": 5, "gallery": 20, "validation": 7}


@pytest.mark.parametrize("seed", range(5))
def test_splits_are_disjoint_and_hold_everything(seed):
    splits = split_indices(50, SIZES, seed)
    assert list(splits) == ["query", "gallery", "validation", "train"]
    assert {name: len(indices) for name, indices in splits.items()} == SIZES | {"train": 18}
    together = np.concatenate(list(splits.values()))
    assert together.dtype == np.int64
    np.testing.assert_array_equal(np.sort(together), np.arange(50))


def test_seed_decides():
    first, again, other = (split_indices(50, SIZES, seed) for seed in (3, 3, 4))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert set(first["query"]) != set(other["query"])


def test_a_seed_names_the_same_splits_for_good():
    # Written down once: figures are quoted with their seed.
    splits = split_indices(10, {"query": 2, "gallery": 3}, 0)
    assert splits["query"].tolist() == [2, 8]
    assert splits["gallery"].tolist() == [4, 9, 1]


def test_last_size_leaves_earlier_splits_alone():
    small, large = (split_indices(50, SIZES | {"validation": size}, 1) for size in (3, 9))
    for name in ("query", "gallery"):
        np.testing.assert_array_equal(small[name], large[name])
    assert set(small["validation"]) < set(large["validation"])


@pytest.mark.parametrize(
    ("num", "sizes", "seed", "message"),
    [
        (32, SIZES, 0, r"need 32 examples .* there are 32.*query 1 .*gallery 6 .*validation 2"),
        (3, SIZES, 0, r"there are 3\. Ask for smaller splits\."),
        (0, SIZES, 0, r"there are 0\. Ask for smaller splits\."),
        (10, {"query": -1}, 0, "'query' must be at least 0"),
        (10, {"train": 3}, 0, "gets the rest"),
        (10, {"query": 3}, -1, "seed must be between"),
        (0, {}, 0, "there are 0"),
    ],
)
def test_refuses(num, sizes, seed, message):
    with pytest.raises(ValueError, match=message):
        split_indices(num, sizes, seed)
