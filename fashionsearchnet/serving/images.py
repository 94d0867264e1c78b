"""Images from outside: checked and brought into a form that every model decodes."""

from fashionsearchnet.data.image_files import ImageLimits, ImageProblem, normalize_image
from fashionsearchnet.serving.errors import ApiError

_TYPES = {
    b"\xff\xd8": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"RIFF": "image/webp",
    b"BM": "image/bmp",
}
# How the kinds of problems of `image_files` are told; any other is a damaged image.
_REFUSALS = {
    "not an image": (415, "unsupported_image"),
    "too large": (413, "image_too_large"),
    "too small": (422, "image_too_small"),
    "empty file": (422, "empty_image"),
}


def prepare_image(data: bytes, max_pixels: int) -> bytes:
    """Returns a JPEG or PNG of at most 512 pixels a side that decodes without error.

    It is the preparation that catalogue images get: upright, on white, 8-bit RGB.

    Args:
      data: JPEG, PNG, WebP or BMP.
      max_pixels: images with more are refused by their header, before they are decoded.

    Raises:
      ApiError: if it is no image, damaged, or of an absurd size.
    """
    try:
        return normalize_image(data, ImageLimits(max_pixels=max_pixels))[0]
    except ImageProblem as problem:
        status, code = _REFUSALS.get(problem.kind, (422, "damaged_image"))
        raise ApiError(
            status,
            code,
            f"the image cannot be used: {problem}. Send one whole JPEG, PNG, WebP or BMP file of "
            f"16 x 16 to {max_pixels:,} pixels.",
        ) from problem


def content_type(data: bytes) -> str:
    """Returns the media type of an encoded image, by its first bytes."""
    for magic, name in _TYPES.items():
        if data.startswith(magic):
            return name
    return "application/octet-stream"
