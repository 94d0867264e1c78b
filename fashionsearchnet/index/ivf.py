"""Approximate search with FAISS for galleries of a million: inverted lists of 8-bit codes.

Each item goes into the list of its nearest centroid, and a query visits the nearest lists. The
lists hold codes of one byte per dimension. They only propose candidates: their distances come from
the full vectors. So distances and their order are exact. An answer can only lack items of lists
that the query did not visit.

With the storage `pq` the lists hold codes of product quantization, a byte for four dimensions or
so, and the full vectors stay on disk in float16. A query reads the candidates there.

Why not the others, for a million vectors of 512 numbers on two cores: A graph (HNSW) inserts item
by item, which takes tens of minutes where k-means and the assignment take a few, and it cannot
delete. Lists of full vectors read four times as many bytes per query.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import faiss
import numpy as np

from fashionsearchnet.index.engines import EngineSettings, ItemFilter
from fashionsearchnet.index.flat import FlatEngine, rank
from fashionsearchnet.index.parts import Part
from fashionsearchnet.index.vectors import selector, write_faiss

# FAISS's Python layer adds arguments that its type stubs lack.
_SearchParametersIVF: Any = faiss.SearchParametersIVF

MIN_ITEMS = 20_000  # below, exact search takes a few milliseconds, and quantizers learn too little
_POINTS_PER_LIST = 40  # for k-means; FAISS warns below 39
_POINTS_PER_CODE = 64  # for the k-means of a byte's 256 codes
_ROUNDS = 10  # of k-means
_GROWTH = 4  # rebuild the lists when the number of items has grown by this factor
_STRICT = 0.25  # filters that leave a smaller share of the items are searched exactly
_CHUNK = 65_536  # vectors encoded at once: 128 MB for 512 numbers
# Candidates for K results: K times the first number, or K and the second.
_CANDIDATES = {"float32": (4, 64), "float16": (4, 64), "pq": (10, 200)}
_PIECES = (4, 5, 6, 7, 8, 3, 2)  # dimensions that a byte stands for, in order of preference
_FILE = "lists.faiss"


class IvfEngine:
    """A `FlatEngine` and, from 20,000 items on, inverted lists over it.

    An item takes 5 bytes of memory per dimension in float32 and 3 in float16. With pq it takes
    a byte per piece (`piece_length`), and 2 bytes per dimension on disk.

    A commit makes the lists. Without lists all searches are exact; with them, new items go into
    the lists at once. The lists compare whole vectors, so searches by parts are exact.

    Attributes:
      num_probes: lists that a query visits; None for the square root of their number.
    """

    storages: ClassVar[tuple[str, ...]] = ("float32", "float16", "pq")

    def __init__(
        self, flat: FlatEngine, storage: str, lists: Any = None, made_for: int = 0
    ) -> None:
        self._flat = flat
        self._storage = storage
        self._lists = lists
        self._made_for = made_for
        self.num_probes: int | None = None

    @classmethod
    def create(cls, settings: EngineSettings) -> "IvfEngine":
        if settings.storage == "pq":
            piece_length(settings.dim)
        return cls(FlatEngine.create(settings), settings.storage)

    @classmethod
    def load(
        cls, settings: EngineSettings, folder: Path, description: dict[str, Any], keys: np.ndarray
    ) -> "IvfEngine":
        flat = FlatEngine.load(settings, folder, description, keys)
        if not description["made_for"]:
            return cls(flat, settings.storage)
        lists = faiss.read_index(str(folder / _FILE), faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE)
        if lists.ntotal != len(flat):
            raise ValueError(
                f"{folder / _FILE} holds {lists.ntotal} items, but the state lists {len(flat)}."
            )
        return cls(flat, settings.storage, lists, description["made_for"])

    def __len__(self) -> int:
        return len(self._flat)

    def add(
        self, keys: np.ndarray, vectors: np.ndarray, ids: list[str], values: np.ndarray
    ) -> None:
        self._flat.add(keys, vectors, ids, values)
        if self._lists is not None:
            self._lists.add_with_ids(vectors, keys)

    def delete(self, keys: np.ndarray) -> None:
        self._flat.delete(keys)
        if self._lists is not None:
            self._lists.remove_ids(faiss.IDSelectorBatch(keys))

    def prepare(self) -> None:
        pass

    def search(
        self,
        queries: np.ndarray,
        k: int,
        item_filter: ItemFilter | None,
        parts: Sequence[Part] = (),
    ) -> tuple[np.ndarray, np.ndarray]:
        allowed = len(self) if item_filter is None else int(np.count_nonzero(item_filter.mask))
        if self._lists is None or allowed < _STRICT * len(self) or parts:
            return self._flat.search(queries, k, item_filter, parts)
        times, more = _CANDIDATES[self._storage]  # codes are coarse: more are compared exactly
        fetch = min(max(times * k, k + more), allowed)
        params = _SearchParametersIVF(
            nprobe=self.num_probes or default_num_probes(self._lists.nlist),
            sel=None if item_filter is None else self._key_selector(item_filter.mask),
        )
        _, candidates = self._lists.search(queries, fetch, params=params)
        squares, rows = rank(self._flat.vectors, queries, self._flat.rows_of(candidates))
        distances, found = np.sqrt(squares[:, :k]), self._flat.keys[rows[:, :k]]
        few = np.flatnonzero(rows[:, k - 1] < 0)
        if len(few):
            distances[few], found[few] = self._flat.search(queries[few], k, item_filter)
        return distances, found

    def save(self, folder: Path) -> dict[str, Any]:
        if len(self) >= max(MIN_ITEMS, _GROWTH * self._made_for):
            self.make_lists()
        self._flat.save(folder)
        if self._lists is not None:
            write_faiss(self._lists, folder / _FILE)
        return {"made_for": self._made_for}

    def committed(self) -> None:
        pass

    def make_lists(self) -> None:
        """Makes the lists from all items: the same items give the same lists."""
        vectors, keys = self._flat.vectors, self._flat.keys
        check_trainable(len(keys), self._storage)
        num_lists = default_num_lists(len(keys))
        lists = _empty_lists(vectors.dim, num_lists, self._storage)
        size = _POINTS_PER_LIST * num_lists
        sample = np.random.default_rng(0).choice(len(keys), size, replace=False)
        lists.train(vectors.get(np.sort(sample)))
        for start in range(0, len(keys), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(keys)))
            lists.add_with_ids(vectors.get(rows), keys[rows])
        self._lists, self._made_for = lists, len(keys)

    def _key_selector(self, mask: np.ndarray) -> Any:
        """Returns the selector of the keys of the items at which the mask is true."""
        keys = self._flat.keys
        by_key = np.zeros(keys[-1] + 1, bool)
        by_key[keys[mask]] = True
        return selector(by_key)


def check_trainable(num_items: int, storage: str) -> None:
    """Raises a ValueError if product quantization is asked for and has too few items to learn."""
    if storage == "pq" and num_items < MIN_ITEMS:
        raise ValueError(
            f"--storage=pq learns its codes from the vectors and needs at least {MIN_ITEMS:,} "
            f"items; there are {num_items:,}. Take --engine=flat --storage=float16."
        )


def piece_length(dim: int) -> int:
    """Returns how many dimensions a byte stands for with the storage pq: 4, or what fits.

    Raises:
      ValueError: if the vectors cannot be cut into equal pieces.
    """
    for length in _PIECES:
        if dim % length == 0:
            return length
    raise ValueError(
        f"--storage=pq cuts a vector into equal pieces of 2 to {max(_PIECES)} numbers, but "
        f"{dim} is divisible by none of them. Take --storage=float16."
    )


def _empty_lists(dim: int, num_lists: int, storage: str) -> Any:
    """Returns untrained lists."""
    centroids = faiss.IndexFlatL2(dim)
    lists: Any
    if storage == "pq":
        lists = faiss.IndexIVFPQ(centroids, dim, num_lists, dim // piece_length(dim), 8)
        lists.use_precomputed_table = -1  # it would take more memory than the codes
        lists.pq.cp.niter = _ROUNDS
        lists.pq.cp.max_points_per_centroid = _POINTS_PER_CODE
    else:
        lists = faiss.IndexIVFScalarQuantizer(
            centroids, dim, num_lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_L2
        )
    lists.cp.niter = _ROUNDS
    return lists


def default_num_lists(num_items: int) -> int:
    """Returns 4 sqrt(n), or fewer where k-means would have too few points; at least 1."""
    return max(1, min(int(4 * np.sqrt(num_items)), num_items // _POINTS_PER_LIST))


def default_num_probes(num_lists: int) -> int:
    """Returns sqrt(lists): 1.6 % of the lists for a million items, a larger share for fewer."""
    return max(1, int(np.sqrt(num_lists)))
