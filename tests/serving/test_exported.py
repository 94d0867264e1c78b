import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from exported import export_tiny, tiny_system
from fakes import SPACE

from fashionsearchnet.networks.image_input import ImageInput, MapGeometry
from fashionsearchnet.serving.export_folder import find_version
from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.serving.gallery_encoder import GalleryEncoder
from fashionsearchnet.systems.gallery_labels import beliefs_of

EDITS = np.array([[-1, -1, -1], [2, 1, 3]], np.int32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export_tiny(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def model(folder):
    return ExportedModel(folder.parent)


@pytest.fixture
def images(rng):
    picture = rng.integers(0, 256, (30, 20, 3), np.uint8)
    return [tf.io.encode_jpeg(picture).numpy(), tf.io.encode_png(picture[..., :1]).numpy()]


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "exports" / "1")


def test_what_is_known_of_the_model(model, folder):
    assert model.directory == folder
    assert model.space == SPACE
    assert (model.dim, len(model.fingerprint)) == (5, 16)
    described = model.description
    assert (described.system, described.variant) == ("fashionsearchnet_v2", "full")
    assert described.image_input == ImageInput(40, mean=(127.5, 127.5, 127.5))
    assert described.geometry == MapGeometry(11.5, 8.0, 40)


def test_an_export_of_version_0_1_opens(copy, model):
    path = copy / "assets/export.json"
    content = json.loads(path.read_text())
    del content["image_input"]
    content |= {"image_size": 40, "channel_means": [127.5, 127.5, 127.5]}
    path.write_text(json.dumps(content))
    assert ExportedModel(copy).description == model.description


def test_vectors_and_predictions(model, images):
    gallery, probabilities = model.encode_gallery(images)
    query, same = model.encode_query(images, EDITS)
    assert gallery.shape == query.shape == (2, 5)
    np.testing.assert_allclose(query[0], gallery[0], rtol=1e-4)
    assert np.abs(query[1] - gallery[1]).max() > 1e-3
    np.testing.assert_allclose(probabilities, same, rtol=1e-4)
    found = model.predict(images)
    np.testing.assert_allclose(found.probabilities, same, rtol=1e-4)
    assert (found.values.shape, found.values.dtype) == ((2, 3), np.int32)
    assert (found.maps.shape, found.boxes.shape) == ((2, 3, 3, 3), (2, 3, 4))


def test_any_number_of_images(model, images):
    together, _ = model.encode_gallery([*images, *images, images[0]])
    alone, _ = model.encode_gallery(images[:1])
    np.testing.assert_allclose(together[4:], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bad", [b"", b"not an image", "half"])
def test_a_bad_image_is_named(model, images, bad):
    bad = images[0][: len(images[0]) // 2] if bad == "half" else bad
    for call in (model.predict, lambda data: model.encode_query(data, EDITS[[0, 0, 0]])):
        with pytest.raises(ValueError, match=r"image 1 of 3 .* is not a readable JPEG or PNG"):
            call([images[0], bad, images[1]])


def test_no_images(model):
    with pytest.raises(ValueError, match="at least one encoded image"):
        model.predict([])


@pytest.mark.parametrize(
    ("manipulations", "message"),
    [
        ([[0, 2, 0]], "sets attribute 'sleeve' to value 2; .* one of short, long: 0 to 1"),
        ([[0, -2, 0]], "manipulations.0. sets attribute 'sleeve' to value -2"),
        ([[0, 0]], r"= \(1, 3\); got int64 \(1, 2\)"),
        ([[0.0, 0.0, 0.0]], r"must be int32 .* got float64 \(1, 3\)"),
    ],
)
def test_a_wrong_manipulation_is_named(model, images, manipulations, message):
    with pytest.raises(ValueError, match=message):
        model.encode_query(images[:1], np.array(manipulations))


def test_the_newest_version_is_taken(tmp_path):
    for name in ("2", "10", ".unfinished-x", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "11").mkdir()
    assert find_version(tmp_path) == tmp_path / "10"
    assert find_version(tmp_path / "2") == tmp_path / "2"


def test_wrong_folders(tmp_path, copy):
    with pytest.raises(FileNotFoundError, match=r"holds no export: neither .* tools/export.py"):
        ExportedModel(tmp_path)
    (copy / "assets/export.json").unlink()
    with pytest.raises(FileNotFoundError, match="the description of an export"):
        ExportedModel(copy)


def test_an_incomplete_description(copy):
    path = copy / "assets/export.json"
    content = json.loads(path.read_text())
    del content["dim"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="lacks the entry 'dim'"):
        ExportedModel(copy)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
def test_a_damaged_export(copy, name):
    path = copy / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"cannot be loaded .* the export is damaged"):
        ExportedModel(copy)


def test_an_index_that_uses_labels_gets_blocks_and_vectors(model, images):
    encoder = GalleryEncoder(model, model.description.label_blend)
    values = np.array([[-1, -1, -1], [0, -1, 3]], np.int32)
    found = encoder.encode(images, values)
    assert found.blocks is not None and found.probabilities is not None
    assert found.blocks.shape == (2, 3, 6) and found.probabilities.shape == (2, 9)
    system = tiny_system()
    beliefs = beliefs_of(SPACE, values, found.probabilities)
    wanted = system.labelled_embedding(found.blocks, beliefs, [0.5] * 3)
    np.testing.assert_allclose(found.vectors, wanted, rtol=1e-4, atol=1e-5)
    again = encoder.embed(found.blocks, found.probabilities, values)
    np.testing.assert_array_equal(again, found.vectors)
    plain = GalleryEncoder(model).encode(images, values)
    np.testing.assert_array_equal(plain.vectors, model.encode_gallery(images)[0])
    assert plain.blocks is None and plain.probabilities is not None


def test_an_export_that_cannot_use_labels_says_what_to_do(copy, images):
    path = copy / "assets/export.json"
    content = json.loads(path.read_text())
    del content["label_blend"]  # as version 0.1 wrote it
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"cannot make a gallery.*tools/export\.py"):
        ExportedModel(copy).encode_blocks(images)
