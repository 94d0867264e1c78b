"""Uploads: the body of a request, read under limits, and the image in it, checked."""

import asyncio
import dataclasses
import struct
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from fashionsearchnet.checks import suggestion
from fashionsearchnet.data.image_files import ImageLimits, keeps_its_bytes, normalize_image
from fashionsearchnet.data.image_headers import ImageProblem, jpeg_segments
from fashionsearchnet.data.vectors.vector_files import vector_from_bytes
from fashionsearchnet.networks.image_input import VectorInput, encode_vector
from fashionsearchnet.serving import timing
from fashionsearchnet.serving.errors import ApiError
from fashionsearchnet.serving.limits import Limits

_MAX_FIELDS = 1000
_MAX_FIELD_BYTES = 10_000
# The event loop reads headers of so many bytes, of files of so many.
_SHORT_HEADER, _SMALL = 1 << 12, 1 << 16
_EXTRAS = {0xE1, 0xE2}  # segments of JPEG that may turn an image, or change its colours
_FORM_OVERHEAD = 100_000  # bytes for the text fields and the form's own lines

# Status and code for each kind of ImageProblem; any other kind is a damaged image.
_REFUSALS = {
    "not an image": (415, "unsupported_image"),
    "another format": (415, "unsupported_image"),
    "too large": (413, "image_too_large"),
    "too small": (422, "image_too_small"),
    "empty file": (422, "empty_image"),
}

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Form:
    """What a form holds.

    Attributes:
      image: the uploaded file, or None; a thread reads and decodes it later.
      fields: the text fields, each with its values in the order sent.
    """

    image: UploadFile | None
    fields: Mapping[str, list[str]]


async def read_form(request: Request, known: tuple[str, ...], limits: Limits) -> Form:
    """Returns the multipart form of a request, with its field `image` and the `known` ones.

    Raises:
      ApiError: for another content type, fields in the address, too many bytes (while they
        arrive), a slow or broken upload, and unknown or misused fields.
    """
    _check_head(request, known)
    limited = Request(request.scope, _limited(request, limits))
    try:
        async with asyncio.timeout(limits.upload_seconds):
            with timing.stage("upload"):
                form = await limited.form(
                    max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
                )
    except TimeoutError as error:
        raise ApiError(
            408,
            "upload_too_slow",
            f"the body must arrive within {limits.upload_seconds:g} seconds, and no pause may be "
            f"longer than {limits.pause_seconds:g}. Send a smaller file.",
        ) from error
    except ClientDisconnect as error:
        raise _gone() from error
    except HTTPException as error:
        reason = error.detail.rstrip(".")
        if reason.startswith("Part exceeded"):
            reason = f"a text field may have {_MAX_FIELD_BYTES:,} bytes, and one has more"
        raise ApiError(400, "malformed_form", f"the form cannot be read: {reason}.") from error
    sorted_form = _sorted_fields(form, known)
    if sorted_form.image and (sorted_form.image.size or 0) > limits.max_upload_bytes:
        raise _too_large(limits.max_upload_bytes)
    return sorted_form


def is_ready(data: bytes, max_pixels: int) -> bool:
    """Returns whether an upload is a small JPEG file that `prepare_image` returns as it is.

    It takes less time than to ask a thread. A file that might take more is none: one with a long
    header, EXIF or a colour profile.

    Raises:
      ApiError: as `prepare_image`.
    """
    if len(data) > _SMALL or not data.startswith(b"\xff\xd8"):
        return False
    try:
        kinds = {kind for kind, _ in jpeg_segments(data[:_SHORT_HEADER])}
    except (IndexError, struct.error):
        return False
    if kinds & _EXTRAS:
        return False
    try:
        return keeps_its_bytes(data, ImageLimits(max_pixels=max_pixels))
    except ImageProblem as problem:
        raise refusal(problem, max_pixels) from problem


def prepare_image(data: bytes, max_pixels: int) -> bytes:
    """Returns a JPEG or PNG of at most 512 pixels a side: upright, on white, 8-bit RGB.

    Catalogue images get the same preparation. An image that needs none is returned undecoded: the
    model refuses it if it is damaged.

    Args:
      data: JPEG, PNG, WebP or BMP.
      max_pixels: an image with more is refused by its header, before it is decoded.

    Raises:
      ApiError: if it is no image, damaged, or of an absurd size.
    """
    limits = ImageLimits(max_pixels=max_pixels)
    try:
        return data if keeps_its_bytes(data, limits) else normalize_image(data, limits)[0]
    except ImageProblem as problem:
        raise refusal(problem, max_pixels) from problem


def refusal(problem: ImageProblem, max_pixels: int) -> ApiError:
    """Returns the refusal of an upload with this problem."""
    status, code = _REFUSALS.get(problem.kind, (422, "damaged_image"))
    return ApiError(
        status,
        code,
        f"the image cannot be used: {problem}. Send one whole JPEG, PNG, WebP or BMP file of "
        f"16 x 16 to {max_pixels:,} pixels.",
    )


def prepare_vector(data: bytes, vector_input: VectorInput) -> bytes:
    """Returns the vector in a .npy file or a JSON list as the bytes that the model takes.

    Raises:
      ApiError: if it is no vector, or not one of the model's.
    """
    try:
        return encode_vector(vector_from_bytes(data, vector_input, "the field 'image'"))
    except ValueError as error:
        raise ApiError(422, "unusable_vector", str(error)) from error


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Returns the result of `work`, or cancels it when the client goes away.

    Read the body first, if anybody reads it.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_disconnected(request.receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise _gone()
    finally:
        task.cancel()
        watch.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _check_head(request: Request, known: tuple[str, ...]) -> None:
    """Raises an ApiError for a body that is no form, and for fields in the address."""
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        raise ApiError(
            415,
            "unsupported_content_type",
            f"the body must be multipart/form-data; got {content_type[:100]!r}. Send the file as "
            "the form field 'image' (curl -F image=@photo.jpg); without a file, send a GET request "
            "with item=ID.",
        )
    if request.query_params:
        name = next(iter(request.query_params))[:100]
        raise ApiError(
            422,
            "misplaced_field",
            f"{name!r} stands in the address, which an upload does not read. Send it as a field of "
            f"the form (curl -F); fields: {', '.join(('image', *known))}.",
        )


def _gone() -> ApiError:
    return ApiError(499, "client_gone", "the client closed the connection before the answer.")


def _limited(request: Request, limits: Limits) -> Receive:
    """Returns a `receive` that refuses a body that is (or says it is) too large, or pauses."""
    max_bytes = limits.max_upload_bytes
    announced = request.headers.get("content-length", "")
    received = 0

    async def receive() -> Message:
        nonlocal received
        if announced.isdecimal() and int(announced) > max_bytes + _FORM_OVERHEAD:
            raise _too_large(max_bytes)
        async with asyncio.timeout(limits.pause_seconds):
            message = await request.receive()
        received += len(message.get("body", b""))
        if received > max_bytes + _FORM_OVERHEAD:
            raise _too_large(max_bytes)
        return message

    return receive


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(
        413,
        "upload_too_large",
        f"an upload may have {max_bytes:,} bytes; this one has more. Send a smaller file: of an "
        "image the service keeps at most 512 pixels a side.",
    )


def _sorted_fields(form: FormData, known: tuple[str, ...]) -> Form:
    """Returns the file and the text fields of a form, or raises an ApiError."""
    image, fields = None, dict[str, list[str]]()
    for name, value in form.multi_items():
        if name not in ("image", *known):
            names = ", ".join(("image", *known))
            hint = suggestion(name[:100], ("image", *known))
            raise ApiError(
                422, "unknown_field", f"there is no field {name[:100]!r}{hint}; fields: {names}."
            )
        if isinstance(value, UploadFile) != (name == "image"):
            wanted = "a file" if name == "image" else "text, not a file"
            raise ApiError(422, "wrong_field", f"the field {name!r} must be {wanted}.")
        if isinstance(value, UploadFile):
            image = value
        else:
            fields.setdefault(name, []).append(value)
    return Form(image, fields)
