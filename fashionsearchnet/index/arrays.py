"""Two things that rankings ask of NumPy arrays."""

import numpy as np


def cells_by_row(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns rows and columns of the true cells of `mask` `[n, m]`, int64, in reading order.

    The third array, int64 `[n]`, says where in the other two the cells of each row begin.
    """
    # np.flatnonzero is twenty times as fast as np.nonzero of two axes.
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return rows, columns, np.searchsorted(rows, np.arange(len(mask)))


def differs_from_previous(rows: np.ndarray) -> np.ndarray:
    """Returns bool `[n]`: whether each of the rows `[n, m]` differs from the one before it."""
    is_new = np.ones(len(rows), bool)
    is_new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return is_new
