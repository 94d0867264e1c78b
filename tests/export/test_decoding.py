"""The decoding inside an export, against OpenCV and against the preparation of images."""

import struct
import zlib

import cv2
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.data.image_files import ImageLimits, normalize_image
from fashionsearchnet.data.preprocess import load_image
from fashionsearchnet.export.decoding import decode_upright, load_encoded
from fashionsearchnet.networks.image_input import ImageInput

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)


def compiled_decoding():
    return tf.function(
        lambda data: decode_upright(data, ImageInput(8))[0],
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )


@pytest.fixture(scope="module")
def decode():
    function = compiled_decoding()
    return lambda data: function(tf.constant(data)).numpy()


def test_the_graph_transposes_no_image():
    """oneDNN writes an error to the log for each transposition of integers, on older CPUs."""
    function = compiled_decoding()
    graph = function.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    assert "Transpose" not in {node.op for node in nodes}


def tiff(orientation: int, order: str, extra: int = 3) -> bytes:
    """Returns an EXIF directory with the orientation as its last entry."""
    mark = order + "H"
    entries = b"".join(
        struct.pack(order + "HHIHH", 0x0100 + i, 3, 1, 77, 0) for i in range(extra)
    ) + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + struct.pack(mark, extra + 1) + entries + bytes(4)


def jpeg_with(exif: bytes) -> bytes:
    plain = cv2.imencode(".jpg", PICTURE, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    segment = b"Exif\0\0" + exif
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]


def png_with(exif: bytes, at_end: bool = False) -> bytes:
    plain = cv2.imencode(".png", PICTURE)[1].tobytes()
    body = b"eXIf" + exif
    chunk = struct.pack(">I", len(exif)) + body + struct.pack(">I", zlib.crc32(body))
    place = len(plain) - 12 if at_end else 33  # before IEND, or after IHDR
    return plain[:place] + chunk + plain[place:]


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_as_opencv_turns_it(decode, orientation, order):
    data = jpeg_with(tiff(orientation, order))
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    upright = decoded[..., ::-1]
    found = decode(data)
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).max() < 12  # two decoders
    prepared, why = normalize_image(data, ImageLimits())
    assert ("EXIF" in why) == (orientation > 1)
    again = decode(prepared)
    assert np.abs(found.astype(int) - again).mean() < 3  # encoded once more


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_png_is_turned_too(decode, orientation, at_end):
    turns = {1: 0, 6: -1, 3: 2, 8: 1}[orientation]
    expected = np.rot90(PICTURE[..., ::-1], turns)
    np.testing.assert_array_equal(decode(png_with(tiff(orientation, "<"), at_end)), expected)


@pytest.mark.parametrize(
    "exif",
    [
        tiff(0, "<"),
        tiff(9, ">"),
        tiff(6, "<")[:20],
        b"II*\0" + struct.pack("<I", 0xFFFFFFFF),
        b"MM\0*" + bytes(4),
        b"II*\0",
    ],
)
def test_damaged_exif_is_ignored(decode, exif):
    np.testing.assert_array_equal(decode(png_with(exif)), PICTURE[..., ::-1])


def test_transparency_is_put_on_white(decode):
    hidden = np.dstack([PICTURE, np.full(PICTURE.shape[:2], 0, np.uint8)])
    assert (decode(cv2.imencode(".png", hidden)[1].tobytes()) == 255).all()
    hidden[:, :24, 3] = 128
    half = decode(cv2.imencode(".png", hidden)[1].tobytes())
    expected = (PICTURE[:, :24, ::-1].astype(int) * 128 + 255 * 127) / 255
    assert np.abs(half[:, :24] - expected).max() <= 0.51
    prepared, why = normalize_image(cv2.imencode(".png", hidden)[1].tobytes(), ImageLimits())
    assert "transparency" in why
    assert np.abs(decode(prepared).astype(int) - half).mean() < 3


def test_grey_and_plain_images_are_as_before(decode):
    grey = cv2.imencode(".png", PICTURE[..., 0])[1].tobytes()
    np.testing.assert_array_equal(decode(grey), PICTURE[..., :1].repeat(3, 2))
    for suffix in (".jpg", ".png"):
        data = cv2.imencode(suffix, PICTURE)[1].tobytes()
        expected = tf.io.decode_image(data, channels=3)
        np.testing.assert_array_equal(decode(data), expected)


def test_what_is_no_image_is_refused(decode):
    for data in (b"", b"\x89PN", b"no image", cv2.imencode(".png", PICTURE)[1].tobytes()[:60]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(data)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("pixels", ["rounded", "fast"])
def test_an_export_sees_what_training_saw(suffix, pixels):
    data = tf.constant(cv2.imencode(suffix, PICTURE[:47])[1].tobytes())
    for fit in ("pad", "crop"):
        seen_by = ImageInput(10, fit, pixels=pixels)
        np.testing.assert_array_equal(load_encoded(data, seen_by), load_image(data, seen_by))


def test_a_turned_file_at_a_fraction_of_its_size_has_its_whole_shape_turned():
    plain = cv2.imencode(".jpg", PICTURE[:47, :33])[1].tobytes()
    segment = b"Exif\0\0" + tiff(6, "<")
    mark = b"\xff\xe1" + struct.pack(">H", len(segment) + 2)
    image, shape = decode_upright(
        tf.constant(plain[:2] + mark + segment + plain[2:]), ImageInput(8, pixels="fast")
    )
    assert (image.shape.as_list(), shape.numpy().tolist()) == ([9, 12, 3], [33, 47])  # a quarter
