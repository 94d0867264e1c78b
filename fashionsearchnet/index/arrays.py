"""Checks of what callers hand to an index."""

import numpy as np

from fashionsearchnet.attributes import MISSING, AttributeSpace, predicted_values


def check_vectors(what: str, vectors: np.ndarray, dim: int) -> np.ndarray:
    """Returns contiguous float32 `[n, dim]`, or raises a ValueError."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise ValueError(
            f"{what} must have shape [number, {dim}], as this index has; got "
            f"{vectors.shape}. Both must come from the same model."
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{what} must not hold NaN or infinity (first in row {int(np.argmin(finite))}): "
            "the training of this model went wrong; take an earlier checkpoint."
        )
    return vectors


def check_blocks(
    space: AttributeSpace,
    blocks: np.ndarray | None,
    number: int,
    uses_labels: bool,
    probabilities: np.ndarray | None,
) -> np.ndarray | None:
    """Returns blocks as float32 `[number, A, block_dim]`, None for an index without labels.

    Raises a ValueError for those of another shape, and unless just an index that uses labels gets
    blocks, with probabilities.
    """
    is_odd = blocks is not None and probabilities is None
    if (blocks is None) == uses_labels or is_odd:
        raise ValueError("blocks belong to an index that uses labels, with probabilities.")
    if blocks is None:
        return None
    blocks = np.asarray(blocks, np.float32)
    if blocks.ndim != 3 or blocks.shape[:2] != (number, space.num_attributes):
        raise ValueError(
            f"blocks must have shape [{number}, {space.num_attributes}, block_dim], one of each "
            f"attribute of each item; got {blocks.shape}."
        )
    if not np.isfinite(blocks).all():
        raise ValueError("blocks must not hold NaN or infinity; take an earlier checkpoint.")
    return blocks


def check_probabilities(
    space: AttributeSpace, probabilities: np.ndarray | None, number: int
) -> tuple[np.ndarray | None, np.ndarray]:
    """Returns probabilities as float32 `[number, C]`, and the values that they say, int32.

    Without probabilities, the values int32 `[number, A]` are all missing. Raises a ValueError for
    those of another shape.
    """
    if probabilities is None:
        return None, np.full((number, space.num_attributes), MISSING, np.int32)
    probabilities = np.asarray(probabilities, np.float32)
    shape = (number, space.total_values)
    if probabilities.shape != shape or not np.isfinite(probabilities).all():
        raise ValueError(
            f"probabilities must be finite and of shape [{number}, {shape[1]}], one of each "
            f"value for each item; got shape {probabilities.shape}."
        )
    return probabilities, predicted_values(space, probabilities)


def check_fingerprint(index: str, fingerprint: str, other: str) -> None:
    """Raises a ValueError if an index holds vectors of another model."""
    if other != fingerprint:
        raise ValueError(
            f"{index} holds vectors of the model {fingerprint}, not of {other}: distances between "
            "them mean nothing. Use the export of the index, or build another index with "
            "tools/build_index.py."
        )


def check_has_blocks(index: str, label_blend: tuple[float, ...] | None) -> None:
    """Raises a ValueError if an index does not use labels."""
    if label_blend is None:
        raise ValueError(
            f"{index} does not use labels, so it holds no blocks. Put items with their images, or "
            "build an index with tools/build_index.py --use_labels."
        )


def check_is_read(index: str, is_complete: bool) -> None:
    """Raises a ValueError if an index does not hold what the model reads off its items."""
    if not is_complete:
        raise ValueError(
            f"{index} does not hold the probabilities of values of all items, which a search by "
            "one attribute needs: an earlier version built it, or an item was put without. Build "
            "the index in another folder with tools/build_index.py."
        )
