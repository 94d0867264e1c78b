"""The interface of the two ways to TensorFlow Serving, gRPC and REST, with its types."""

import dataclasses
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np

Answer = TypeVar("Answer")

FIRST_DELAY = 0.1  # seconds before the second attempt; doubles from there
MAX_DELAY = 2.0


class ServingError(OSError):
    """TensorFlow Serving refused a request, or could not be reached.

    Attributes:
      code: name of the gRPC status code, such as "UNAVAILABLE" or "NOT_FOUND".
      details: the message of the server or the network.
    """

    def __init__(self, code: str, details: str, message: str = "") -> None:
        super().__init__(message or f"{code}: {details}")
        self.code = code
        self.details = details


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """Which model a request is for: its name, and a version number, a label or neither (newest)."""

    name: str
    version: int | None = None
    label: str | None = None

    def __str__(self) -> str:
        if self.label is not None:
            return f"model {self.name!r}, label {self.label!r}"
        return f"model {self.name!r}" + (f" version {self.version}" if self.version else "")


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """An input or output of a signature.

    Attributes:
      dtype: such as "DT_FLOAT".
      shape: sizes, -1 where any is allowed; None for an unknown rank.
    """

    dtype: str
    shape: tuple[int, ...] | None


@dataclasses.dataclass(frozen=True)
class Signature:
    """The inputs and outputs of one signature by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


@dataclasses.dataclass(frozen=True)
class Metadata:
    """The answer of GetModelMetadata: the version number, and its signatures by name."""

    version: int
    signatures: Mapping[str, Signature]


class Transport(Protocol):
    """One way to the server. All methods raise a ServingError and nothing else."""

    def predict(
        self,
        spec: ModelSpec,
        signature: str,
        images: Sequence[bytes],
        others: dict[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Returns the outputs by name for the input `image_bytes` and `others`, int32 arrays.

        Their type may be wider than the signature's: JSON has one kind of number.
        """

    def metadata(self, spec: ModelSpec) -> Metadata:
        """Returns the signatures of a loaded model."""

    def states(self, name: str) -> dict[int, str]:
        """Returns the state of each version of a model, such as {3: "AVAILABLE", 4: "LOADING"}."""

    def close(self) -> None:
        """Closes the connections."""


def call_with_retries(call: Callable[[], Answer], retries: int) -> Answer:
    """Returns `call()`, trying again up to `retries` times while the server is UNAVAILABLE.

    It does not retry after other errors. They would come back, and after a time limit another
    request would only add to the load.
    """
    for attempt in range(retries):
        try:
            return call()
        except ServingError as error:
            if error.code != "UNAVAILABLE":
                raise
        delay = min(FIRST_DELAY * 2**attempt, MAX_DELAY)
        # Random, so that clients that failed together do not return together.
        time.sleep(delay * random.uniform(0.5, 1.5))
    return call()
