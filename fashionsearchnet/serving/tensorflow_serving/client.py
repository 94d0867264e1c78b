"""A model behind TensorFlow Serving, with the methods of `serving.exported.ExportedModel`."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.serving.calls import ModelCalls
from fashionsearchnet.serving.export_folder import (
    ExportDescription,
    check_folder,
    find_version,
    read_space,
)
from fashionsearchnet.serving.tensorflow_serving.contract import (
    check_images,
    check_signatures,
    request_slices,
)
from fashionsearchnet.serving.tensorflow_serving.rest_transport import RestTransport
from fashionsearchnet.serving.tensorflow_serving.transport import (
    Metadata,
    ModelSpec,
    ServingError,
    Transport,
    call_with_retries,
)

Answer = TypeVar("Answer")

PROTOCOLS = ("grpc", "rest")
_LOADING = ("START", "LOADING")
_DTYPES = {"DT_FLOAT": np.float32, "DT_INT32": np.int32}


class ServedModel(ModelCalls):
    """One version of a served model. Its methods may be called from several threads.

    The client asks for one version only, the one that it finds when it starts. A newer version has
    other vectors, and an index of this version must not be searched with them. When the server
    unloads the version, requests say so.

    Attributes:
      directory: folder of the export's version, or of the JSON file.
      description: the content of export.json; None without that file.
      space: the attributes.
      fingerprint: sixteen hex digits, from export.json; '' without that file.
      dim: the length of an embedding.
      version: the version number that answers.
    """

    def __init__(
        self,
        target: str,
        export: str | os.PathLike[str],
        *,
        name: str = "fashionsearchnet",
        protocol: str = "grpc",
        version: int | None = None,
        label: str | None = None,
        batch_size: int = 32,
        timeout: float = 30.0,
        retries: int = 4,
    ):
        """Asks the server for the model's signatures and compares them with the attributes.

        Args:
          target: `host:port` of the server; for "rest" a URL (`https://...`) as well.
          export: the export that the server serves (DIR, whose newest version counts, or
            DIR/<version>), or a copy of its assets/attribute_space.json, best with export.json
            beside it.
          name: of the model, in models.config or --model_name of the server.
          protocol: one of PROTOCOLS.
          version: number of the version; by default that of `export`, or if that is a JSON file,
            the newest that is served.
          label: label of the version instead.
          batch_size: most images in one request; at most max_batch_size of the server's batching.
          timeout: seconds that one request may take, at least 0.001.
          retries: how often a request is tried again while the server is UNAVAILABLE.

        Raises:
          FileNotFoundError: if there is no export.
          ServingError: if the server cannot be reached or does not have the model.
          ValueError: if the model has other signatures or attributes, or an argument is wrong.
        """
        check_choice("protocol", protocol, PROTOCOLS)
        check_range("batch_size", batch_size, 1)
        check_range("timeout", timeout, 0.001)
        check_range("retries", retries, 0)
        if version is not None and label is not None:
            raise ValueError(f"give version ({version}) or label ({label!r}), not both.")
        self._target, self._protocol = target, protocol
        self._batch_size, self._retries = batch_size, retries
        exported_version = self._read_export(Path(export).expanduser())
        if version is None and label is None:
            version = exported_version
        self._transport = _make_transport(protocol, target, timeout)
        self._spec = ModelSpec(name, version, label)
        metadata = self._ask(lambda: self._transport.metadata(self._spec))
        self.version = metadata.version
        self.dim = self._check(metadata, exported_version)
        self._outputs = {key: value.outputs for key, value in metadata.signatures.items()}
        self._spec = ModelSpec(name, metadata.version)

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def _read_export(self, export: Path) -> int | None:
        """Reads the files of the export, and returns the version of an export folder."""
        is_copy = export.suffix == ".json"
        if is_copy:
            self.directory, assets, version, space = export.parent, export.parent, None, export
        else:
            self.directory = find_version(export)
            check_folder(self.directory)
            assets = self.directory / "assets"
            version = int(self.directory.name) if self.directory.name.isdecimal() else None
            space = assets / "attribute_space.json"
        path = assets / "export.json"
        self.description: ExportDescription | None = None
        if not is_copy or path.is_file():
            self.description = ExportDescription.read(path)
        self.space = read_space(space, self.description)
        self.fingerprint = "" if self.description is None else self.description.fingerprint
        return version

    def _check(self, metadata: Metadata, exported_version: int | None) -> int:
        """Returns the length of an embedding, or raises a ValueError if the models differ."""
        what = f"{self._spec} at {self._target}"
        if exported_version not in (None, metadata.version):
            raise ValueError(
                f"{what} is version {metadata.version}, but the export given is version "
                f"{exported_version}: give {self.directory.parent / str(metadata.version)}."
            )
        dim = None if self.description is None else self.description.dim
        return check_signatures(metadata.signatures, self.space, dim, what)

    def _call(
        self, signature: str, images: Sequence[bytes], **others: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature, from one or several requests."""
        check_images(images)
        parts = []
        for part in request_slices(images, self._batch_size):
            parts += self._request(signature, images, part, others)
        return {
            name: np.concatenate([p[name] for p in parts]).astype(_DTYPES[spec.dtype])
            for name, spec in self._outputs[signature].items()
        }

    def _request(
        self, signature: str, images: Sequence[bytes], part: slice, others: dict[str, np.ndarray]
    ) -> list[dict[str, np.ndarray]]:
        """Returns the outputs for a part of the images, as a list of consecutive pieces.

        A refused part goes out again in two halves. This finds the bad image, which the server does
        not name. It also succeeds if the server's max_batch_size is less than batch_size, or if
        the server put another client's bad image into the same batch.
        """
        rows = {name: array[part] for name, array in others.items()}
        try:
            answer = self._ask(
                lambda: self._transport.predict(self._spec, signature, images[part], rows)
            )
        except ServingError as error:
            if error.code != "INVALID_ARGUMENT":
                raise
            if part.stop - part.start == 1:
                raise ValueError(
                    f"image {part.start} of {len(images)} ({len(images[part.start])} bytes) was "
                    f"refused by {self._target}: {_reason(error)}. Send the bytes of "
                    "a whole JPEG or PNG file; convert other formats first."
                ) from error
            middle = (part.start + part.stop) // 2
            first = self._request(signature, images, slice(part.start, middle), others)
            return first + self._request(signature, images, slice(middle, part.stop), others)
        return [answer]

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        """Returns `call()`, with retries; an error explains itself and names the cure."""
        try:
            return call_with_retries(call, self._retries)
        except ServingError as error:
            raise ServingError(error.code, error.details, self._explain(error)) from error

    def _explain(self, error: ServingError) -> str:
        where = f"{self._target} by {self._protocol}"
        if error.code == "UNAVAILABLE":
            return (
                f"{where} is not available, after {self._retries + 1} attempts ({_reason(error)}). "
                "Start TensorFlow Serving (docs/tensorflow_serving.md), wait until it has loaded "
                "the model, or correct the address or the protocol: by default gRPC is at port "
                "8500 and REST at 8501."
            )
        if error.code == "NOT_FOUND":
            return f"{self._spec} is not served at {where}: {self._versions_served()}"
        if error.code == "DEADLINE_EXCEEDED":
            return (
                f"{where} did not answer in time ({_reason(error)}). The server is overloaded or "
                "still warming up: give a larger timeout or a smaller batch size."
            )
        return f"{where} answers for {self._spec}: {error.code}: {_reason(error)}"

    def _versions_served(self) -> str:
        """Returns which versions the server has instead, and the cure."""
        try:
            states = self._transport.states(self._spec.name)
        except ServingError:
            states = {}
        if not states:
            return "the server has no model of that name. Compare with name in its models.config."
        listed = ", ".join(f"{number} {state}" for number, state in sorted(states.items()))
        if any(state in _LOADING for state in states.values()):
            return f"its versions are {listed}. Try again when it is AVAILABLE."
        return (
            f"its versions are {listed}. Give the export of one that is AVAILABLE; an index of "
            "another version's vectors must be built again."
        )


def _reason(error: ServingError) -> str:
    """Returns the server's message in one line, without the places in TensorFlow's graph."""
    lines = [line.strip() for line in error.details.splitlines()]
    reasons = [line for line in lines if line and not line.startswith(("[[", "Graph execution"))]
    return " ".join(reasons)[:300].rstrip(".")


def _make_transport(protocol: str, target: str, timeout: float) -> Transport:
    if protocol == "rest":
        return RestTransport(target, timeout)
    if "://" in target:
        raise ValueError(f"target must be host:port for protocol 'grpc'; got {target!r}.")
    try:
        from fashionsearchnet.serving.tensorflow_serving.grpc_transport import GrpcTransport
    except ImportError as error:
        raise ValueError(
            f"protocol 'grpc' needs a package that is not installed ({error}): "
            "pip install tensorflow-serving-api, or use 'rest', which needs none."
        ) from error
    return GrpcTransport(target, timeout)
