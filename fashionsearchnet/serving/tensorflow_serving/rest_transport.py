"""TensorFlow Serving by its REST API. Needs neither TensorFlow nor gRPC on the client."""

import base64
import http.client
import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fashionsearchnet.serving.tensorflow_serving.transport import (
    Metadata,
    ModelSpec,
    ServingError,
    Signature,
    TensorSpec,
)

_CODES = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",  # of a proxy that does not reach the server
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestTransport:
    """Talks to the REST port, 8501 by default. Safe to share between threads."""

    def __init__(self, target: str, timeout: float):
        """Remembers where the server is.

        Args:
          target: `host:port`, or a URL `http://...` or `https://...` of a proxy before it.
          timeout: seconds that a request may take.
        """
        self._url = (target if "://" in target else f"http://{target}").rstrip("/")
        self._timeout = timeout

    def predict(
        self,
        spec: ModelSpec,
        signature: str,
        images: Sequence[bytes],
        others: dict[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Returns the outputs by name for the input `image_bytes` and `others`, int32 arrays."""
        encoded = [{"b64": base64.b64encode(image).decode("ascii")} for image in images]
        inputs = {"image_bytes": encoded, **{name: a.tolist() for name, a in others.items()}}
        answer = self._request(
            f"{_path(spec)}:predict", {"signature_name": signature, "inputs": inputs}
        )
        return {name: np.array(values) for name, values in _entry(answer, "outputs").items()}

    def metadata(self, spec: ModelSpec) -> Metadata:
        """Returns the signatures of a loaded model."""
        answer = self._request(f"{_path(spec)}/metadata")
        definitions = _entry(answer, "metadata", "signature_def", "signature_def")
        return Metadata(
            int(_entry(answer, "model_spec")["version"]),
            {
                name: Signature(
                    _tensor_specs(definition.get("inputs", {})),
                    _tensor_specs(definition.get("outputs", {})),
                )
                for name, definition in definitions.items()
            },
        )

    def states(self, name: str) -> dict[int, str]:
        """Returns the state of each version of a model, such as {3: "AVAILABLE", 4: "LOADING"}."""
        answer = self._request(_path(ModelSpec(name)))
        entries = answer.get("model_version_status", [])
        return {int(entry["version"]): entry["state"] for entry in entries}

    def close(self) -> None:
        """Does nothing: every request has a connection of its own."""

    def _request(self, path: str, body: Mapping | None = None) -> dict[str, Any]:
        """Returns the JSON object that the server answers to GET, or with a body to POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path, data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read()) from error
        except (OSError, http.client.HTTPException) as error:
            raise _network_error(error) from error
        return _parse(content)


def _path(spec: ModelSpec) -> str:
    path = f"/v1/models/{urllib.parse.quote(spec.name, safe='')}"
    if spec.label is not None:
        return f"{path}/labels/{urllib.parse.quote(spec.label, safe='')}"
    return path if spec.version is None else f"{path}/versions/{spec.version}"


def _parse(content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ServingError("UNKNOWN", f"the answer is no JSON object: {content[:80]!r}")
    return answer


def _entry(answer: Any, *keys: str) -> dict[str, Any]:
    """Returns the object below these keys."""
    for key in keys:
        answer = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(answer, dict):
        raise ServingError("UNKNOWN", f"the answer has no object {'.'.join(keys)!r}")
    return answer


def _tensor_specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    specs = {}
    for name, info in infos.items():
        shape = info.get("tensor_shape", {})
        sizes = tuple(int(dim["size"]) for dim in shape.get("dim", []))
        specs[name] = TensorSpec(info["dtype"], None if shape.get("unknown_rank") else sizes)
    return specs


def _refusal(status: int, content: bytes) -> ServingError:
    """Returns the error of an HTTP status other than 200."""
    try:
        details = _parse(content).get("error")
    except ServingError:
        details = None
    return ServingError(
        _CODES.get(status, "UNKNOWN"), str(details or f"HTTP status {status}: {content[:80]!r}")
    )


def _network_error(error: Exception) -> ServingError:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return ServingError("DEADLINE_EXCEEDED", "no answer within the time limit")
    is_name_unknown = isinstance(reason, socket.gaierror)
    is_not_http = isinstance(reason, http.client.BadStatusLine) and not isinstance(
        reason, http.client.RemoteDisconnected
    )
    details = str(reason) or type(reason).__name__
    if is_not_http:
        return ServingError("UNKNOWN", f"the answer is not HTTP ({details[:80]!r})")
    if is_name_unknown:
        details = f"the host name cannot be resolved ({details})"
    return ServingError("UNAVAILABLE", details)
