"""Where the time of a request goes, for the header Server-Timing and tools/benchmark_service.py."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_STAGES: ContextVar[dict[str, float] | None] = ContextVar("stages", default=None)


def begin() -> dict[str, float]:
    """Returns the stages of a request that begins, filled while it is answered: name -> seconds."""
    stages: dict[str, float] = {}
    _STAGES.set(stages)
    return stages


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Counts the time of the block, waiting included, for the current request."""
    start = time.perf_counter()
    try:
        yield
    finally:
        stages = _STAGES.get()
        if stages is not None:
            stages[name] = stages.get(name, 0.0) + time.perf_counter() - start


def header(stages: dict[str, float], total: float) -> str:
    """Returns the value of a header Server-Timing, in milliseconds.

    Args:
      stages: name -> seconds.
      total: seconds from the request's head to the beginning of its answer.
    """
    entries = {**stages, "total": total}
    return ", ".join(f"{name};dur={1e3 * seconds:.2f}" for name, seconds in entries.items())
