import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from exported import export_plain, export_tiny, tiny_system
from fakes import SPACE

from fashionsearchnet import files
from fashionsearchnet.files import CHECKSUMS
from fashionsearchnet.networks.image_input import ImageInput, MapGeometry
from fashionsearchnet.serving.export_folder import find_version
from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.serving.gallery_encoder import GalleryEncoder
from fashionsearchnet.serving.tensorflow_serving.client import ServedModel
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


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """An export of few operations, for what does not depend on the system."""
    return export_plain(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def plain_copy(plain, tmp_path):
    return shutil.copytree(plain, tmp_path / "plain" / "1")


def change_description(copy, **entries):
    """Writes entries into export.json, None deletes one, as a version without checksums did."""
    (copy / CHECKSUMS).unlink(missing_ok=True)
    path = copy / "assets/export.json"
    changed = {"space": None} | entries
    content = json.loads(path.read_text()) | changed
    deleted = {name for name, value in changed.items() if value is None}
    path.write_text(json.dumps({k: v for k, v in content.items() if k not in deleted}))


def test_what_is_known_of_the_model(model, folder):
    assert model.directory == folder
    assert model.space == SPACE
    assert (model.dim, len(model.fingerprint)) == (5, 16)
    described = model.description
    assert (described.system, described.variant) == ("fashionsearchnet_v2", "full")
    assert described.image_input == ImageInput(40, mean=(127.5, 127.5, 127.5))
    assert described.geometry == MapGeometry(11.5, 8.0, 40)


def test_an_export_of_version_0_1_opens(copy, model):
    change_description(copy, image_input=None, image_size=40, channel_means=[127.5, 127.5, 127.5])
    found = ExportedModel(copy).description
    assert found == dataclasses.replace(model.description, space="")


def test_an_export_without_checksums_opens_and_says_so_once(plain_copy, images, capsys):
    change_description(plain_copy)
    for _ in range(2):
        assert ExportedModel(plain_copy).predict(images).values.shape == (2, 3)
    assert capsys.readouterr().err.count("has no checksums: an earlier version wrote it") == 1


@pytest.mark.parametrize("seed", range(17))
def test_a_flipped_bit_anywhere_is_named(copy, seed):
    """In saved_model.pb for the most part, where nine of seventeen ended in a KeyError."""
    rng = np.random.default_rng(seed)
    paths = sorted(path for path in copy.rglob("*") if path.is_file())
    path = copy / "saved_model.pb" if seed < 9 else paths[rng.integers(len(paths))]
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"{path.name}.* (is damaged|is not JSON)") as error:
        ExportedModel(copy)
    assert "Copy the export again, or export the run again." in str(error.value)


def test_a_missing_file_is_named(copy):
    (copy / CHECKSUMS).unlink()
    with pytest.raises(ValueError, match=r"checksums.json is missing. Copy the export again"):
        ExportedModel(copy)


def test_an_export_without_checksums_is_refused_in_words_too(plain_copy):
    change_description(plain_copy)
    path = plain_copy / "saved_model.pb"
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.integers(len(data), size=12):
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            ExportedModel(plain_copy)  # such a bit may be harmless
        except ValueError as error:
            assert "the export is damaged, or" in str(error)
            refused += 1
    assert refused


@pytest.mark.parametrize("has_checksums", [True, False])
def test_a_renamed_value_is_refused_by_every_reader(copy, has_checksums):
    path = copy / "assets/attribute_space.json"
    path.write_text(path.read_text().replace('"red"', '"crimson"'))
    if not has_checksums:  # such as in a copy of the two files for a client
        change_description(copy, space=SPACE.fingerprint)
        files.write_checksums(copy)
    rule = "attribute_space.json is not the attribute space of the export"
    with pytest.raises(
        ValueError, match="attribute_space.json is damaged" if has_checksums else rule
    ):
        ExportedModel(copy)
    for name in ("attribute_space.json", "export.json"):
        shutil.copy(copy / "assets" / name, copy.parent / name)
    with pytest.raises(ValueError, match=rule):
        ServedModel("localhost:1", copy.parent / "attribute_space.json")


def test_features_and_edits_of_them(folder, model, images):
    features, probabilities = model.image_features(images)
    expected, same = model.encode_query(images, EDITS)
    np.testing.assert_allclose(model.embed_query(features, EDITS), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities, same, rtol=1e-4)
    first = model.query_features(images, EDITS)
    earlier = ExportedModel(folder)  # an export of an earlier version lacks the signature
    earlier._signatures = {n: f for n, f in model._signatures.items() if n != "query_features"}
    for one, other in zip(first, earlier.query_features(images, EDITS), strict=True):
        tf.nest.map_structure(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), one, other)
    with pytest.raises(ValueError, match="sets attribute 'sleeve' to value 2"):
        model.embed_query(features, np.array([[0, 2, 0], [0, 0, 0]]))


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
    with pytest.raises(ValueError, match=r"assets/export.json is missing. Copy the export again"):
        ExportedModel(copy)
    (copy / CHECKSUMS).unlink()
    with pytest.raises(FileNotFoundError, match="the description of an export"):
        ExportedModel(copy)


def test_an_incomplete_description(copy):
    change_description(copy, dim=None)
    with pytest.raises(ValueError, match="lacks the entry 'dim'"):
        ExportedModel(copy)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
def test_a_damaged_export(plain_copy, name):
    change_description(plain_copy)
    path = plain_copy / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"cannot be loaded .* the export is damaged"):
        ExportedModel(plain_copy)


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
    change_description(copy, label_blend=None)  # as version 0.1 wrote it
    with pytest.raises(ValueError, match=r"cannot make a gallery.*tools/export\.py"):
        ExportedModel(copy).encode_blocks(images)
