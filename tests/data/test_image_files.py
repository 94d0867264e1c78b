import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageCms

from fashionsearchnet.data import image_files
from fashionsearchnet.data.image_files import ImageLimits
from fashionsearchnet.data.image_headers import ImageProblem, read_header
from fashionsearchnet.data.preparation import images

LIMITS = ImageLimits(min_side=8, max_pixels=10_000, max_side=64)
RED, BLUE = (200, 30, 40), (20, 60, 210)
# A 16 x 16 CMYK JPEG with Adobe's marker (inverted inks), of RGB about (200, 30, 60).
CMYK_JPEG = bytes.fromhex(
    "ffd8ffee000e41646f626500640000000000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f1320151312121327"
    "1c1e17202e2931302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffc000"
    "140800100010044311004d11005911004b1100ffc4001f00000105010101010101000000000000000001020304"
    "05060708090a0bffc400b5100002010303020403050504040000017d0102030004110512213141061351610722"
    "7114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a4344454647"
    "48494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2"
    "a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9ea"
    "f1f2f3f4f5f6f7f8f9faffda000e0443004d0059004b00003f00eb2b83ae56bd3a8a28a28a28a28a28a2bfffd9"
)


def picture(left=RED, right=BLUE, height=24, width=32):
    """Returns uint8 RGB [height, width, 3] of two colours."""
    image = np.empty((height, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = left, right
    return image


def encode(image, suffix=".jpg", *options):
    if image.ndim == 3:
        has_alpha = image.shape[-1] == 4
        image = cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA if has_alpha else cv2.COLOR_RGB2BGR)
    return cv2.imencode(suffix, image, list(options))[1].tobytes()


def decode(data):
    return tf.io.decode_image(data, channels=3).numpy()


def with_orientation(jpeg, orientation):
    """Returns the JPEG file with an EXIF segment that holds nothing but the orientation."""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def with_png_size(png, width, height):
    return png[:16] + struct.pack(">II", width, height) + png[24:]


def with_jpeg_size(jpeg, width, height):
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_clean_rgb_keeps_its_bytes(suffix):
    data = encode(picture(), suffix)
    assert image_files.normalize_image(data, LIMITS) == (data, "")


def kept(data):
    """Whether `keeps_its_bytes` says so, which must be what `normalize_image` does."""
    says = image_files.keeps_its_bytes(data, LIMITS)
    stored, change = image_files.normalize_image(data, LIMITS)
    assert says == (not change) == (stored == data)
    return says


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_bytes_that_are_kept_are_known_without_decoding(suffix):
    assert kept(encode(picture(), suffix))
    assert not kept(encode(picture(height=40, width=120), suffix))
    assert not kept(encode(picture()[..., 0], suffix))
    cut = encode(picture(), suffix)[:-40]  # the pixels are damaged: the header says nothing of it
    assert image_files.keeps_its_bytes(cut, LIMITS)
    with pytest.raises(ImageProblem, match="damaged"):
        image_files.normalize_image(cut, LIMITS)


def test_bytes_of_a_turned_or_transparent_image_are_not_kept():
    assert kept(with_orientation(encode(picture()), 1))
    assert not kept(with_orientation(encode(picture()), 6))
    assert not kept(encode(np.dstack([picture(), np.full((24, 32), 99, np.uint8)]), ".png"))
    assert not kept(encode(picture(), ".webp"))


def test_the_limits_hold_before_decoding():
    with pytest.raises(ImageProblem, match="at most 10,000 are decoded"):
        image_files.keeps_its_bytes(with_jpeg_size(encode(picture()), 200, 200), LIMITS)


def test_the_size_is_the_one_that_libjpeg_sees():
    data = encode(picture())
    # RST0 has no length. Who reads one skips the frame header, and finds another, of 16 x 16.
    start = data.index(b"\xff\xc0")
    hidden = data[:start] + b"\xff\xd0" + data[start:]
    decoy = with_jpeg_size(data[start : start + 19], 16, 16)
    hidden += bytes(0xFFC0 - len(hidden) + start + 2) + decoy
    assert decode(hidden).shape == (24, 32, 3)
    header = read_header(hidden)
    assert (header.height, header.width) == (24, 32)


@pytest.mark.parametrize(
    ("data", "change"),
    [
        (encode(picture()[..., 0]), "JPEG that is not 8-bit RGB"),
        (encode(picture()[..., 0], ".png"), "PNG that is not 8-bit RGB"),
        (encode(picture().astype(np.uint16) * 257, ".png"), "PNG that is not 8-bit RGB"),
        (encode(picture(), ".bmp"), "BMP that is not 8-bit RGB"),
        (encode(picture(), ".webp"), "WebP that is not 8-bit RGB"),
        (encode(picture(), ".webp", cv2.IMWRITE_WEBP_QUALITY, 101), "WebP that is not 8-bit RGB"),
        (encode(picture(height=40, width=120)), "scaled down"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_others_become_rgb_jpeg(data, change):
    stored, said = image_files.normalize_image(data, LIMITS)
    assert said == change
    assert stored[:2] == b"\xff\xd8"
    image = decode(stored)
    assert image.shape == ((21, 64, 3) if change == "scaled down" else (24, 32, 3))
    grey = data == encode(picture()[..., 0]) or data == encode(picture()[..., 0], ".png")
    expected = (200, 200, 200) if grey else RED
    np.testing.assert_allclose(image[12 if len(image) > 21 else 10, 4], expected, atol=12)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_becomes_white(suffix):
    rgba = np.dstack([picture(), np.full((24, 32), 255, np.uint8)])
    rgba[:, 16:, 3] = 0
    rgba[:12, :16, 3] = 128
    stored, change = image_files.normalize_image(encode(rgba, suffix), LIMITS)
    assert change == "transparency"
    image = decode(stored).astype(int)
    np.testing.assert_allclose(image[18, 4], RED, atol=12)
    np.testing.assert_allclose(image[18, 28], 255, atol=4)
    np.testing.assert_allclose(image[4, 4], (np.array(RED) + 255) / 2, atol=12)


def test_palette_png():
    # Two colours, one bit per pixel, the second transparent.
    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 1, 3, 0, 0, 0))
    png += chunk(b"PLTE", bytes(RED + BLUE)) + chunk(b"tRNS", b"\xff\x00")
    png += chunk(b"IDAT", zlib.compress(b"\0\x00\xff" * 16)) + chunk(b"IEND", b"")
    image = decode(image_files.normalize_image(png, LIMITS)[0])
    np.testing.assert_allclose(image[8, 2], RED, atol=12)
    np.testing.assert_allclose(image[8, 13], 255, atol=4)


@pytest.mark.parametrize("has_marker", [True, False])
def test_cmyk_becomes_rgb(has_marker):
    data = CMYK_JPEG if has_marker else CMYK_JPEG[:2] + CMYK_JPEG[18:]
    assert (b"Adobe" in data) == has_marker
    stored, change = image_files.normalize_image(data, LIMITS)
    assert change == "JPEG that is not 8-bit RGB"
    np.testing.assert_allclose(decode(stored)[8, 8], (200, 30, 60), atol=8)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [(3, lambda x: x[::-1, ::-1]), (6, lambda x: np.rot90(x, -1)), (8, np.rot90)],
)
def test_exif_orientation_is_applied(orientation, turn):
    full_colour = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    data = with_orientation(encode(picture(), ".jpg", *full_colour), orientation)
    stored, change = image_files.normalize_image(data, LIMITS)
    assert change == "EXIF orientation"
    np.testing.assert_allclose(decode(stored), turn(picture()), atol=8)
    upright = with_orientation(encode(picture()), 1)
    assert image_files.normalize_image(upright, LIMITS) == (upright, "")


@pytest.mark.parametrize("encoding", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_every_encoding_is_upright(encoding, orientation):
    upright = picture(height=24, width=32)
    upright[:8, :8] = 255  # no two turns of it are alike
    # How the picture is stored, so that EXIF turns it upright.
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = image_files._TURNS.get(undo, lambda image: image)(upright)
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    quality = {"lossless": True} if encoding == "WEBP" else {"quality": 95, "subsampling": 0}
    Image.fromarray(np.ascontiguousarray(stored)).save(file, encoding, exif=exif, **quality)
    shown = image_files.read_picture(file.getvalue(), LIMITS)
    np.testing.assert_allclose(shown.pixels, upright, atol=16)
    assert ("EXIF orientation" in shown.change) == (orientation > 1)


def test_orientation_and_transparency_together():
    rgba = np.dstack([picture(), np.full((24, 32), 255, np.uint8)])
    rgba[:, 16:, 3] = 0
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(rgba).save(file, "PNG", exif=exif)
    stored, change = image_files.normalize_image(file.getvalue(), LIMITS)
    assert change == "transparency, EXIF orientation"
    image = decode(stored)
    assert image.shape == (32, 24, 3)
    np.testing.assert_allclose(image[4, 12], RED, atol=12)
    np.testing.assert_allclose(image[28, 12], 255, atol=4)


def swapped_profile():
    """A profile like sRGB whose red and green are swapped: nobody can miss it."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for start in range(132, 132 + 12 * int.from_bytes(profile[128:132]), 12):
        name = bytes(profile[start : start + 4])
        other = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}.get(name, name)
        profile[start : start + 4] = other
    return bytes(profile)


@pytest.mark.parametrize("encoding", ["JPEG", "PNG", "WEBP"])
def test_a_colour_profile_is_converted_to_srgb(encoding):
    flat = np.full((24, 32, 3), (20, 200, 60), np.uint8)
    profiles = {
        "other": swapped_profile(),
        "sRGB": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "damaged": swapped_profile()[:200],
    }
    quality = {"lossless": True} if encoding == "WEBP" else {"quality": 95}
    for name, profile in profiles.items():
        file = io.BytesIO()
        Image.fromarray(flat).save(file, encoding, icc_profile=profile, **quality)
        shown = image_files.read_picture(file.getvalue(), LIMITS)
        assert ("colour profile" in shown.change) == (name == "other")
        assert image_files.keeps_its_bytes(file.getvalue(), LIMITS) == (not shown.change)
        expected = (200, 20, 60) if name == "other" else (20, 200, 60)
        np.testing.assert_allclose(shown.pixels[12, 16], expected, atol=4)
        if encoding != "WEBP" and name != "other":
            assert shown.change == ""


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"GIF89a", "it is GIF; .* save it as JPEG or PNG"),
        (b"II*\0", "it is TIFF"),
        (b"MM\0*", "it is TIFF"),
        (b"\0\0\0\x0cjP  \r\n", "it is JPEG 2000"),
        (b"\0\0\0\x18ftypheic", "it is HEIC, .* Most Compatible"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "it is HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "it is AVIF"),
        (b"\0\0\0\x18ftypavif", "it is AVIF"),
        (b"\xff\x0a", "it is JPEG XL"),
        (b"8BPS", "it is a Photoshop file"),
        (b"<svg xmlns", "it is SVG"),
    ],
)
def test_other_formats_are_named_with_the_cure(start, message):
    with pytest.raises(ImageProblem, match=message) as caught:
        image_files.normalize_image(start + bytes(40), LIMITS)
    assert caught.value.kind == "another format"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty file"),
        (b"this is no image, whatever its name says", "not an image"),
        (b"<html>404</html>", "not an image"),
        (b"RIFF\0\0\0\0WAVEfmt ", "not an image"),
        (b"\xff\xd8", "damaged image"),
        (b"\xff\xd8\xff\xd9", "damaged image"),
        (encode(picture())[:-200], "damaged image"),
        (encode(picture())[:-2], "damaged image"),
        (encode(picture())[:100], "damaged image"),
        (encode(picture(), ".png")[:60], "damaged image"),
        (encode(picture(), ".png")[:20], "damaged image"),
        (encode(picture(), ".webp")[:-9], "damaged image"),
        (encode(picture(), ".bmp")[:600], "damaged image"),
        (b"BM" + bytes(10), "damaged image"),
        (encode(picture(height=1, width=1)), "too small"),
        (encode(picture(height=7, width=60)), "too small"),
        (encode(picture(height=10, width=640)), "too small"),
        (encode(picture(height=110, width=110)), "too large"),
        (with_png_size(encode(picture(), ".png"), 30_000, 30_000), "too large"),
        (with_jpeg_size(encode(picture()), 30_000, 30_000), "too large"),
        (with_png_size(encode(picture(), ".png"), 0, 30), "too small"),
        (with_png_size(encode(picture(), ".png"), 33, 24), "damaged image"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unusable_images_say_why(tmp_path, data, kind):
    with pytest.raises(ImageProblem) as caught:
        image_files.normalize_image(data, LIMITS)
    assert caught.value.kind == kind
    path = tmp_path / "image.jpg"
    path.write_bytes(data)
    checked = images.check_image(path, LIMITS)
    assert (checked.kind, len(checked.digest)) == (kind, 64)


def test_no_cut_or_flipped_byte_crashes():
    rng = np.random.default_rng(0)
    for data in (encode(picture()), encode(picture(), ".png"), encode(picture(), ".webp")):
        for _ in range(60):
            damaged = bytearray(data[: rng.integers(1, len(data) + 1)])
            damaged[rng.integers(len(damaged))] = rng.integers(256)
            try:
                stored, _ = image_files.normalize_image(bytes(damaged), LIMITS)
            except ImageProblem:
                continue
            assert decode(stored).ndim == 3


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"min_side": 0}, "min_side must be at least 1"),
        ({"min_side": 32, "max_side": 16}, "max_side must be at least 32"),
        ({"min_side": 32, "max_pixels": 1_000}, "max_pixels must be at least 1024"),
    ],
)
def test_limits_that_no_image_can_keep(limits, message):
    with pytest.raises(ValueError, match=message):
        ImageLimits(**limits)
