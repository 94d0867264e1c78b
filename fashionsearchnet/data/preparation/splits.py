"""Seeded, disjoint splits of the examples of a data set (NumPy only)."""

from collections.abc import Mapping

import numpy as np

from fashionsearchnet.checks import check_range

REST = "train"  # the split that gets what the others leave
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


def check_sizes(num_examples: int, sizes: Mapping[str, int]) -> None:
    """Raises a ValueError that proposes sizes that fit, if `sizes` leave nothing to train on."""
    asked = sum(sizes.values())
    if asked < num_examples:
        return
    wanted = ", ".join(f"{name} {size}" for name, size in sizes.items())
    # A third of the examples, divided in the proportions that were asked for.
    fitting = {name: num_examples * size // (3 * asked) for name, size in sizes.items() if size}
    proposal = ""
    if fitting and all(fitting.values()):
        listed = (f"{name} {size} ({size / num_examples:.0%})" for name, size in fitting.items())
        proposal = f", such as {', '.join(listed)}"
    raise ValueError(
        f"the splits need {asked} examples ({wanted}) and more to train on, but there are "
        f"{num_examples}. Ask for smaller splits{proposal}."
    )
