"""The client of TensorFlow Serving against a double with an exported model, and the documents.

The double (see serving_double.py) is a process of its own.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import serving_double
from exported import export_tiny
from fakes import SPACE
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.serving.tensorflow_serving.client import ServedModel

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROTOCOLS = ["grpc", "rest"]


def photo(seed: int, height: int = 30, width: int = 20) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".png" if seed % 2 else ".jpg", pixels)[1].tobytes()


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> Path:
    return export_tiny(tmp_path_factory.mktemp("exports") / "tiny")


@pytest.fixture(scope="module")
def double_process(export):
    command = [sys.executable, serving_double.__file__, str(export.parent), "tiny"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    ports = json.loads(process.stdout.readline())
    yield process, ports
    process.kill()  # at once; TensorFlow takes seconds to end by itself
    process.communicate()


@pytest.fixture(scope="module")
def warmed(double_process) -> dict[str, int]:
    return json.loads(double_process[0].stdout.readline())["warmed"]


@pytest.fixture(scope="module")
def local(export) -> ExportedModel:
    return ExportedModel(export)


@pytest.fixture(scope="module", params=PROTOCOLS)
def served(request, export, double_process, warmed) -> ServedModel:
    target = f"127.0.0.1:{double_process[1][request.param]}"
    return ServedModel(target, export, name="tiny", protocol=request.param, batch_size=2)


def test_warmup_requests_of_the_export_are_replayed(warmed):
    assert warmed.keys() == {"1"}
    assert warmed["1"] >= 3  # each signature at least once


def test_the_client_knows_what_the_export_says(served, local, export):
    assert served.space == local.space
    assert served.fingerprint == local.fingerprint
    assert served.description == local.description
    assert served.dim == local.dim
    assert (served.version, served.directory) == (1, export)


def test_answers_are_those_of_the_export(served, local):
    images = [photo(seed, 20 + 7 * seed, 33) for seed in range(5)]  # three requests of at most two
    manipulations = np.array([[-1, -1, -1], [2, -1, -1], [0, 1, 3], [-1, 0, -1], [1, 1, 1]])
    for found, expected in zip(
        (*served.encode_gallery(images), *served.encode_query(images, manipulations)),
        (*local.encode_gallery(images), *local.encode_query(images, manipulations)),
        strict=True,
    ):
        assert found.dtype == expected.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    found, expected = served.predict(images), local.predict(images)
    for name in ("probabilities", "values", "maps", "boxes"):
        assert getattr(found, name).dtype == getattr(expected, name).dtype
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-5
        )


def test_a_truncated_image_is_named(served):
    images = [photo(seed) for seed in range(5)]
    images[3] = images[3][:60]
    with pytest.raises(
        ValueError,
        match=r"^image 3 of 5 \(60 bytes\) was refused by 127\S+ Invalid PNG data, size 60. ",
    ):
        served.encode_gallery(images)


def test_the_script(double_process, warmed, export, local, tmp_path):
    images = [photo(seed) for seed in range(3)]
    for number, data in enumerate(images):
        (tmp_path / f"{number}.png").write_bytes(data)
    (tmp_path / "cut.png").write_bytes(images[0][:60])
    common = ["", f"--export={export.parent}", "--model_name=tiny"]
    targets = {name: f"--target=localhost:{double_process[1][name]}" for name in PROTOCOLS}
    folder = [targets["grpc"], f"--images_dir={tmp_path}", f"--output={tmp_path}/vectors.npy"]
    image = [targets["rest"], "--protocol=rest", "--images_dir=", f"--image={tmp_path}/1.png"]
    code = "import query_tensorflow_serving as script"
    for flags in (folder, [*image, "--set=sleeve=long"]):
        code += f"\nscript.FLAGS({common + flags})\nscript.main()"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tools")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "vectors.ids.txt").read_text().split() == ["0.png", "1.png", "2.png"]
    assert f"left out {tmp_path}/cut.png: damaged image" in done.stderr
    assert "Left out 1, see above." in done.stdout
    vectors = np.load(tmp_path / "vectors.npy")
    np.testing.assert_allclose(vectors, local.encode_gallery(images)[0], rtol=1e-4, atol=1e-5)
    assert f"version 1, fingerprint {local.fingerprint}" in done.stdout
    value = SPACE.value_name(1, local.predict([images[1]]).values[0, 1])
    assert re.search(rf"sleeve: {value} \(\d+%\)  -> long", done.stdout)
    vector = local.encode_query([images[1]], np.array([[-1, 1, -1]]))[0][0]
    assert f"vector of 5: {vector[0]:.4f} " in done.stdout


def batching_parameters():
    """Returns an empty BatchingParameters.

    No package contains this message; the fields are those of the server's
    session_bundle_config.proto.
    """
    numbers = [
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
    ]
    proto = descriptor_pb2.FileDescriptorProto(
        name="transcript/session_bundle_config.proto",
        package="transcript",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    message = proto.message_type.add(name="BatchingParameters")
    optional, wrapped = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL, 11
    for number, name in enumerate(numbers, start=1):
        message.field.add(
            name=name,
            number=number,
            label=optional,
            type=wrapped,
            type_name=".google.protobuf.Int64Value",
        )
    pool = descriptor_pool.Default()
    pool.Add(proto)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("transcript.BatchingParameters")
    )()


def test_configuration_files_fit_the_command_and_the_client():
    text = (DOCS / "tensorflow_serving" / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    defaults = ServedModel.__init__.__kwdefaults__
    assert defaults
    assert (model.name, model.model_platform) == (defaults["name"], "tensorflow")
    assert model.model_version_policy.latest.num_versions == 2
    text = (DOCS / "tensorflow_serving" / "batching.config").read_text()
    batching = text_format.Parse(text, batching_parameters())
    assert batching.max_batch_size.value == defaults["batch_size"]
    assert batching.num_batch_threads.value >= 1
    document = (DOCS / "tensorflow_serving.md").read_text()
    assert f":{model.base_path}:ro" in document
    assert '-v "$PWD/docs/tensorflow_serving:/config:ro"' in document
    for flag in ("model_config_file=/config/models", "batching_parameters_file=/config/batching"):
        assert f"--{flag}.config" in document
