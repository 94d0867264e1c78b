"""What the first bytes of a file say: its format and size, or what it is in place of an image."""

import dataclasses
import struct
from collections.abc import Iterator

_PNG_RGB = (8, 2)  # bit depth and colour type of an 8-bit RGB image without palette or alpha
READABLE = "JPEG, PNG, WebP or BMP"
_END, _PIXELS = 0xD9, 0xDA  # markers of JPEG
_BARE_MARKERS = (0x01, *range(0xD0, 0xD9))  # of JPEG: no length follows
_SAVE = "save it as JPEG or PNG"
# Formats of images that are not read: where the mark stands, the mark, the name and the cure.
_OTHER_FORMATS = (
    (0, b"GIF8", "GIF", _SAVE),
    (0, b"II*\0", "TIFF", _SAVE),
    (0, b"MM\0*", "TIFF", _SAVE),
    (0, b"II+\0", "TIFF", _SAVE),
    (0, b"MM\0+", "TIFF", _SAVE),
    (4, b"jP  ", "JPEG 2000", _SAVE),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", _SAVE),
    (4, b"JXL ", "JPEG XL", _SAVE),
    (0, b"\xff\x0a", "JPEG XL", _SAVE),
    (0, b"8BPS", "a Photoshop file", "export it as JPEG or PNG"),
    (0, b"\0\0\1\0", "an icon", _SAVE),
    (0, b"<svg", "SVG", "export it as PNG"),
)
_HEIC = ("HEIC, the format of iPhone photos", "save it as JPEG (iPhone: Camera, Most Compatible)")
_BRANDS = (  # of the family of MP4: in the first box of the file
    ((b"avif", b"avis"), ("AVIF", _SAVE)),
    ((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), _HEIC),
)
_OTHER_FILES = (  # that are no images
    (b"<!doctype", "a web page", "get the image again"),
    (b"<html", "a web page", "get the image again"),
    (b"version https://git-lfs", "a git-lfs pointer", "run 'git lfs pull'"),
    (b"%pdf", "a PDF", "take out its pictures"),
    (b"pk\x03\x04", "a zip archive", "unpack it"),
)


class ImageProblem(ValueError):
    """The reason why an image cannot be used; `kind` is its short name in the summary."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


@dataclasses.dataclass(frozen=True)
class Header:
    """What the header of an image file says.

    Attributes:
      encoding: JPEG, PNG, WebP or BMP.
      height: in pixels, as stored.
      width: in pixels, as stored.
      is_plain: whether it is an 8-bit RGB JPEG or PNG, without transparency.
      num_channels: of the pixels; 0 where the header does not say.
    """

    encoding: str
    height: int
    width: int
    is_plain: bool
    num_channels: int = 0


def read_header(data: bytes) -> Header:
    """Returns the header of an image file.

    Raises:
      ImageProblem: if it is empty, damaged, or of another format; the message names the format.
    """
    if not data:
        raise ImageProblem("empty file", "it has no bytes")
    try:
        for magic, read in _HEADERS:
            if data.startswith(magic):
                return read(data)
    except (struct.error, IndexError) as error:
        raise ImageProblem("damaged image", "it ends within its header") from error
    raise _other_format(data)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (kind, content) of the chunks of a PNG file, as far as they are whole."""
    position = 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yields (kind, position) of the segments of a JPEG file, up to its pixels or its end.

    Raises:
      IndexError, struct.error: where the data end before the pixels.
    """
    position = 2
    while True:
        while data[position] == 0xFF and data[position + 1] == 0xFF:  # fill bytes
            position += 1
        marker, kind = data[position], data[position + 1]
        if marker != 0xFF or kind == _END:
            return
        yield kind, position
        if kind == _PIXELS:
            return
        position += 2
        if kind not in _BARE_MARKERS:
            position += struct.unpack_from(">H", data, position)[0]


def _other_format(data: bytes) -> ImageProblem:
    """Returns the problem of a file that is not read, with its name and the cure if known."""
    found = None
    if data[4:8] == b"ftyp":
        brands = {data[i : i + 4] for i in (8, *range(16, min(len(data), 64), 4))}
        found = next((named for known, named in _BRANDS if brands & set(known)), None)
    for offset, mark, name, cure in _OTHER_FORMATS:
        if data.startswith(mark, offset):
            found = (name, cure)
    if found:
        return ImageProblem(
            "another format", f"it is {found[0]}; {READABLE} files are read: {found[1]}"
        )
    start = data[:64].lstrip().lower()
    for mark, name, cure in _OTHER_FILES:
        if start.startswith(mark):
            return ImageProblem("not an image", f"it is {name}, not {READABLE}: {cure}")
    return ImageProblem("not an image", f"it should be {READABLE}, and is none of them")


def _jpeg_header(data: bytes) -> Header:
    """Walks over the segments of a JPEG file to the frame header (SOF)."""
    for kind, position in jpeg_segments(data):
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            depth, height, width, channels = struct.unpack_from(">BHHB", data, position + 4)
            return Header("JPEG", height, width, (depth, channels) == (8, 3), channels)
    raise ImageProblem("damaged image", "it is a JPEG file without a frame header")


def _png_header(data: bytes) -> Header:
    width, height, *colour = struct.unpack_from(">IIBB", data, 16)
    is_plain = tuple(colour) == _PNG_RGB and b"tRNS" not in data[: data.find(b"IDAT")]
    return Header("PNG", height, width, is_plain)


def _bmp_header(data: bytes) -> Header:
    width, height = struct.unpack_from("<ii", data, 18)
    return Header("BMP", abs(height), abs(width), False)  # a negative height: from top to bottom


def _riff_header(data: bytes) -> Header:
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
        raise ImageProblem("not an image", "it is a RIFF file, such as a sound, but not WebP")
    return Header("WebP", height, width, False)


_HEADERS = (
    (b"\xff\xd8", _jpeg_header),
    (b"\x89PNG\r\n\x1a\n", _png_header),
    (b"BM", _bmp_header),
    (b"RIFF", _riff_header),
)
