"""Runs what must not share a process, such as its memory, with what came before."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def apart(function: Callable[..., Result], *arguments: object) -> Result:
    """Returns the result of a function of a script in a process of its own.

    That process imports the script as the module `__mp_main__`, with the same `sys.argv`.

    Raises:
      concurrent.futures.BrokenExecutor: if that process dies.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        return executor.submit(function, *arguments).result()
