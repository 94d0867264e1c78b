"""Checks of the arrays that callers hand to an index."""

import numpy as np


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


def check_blocks(blocks: np.ndarray, number: int, num_attributes: int) -> np.ndarray:
    """Returns blocks as float32 `[number, A, block_dim]`, or raises a ValueError."""
    blocks = np.asarray(blocks, np.float32)
    if blocks.ndim != 3 or blocks.shape[:2] != (number, num_attributes):
        raise ValueError(
            f"blocks must have shape [{number}, {num_attributes}, block_dim], one of each "
            f"attribute of each item; got {blocks.shape}."
        )
    if not np.isfinite(blocks).all():
        raise ValueError("blocks must not hold NaN or infinity; take an earlier checkpoint.")
    return blocks


def check_probabilities(probabilities: np.ndarray, number: int, num_values: int) -> np.ndarray:
    """Returns probabilities as float32 `[number, C]`, or raises a ValueError."""
    probabilities = np.asarray(probabilities, np.float32)
    if probabilities.shape != (number, num_values) or not np.isfinite(probabilities).all():
        raise ValueError(
            f"probabilities must be finite and of shape [{number}, {num_values}], one of each "
            f"value for each item; got shape {probabilities.shape}."
        )
    return probabilities
