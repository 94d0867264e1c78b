"""Disjoint splits of the examples of a data set: by their ids, or drawn by seed (NumPy only)."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from fashionsearchnet.attributes import MISSING
from fashionsearchnet.checks import check_range

REST = "train"  # the split that gets what the others leave
SPLIT_BY = ("id", "seed")
MAX_SEED = 2**32 - 1  # of RandomState


def split_indices(num_examples: int, sizes: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """Returns disjoint random splits that together hold every example once.

    The splits are drawn in the order of `sizes`: what a split holds depends on the seed, the
    number of examples and the splits before it only. With the validation split last, another
    size of it changes neither the queries nor the gallery.

    Args:
      num_examples: how many examples there are.
      sizes: the number of examples of each split except `train`, which gets the rest.
      seed: in [0, 2**32).

    Returns:
      `{split: int64 [size] of indices}`, `train` last. The indices are in random order, so that
      data sets stored in it need little further shuffling.

    Raises:
      ValueError: for a negative size, a split named `train`, or sizes that leave nothing to
        train on; that message proposes sizes that fit.
    """
    check_range("seed", seed, 0, MAX_SEED)
    if REST in sizes:
        raise ValueError(f"the split {REST!r} gets the rest; leave it out of the sizes.")
    for name, size in sizes.items():
        check_range(f"the size of split {name!r}", size, 0)
    check_sizes(num_examples, sizes)
    # RandomState's stream is frozen, default_rng's may change between versions of NumPy: a
    # seed in a flagfile must name the same split for good.
    order = np.random.RandomState(seed).permutation(num_examples).astype(np.int64)
    ends = np.cumsum([*sizes.values()], dtype=np.int64)
    return dict(zip([*sizes, REST], np.split(order, ends), strict=True))


def split_by_id(
    keys: Sequence[str],
    sizes: Mapping[str, int],
    seed: int,
    bounds: Mapping[str, int] | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Returns disjoint splits that depend on the keys, and their bounds.

    A key becomes a number by its hash. Each split takes the numbers between two bounds. Without
    `bounds` they are chosen so that each split has the size asked for, or a little more where
    several examples share a key. With the bounds of an earlier call every key stays in its split,
    whatever was added or removed. With new bounds for more keys, a key moves towards `train` only:
    no example that was trained on becomes a query.

    Args:
      keys: one per example, its id or that of its group; examples of one key stay together.
      sizes: the number of examples of each split except `train`, in order.
      seed: of the hash.
      bounds: of each split except `train`, ascending, in 0..2**64.

    Returns:
      `{split: int64 [size] of indices}` in the order of the hash, `train` last; and the bounds.

    Raises:
      ValueError: as `split_indices`, if `bounds` is None.
    """
    numbers = np.array([_hash(key, seed) for key in keys], np.uint64)
    order = np.lexsort((np.arange(len(keys)), numbers))
    ranked = numbers[order]
    if bounds is None:
        check_sizes(len(keys), sizes)
        bounds, end = {}, 0
        for name, size in sizes.items():
            end += size
            while 0 < end < len(ranked) and ranked[end] == ranked[end - 1]:
                end += 1  # a group stays together
            bounds[name] = int(ranked[end]) if end < len(ranked) else 2**64
    ends = [
        len(ranked) if bound >= 2**64 else int(np.searchsorted(ranked, np.uint64(bound)))
        for bound in bounds.values()
    ]
    return dict(zip([*bounds, REST], np.split(order, ends), strict=True)), dict(bounds)


def dense_rows(labels: np.ndarray, keys: Sequence[str]) -> np.ndarray:
    """Returns the examples with a label of every attribute, int64 `[any]`.

    An example without one takes those of its key with it: examples of one key stay together.

    Args:
      labels: int32 `[num, A]`, -1 for missing.
      keys: one per example; see `split_by_id`.
    """
    is_dense = (labels != MISSING).all(axis=1)
    sparse = {key for key, dense in zip(keys, is_dense, strict=True) if not dense}
    return np.array([row for row, key in enumerate(keys) if key not in sparse], np.int64)


def check_dense(num_dense: int, sizes: Mapping[str, int]) -> None:
    """Raises a ValueError if too few examples have a label of every attribute for the splits."""
    check_sizes(num_dense, sizes, " Only images with a label of every attribute count here.")


def with_rest(
    cut: Mapping[str, np.ndarray], rows: np.ndarray, num_examples: int
) -> dict[str, np.ndarray]:
    """Returns splits of some examples as splits of all; the others are trained on.

    Args:
      cut: int64, positions in `rows`, by split, `train` among them.
      rows: int64, examples in rising order.
      num_examples: how many there are.
    """
    found = {name: rows[part] for name, part in cut.items()}
    others = np.setdiff1d(np.arange(num_examples), rows)
    return found | {REST: np.concatenate([found[REST], others])}


def _hash(key: str, seed: int) -> int:
    """Returns a number below 2**64."""
    text = f"{seed}:{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def check_sizes(num_examples: int, sizes: Mapping[str, int], why: str = "") -> None:
    """Raises a ValueError that proposes sizes that fit, if `sizes` leave nothing to train on.

    Args:
      num_examples: how many there are.
      sizes: asked for.
      why: a sentence about the others for the message, after a blank; '' for none.
    """
    asked = sum(sizes.values())
    if asked < num_examples:
        return
    wanted = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    fitting = fitting_sizes(num_examples, sizes)
    proposal = f", such as {size_flags(fitting)}" if fitting else ""
    raise ValueError(
        f"the splits need {asked:,} examples ({wanted}) and more to train on, but there are "
        f"{num_examples:,}. Ask for smaller splits{proposal}.{why}"
    )


def fitting_sizes(num_examples: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """Returns a third of the examples in the proportions of `sizes`, at least one of each.

    {} where that leaves nothing to train on.
    """
    asked = sum(sizes.values())
    fitting = {
        name: max(1, num_examples * size // (3 * asked)) for name, size in sizes.items() if size
    }
    return fitting if fitting and sum(fitting.values()) < num_examples else {}


def size_flags(sizes: Mapping[str, int]) -> str:
    """Returns the flags of tools/prepare_data.py for sizes of splits."""
    names = {"query": "queries"}
    return " ".join(f"--num_{names.get(name, name)}={size}" for name, size in sizes.items())
