"""The search engines by name."""

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


def check_engine(engine: str, address: str | None) -> None:
    """Raises a ValueError if there is no such engine, or if it takes no such address."""
    check_choice("engine", engine, ENGINES)
    if (address is not None) != (engine == "milvus"):
        raise ValueError(
            f"the engine milvus needs the address of a server, such as http://localhost:19530, "
            f"and the others take none; got engine={engine!r}, address={address!r}."
        )
