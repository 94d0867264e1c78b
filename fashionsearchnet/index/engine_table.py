"""The search engines by name, and all ways to store vectors."""

from collections.abc import Mapping
from typing import Any

from fashionsearchnet.checks import check_choice
from fashionsearchnet.index.engines import Engine
from fashionsearchnet.index.flat import FlatEngine
from fashionsearchnet.index.ivf import IvfEngine
from fashionsearchnet.index.milvus import MilvusEngine

ENGINES: dict[str, type[Engine]] = {
    "flat": FlatEngine,
    "ivf": IvfEngine,
    "milvus": MilvusEngine,
}
STORAGES = tuple(dict.fromkeys(s for engine in ENGINES.values() for s in engine.storages))


def check_engine(engine: str, storage: str | None, address: str | None) -> str:
    """Returns the storage of a new index, the default for None.

    Raises:
      ValueError: if there is no such engine, or if it takes no such storage or address.
    """
    check_choice("engine", engine, ENGINES)
    if (address is not None) != (engine == "milvus"):
        raise ValueError(
            f"the engine milvus needs the address of a server, such as http://localhost:19530, "
            f"and the others take none; got engine={engine!r}, address={address!r}."
        )
    storages = ENGINES[engine].storages
    return check_choice(f"storage of the engine {engine}", storage or storages[0], storages)


def storage_of(state: Mapping[str, Any]) -> str:
    """Returns how the index of a state stores vectors; older ones do not say it."""
    return state["engine"].get("storage", "float32")
