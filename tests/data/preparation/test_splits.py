import numpy as np
import pytest

from fashionsearchnet.data.preparation.splits import (
    check_dense,
    dense_rows,
    split_by_id,
    split_indices,
    with_rest,
)

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
        (
            32,
            SIZES,
            0,
            r"need 32 examples .* there are 32.*--num_queries=1 --num_gallery=6",
        ),
        (3, SIZES, 0, r"there are 3\. Ask for smaller splits\."),
        (4, SIZES, 0, r"splits, such as --num_queries=1 --num_gallery=1 --num_validation=1\."),
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


def members(keys, splits):
    return {keys[i]: split for split, rows in splits.items() for i in rows}


def test_splits_by_id_have_the_sizes_asked_for():
    keys = [f"{i}.jpg" for i in range(200)]
    splits, bounds = split_by_id(keys, SIZES, 0)
    assert {name: len(rows) for name, rows in splits.items()} == SIZES | {"train": 168}
    assert list(bounds) == list(SIZES)
    # The order of the images does not matter, the seed does.
    again, same = split_by_id(keys[::-1], SIZES, 0)
    assert members(keys[::-1], again) == members(keys, splits) and same == bounds
    assert members(keys, split_by_id(keys, SIZES, 1)[0]) != members(keys, splits)


def test_bounds_keep_every_image_in_its_split():
    keys = [f"{i}.jpg" for i in range(200)]
    before, bounds = split_by_id(keys, SIZES, 0)
    more = [f"new{i}.jpg" for i in range(300)] + keys[:150]
    now = members(more, split_by_id(more, SIZES, 0, bounds)[0])
    was = members(keys, before)
    assert all(now[key] == was[key] for key in keys[:150])
    assert {now[key] for key in more[:300]} == {*SIZES, "train"}


def test_new_bounds_make_no_query_of_a_training_image():
    keys = [f"{i}.jpg" for i in range(400)]
    order = [*SIZES, "train"]
    was = members(keys[:200], split_by_id(keys[:200], SIZES, 0)[0])
    now = members(keys, split_by_id(keys, SIZES, 0)[0])
    assert all(order.index(now[key]) >= order.index(was[key]) for key in was)


def test_images_of_one_product_share_a_split():
    keys = [str(i // 3) for i in range(300)]
    splits, _ = split_by_id(keys, SIZES, 0)
    together = [{keys[i] for i in rows} for rows in splits.values()]
    assert sum(map(len, together)) == len(set(keys))
    assert all(0 <= len(splits[name]) - size < 3 for name, size in SIZES.items() if name == "query")


def test_splits_by_id_may_fill_all():
    with pytest.raises(ValueError, match="there are 32"):
        split_by_id([str(i) for i in range(32)], SIZES, 0)


def test_dense_rows_leave_out_a_product_with_a_missing_label():
    labels = np.array([[0, 1], [1, -1], [0, 0], [1, 1], [-1, -1]], np.int32)
    rows = dense_rows(labels, ["a", "b", "b", "c", "d"])
    assert rows.tolist() == [0, 3] and rows.dtype == np.int64


def test_the_rest_is_trained_on():
    cut = {"query": np.array([1]), "train": np.array([2, 0])}
    found = with_rest(cut, np.array([1, 3, 4]), 6)
    assert {name: rows.tolist() for name, rows in found.items()} == {
        "query": [3], "train": [4, 1, 0, 2, 5],
    }  # fmt: skip


def test_too_few_images_with_all_labels():
    with pytest.raises(ValueError, match=r"there are 4\..* a label of every attribute count here"):
        check_dense(4, {"query": 5})
