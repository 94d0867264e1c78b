import dataclasses
import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from evaluation_fakes import script
from exported import PlainSystem, export_tiny, load_images, tiny_system
from fakes import SPACE
from small_networks import network

from fashionsearchnet.attributes import AttributeSpace, predicted_values, softmax_blocks
from fashionsearchnet.export import check
from fashionsearchnet.export import saved_model as export
from fashionsearchnet.export.cases import live_cases, sample_images
from fashionsearchnet.export.signatures import ServedSystem
from fashionsearchnet.networks.backbones import Trunk, pretrained_input
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.gallery_labels import beliefs_of

EDITS = np.array([[-1, -1, -1], [2, -1, -1], [-1, 1, 3], [0, 0, 0]], np.int32)


@pytest.fixture(scope="module")
def system():
    return tiny_system()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export_tiny(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def signatures(folder):
    return tf.saved_model.load(str(folder)).signatures


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """An export of a system with neither attention nor blocks, without the serving package."""
    folder = tmp_path_factory.mktemp("plain")
    with (
        mock.patch.object(export, "check_export", return_value={}),
        mock.patch.dict(sys.modules, {"tensorflow_serving.apis": None}),
    ):
        return export.export_system(PlainSystem(), folder, warmup_images=sample_images(9, 2))


@pytest.fixture
def unchecked():
    with mock.patch.object(export, "check_export", return_value={}):
        yield


@pytest.fixture
def checked_here():
    """The check without the seconds that a fresh process takes to start."""

    def run(command, **_):
        *_, folder, cases = command
        found = check.compare(folder, json.loads(Path(cases).read_text()))
        return subprocess.CompletedProcess(command, 0, json.dumps(found), "")

    with mock.patch.object(export, "subprocess", types.SimpleNamespace(run=run)):
        yield


def test_the_samples_are_jpeg_and_png_in_colour_and_in_grey():
    images = sample_images(40)
    assert [data[:2] for data in images] == [b"\xff\xd8", b"\x89P"] * 2
    shapes = [tf.io.decode_image(data).shape.as_list() for data in images]
    assert shapes == [[60, 20, 3], [60, 40, 1], [60, 60, 3], [60, 80, 3]]


@pytest.mark.parametrize("rows", [slice(0, 4), slice(2, 3)], ids=["batch of 4", "batch of 1"])
def test_every_signature_gives_what_the_system_gives(system, signatures, rows):
    images, edits = sample_images(40)[rows], tf.constant(EDITS[rows])
    pictures, data = load_images(system, images), tf.constant(images)
    logits = system.image_features(pictures)["logits"].numpy()
    read = {
        "probabilities": softmax_blocks(SPACE, logits),
        "values": predicted_values(SPACE, logits),
    }
    attention = system.attention(pictures)
    gallery = signatures["encode_gallery"](image_bytes=data)
    query = signatures["encode_query"](image_bytes=data, manipulation=edits)
    predicted = signatures["predict"](image_bytes=data)
    expected = [
        (gallery["embedding"], system.encode_gallery(pictures)),
        (query["embedding"], system.encode_query(pictures, edits)),
        *((outputs["probabilities"], read["probabilities"]) for outputs in (gallery, query)),
        *((predicted[name], value) for name, value in read.items()),
        *((predicted[name], attention[name]) for name in ("maps", "boxes")),
    ]
    for found, wanted in expected:
        assert found.dtype == tf.as_dtype(wanted.dtype)
        largest = np.abs(wanted).max()
        np.testing.assert_allclose(found, wanted, atol=1e-5 * largest, rtol=0)


def test_the_signatures_of_a_labelled_gallery(system, signatures):
    images, beliefs = sample_images(40), tf.constant(beliefs_of(SPACE, np.array(EDITS)))
    pictures, blend = load_images(system, images), tf.constant([0.5, 0.0, 1.0])
    found = signatures["encode_blocks"](image_bytes=tf.constant(images))
    features = system.image_features(pictures)
    np.testing.assert_allclose(found["blocks"], system.gallery_blocks(features), rtol=0, atol=1e-4)
    made = signatures["embed_blocks"](blocks=found["blocks"], beliefs=beliefs, blend=blend)
    wanted = system.labelled_embedding(found["blocks"], beliefs, blend)
    np.testing.assert_allclose(made["embedding"], wanted, rtol=0, atol=1e-4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="one row per image"):
        signatures["embed_blocks"](blocks=found["blocks"], beliefs=beliefs[:2], blend=blend)


def test_a_system_without_blocks_has_no_such_signatures(plain):
    assert json.loads((plain / "assets/export.json").read_text())["label_blend"] is None
    assert "embed_blocks" not in tf.saved_model.load(str(plain)).signatures


def test_names_and_shapes_of_the_signatures(signatures):
    assert set(signatures) == {
        *("encode_gallery", "encode_query", "predict", "serving_default"),
        *("image_features", "embed_query", "query_features"),
        *("encode_blocks", "embed_blocks", "encode_alike", "query_alike"),
    }
    for name in ("encode_query", "serving_default"):
        _, inputs = signatures[name].structured_input_signature
        assert inputs["image_bytes"] == tf.TensorSpec([None], tf.string, "image_bytes")
        assert inputs["manipulation"] == tf.TensorSpec([None, 3], tf.int32, "manipulation")
    shapes = {k: v.shape.as_list() for k, v in signatures["predict"].structured_outputs.items()}
    assert shapes == {
        "probabilities": [None, 9],
        "values": [None, 3],
        "maps": [None, 3, 3, 3],
        "boxes": [None, 3, 4],
    }


def test_assets_say_what_the_numbers_mean(folder):
    assert AttributeSpace.load(folder / "assets/attribute_space.json") == SPACE
    made = json.loads((folder / "assets/export.json").read_text())
    assert made.pop("fingerprint").isalnum()
    assert made == {
        "system": "fashionsearchnet_v2",
        "variant": "full",
        "title": "Full",
        "image_input": ImageInput(40).to_dict(),
        "dim": 5,
        "precision": "float32",
        "geometry": {"first_centre": 11.5, "cell_stride": 8.0},
        "label_blend": [0.5, 0.5, 0.5],
        "space": SPACE.fingerprint,
    }
    sums = json.loads((folder / "assets.extra/checksums.json").read_text())["sha256"]
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert there == {*sums, "assets.extra/checksums.json"}


@pytest.mark.parametrize(
    ("manipulation", "rule"),
    [([[3, 0, 0]], "below the number of values"), (EDITS[:2], "one row per image")],
)
def test_a_signature_refuses_wrong_manipulations(signatures, manipulation, rule):
    image = tf.constant(sample_images(40, 1))
    with pytest.raises(tf.errors.InvalidArgumentError, match=rule):
        signatures["encode_query"](image_bytes=image, manipulation=tf.constant(manipulation))


def test_another_edit_needs_the_features_only(system, signatures):
    images = tf.constant(sample_images(40))
    found = signatures["image_features"](image_bytes=images)
    features = {name: value for name, value in found.items() if name.startswith("feature_")}
    assert features and set(found) == {"probabilities", *features}
    for edits in (EDITS, EDITS[::-1]):
        expected = signatures["encode_query"](image_bytes=images, manipulation=tf.constant(edits))
        made = signatures["embed_query"](manipulation=tf.constant(edits), **features)
        np.testing.assert_allclose(made["embedding"], expected["embedding"], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(found["probabilities"], expected["probabilities"])
        both = signatures["query_features"](image_bytes=images, manipulation=tf.constant(edits))
        for name, value in {**expected, **features}.items():
            np.testing.assert_allclose(both.pop(name), value, rtol=1e-5, atol=1e-5)
        assert not both
    with pytest.raises(tf.errors.InvalidArgumentError, match="one row per image"):
        signatures["embed_query"](manipulation=tf.constant(EDITS[:2]), **features)


def test_an_empty_batch_is_refused_in_words(signatures):
    none = tf.constant([], tf.string)
    for name in ("encode_gallery", "predict", "image_features", "encode_blocks"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="at least one encoded image"):
            signatures[name](image_bytes=none)


def test_warm_up_requests_are_calls_of_every_signature(folder, signatures):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    called = set()
    for record in tf.data.TFRecordDataset(str(folder / export.WARMUP_FILE)).as_numpy_iterator():
        request = logs.PredictionLog.FromString(record).predict_log.request
        called.add(request.model_spec.signature_name)
        _, inputs = signatures[request.model_spec.signature_name].structured_input_signature
        for name, spec in inputs.items():
            assert spec.is_compatible_with(tf.constant(tf.make_ndarray(request.inputs[name])))
    assert called == {*signatures} - {"serving_default"}


def test_without_the_serving_package_there_is_no_warm_up(plain):
    assert (plain / "saved_model.pb").exists()
    assert not (plain / export.WARMUP_FILE).exists()


def test_features_and_attention_are_those_of_the_two_methods(system):
    pictures = load_images(system, sample_images(40))
    features, attention = system.features_and_attention(pictures)
    expected = system.image_features(pictures), system.attention(pictures)
    for found, wanted in zip((features, attention), expected, strict=True):
        assert found.keys() == wanted.keys()
        for name, value in found.items():
            np.testing.assert_array_equal(value, wanted[name])


def pooled_system(trunk, image_input):
    """A system on pooled features, with statistics that standardise them and no attention."""
    keras.utils.set_random_seed(0)
    made = FashionSearchNetV2(
        SPACE,
        variant="ours_pooled",
        image_input=image_input,
        trunk=trunk,
        hidden_dims=(6,),
        representation_dim=4,
    )
    rng = np.random.default_rng(0)
    made.standardization.adapt([rng.normal(0.3, 2.0, (9, made.trunk.output_shape[1]))])
    return made


def test_a_pretrained_trunk_is_exported_with_its_input(tmp_path):
    """One signature of it: a network of this depth takes seconds for each."""
    trunk = Trunk("efficientnet_lite0", pretrained="imagenet", training="frozen")
    pooled = pooled_system(trunk, pretrained_input(trunk, 40))
    served = ServedSystem(pooled, "float32")
    images = tf.TensorSpec([None], tf.string, "image_bytes")
    predict = tf.function(served.predict, input_signature=[images], autograph=False)
    with mock.patch.object(served, "signatures", return_value={"predict": predict}):
        export._write_saved_model(served, tmp_path, {})
    pictures = sample_images(40, 2)
    loaded = tf.saved_model.load(str(tmp_path)).signatures["predict"]
    found = loaded(image_bytes=tf.constant(pictures))
    features = pooled.image_features(load_images(pooled, pictures))
    expected = softmax_blocks(SPACE, pooled.attribute_logits(features).numpy())
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-4)
    assert not {"maps", "boxes"} & set(found)


def test_pooled_features_are_exported_with_their_statistics(tmp_path, checked_here):
    """The check runs every signature."""
    arguments = network(training="frozen")
    image_input = dataclasses.replace(arguments["image_input"], fit="stretch", channels="bgr")
    made = export.export_system(pooled_system(arguments["trunk"], image_input), tmp_path)
    checked = json.loads((made / export.CHECK_FILE).read_text())
    assert {"encode_query/embedding", "predict/probabilities"} <= checked.keys()
    assert not {"predict/maps", "predict/boxes"} & checked.keys()


def test_a_system_without_attention_has_no_maps(plain):
    outputs = tf.saved_model.load(str(plain)).signatures["predict"].structured_outputs
    assert set(outputs) == {"probabilities", "values"}
    described = json.loads((plain / "assets/export.json").read_text())
    assert (described["variant"], described["geometry"], described["dim"]) == (None, None, 40)


def test_versions_are_counted_and_never_overwritten(tmp_path, unchecked):
    (tmp_path / ".unfinished-killed").mkdir()
    (tmp_path / ".unfinished-killed" / "saved_model.pb").write_bytes(b"half")
    (tmp_path / "notes").mkdir()
    with mock.patch.object(export, "_write_saved_model"):
        for version, expected in ((None, "1"), (None, "2"), (7, "7"), (5, "5"), (None, "8")):
            made = export.export_system(PlainSystem(), tmp_path, version=version)
            assert made == tmp_path / expected
        with pytest.raises(ValueError, match=r"version 2 of .* exists; taken: 1, 2, 5, 7, 8"):
            export.export_system(PlainSystem(), tmp_path, version=2)
        with pytest.raises(ValueError, match="version must be at least 1; got 0"):
            export.export_system(PlainSystem(), tmp_path, version=0)


def test_what_a_killed_export_left_is_removed_and_what_another_writes_is_not(tmp_path, unchecked):
    killed, busy = tmp_path / ".unfinished-killed", tmp_path / ".unfinished-busy"
    for folder in (killed, busy):
        (folder / "variables").mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"half")
    with mock.patch.object(export, "_write_saved_model"):
        with export._hold(busy):  # as an export does while it runs
            export.export_system(PlainSystem(), tmp_path)
            left = sorted(path.name for path in tmp_path.iterdir())
            assert left == [".unfinished-busy", ".unfinished-busy.lock", "1"]
        export.export_system(PlainSystem(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


def test_an_export_that_is_killed_while_it_writes_is_cleaned_up(tmp_path, unchecked):
    child = os.fork()
    if child == 0:  # no clean-up runs here
        with export._unfinished_folder(tmp_path) as folder:
            (folder / "saved_model.pb").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert [path.name[:12] for path in tmp_path.iterdir()] == [".unfinished-"] * 2  # and its lock
    with mock.patch.object(export, "_write_saved_model"):
        export.export_system(PlainSystem(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_an_interrupted_export_leaves_nothing(tmp_path):
    def save(module, path, signatures):
        (Path(path) / "saved_model.pb").write_bytes(b"half")
        assert not [path for path in tmp_path.iterdir() if path.name.isdecimal()]
        raise KeyboardInterrupt

    with mock.patch.object(tf.saved_model, "save", save), pytest.raises(KeyboardInterrupt):
        export.export_system(PlainSystem(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_wrong_numbers_are_found_and_the_version_is_removed(tmp_path, checked_here):
    true_cases = live_cases

    def wrong_cases(*arguments):
        cases = true_cases(*arguments)
        cases[1]["outputs"]["embedding"][0][3] += 0.01
        return cases

    with mock.patch.object(export, "live_cases", wrong_cases):
        with pytest.raises(ValueError, match="encode_query/embedding differs from the live system"):
            export.export_system(PlainSystem(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_systems_that_cannot_be_exported_are_refused(tmp_path):
    class EditDependent(PlainSystem):
        gallery_depends_on_edit = True

    class Blind(PlainSystem):
        def attribute_logits(self, features):
            return None

    with pytest.raises(ValueError, match=r"Plain cannot be exported: .* depends on which attrib"):
        export.export_system(EditDependent(), tmp_path)
    with pytest.raises(ValueError, match="Plain cannot be exported: it reads no attribute values"):
        export.export_system(Blind(), tmp_path)
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, float16"):
        export.export_system(PlainSystem(), tmp_path, precision="int8")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot write into .*file"):
        export.export_system(PlainSystem(), tmp_path / "file")


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    def save(module, path, signatures):
        (Path(path) / "saved_model.pb").write_bytes(b"half")
        raise tf.errors.ResourceExhaustedError(None, None, "/x/part-0; No space left on device")

    with mock.patch.object(tf.saved_model, "save", save):
        with pytest.raises(OSError, match=r"cannot write into .* \(no space left .* Free some"):
            export.export_system(PlainSystem(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_fingerprint_tells_models_apart():
    def of(seed, kind):
        return export.fingerprint(ServedSystem(PlainSystem(seed), kind))

    found = [of(0, "float32"), of(1, "float32"), of(0, "bfloat16"), of(0, "float16")]
    assert len(set(found)) == 4
    assert of(0, "float32") == found[0]


def test_an_export_that_does_not_run_in_a_fresh_process_is_removed(tmp_path):
    failed = subprocess.CompletedProcess([], 1, "", "Traceback\nKeyError: 'state'\n")
    with mock.patch.object(export.subprocess, "run", return_value=failed):
        with pytest.raises(ValueError, match=r"in a fresh process \(KeyError: 'state'\); it has"):
            export.export_system(PlainSystem(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_script_exports_a_run(tmp_path, capsys):
    """Checked in a fresh process."""
    run = tmp_path / "run"
    registry.save_system(run, tiny_system(), "global", dataset="fakes")
    output = f"--output={tmp_path / 'exports'}"
    with script("export") as tool:
        flags.FLAGS(["export.py", f"--workdir={run}", output, "--precision=float16"])
        tool.main()
    told = capsys.readouterr().out
    assert f"written: {tmp_path / 'exports' / '1'}" in told
    assert "checked in a fresh process: no output differs" in told
    described = json.loads((tmp_path / "exports/1/assets/export.json").read_text())
    assert described["precision"] == "float16"
