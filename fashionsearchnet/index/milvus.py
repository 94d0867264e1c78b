"""Exact search in a Milvus server: the same client from one machine to a cluster.

The server keeps the vectors in a collection of their own. Its fields are `key`, `id`, `vector` and
one integer per attribute (the index of the value, -1 for missing), which serves the filters.
Everything else stays in the folder of the index.

Rows are never overwritten. New rows get keys above those of the state on disk, and other readers
ignore them. Replaced and removed rows are deleted once the new state is the current one. So a kill
at any moment leaves the last state complete. With this engine nobody can go back to the former
state, because its rows are deleted.
"""

import contextlib
import importlib.util
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.index.engines import EngineSettings, ItemFilter
from fashionsearchnet.index.items import MAX_ID_BYTES
from fashionsearchnet.index.parts import Part

MAX_RESULTS = 16_384  # the server's own limit
_SPARE = 16  # results beyond K: the server has no fixed order of equally distant ones
_ROWS_PER_CALL = 1000  # 2 MB of vectors of 512 numbers; the server takes messages up to 64 MB
_QUERIES_PER_CALL = 256
_TIMEOUT = 30.0  # seconds


class MilvusEngine:
    """A collection in a Milvus server with a FLAT index: exact, as tables in papers need it.

    Among more than 16 equally distant items around place K, the server decides. A password or
    token comes from the environment variable MILVUS_TOKEN, never from a file.
    """

    storages: ClassVar[tuple[str, ...]] = ("float32",)

    def __init__(self, client: Any, address: str, collection: str, space: AttributeSpace) -> None:
        self._client = client
        self._address = address
        self._collection = collection
        self._fields = field_names(space)
        self._limit = 0  # keys from here on belong to a state that is not written yet
        self._dead: set[int] = set()  # keys to delete after the next commit
        self._is_clean = False  # whether the rows of a killed process are deleted

    @classmethod
    def create(cls, settings: EngineSettings) -> "MilvusEngine":
        client, address = _connect(settings.address or "")
        engine = cls(client, address, f"fashionsearchnet_{secrets.token_hex(6)}", settings.space)
        with _server_errors(address):
            _create_collection(client, engine._collection, settings.dim, engine._fields)
        return engine

    @classmethod
    def load(
        cls, settings: EngineSettings, folder: Path, description: dict[str, Any], keys: np.ndarray
    ) -> "MilvusEngine":
        client, address = _connect(settings.address or description["address"])
        engine = cls(client, address, description["collection"], settings.space)
        engine._limit = description["limit"]
        engine._dead = set(description["dead"])
        with _server_errors(address):
            there = 0
            if client.has_collection(engine._collection):
                engine.committed()
                filter_ = f"key < {engine._limit}"
                counts = client.query(engine._collection, filter_, output_fields=["count(*)"])
                there = counts[0]["count(*)"]
        if there != len(keys):
            raise ValueError(
                f"the collection {engine._collection} of {address} holds {there} of the "
                f"{len(keys)} items that {folder} lists. If that is another server, give the "
                "address of the right one; else build the index again with tools/build_index.py."
            )
        return engine

    def add(
        self, keys: np.ndarray, vectors: np.ndarray, ids: list[str], values: np.ndarray
    ) -> None:
        names = ["key", "id", "vector", *self._fields]
        with _server_errors(self._address):
            if not self._is_clean:
                self._client.delete(self._collection, filter=f"key >= {self._limit}")
                self._is_clean = True
            self._limit = int(keys[-1]) + 1
            self._dead |= set(keys.tolist())  # until the server has all
            columns = zip(keys.tolist(), ids, vectors, *values.T.tolist(), strict=True)
            rows = [dict(zip(names, row, strict=True)) for row in columns]
            for start in range(0, len(rows), _ROWS_PER_CALL):
                self._client.insert(self._collection, rows[start : start + _ROWS_PER_CALL])
        self._dead -= set(keys.tolist())

    def delete(self, keys: np.ndarray) -> None:
        self._dead |= set(keys.tolist())

    def prepare(self) -> None:
        pass

    def search(
        self,
        queries: np.ndarray,
        k: int,
        item_filter: ItemFilter | None,
        parts: Sequence[Part] = (),
    ) -> tuple[np.ndarray, np.ndarray]:
        if parts:
            raise ValueError(
                "a Milvus server compares whole vectors only. For searches by attribute build the "
                "index with --engine=flat."
            )
        if k > MAX_RESULTS:
            raise ValueError(f"a Milvus server returns at most {MAX_RESULTS:,} results; got k={k}.")
        distances = np.full((len(queries), k), np.inf, np.float32)
        keys = np.full((len(queries), k), -1, np.int64)
        for start in range(0, len(queries), _QUERIES_PER_CALL):
            with _server_errors(self._address):
                answers = self._client.search(
                    self._collection,
                    data=list(queries[start : start + _QUERIES_PER_CALL]),
                    filter=self._condition(item_filter),
                    limit=min(k + len(self._dead) + _SPARE, MAX_RESULTS),
                    output_fields=["key"],
                    search_params={"metric_type": "L2"},
                    consistency_level="Strong",
                )
            for query, hits in enumerate(answers, start=start):
                there = [(hit["distance"], hit["key"]) for hit in hits]
                best = sorted(pair for pair in there if pair[1] not in self._dead)[:k]
                distances[query, : len(best)] = np.sqrt([max(d, 0.0) for d, _ in best])
                keys[query, : len(best)] = [key for _, key in best]
        return distances, keys

    def save(self, folder: Path) -> dict[str, Any]:
        del folder
        return {
            "address": self._address,
            "collection": self._collection,
            "limit": self._limit,
            "dead": sorted(self._dead),
        }

    def committed(self) -> None:
        dead = sorted(self._dead)
        with _server_errors(self._address):
            for start in range(0, len(dead), _ROWS_PER_CALL):
                self._client.delete(self._collection, ids=dead[start : start + _ROWS_PER_CALL])
        self._dead = set()

    def _condition(self, item_filter: ItemFilter | None) -> str:
        terms = [f"key < {self._limit}"]
        for attribute, values, keys in item_filter.choices if item_filter else ():
            has_label = f"{self._fields[attribute]} in {list(values)}"
            terms.append(f"({has_label} or key in {list(keys)})" if keys else has_label)
        return " and ".join(terms)


def field_names(space: AttributeSpace) -> list[str]:
    """Returns a field name per attribute: its number, which makes it unique, and its name."""
    return [
        f"a{attribute}_{re.sub(r'[^A-Za-z0-9]+', '_', name)}"[:255]
        for attribute, name in enumerate(space.names)
    ]


def _connect(address: str) -> tuple[Any, str]:
    """Returns a client, and the address."""
    if importlib.util.find_spec("pymilvus") is None:
        raise ValueError(
            "the engine milvus needs the package pymilvus: pip install 'fashionsearchnet[milvus]'."
        )
    from pymilvus import MilvusClient

    with _server_errors(address):
        token = os.environ.get("MILVUS_TOKEN", "")
        return MilvusClient(uri=address, token=token, timeout=_TIMEOUT), address


def _create_collection(client: Any, name: str, dim: int, fields: Sequence[str]) -> None:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False)
    schema.add_field("key", DataType.INT64, is_primary=True)
    schema.add_field("id", DataType.VARCHAR, max_length=MAX_ID_BYTES)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    for field in fields:
        schema.add_field(field, DataType.INT32)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(
        name, schema=schema, index_params=index, consistency_level="Strong", timeout=_TIMEOUT
    )


@contextlib.contextmanager
def _server_errors(address: str) -> Iterator[None]:
    """Turns an error of the client into an OSError that names the server and the cure."""
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as error:
        raise OSError(
            f"the Milvus server at {address} failed ({error.message}). Check that it "
            "runs (on one machine: milvus-server) and that the address is right, then run the same "
            "command again."
        ) from error
