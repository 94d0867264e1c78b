"""The one decoder of image files: upright 8-bit RGB in sRGB, transparency on white."""

import dataclasses
import functools
import io
import warnings
from collections.abc import Callable

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image, ImageCms

from fashionsearchnet.checks import check_range
from fashionsearchnet.data.image_headers import Header, ImageProblem, png_chunks, read_header

# Damaged tags count as not said; nobody needs a warning for each image.
warnings.filterwarnings("ignore", "Corrupt EXIF data", UserWarning)
_JPEG_OPTIONS = (  # colour is often an attribute: it keeps its full resolution
    *(cv2.IMWRITE_JPEG_QUALITY, 95),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)
_ORIENTATION = 0x0112  # the tag of EXIF
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # by the orientation of EXIF
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # of Pillow, by the space of a profile
_LEAST_CHANGE = 3  # of 255: a profile that moves no colour further is taken for sRGB


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


@dataclasses.dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
      pixels: uint8 `[h, w, 3]`, upright RGB in sRGB.
      change: how it differs from its file, '' if a decoder of RGB shows the same.
    """

    pixels: np.ndarray
    change: str


@dataclasses.dataclass(frozen=True)
class _Extras:
    """What a file says beside its pixels."""

    orientation: int = 1
    profile: bytes = b""


def normalize_image(
    data: bytes, limits: ImageLimits, box: tuple[int, int, int, int] | None = None
) -> tuple[bytes, str]:
    """Returns an encoded RGB image that TensorFlow decodes, and how it differs from `data`.

    Clean RGB JPEG and 8-bit RGB PNG files within `max_side` keep their bytes. All others become
    JPEG: greyscale, CMYK, palettes, 16 bits, transparency (on white), EXIF orientation (turned
    upright), colour profiles (converted to sRGB), WebP, BMP, and images scaled down.

    Args:
      data: the content of a file.
      limits: the sizes allowed.
      box: the part to keep: left, top, right and bottom in pixels of the upright image, the last
        two excluded; what lies outside the image is ignored. None for all of it.

    Returns:
      The encoded image, and why it was encoded again, '' if it is `data`.

    Raises:
      ImageProblem: if it is not an image, is damaged, or breaks a limit, also after the cut.
    """
    picture = read_picture(data, limits, box)
    return (_encode_jpeg(picture.pixels), picture.change) if picture.change else (data, "")


def keeps_its_bytes(data: bytes, limits: ImageLimits) -> bool:
    """Returns whether `normalize_image` returns an image as it is, unless it is damaged.

    It reads the header alone and decodes nothing.

    Raises:
      ImageProblem: as `normalize_image`, but for damage after the header.
    """
    header = read_header(data)
    _check_size(header, limits)
    if not header.is_plain or max(header.height, header.width) > limits.max_side:
        return False
    extras = _read_png_extras(data) if header.encoding == "PNG" else _read_extras(data)
    return extras.orientation == 1 and (not extras.profile or _transform(extras.profile) is None)


def read_picture(
    data: bytes, limits: ImageLimits, box: tuple[int, int, int, int] | None = None
) -> Picture:
    """Returns the picture in a file, or a box of it, scaled down to `limits.max_side`.

    Raises:
      ImageProblem: as `normalize_image`.
    """
    header = read_header(data)
    _check_size(header, limits)
    pixels, change = _DECODERS[header.encoding](data, header)
    changes = [change] if change else []
    if not changes and not header.is_plain:
        changes = [f"{header.encoding} that is not 8-bit RGB"]
    if box is not None:
        changes.append("cut to a box")
        pixels = _cut(pixels, box, limits)
    if max(pixels.shape[:2]) > limits.max_side:
        changes.append("scaled down")
        pixels = _scale_down(pixels, limits.max_side)
    return Picture(pixels, ", ".join(changes))


def _cut(pixels: np.ndarray, box: tuple[int, int, int, int], limits: ImageLimits) -> np.ndarray:
    """Returns a box of an image, or raises an ImageProblem if too little of it is inside."""
    left, top, right, bottom = (max(0, edge) for edge in box)
    part = pixels[top:bottom, left:right]
    if min(part.shape[:2]) < limits.min_side:
        height, width = pixels.shape[:2]
        raise ImageProblem(
            "box too small",
            f"box {box} keeps {part.shape[1]} x {part.shape[0]} of {width} x {height} pixels; the "
            f"shorter side must have {limits.min_side}",
        )
    return np.ascontiguousarray(part)


def _check_size(header: Header, limits: ImageLimits) -> None:
    """Raises an ImageProblem for an image that breaks a limit as it is or when scaled down."""
    height, width = header.height, header.width
    size = f"{width} x {height} pixels"
    if height * width > limits.max_pixels:
        raise ImageProblem("too large", f"{size}; at most {limits.max_pixels:,} are decoded")
    scale = min(1, limits.max_side / max(height, width, 1))
    if min(height, width) * scale < limits.min_side:
        scaled = f", scaled down to a side of {limits.max_side}" if scale < 1 else ""
        raise ImageProblem(
            "too small", f"{size}{scaled}; the shorter side must have {limits.min_side}"
        )


def _decode_jpeg(data: bytes, header: Header) -> tuple[np.ndarray, str]:
    """Returns uint8 RGB and what was done to the pixels."""
    extras = _read_extras(data)
    if header.num_channels == 4:
        # Pillow takes inks as inverted, which they are in practice, with Adobe's marker or without.
        inks = _load_with_pillow(data, "CMYK")
        pixels, changes = _from_profile(np.asarray(inks), extras.profile)
        if not changes:
            pixels = np.asarray(inks.convert("RGB"))
        return _upright(pixels, changes, extras)
    pixels = _decode_tf(tf.io.decode_jpeg, data, channels=3)
    return _upright(*_from_profile(pixels, extras.profile), extras)


def _decode_png(data: bytes, header: Header) -> tuple[np.ndarray, str]:
    """Returns uint8 RGB, composited on white, and what was done to the pixels."""
    del header
    pixels = _decode_tf(tf.io.decode_png, data, channels=4)
    return _finish_rgba(pixels, _read_png_extras(data))


def _decode_webp(data: bytes, header: Header) -> tuple[np.ndarray, str]:
    del header
    return _finish_rgba(np.asarray(_load_with_pillow(data, "RGBA")), _read_extras(data))


def _decode_bmp(data: bytes, header: Header) -> tuple[np.ndarray, str]:
    del header
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise ImageProblem("damaged image", "it is truncated or corrupt")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), ""


def _finish_rgba(pixels: np.ndarray, extras: _Extras) -> tuple[np.ndarray, str]:
    """Returns RGB of RGBA: in sRGB, on white, upright; and what was done."""
    colour, changes = _from_profile(np.ascontiguousarray(pixels[..., :3]), extras.profile)
    colour, is_transparent = _on_white(colour, pixels[..., 3:])
    changes += ["transparency"] * is_transparent
    return _upright(colour, changes, extras)


def _decode_tf(decode: Callable[..., tf.Tensor], data: bytes, channels: int) -> np.ndarray:
    # TensorFlow refuses a truncated file, where some versions of OpenCV fill it up with grey;
    # and it is TensorFlow that has to decode the stored image later.
    try:
        with tf.device("CPU"):
            return decode(data, channels=channels).numpy()
    except tf.errors.OpError as error:
        raise ImageProblem("damaged image", "it is truncated or corrupt") from error


def _load_with_pillow(data: bytes, mode: str) -> Image.Image:
    """Returns the first frame of an image in a mode of Pillow."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP")) as image:
            return image.convert(mode)
    except Image.DecompressionBombError as error:
        raise ImageProblem("too large", str(error)) from error
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise ImageProblem("damaged image", "it is truncated or corrupt") from error


def _read_extras(data: bytes) -> _Extras:
    """Returns what a file says beside its pixels; what is damaged there counts as not said."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            exif, profile = image.info.get("exif", b""), image.info.get("icc_profile", b"")
    except Exception:  # Pillow raises many kinds for damaged files
        return _Extras()
    return _Extras(_orientation(exif), profile or b"")


def _read_png_extras(data: bytes) -> _Extras:
    """Returns what a PNG file says beside its pixels."""
    exif = next((content for kind, content in png_chunks(data) if kind == b"eXIf"), b"")
    return _Extras(_orientation(exif), _read_extras(data).profile)


def _orientation(exif: bytes) -> int:
    """Returns the orientation that EXIF states, 1 for upright or if it states none."""
    if not exif:
        return 1
    try:
        tags = Image.Exif()
        tags.load(exif)
        orientation = tags.get(_ORIENTATION)
    except Exception:  # Pillow raises many kinds for damaged tags
        return 1
    return orientation if orientation in _TURNS else 1


def _upright(pixels: np.ndarray, changes: list[str], extras: _Extras) -> tuple[np.ndarray, str]:
    """Returns pixels turned by the orientation, and all that was done to them."""
    if extras.orientation == 1:
        return pixels, ", ".join(changes)
    turned = np.ascontiguousarray(_TURNS[extras.orientation](pixels))
    return turned, ", ".join([*changes, "EXIF orientation"])


def _from_profile(pixels: np.ndarray, profile: bytes) -> tuple[np.ndarray, list[str]]:
    """Returns uint8 pixels `[h, w, 3 or 4]` as sRGB by their profile, if it says another space."""
    transform = _transform(profile) if profile else None
    if transform is None:
        return pixels, []
    is_inks = pixels.shape[-1] == 4
    if (transform.input_mode == "CMYK") != is_inks:
        return pixels, []  # the profile is of other pixels
    if transform.input_mode == "L":
        pixels = pixels[..., 0]
    image = transform.apply(Image.fromarray(np.ascontiguousarray(pixels), transform.input_mode))
    return np.asarray(image), ["colour profile"]


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """Returns what converts pixels of a profile to sRGB; None if it is sRGB or cannot be read."""
    try:
        described = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES[described.profile.xcolor_space.strip()]
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(described, srgb, mode, "RGB")
        if mode == "CMYK":
            return transform
        steps = np.linspace(0, 255, 6).astype(np.uint8)
        sample = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(6, 36, 3)
        if mode == "L":
            sample = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=-1)
        shown = Image.fromarray(np.ascontiguousarray(sample[..., 0] if mode == "L" else sample))
        moved = np.abs(np.asarray(transform.apply(shown)).astype(int) - sample)
    except Exception:  # lcms and Pillow raise many kinds for damaged profiles
        return None
    return transform if moved.max() > _LEAST_CHANGE else None


def _on_white(colour: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, bool]:
    """Returns uint8 RGB `[h, w, 3]` on white by alpha `[h, w, 1]`, and whether that changed it."""
    if alpha.min() == 255:
        return np.ascontiguousarray(colour), False
    weight = alpha.astype(np.uint16)
    blended = (colour * weight + 255 * (255 - weight) + 127) // 255
    return blended.astype(np.uint8), True


def _scale_down(image: np.ndarray, max_side: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = max_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _encode_jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _JPEG_OPTIONS)[1].tobytes()


_DECODERS: dict[str, Callable[[bytes, Header], tuple[np.ndarray, str]]] = {
    "JPEG": _decode_jpeg,
    "PNG": _decode_png,
    "BMP": _decode_bmp,
    "WebP": _decode_webp,
}
