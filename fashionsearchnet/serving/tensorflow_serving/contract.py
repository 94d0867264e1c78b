"""Checks of a served model's signatures and of a client's requests."""

from collections.abc import Iterator, Mapping, Sequence

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.serving.tensorflow_serving.transport import Signature, TensorSpec

MAX_REQUEST_BYTES = 64 * 2**20  # of images; a request as a whole may have 2 GiB


def check_signatures(
    signatures: Mapping[str, Signature], space: AttributeSpace, dim: int | None, what: str
) -> int:
    """Returns the length of the model's embeddings.

    Args:
      signatures: of the model on the server.
      space: the attributes that the client knows.
      dim: the length of an embedding that the client expects, if it knows.
      what: the model in words, for the message.

    Raises:
      ValueError: if a signature, an input or an output is missing or has another shape or type.
    """
    num_attributes, num_values = space.num_attributes, space.total_values
    images = {"image_bytes": TensorSpec("DT_STRING", (-1,))}
    edits = {"manipulation": TensorSpec("DT_INT32", (-1, num_attributes))}
    probabilities = TensorSpec("DT_FLOAT", (-1, num_values))
    vectors = {
        "embedding": TensorSpec("DT_FLOAT", (-1, -1 if dim is None else dim)),
        "probabilities": probabilities,
    }
    values = TensorSpec("DT_INT32", (-1, num_attributes))
    expected = {
        "encode_gallery": Signature(images, vectors),
        "encode_query": Signature(images | edits, vectors),
        "predict": Signature(images, {"probabilities": probabilities, "values": values}),
    }
    for name, wanted in expected.items():
        if name not in signatures:
            raise ValueError(
                f"{what} has no signature {name!r}, only {', '.join(sorted(signatures))}: it is "
                "not an export of this library. Serve a folder written by tools/export.py."
            )
        _check_tensors(f"{what}, input of {name}", signatures[name].inputs, wanted.inputs, space)
        _check_tensors(f"{what}, output of {name}", signatures[name].outputs, wanted.outputs, space)
    shape = signatures["encode_gallery"].outputs["embedding"].shape
    return shape[1] if shape else -1


def _check_tensors(
    what: str,
    received: Mapping[str, TensorSpec],
    expected: Mapping[str, TensorSpec],
    space: AttributeSpace,
) -> None:
    for name, wanted in expected.items():
        if name not in received:
            raise ValueError(f"{what}: there is no {name!r}, only {', '.join(sorted(received))}.")
        found = received[name]
        if found.dtype != wanted.dtype or not _fits(found.shape, wanted.shape):
            raise ValueError(
                f"{what}: {name!r} is {found.dtype} {list(found.shape or [])}, but with the "
                f"{space.num_attributes} attributes of {space.total_values} values that this "
                f"client knows, it should be {wanted.dtype} {list(wanted.shape or [])}. The server "
                "has another model: give the export folder that it serves."
            )


def _fits(found: tuple[int, ...] | None, wanted: tuple[int, ...] | None) -> bool:
    """Whether two shapes can be the same; -1 and an unknown rank fit everything."""
    if found is None or wanted is None:
        return True
    return len(found) == len(wanted) and all(
        a == b or -1 in (a, b) for a, b in zip(found, wanted, strict=True)
    )


def check_images(images: Sequence[bytes]) -> None:
    """Raises a ValueError unless `images` is a list of non-empty bytes, at least one."""
    if isinstance(images, (bytes, str)):
        raise ValueError("images must be a list of encoded images, bytes each; got a single one.")
    if not len(images):
        raise ValueError("images must hold at least one encoded image; got none.")
    for position, image in enumerate(images):
        if not isinstance(image, bytes):
            raise ValueError(
                f"image {position} of {len(images)} must be the bytes of a JPEG or PNG file; got "
                f"{type(image).__name__}."
            )
        if not image:
            raise ValueError(f"image {position} of {len(images)} has no bytes.")


def request_slices(images: Sequence[bytes], batch_size: int) -> Iterator[slice]:
    """Yields slices of consecutive images that go into one request each.

    A request has at most `batch_size` images, and MAX_REQUEST_BYTES of them unless it has one only.
    """
    start, num_bytes = 0, 0
    for position, image in enumerate(images):
        is_full = position - start == batch_size or num_bytes + len(image) > MAX_REQUEST_BYTES
        if is_full and position > start:
            yield slice(start, position)
            start, num_bytes = position, 0
        num_bytes += len(image)
    yield slice(start, len(images))
