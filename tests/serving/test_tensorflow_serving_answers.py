"""How the client of TensorFlow Serving deals with whatever a server may answer, or not answer.

The server is the double of serving_double.py in this process, with a Python function as its model.
"""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import serving_double
import tensorflow as tf
from fakes import SPACE
from serving_double import FunctionServable, PredictionServiceDouble
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from fashionsearchnet import files
from fashionsearchnet.serving.tensorflow_serving import contract, transport
from fashionsearchnet.serving.tensorflow_serving.client import ServedModel
from fashionsearchnet.serving.tensorflow_serving.transport import ServingError

PROTOCOLS = ["grpc", "rest"]
DIM = 3
DESCRIPTION = {
    "system": "fake",
    "variant": None,
    "fingerprint": "ab",
    "dim": DIM,
    "image_input": {"size": 32},
    "geometry": None,
}
WAKE = threading.Event()  # ends the wait for the image b"slow"


def make_signatures(num_attributes=3, num_values=9, dim=DIM, leave_out=""):
    """Returns the signatures of an export with that many attributes and values."""
    images, edits = (
        ("image_bytes", types_pb2.DT_STRING, [None]),
        ("manipulation", types_pb2.DT_INT32, [None, num_attributes]),
    )
    embedding, probabilities, values = (
        ("embedding", types_pb2.DT_FLOAT, [None, dim]),
        ("probabilities", types_pb2.DT_FLOAT, [None, num_values]),
        ("values", types_pb2.DT_INT32, [None, num_attributes]),
    )
    tensors = {
        "encode_gallery": ([images], [embedding, probabilities]),
        "encode_query": ([images, edits], [embedding, probabilities]),
        "predict": ([images], [probabilities, values]),
    }
    signatures = {}
    for key, (inputs, outputs) in tensors.items():
        definition = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
        for entries, described in ((definition.inputs, inputs), (definition.outputs, outputs)):
            for name, dtype, shape in described:
                entries[name].dtype = dtype
                entries[name].tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
        if key != leave_out:
            signatures[key] = definition
    return signatures


def measure_images(signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The model: a vector says how many bytes the image has, and the first edit."""
    images = inputs["image_bytes"]
    if any(image.startswith(b"bad") for image in images):
        raise tf.errors.InvalidArgumentError(None, None, "Unknown image file format.")
    if b"slow" in images:
        WAKE.wait(20)
    sizes = np.array([len(image) for image in images], np.float32)
    first_edits = inputs.get("manipulation", np.zeros([len(images), 3]))[:, 0]
    return {
        "embedding": np.stack([sizes, first_edits, sizes * 0], axis=1).astype(np.float32),
        "probabilities": np.zeros([len(images), 9], np.float32),
    }


class Server:
    """The double with both ports in this process, and clients of it."""

    def __init__(self, folder: Path):
        self.service = PredictionServiceDouble({"dress": {7: _function(), 8: _function()}})
        self.grpc, self.grpc_port = serving_double.start_grpc(self.service)
        self.rest, self.rest_port = serving_double.start_rest(self.service)
        self.ports = {"grpc": self.grpc_port, "rest": self.rest_port}
        self.space_path = folder / "attribute_space.json"
        SPACE.save(self.space_path)

    def client(self, protocol: str, **arguments) -> ServedModel:
        settings = {"name": "dress", "timeout": 20.0, **arguments}
        export = settings.pop("export", self.space_path)
        return ServedModel(
            f"127.0.0.1:{self.ports[protocol]}", export, protocol=protocol, **settings
        )

    def stop(self) -> None:
        self.grpc.stop(None)
        self.rest.shutdown()
        self.rest.server_close()


def _function(**signatures) -> FunctionServable:
    return FunctionServable(make_signatures(**signatures), measure_images)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(transport, "FIRST_DELAY", 0.001)
    server = Server(tmp_path)
    yield server
    server.stop()


@pytest.fixture(params=PROTOCOLS)
def protocol(request) -> str:
    return request.param


def test_a_json_file_is_enough_and_the_newest_version_answers(server, protocol):
    client = server.client(protocol)
    assert client.space == SPACE
    assert (client.version, client.dim) == (8, DIM)
    assert (client.fingerprint, client.description) == ("", None)
    assert client.directory == server.space_path.parent


def test_export_json_beside_it_is_read(server, protocol):
    files.write_json(server.space_path.with_name("export.json"), DESCRIPTION)
    assert server.client(protocol).fingerprint == "ab"
    files.write_json(server.space_path.with_name("export.json"), DESCRIPTION | {"dim": 4})
    with pytest.raises(ValueError, match=r"'embedding' is DT_FLOAT \[-1, 3\].*be DT_FLOAT \[-1, 4"):
        server.client(protocol)


def test_many_images_go_in_several_requests_in_order(server, protocol):
    images = [b"x" * size for size in range(1, 71)]
    vectors, probabilities = server.client(protocol).encode_gallery(images)
    assert vectors[:, 0].tolist() == list(range(1, 71))
    assert probabilities.shape == (70, 9)
    assert server.service.requests == [("encode_gallery", n) for n in (32, 32, 6)]


def test_edits_go_with_their_images(server, protocol):
    edits = np.tile(np.array([[0, 1, 2]], np.int64), (5, 1))
    edits[3:, 0] = -1
    vectors, _ = server.client(protocol, batch_size=2).encode_query([b"xx"] * 5, edits)
    assert vectors[:, :2].tolist() == [[2, 0], [2, 0], [2, 0], [2, -1], [2, -1]]


def test_requests_are_cut_by_bytes_too(monkeypatch):
    monkeypatch.setattr(contract, "MAX_REQUEST_BYTES", 10)
    images = [b"x" * size for size in (4, 6, 1, 30, 2, 2, 2, 2)]
    parts = [[len(i) for i in images[part]] for part in contract.request_slices(images, 3)]
    assert parts == [[4, 6], [1], [30], [2, 2, 2], [2]]


def test_messages_may_be_larger_than_grpc_allows_by_default(server, protocol):
    vectors, _ = server.client(protocol).encode_gallery([b"x" * 6_000_000])
    assert vectors[0, 0] == 6_000_000


def test_the_first_bad_image_is_named(server, protocol):
    images = [b"x"] * 50
    images[41] = images[44] = b"bad!"
    with pytest.raises(ValueError, match=r"image 41 of 50 \(4 bytes\).*Unknown image file format"):
        server.client(protocol).encode_gallery(images)


def test_a_smaller_max_batch_size_of_the_server_is_met_by_halves(server, protocol):
    server.service.max_batch_size = 3
    vectors, _ = server.client(protocol).encode_gallery([b"x" * n for n in range(1, 11)])
    assert vectors[:, 0].tolist() == list(range(1, 11))


def test_an_unavailable_server_is_asked_again(server, protocol):
    client = server.client(protocol, retries=2)
    server.service.num_failures = 2
    assert client.encode_gallery([b"x"])[0].shape == (1, DIM)
    server.service.num_failures = 3
    with pytest.raises(ServingError, match=r"not available, after 3 attempts .*told to fail") as e:
        client.encode_gallery([b"x"])
    assert e.value.code == "UNAVAILABLE"


@pytest.mark.parametrize("code", ["NOT_FOUND", "DEADLINE_EXCEEDED", "INVALID_ARGUMENT"])
def test_nothing_else_is_tried_again(code):
    calls = []

    def call():
        calls.append(code)
        raise ServingError(code, "no")

    with pytest.raises(ServingError):
        transport.call_with_retries(call, 5)
    assert len(calls) == 1


def test_waits_double_up_to_a_limit(monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(transport.time, "sleep", waits.append)
    monkeypatch.setattr(transport.random, "uniform", lambda low, high: (low + high) / 2)

    def call():
        raise ServingError("UNAVAILABLE", "no")

    with pytest.raises(ServingError):
        transport.call_with_retries(call, 6)
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0])


def test_no_server_is_said_with_the_cure(server, protocol):
    server.stop()
    with pytest.raises(
        ServingError, match=rf"by {protocol} is not available.*gRPC is at port 8500"
    ):
        server.client(protocol, retries=1)


def test_a_server_that_comes_back_is_found_again(server, protocol):
    client = server.client(protocol, retries=30)
    client.encode_gallery([b"x"])
    server.stop()

    def restart():
        time.sleep(0.3)
        if protocol == "grpc":
            server.grpc, _ = serving_double.start_grpc(server.service, server.grpc_port)
        else:
            server.rest, _ = serving_double.start_rest(server.service, server.rest_port)

    thread = threading.Thread(target=restart)
    thread.start()
    assert client.encode_gallery([b"xyz"])[0][0, 0] == 3
    thread.join()


def test_the_wrong_port_is_said(server):
    server.ports = {"grpc": server.rest_port, "rest": server.grpc_port}
    for protocol in PROTOCOLS:
        with pytest.raises(ServingError, match=rf"127.0.0.1:\d+ by {protocol}"):
            server.client(protocol, retries=0, timeout=3.0)


def test_a_slow_answer_runs_into_the_time_limit(server, protocol):
    WAKE.clear()
    client = server.client(protocol, timeout=1.0)
    with pytest.raises(ServingError, match=r"did not answer in time.*larger timeout") as e:
        client.encode_gallery([b"slow"])
    WAKE.set()
    assert e.value.code == "DEADLINE_EXCEEDED"


def test_an_unknown_model_is_said(server, protocol):
    with pytest.raises(ServingError, match=r"model 'shoe' is not served.*no model of that name"):
        server.client(protocol, name="shoe")


def test_an_unknown_version_lists_those_there_are(server, protocol):
    with pytest.raises(
        ServingError, match=r"'dress' version 3 is not served.*7 AVAILABLE, 8 AVAILABLE. Give the"
    ):
        server.client(protocol, version=3)


def test_a_version_that_loads_is_waited_for(server, protocol):
    server.service.models["dress"][9] = None
    with pytest.raises(ServingError, match=r"version 10 .*9 LOADING. Try again when"):
        server.client(protocol, version=10)
    with pytest.raises(
        ServingError, match=r"not available.*9 is loading.*wait until it has loaded"
    ):
        server.client(protocol, version=9, retries=1)


def test_a_client_keeps_its_version_until_it_is_unloaded(server, protocol):
    client = server.client(protocol)
    server.service.models["dress"][9] = _function(dim=5)
    assert client.encode_gallery([b"x"])[0].shape == (1, DIM)
    del server.service.models["dress"][8]
    with pytest.raises(ServingError, match=r"version 8 is not served.*9 AVAILABLE.*built again"):
        client.encode_gallery([b"x"])


def test_a_label_selects_the_version(server, protocol):
    server.service.labels["dress"] = {"stable": 7}
    assert server.client(protocol, label="stable").version == 7
    with pytest.raises(ServingError, match=r"label 'canary'.*Unrecognized servable version label"):
        server.client(protocol, label="canary")
    with pytest.raises(ValueError, match=r"version \(7\) or label \('stable'\), not both"):
        server.client(protocol, label="stable", version=7)


def test_the_version_is_that_of_the_export(server, protocol, tmp_path):
    export = tmp_path / "exports"
    (export / "7").mkdir(parents=True)
    (export / "7" / "saved_model.pb").touch()
    SPACE.save(export / "7" / "assets" / "attribute_space.json")
    files.write_json(export / "7" / "assets" / "export.json", DESCRIPTION)
    client = server.client(protocol, export=export)
    assert (client.version, client.directory) == (7, export / "7")
    server.service.labels["dress"] = {"canary": 8}
    with pytest.raises(ValueError, match=r"'canary' .* is version 8, but .* version 7: give .*/8"):
        server.client(protocol, export=export, label="canary")


@pytest.mark.parametrize(
    ("signatures", "message"),
    [
        ({"leave_out": "predict"}, r"has no signature 'predict', only encode_gallery, encode_q"),
        ({"num_values": 12}, r"output of encode_gallery: 'probabilities' is DT_FLOAT \[-1, 12\]"),
        ({"num_attributes": 4}, r"input of encode_query: 'manipulation' is DT_INT32 \[-1, 4\]"),
    ],
)
def test_another_model_is_refused(server, protocol, signatures, message):
    server.service.models["dress"] = {7: _function(**signatures)}
    with pytest.raises(ValueError, match=message):
        server.client(protocol)


def test_bad_arguments_are_named(server):
    client = server.client("rest")
    for images, message in (
        ([], "at least one encoded image"),
        (b"one", "list of encoded images"),
        (["name.jpg"], "image 0 of 1 must be the bytes .* got str"),
        ([b"x", b""], "image 1 of 2 has no bytes"),
    ):
        with pytest.raises(ValueError, match=message):
            client.encode_gallery(images)
    for edits, message in (
        (np.zeros([1, 3], np.int32), r"= \(2, 3\); got int32 \(1, 3\)"),
        (np.zeros([2, 3]), "got float64"),
        (np.array([[0, 0, 0], [0, 2, 0]]), r"\[1\] sets attribute 'sleeve' to value 2.*short"),
    ):
        with pytest.raises(ValueError, match=message):
            client.encode_query([b"x"] * 2, edits)
    with pytest.raises(ValueError, match="protocol must be one of grpc, rest; got 'http'"):
        ServedModel("localhost:1", server.space_path, protocol="http")
    with pytest.raises(ValueError, match="host:port for protocol 'grpc'; got 'http://x:1'"):
        ServedModel("http://x:1", server.space_path)
    with pytest.raises(FileNotFoundError, match="holds no export"):
        ServedModel("localhost:1", server.space_path.parent)


def test_a_missing_package_is_named(server, monkeypatch):
    for module in list(sys.modules):
        if module.endswith("grpc_transport"):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ValueError, match=r"pip install tensorflow-serving-api"):
        server.client("grpc")
    assert server.client("rest").version == 8


def test_threads_share_a_client(server, protocol):
    client = server.client(protocol)
    with ThreadPoolExecutor(8) as executor:
        sizes = range(1, 41)
        found = executor.map(lambda n: client.encode_gallery([b"x" * n])[0][0, 0], sizes)
        assert list(found) == list(sizes)
    client.close()
