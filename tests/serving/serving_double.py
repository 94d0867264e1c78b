"""A double of TensorFlow Serving for tests: its documented gRPC and REST calls, not its code.

The real server cannot be had where these tests run. The double answers the official protocol
buffers with a SavedModel in a session, as the server does, and with its status codes. It has none
of the server's batching, its REST gateway is written from the documentation, and it loads what is
there when it starts. Run as a script it serves all versions of an export in a process of its own:

  python tests/serving/serving_double.py EXPORT NAME

prints one line of JSON with its ports and ends when its standard input does.
"""

import argparse
import base64
import json
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

Signatures = Mapping[str, meta_graph_pb2.SignatureDef]
_HTTP_STATUS = {  # by TensorFlow's error code; as in the server's REST gateway
    tf.errors.INVALID_ARGUMENT: 400,
    tf.errors.FAILED_PRECONDITION: 400,
    tf.errors.NOT_FOUND: 404,
    tf.errors.UNAVAILABLE: 503,
}
_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Servable(Protocol):
    """One version of a model."""

    signatures: Signatures

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs by name; raises errors of `tf.errors`."""
        ...


class SavedModelServable:
    """A SavedModel in a session of TensorFlow 1, the way in which the server runs it."""

    def __init__(self, directory: Path):
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(directory))
        self.signatures: Signatures = loaded.signature_def

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        definition = self.signatures[signature]
        feeds = {definition.inputs[name].name: value for name, value in inputs.items()}
        return self._session.run({n: o.name for n, o in definition.outputs.items()}, feeds)


class FunctionServable:
    """A Python function with the signatures of a model."""

    def __init__(self, signatures: Signatures, function: Callable[[str, dict], dict]):
        self.signatures = signatures
        self.run = function


class PredictionServiceDouble(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """Stands in for TensorFlow Serving's PredictionService and ModelService.

    Attributes:
      models: servables by name and version; None for a version that is still loading.
      labels: versions by name and label.
      num_failures: how many of the next calls answer UNAVAILABLE.
      max_batch_size: larger requests are refused as by a server with batching; None for no limit.
      requests: the signature and the number of images of every prediction that was asked for.
    """

    def __init__(self, models: Mapping[str, Mapping[int, Servable | None]]):
        self.models = models
        self.labels: dict[str, dict[str, int]] = {}
        self.num_failures = 0
        self.max_batch_size: int | None = None
        self.requests: list[tuple[str, int]] = []

    def Predict(self, request, context):
        return _answer(context, self.predict, request)

    def GetModelMetadata(self, request, context):
        return _answer(context, self.metadata, request)

    def GetModelStatus(self, request, context):
        return _answer(context, self.status, request)

    def predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        version, key, outputs = self.run(request.model_spec, inputs)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = version
        response.model_spec.signature_name = key
        for name, array in outputs.items():
            response.outputs[name].CopyFrom(_as_proto_field(array))
        return response

    def run(self, spec: Any, inputs: dict[str, np.ndarray]) -> tuple[int, str, dict]:
        """Returns the version, the signature's name and the outputs."""
        version, servable = self._find(spec)
        key = spec.signature_name or "serving_default"
        if key not in servable.signatures:
            raise tf.errors.FailedPreconditionError(
                None, None, f'Serving signature key "{key}" not found.'
            )
        expected = servable.signatures[key].inputs
        if set(inputs) != set(expected):
            raise tf.errors.InvalidArgumentError(
                None, None, f"input size does not match signature: {set(inputs)}, {set(expected)}"
            )
        size = len(next(iter(inputs.values())))
        self.requests.append((key, size))
        if self.max_batch_size and size > self.max_batch_size:
            raise tf.errors.InvalidArgumentError(
                None,
                None,
                f"Task size {size} is larger than maximum input batch size {self.max_batch_size}",
            )
        return version, key, servable.run(key, inputs)

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        if list(request.metadata_field) != ["signature_def"]:
            raise tf.errors.InvalidArgumentError(None, None, "Metadata field is not supported")
        version, servable = self._find(request.model_spec)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in servable.signatures.items():
            signatures.signature_def[name].CopyFrom(definition)
        response.metadata["signature_def"].Pack(signatures)
        return response

    def status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        name = request.model_spec.name
        if name not in self.models:
            raise tf.errors.NotFoundError(
                None, None, f"Could not find any versions of model {name}"
            )
        states = get_model_status_pb2.ModelVersionStatus
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, servable in sorted(self.models[name].items(), reverse=True):
            state = states.LOADING if servable is None else states.AVAILABLE
            response.model_version_status.add(version=version, state=state)
        return response

    def _find(self, spec: Any) -> tuple[int, Servable]:
        if self.num_failures:
            self.num_failures -= 1
            raise tf.errors.UnavailableError(None, None, "the double was told to fail")
        versions = self.models.get(spec.name, {})
        version = max(versions, default=0)
        if spec.WhichOneof("version_choice") == "version_label":
            if spec.version_label not in self.labels.get(spec.name, {}):
                message = f"Unrecognized servable version label: {spec.version_label}"
                raise tf.errors.InvalidArgumentError(None, None, message)
            version = self.labels[spec.name][spec.version_label]
        elif spec.HasField("version"):
            version = spec.version.value
        if version not in versions:
            message = f"Servable not found for request: Specific({spec.name}, {version})"
            raise tf.errors.NotFoundError(None, None, message)
        servable = versions[version]
        if servable is None:
            raise tf.errors.UnavailableError(None, None, f"{spec.name} {version} is loading")
        return version, servable


def replay_warmup(service: PredictionServiceDouble, name: str, version: int, path: Path) -> int:
    """Sends the requests of a warm-up file, as the server does when it loads a version.

    Returns how many there were. One that fails raises, which keeps the version from loading.
    """
    number = 0
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        request.model_spec.name = name
        request.model_spec.version.value = version
        service.predict(request)
        number += 1
    return number


def start_grpc(service: PredictionServiceDouble, port: int = 0) -> tuple[grpc.Server, int]:
    """Returns a running gRPC server on a port of this machine (0 for a free one), and the port."""
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(4), options=unlimited)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port


def start_rest(service: PredictionServiceDouble, port: int = 0) -> tuple[ThreadingHTTPServer, int]:
    """Returns a running REST gateway on a port of this machine (0: a free one), and the port."""
    handler = type("Handler", (RestGatewayDouble,), {"service": service})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    # The poll interval is what stopping it may take.
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server, server.server_address[1]


class RestGatewayDouble(BaseHTTPRequestHandler):
    """Stands in for the server's REST API: status, metadata, and predict in column format."""

    service: PredictionServiceDouble
    _PATH = re.compile(
        r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>\w+))?"
        r"(?P<what>:predict|/metadata)?"
    )

    def do_GET(self) -> None:
        self._reply({"/metadata": self._metadata, None: self._status})

    def do_POST(self) -> None:
        self._reply({":predict": self._predict})

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps quiet."""

    def _reply(self, methods: Mapping[str | None, Callable[[Any], dict]]) -> None:
        match = self._PATH.fullmatch(self.path)
        status = 200
        try:
            if match is None or match["what"] not in methods:
                raise tf.errors.InvalidArgumentError(
                    None, None, f"Malformed request: {self.command} {self.path}"
                )
            answer = methods[match["what"]](match)
        except tf.errors.OpError as error:
            status, answer = _HTTP_STATUS.get(error.error_code, 500), {"error": error.message}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _status(self, match: re.Match) -> dict:
        request = get_model_status_pb2.GetModelStatusRequest()
        _fill_spec(request.model_spec, match)
        return json_format.MessageToDict(
            self.service.status(request), preserving_proto_field_name=True
        )

    def _metadata(self, match: re.Match) -> dict:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        _fill_spec(request.model_spec, match)
        return json_format.MessageToDict(
            self.service.metadata(request),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )

    def _predict(self, match: re.Match) -> dict:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = predict_pb2.PredictRequest()
        _fill_spec(request.model_spec, match)
        request.model_spec.signature_name = body.get("signature_name", "")
        inputs = {name: _from_json(values) for name, values in body["inputs"].items()}
        _, _, outputs = self.service.run(request.model_spec, inputs)
        return {"outputs": {name: array.tolist() for name, array in outputs.items()}}


def _fill_spec(spec: Any, match: re.Match) -> None:
    spec.name = match["name"]
    if match["version"]:
        spec.version.value = int(match["version"])
    if match["label"]:
        spec.version_label = match["label"]


def _from_json(values: Sequence) -> np.ndarray:
    if values and isinstance(values[0], dict):
        return np.array([base64.b64decode(v["b64"], validate=True) for v in values], object)
    return np.array(values, np.int32)


def _as_proto_field(array: np.ndarray) -> Any:
    """Returns the tensor with its numbers as a list, as the server sends it."""
    proto = tf.make_tensor_proto(np.zeros([0], array.dtype))
    proto.tensor_shape.CopyFrom(tf.TensorShape(array.shape).as_proto())
    numbers = proto.float_val if array.dtype == np.float32 else proto.int_val
    numbers.extend(array.reshape(-1).tolist())
    return proto


def _answer(context: grpc.ServicerContext, method: Callable[[Any], Any], request: Any) -> Any:
    try:
        return method(request)
    except tf.errors.OpError as error:
        context.abort(_STATUS_CODES[error.error_code], error.message)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("export", type=Path, help="folder of numbered versions")
    parser.add_argument("name", help="of the model")
    arguments = parser.parse_args()
    versions = {int(p.name): p for p in arguments.export.iterdir() if p.name.isdecimal()}
    servables: dict[int, Servable | None] = dict.fromkeys(versions)
    service = PredictionServiceDouble({arguments.name: servables})
    grpc_server, grpc_port = start_grpc(service)  # which stops when nothing refers to it
    _, rest_port = start_rest(service)
    print(json.dumps({"grpc": grpc_port, "rest": rest_port}), flush=True)
    warmed = {}
    for version, directory in versions.items():
        # Not to be found by clients before it is warm.
        warming = SavedModelServable(directory)
        path = directory / "assets.extra" / "tf_serving_warmup_requests"
        alone = PredictionServiceDouble({arguments.name: {version: warming}})
        warmed[version] = replay_warmup(alone, arguments.name, version, path)
        servables[version] = warming
    print(json.dumps({"warmed": warmed}), flush=True)
    sys.stdin.read()
    grpc_server.stop(None)


if __name__ == "__main__":
    main()
