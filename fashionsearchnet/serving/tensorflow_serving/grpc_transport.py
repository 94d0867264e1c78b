"""TensorFlow Serving by gRPC. Needs the extra `serving`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from fashionsearchnet.serving.tensorflow_serving.transport import (
    Metadata,
    ModelSpec,
    ServingError,
    Signature,
    TensorSpec,
)

_OPTIONS = (
    # The defaults stop at 4 MiB, less than one photo; the server itself takes 2 GiB.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # The default waits up to two minutes before it looks again whether a server has come back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)


class GrpcTransport:
    """Talks to the gRPC port, 8500 by default, without TLS. Safe to share between threads."""

    def __init__(self, target: str, timeout: float):
        """Prepares a connection; the first request makes it.

        Args:
          target: `host:port`.
          timeout: seconds that a request may take.
        """
        self._timeout = timeout
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(
        self,
        spec: ModelSpec,
        signature: str,
        images: Sequence[bytes],
        others: dict[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Returns the outputs by name for the input `image_bytes` and `others`, int32 arrays."""
        request = predict_pb2.PredictRequest(model_spec=_to_proto(spec))
        request.model_spec.signature_name = signature
        strings = tf.make_tensor_proto(list(images), tf.string, [len(images)])
        request.inputs["image_bytes"].CopyFrom(strings)
        for name, array in others.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array, tf.int32))
        with _serving_errors():
            response = self._prediction.Predict(request, timeout=self._timeout)
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

    def metadata(self, spec: ModelSpec) -> Metadata:
        """Returns the signatures of a loaded model."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=_to_proto(spec), metadata_field=["signature_def"]
        )
        with _serving_errors():
            response = self._prediction.GetModelMetadata(request, timeout=self._timeout)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return Metadata(
            response.model_spec.version.value,
            {
                name: Signature(_tensor_specs(definition.inputs), _tensor_specs(definition.outputs))
                for name, definition in signatures.signature_def.items()
            },
        )

    def states(self, name: str) -> dict[int, str]:
        """Returns the state of each version of a model, such as {3: "AVAILABLE", 4: "LOADING"}."""
        request = get_model_status_pb2.GetModelStatusRequest(
            model_spec=model_pb2.ModelSpec(name=name)
        )
        with _serving_errors():
            response = self._model.GetModelStatus(request, timeout=self._timeout)
        names = get_model_status_pb2.ModelVersionStatus.State.Name
        return {entry.version: names(entry.state) for entry in response.model_version_status}

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()


def _to_proto(spec: ModelSpec) -> model_pb2.ModelSpec:
    proto = model_pb2.ModelSpec(name=spec.name)
    if spec.label is not None:
        proto.version_label = spec.label
    elif spec.version is not None:
        proto.version.value = spec.version
    return proto


def _tensor_specs(infos: Mapping) -> dict[str, TensorSpec]:
    specs = {}
    for name, info in infos.items():
        shape = info.tensor_shape
        sizes = None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)
        specs[name] = TensorSpec(types_pb2.DataType.Name(info.dtype), sizes)
    return specs


@contextmanager
def _serving_errors() -> Iterator[None]:
    """Turns an error of gRPC into a ServingError."""
    try:
        yield
    except grpc.RpcError as error:
        raise ServingError(error.code().name, error.details() or "no details") from error
