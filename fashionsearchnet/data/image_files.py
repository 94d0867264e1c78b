"""Checks the bytes of an image, and makes an 8-bit RGB JPEG or PNG image of them."""

import dataclasses
import struct
from collections.abc import Callable

import cv2
import numpy as np
import tensorflow as tf

from fashionsearchnet.checks import check_range

_JPEG_OPTIONS = (  # colour is often an attribute: it keeps its full resolution
    *(cv2.IMWRITE_JPEG_QUALITY, 95),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)
_PNG_RGB = (8, 2)  # bit depth and colour type of an 8-bit RGB image without palette or alpha


class ImageProblem(ValueError):
    """The reason why an image cannot be used; `kind` is its short name in the summary."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


@dataclasses.dataclass(frozen=True)
class ImageLimits:
    """The sizes that an image may have.

    Attributes:
      min_side: images whose shorter side, as stored, has fewer pixels are refused.
      max_pixels: images with more pixels are refused, before they are decoded.
      max_side: images with a longer side than this, in pixels, are scaled down to it.

    Raises:
      ValueError: for limits that exclude every image.
    """

    min_side: int = 16
    max_pixels: int = 50_000_000
    max_side: int = 512

    def __post_init__(self) -> None:
        check_range("min_side", self.min_side, 1)
        check_range("max_side", self.max_side, self.min_side)
        check_range("max_pixels", self.max_pixels, self.min_side**2)


def normalize_image(data: bytes, limits: ImageLimits) -> tuple[bytes, str]:
    """Returns an encoded RGB image that TensorFlow decodes, and how it differs from `data`.

    Clean RGB JPEG and 8-bit RGB PNG files within `max_side` keep their bytes. All others become
    JPEG: greyscale, CMYK, palettes, 16 bits, transparency (on white), EXIF orientation (turned
    upright), WebP, BMP, and images scaled down.

    Args:
      data: the content of a file.
      limits: the sizes allowed.

    Returns:
      The encoded image, and why it was encoded again, '' if it is `data`.

    Raises:
      ImageProblem: if it is not an image, is damaged, or breaks a limit.
    """
    encoding, height, width, is_plain = _read_header(data)
    _check_size(height, width, limits)
    image, change = _DECODERS[encoding](data)
    changes = [change] if change else [] if is_plain else [f"{encoding} that is not 8-bit RGB"]
    if max(image.shape[:2]) > limits.max_side:
        changes.append("scaled down")
        image = _scale_down(image, limits.max_side)
    if not changes:
        return data, ""
    return _encode_jpeg(image), ", ".join(changes)


def _check_size(height: int, width: int, limits: ImageLimits) -> None:
    """Raises an ImageProblem for an image that breaks a limit as it is or when scaled down."""
    size = f"{width} x {height} pixels"
    if height * width > limits.max_pixels:
        raise ImageProblem("too large", f"{size}; at most {limits.max_pixels:,} are decoded")
    scale = min(1, limits.max_side / max(height, width, 1))
    if min(height, width) * scale < limits.min_side:
        scaled = f", scaled down to a side of {limits.max_side}" if scale < 1 else ""
        raise ImageProblem(
            "too small", f"{size}{scaled}; the shorter side must have {limits.min_side}"
        )


def _read_header(data: bytes) -> tuple[str, int, int, bool]:
    """Returns the encoding, height and width of an image file, and whether it is 8-bit RGB."""
    if not data:
        raise ImageProblem("empty file", "it has no bytes")
    try:
        for magic, read_header in _HEADERS:
            if data.startswith(magic):
                return read_header(data)
    except (struct.error, IndexError) as error:
        raise ImageProblem("damaged image", "it ends within its header") from error
    raise ImageProblem(
        "not an image", f"it should be JPEG, PNG, WebP or BMP, but starts with {data[:12]!r}"
    )


def _jpeg_header(data: bytes) -> tuple[str, int, int, bool]:
    """Walks over the segments of a JPEG file to the frame header (SOF)."""
    position = 2
    while True:
        while data[position] == 0xFF and data[position + 1] == 0xFF:  # fill bytes
            position += 1
        marker, kind = data[position], data[position + 1]
        if marker != 0xFF or kind in (0xD9, 0xDA):  # the end, or pixels without a frame header
            raise ImageProblem("damaged image", "it is a JPEG file without a frame header")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            depth, height, width, channels = struct.unpack_from(">BHHB", data, position + 4)
            return "JPEG", height, width, (depth, channels) == (8, 3)
        position += 2 + struct.unpack_from(">H", data, position + 2)[0]


def _png_header(data: bytes) -> tuple[str, int, int, bool]:
    width, height, *colour = struct.unpack_from(">IIBB", data, 16)
    is_plain = tuple(colour) == _PNG_RGB and b"tRNS" not in data[: data.find(b"IDAT")]
    return "PNG", height, width, is_plain


def _bmp_header(data: bytes) -> tuple[str, int, int, bool]:
    width, height = struct.unpack_from("<ii", data, 18)
    return "BMP", abs(height), abs(width), False  # a negative height: rows from top to bottom


def _riff_header(data: bytes) -> tuple[str, int, int, bool]:
    chunk = data[8:16]
    if chunk == b"WEBPVP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif chunk == b"WEBPVP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif chunk == b"WEBPVP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise ImageProblem("not an image", f"it is a RIFF file of another kind: {chunk!r}")
    return "WebP", height, width, False


def _decode_jpeg(data: bytes) -> tuple[np.ndarray, str]:
    """Returns uint8 RGB, upright, and 'EXIF orientation' if it had to be turned."""
    image = _decode_tf(tf.io.decode_jpeg, data, channels=3)
    if b"Exif\0\0" not in data[:65536]:
        return image, ""
    # OpenCV knows the eight orientations: where its two answers differ, the file has one.
    content = np.frombuffer(data, np.uint8)
    upright = cv2.imdecode(content, cv2.IMREAD_COLOR)
    as_stored = cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if upright is None or as_stored is None or np.array_equal(upright, as_stored):
        return image, ""
    return cv2.cvtColor(upright, cv2.COLOR_BGR2RGB), "EXIF orientation"


def _decode_png(data: bytes) -> tuple[np.ndarray, str]:
    """Returns uint8 RGB, composited on white, and 'transparency' if there was any."""
    return _on_white(_decode_tf(tf.io.decode_png, data, channels=4))


def _decode_webp(data: bytes) -> tuple[np.ndarray, str]:
    image = _decode_cv(data, cv2.IMREAD_UNCHANGED)
    if image.shape[-1] == 4:
        return _on_white(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA))
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), ""


def _decode_bmp(data: bytes) -> tuple[np.ndarray, str]:
    return cv2.cvtColor(_decode_cv(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), ""


def _decode_tf(decode: Callable[..., tf.Tensor], data: bytes, channels: int) -> np.ndarray:
    # TensorFlow refuses a truncated file, where some versions of OpenCV fill it up with grey;
    # and it is TensorFlow that has to decode the stored image later.
    try:
        with tf.device("CPU"):
            return decode(data, channels=channels).numpy()
    except tf.errors.OpError as error:
        raise ImageProblem("damaged image", "it is truncated or corrupt") from error


def _decode_cv(data: bytes, mode: int) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error:
        image = None
    if image is None:
        raise ImageProblem("damaged image", "it is truncated or corrupt")
    return image


def _on_white(image: np.ndarray) -> tuple[np.ndarray, str]:
    """Returns uint8 RGBA `[h, w, 4]` composited on white, and whether that changed it."""
    colour, alpha = image[..., :3], image[..., 3:].astype(np.uint16)
    if alpha.min() == 255:
        return np.ascontiguousarray(colour), ""
    blended = (colour * alpha + 255 * (255 - alpha) + 127) // 255
    return blended.astype(np.uint8), "transparency"


def _scale_down(image: np.ndarray, max_side: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = max_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _encode_jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _JPEG_OPTIONS)[1].tobytes()


_HEADERS = (
    (b"\xff\xd8", _jpeg_header),
    (b"\x89PNG\r\n\x1a\n", _png_header),
    (b"BM", _bmp_header),
    (b"RIFF", _riff_header),
)
_DECODERS = {
    "JPEG": _decode_jpeg,
    "PNG": _decode_png,
    "BMP": _decode_bmp,
    "WebP": _decode_webp,
}
