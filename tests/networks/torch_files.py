"""Writes PyTorch weights files as PyTorch does, without PyTorch."""

import collections
import io
import pickle
import sys
import types
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
_STORAGES = {"float32": "FloatStorage", "int64": "LongStorage", "float64": "DoubleStorage"}


def _fake_torch() -> dict[str, types.ModuleType]:
    """Modules with the names that a state dict's pickle asks for."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in _STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*parts):
        return parts

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    return {"torch": torch, "torch._utils": utils}


class _Storage:
    def __init__(self, key: str, array: np.ndarray):
        self.key, self.array = key, array


class _Tensor:
    """Pickles itself as a call of _rebuild_tensor_v2."""

    def __init__(self, storage: _Storage):
        self.storage = storage

    def __reduce__(self):
        array = self.storage.array
        strides = tuple(stride // array.itemsize for stride in array.strides)
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (self.storage, 0, array.shape, strides, False, collections.OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, _Storage):
            return None
        kind = getattr(sys.modules["torch"], _STORAGES[obj.array.dtype.name])
        return ("storage", kind, obj.key, "cpu", obj.array.size, None)


def write(path: Path, content: Mapping[str, Any], archive: bool = False) -> Path:
    """Writes a state dict in the format before PyTorch 1.6, or as the zip archive since."""
    storages = {
        name: _Storage(str(i), np.ascontiguousarray(value))
        for i, (name, value) in enumerate(content.items())
        if isinstance(value, np.ndarray)
    }
    state = collections.OrderedDict(
        (name, _Tensor(storages[name]) if name in storages else value)
        for name, value in content.items()
    )
    body = io.BytesIO()
    with mock.patch.dict(sys.modules, _fake_torch()):
        _Pickler(body, 2).dump(state)
    if archive:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("weights/data.pkl", body.getvalue())
            for storage in storages.values():
                file.writestr(f"weights/data/{storage.key}", storage.array.tobytes())
        return path
    with path.open("wb") as stream:
        for header in (MAGIC, VERSION, {"little_endian": True}):
            pickle.dump(header, stream, 2)
        stream.write(body.getvalue())
        pickle.dump([storage.key for storage in storages.values()], stream, 2)
        for storage in storages.values():
            stream.write(storage.array.size.to_bytes(8, "little") + storage.array.tobytes())
    return path
