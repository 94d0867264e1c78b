"""Search by parts of the vectors: of blocks that stand side by side, only some count.

One index then answers "a neckline like this one" as well as "all of it like this".
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import faiss
import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.index.vectors import Rows, Vectors, pairwise_squares

_CHUNK_NUMBERS = 2**21  # that are copied side by side at once: 8 MB


@dataclasses.dataclass(frozen=True)
class Part:
    """The columns from `start` up to `stop` of all vectors.

    Attributes:
      weight: what their squared distance is multiplied by, above 0.
    """

    start: int
    stop: int
    weight: float = 1.0


class PartOfVectors:
    """Some columns of vectors: a `Searchable` that compares only these.

    Squared distances are sums over the parts of weight times squared Euclidean distance.
    """

    subtracts: ClassVar[bool] = False

    def __init__(self, vectors: Vectors, parts: Sequence[Part]) -> None:
        self._vectors = vectors
        self._parts = parts

    def __len__(self) -> int:
        return len(self._vectors)

    def of_queries(self, queries: np.ndarray) -> np.ndarray:
        """Returns the part of queries float32 `[B, dim]`, as the other methods take them."""
        return self._scaled([queries[:, part.start : part.stop] for part in self._parts])

    def candidates(self, queries: np.ndarray, number: int, mask: np.ndarray | None) -> np.ndarray:
        allowed = None if mask is None else np.flatnonzero(mask)
        total = len(self) if allowed is None else len(allowed)
        size = max(1, _CHUNK_NUMBERS // queries.shape[1])
        squares: np.ndarray = np.full((len(queries), number), np.inf, np.float32)
        rows: np.ndarray = np.full((len(queries), number), -1, np.int64)
        for start in range(0, total, size):
            chunk = slice(start, min(start + size, total))
            vectors = self._get(chunk if allowed is None else allowed[chunk])
            near, places = faiss.knn(queries, vectors, min(number, len(vectors)))
            places = places + start if allowed is None else allowed[chunk][places]
            squares, rows = np.hstack([squares, near]), np.hstack([rows, places])
            best = np.argpartition(squares, number - 1, axis=1)[:, :number]
            squares, rows = (np.take_along_axis(a, best, 1) for a in (squares, rows))
        return rows

    def squares(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return pairwise_squares(self._get, queries, rows)

    def _get(self, rows: Rows) -> np.ndarray:
        """Returns the parts of rows side by side, float32 `[m, sum of lengths]`, contiguous."""
        columns = [slice(part.start, part.stop) for part in self._parts]
        return self._scaled([self._vectors.get(rows, chosen) for chosen in columns])

    def _scaled(self, blocks: list[np.ndarray]) -> np.ndarray:
        pairs = zip(blocks, self._parts, strict=True)
        weighted = [b if p.weight == 1.0 else b * np.float32(np.sqrt(p.weight)) for b, p in pairs]
        joined = weighted[0] if len(weighted) == 1 else np.hstack(weighted)
        return np.ascontiguousarray(joined, np.float32)


def parts_of(space: AttributeSpace, dim: int, weights: Mapping[str, float]) -> tuple[Part, ...]:
    """Returns the parts of vectors that hold a block of each attribute, in the space's order.

    Args:
      space: the attributes.
      dim: the length of a vector, a multiple of the number of attributes.
      weights: attribute name -> weight of its squared distance, above 0.

    Raises:
      ValueError: for an unknown attribute, a weight that is not above 0, or another length.
    """
    if weights and dim % space.num_attributes:
        raise ValueError(
            f"vectors of {dim} numbers do not hold a block of each of the {space.num_attributes} "
            "attributes, so no attribute can be searched alone. Search without parts."
        )
    length = dim // space.num_attributes
    parts = []
    for name, weight in weights.items():
        if not (np.isfinite(weight) and weight > 0.0):
            raise ValueError(f"the weight of {name!r} must be finite and above 0; got {weight}.")
        start = space.attribute_index(name) * length
        parts.append(Part(start, start + length, float(weight)))
    return tuple(parts)
