"""Reads the tensors of a PyTorch weights file without PyTorch; runs nothing that the file holds.

A weights file is a pickle beside the raw bytes of its storages: one stream in the format before
PyTorch 1.6, a zip archive since.
"""

import collections
import math
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple

import numpy as np

from fashionsearchnet.networks.safe_pickle import SafeUnpickler

_MAGIC = 0x1950A86A20F9469CFC6C  # the first number of a file before PyTorch 1.6
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class _Storage(NamedTuple):
    """The flat numbers behind one or several tensors."""

    key: str
    dtype: np.dtype
    size: int


class _Tensor(NamedTuple):
    """A view on a storage; offset and strides count numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> _Tensor:
    """Stands for torch._utils._rebuild_tensor_v2."""
    return _Tensor(storage, offset, shape, strides)


class _TensorUnpickler(SafeUnpickler):
    """An unpickler of numbers, strings, containers and tensors."""

    allowed: ClassVar = {
        "collections.OrderedDict": collections.OrderedDict,
        "torch._utils._rebuild_tensor_v2": _tensor,
        **{f"torch.{name}": np.dtype(code) for name, code in _DTYPES.items()},
    }

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, size, *_ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(size, int):
            raise pickle.UnpicklingError(f"{pid!r} is no storage")
        return _Storage(str(key), dtype, size)


def read_tensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns the tensors of a PyTorch state dict by name.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file is damaged, or holds anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"pretrained weights {path} do not exist; check the path.")
    try:
        read = _read_archive if zipfile.is_zipfile(path) else _read_stream
        tensors, storages = read(path)
        return {name: _view(name, tensor, storages) for name, tensor in tensors.items()}
    except Exception as error:  # a damaged pickle can fail in any way
        reason = str(error) or type(error).__name__
        raise ValueError(
            f"{path}: expected a PyTorch file of named tensors and nothing else; {reason}."
        ) from error


def _read_archive(path: Path) -> tuple[Mapping[str, Any], dict[str, np.ndarray]]:
    """The tensors and storages of a zip archive: NAME/data.pkl and NAME/data/KEY."""
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise ValueError("the archive has no data.pkl")
        folder = pickles[0].removesuffix("data.pkl")
        with archive.open(pickles[0]) as file:
            tensors = _named_tensors(_TensorUnpickler(file).load())
        storages = {}
        for storage in {tensor.storage for tensor in tensors.values()}:
            with archive.open(f"{folder}data/{storage.key}") as file:
                storages[storage.key] = _read_storage(file, storage)
    return tensors, storages


def _read_stream(path: Path) -> tuple[Mapping[str, Any], dict[str, np.ndarray]]:
    """The tensors and storages of a file before PyTorch 1.6.

    Five pickles (magic number, version, machine, tensors, keys of storages), then for each key an
    int64 count and the numbers.
    """
    with path.open("rb") as file:
        if _TensorUnpickler(file).load() != _MAGIC:
            raise ValueError("it does not start as one does")
        _, _, content, keys = (_TensorUnpickler(file).load() for _ in range(4))
        tensors = _named_tensors(content)
        wanted = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
        storages = {}
        for key in keys:
            count = int.from_bytes(file.read(8), "little")
            if key not in wanted or count != wanted[key].size:
                raise ValueError(f"storage {key} has {count} numbers, not those of its tensor")
            storages[key] = _read_storage(file, wanted[key])
    return tensors, storages


def _named_tensors(content: Any) -> Mapping[str, _Tensor]:
    """Returns `content` if it is a dict of tensors."""
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds a {type(content).__name__}")
    for name, value in content.items():
        if not isinstance(value, _Tensor):
            raise ValueError(f"{name!r} is a {type(value).__name__}")
    return content


def _read_storage(file: IO[bytes], storage: _Storage) -> np.ndarray:
    """Returns the numbers of a storage, which come next in `file`."""
    wanted = storage.size * storage.dtype.itemsize
    data = file.read(wanted)
    if len(data) != wanted:
        raise ValueError(f"it ends inside storage {storage.key}: it is cut off")
    return np.frombuffer(data, storage.dtype)


def _view(name: str, tensor: _Tensor, storages: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns a tensor's numbers, after checking that they lie inside its storage."""
    numbers = storages[tensor.storage.key]
    last = tensor.offset + sum(
        (side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    least = min(tensor.offset, *tensor.shape, *tensor.strides, 0)
    if least < 0 or last >= len(numbers) or math.prod(tensor.shape) > len(numbers):
        raise ValueError(f"{name} reaches beyond its storage")
    strides = tuple(stride * numbers.itemsize for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, strides, writeable=False
    ).copy()


def in_keras_layout(
    found: np.ndarray | None, name: str, shape: tuple[int, ...], *, depthwise: bool = False
) -> np.ndarray:
    """Returns a weight of PyTorch as Keras holds it.

    Args:
      found: the tensor of the file; None if it has none of that name.
      name: of it, for messages.
      shape: of the weight in Keras.
      depthwise: whether it is the kernel of a depthwise convolution.

    Raises:
      ValueError: if it has another shape or dtype, or numbers that are not finite.
    """
    if depthwise:
        axes: tuple[int, ...] = (2, 3, 0, 1)  # [k, k, C, 1] here, [C, 1, k, k] there
    elif len(shape) == 4:
        axes = (3, 2, 0, 1)  # [k, k, in, out] here, [out, in, k, k] there
    else:
        axes = tuple(reversed(range(len(shape))))  # [in, out] here, [out, in] there
    expected = tuple(shape[axis] for axis in axes)
    if found is None:
        raise ValueError(f"expected {name} {expected}, found none of that name")
    if found.shape != expected or found.dtype != np.float32:
        raise ValueError(
            f"expected {name} as float32 {expected}, found {found.dtype} {found.shape}"
        )
    if not np.isfinite(found).all():
        raise ValueError(f"{name} has numbers that are not finite")
    return found.transpose(np.argsort(axes))
