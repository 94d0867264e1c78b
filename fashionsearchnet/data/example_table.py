"""What a stored split says beside its images, and where in the files each image lies.

A TFRecord file holds examples one after the other: 8 bytes of length, 4 of a checksum, the example
(a protocol buffer, tf.train.Example), 4 of a checksum. The table is made by one pass over them and
stored beside them, `examples_<split>.npz`. After that, labels and ids need no image, and an image
is one read at its place.
"""

import contextlib
import ctypes
import dataclasses
import functools
import io
import itertools
import math
import mmap
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fashionsearchnet import files
from fashionsearchnet.data.image_headers import read_header

_TEXTS = ("image_id", "instance_id", "columns")
_HEAD, _FOOT = 12, 4  # bytes around an example
_VERSION = 1  # of the file
# The map may exceed the memory. Python 3.11 has no name for it.
_MAP_NORESERVE = 0x4000 if sys.platform == "linux" else 0
_NUMBERS = itertools.count()

Read = Callable[[], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class ExampleTable:
    """Examples in rows.

    Attributes:
      numbers: by the feature's name: `attributes` int32 `[n, A]`, and `boxes` float32 `[n, A, 4]`
        where the data set has them.
      texts: by the feature's name, n strings.
      paths: of the files.
      file: int32 `[n]`, the position of the image's file in `paths`.
      offset: int64 `[n]`, where in the file its bytes begin.
      length: int64 `[n]`, of its bytes.
      fingerprint: int64 `[n]`, of its bytes.
      shape: int32 `[n, 2]`, its height and width.
    """

    numbers: dict[str, np.ndarray]
    texts: dict[str, list[str]]
    paths: tuple[Path, ...]
    file: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    fingerprint: np.ndarray
    shape: np.ndarray

    def __len__(self) -> int:
        return len(self.offset)

    def rows(self, rows: slice) -> "ExampleTable":
        """Returns some of the rows."""
        return dataclasses.replace(
            self,
            numbers={name: array[rows] for name, array in self.numbers.items()},
            texts={name: texts[rows] for name, texts in self.texts.items()},
            **{name: getattr(self, name)[rows] for name in _PLACES},
        )


_PLACES = ("file", "offset", "length", "fingerprint", "shape")


def joined(tables: Sequence[ExampleTable]) -> ExampleTable:
    """Returns the rows of tables with the same features, one after the other; at least one."""
    first = tables[0]
    starts = np.cumsum([0, *(len(table.paths) for table in tables)])
    places = {name: np.concatenate([getattr(t, name) for t in tables]) for name in _PLACES}
    shifted = [t.file + start for t, start in zip(tables, starts[:-1], strict=True)]
    return ExampleTable(
        numbers={n: np.concatenate([t.numbers[n] for t in tables]) for n in first.numbers},
        texts={n: [text for t in tables for text in t.texts[n]] for n in first.texts},
        paths=tuple(path for table in tables for path in table.paths),
        **{**places, "file": np.concatenate(shifted).astype(np.int32)},
    )


def fingerprint(contents: tf.Tensor) -> tf.Tensor:
    """Returns a number for each string, int64, that differs if the strings do (Fingerprint64)."""
    return tf.strings.to_hash_bucket_fast(contents, np.iinfo(np.int64).max)


def mapped(path: Path, shape: Sequence[int]) -> Read:
    """Returns a function that reads a file as uint8 of a shape; see `held`.

    The system reads the parts that are used, and keeps them while there is room.
    """
    with open(path, "rb") as file:
        # Nobody writes to these pages, but NumPy hands out (by DLPack) writable memory only.
        rights = mmap.PROT_READ | mmap.PROT_WRITE
        flags = mmap.MAP_PRIVATE | _MAP_NORESERVE
        return held(mmap.mmap(file.fileno(), math.prod(shape), flags=flags, prot=rights), shape)


def held(content: mmap.mmap, shape: Sequence[int]) -> Read:
    """Returns a function that reads memory as uint8 of a shape, in a graph of tf.data.

    TensorFlow gets the memory itself, in a variable: it would copy what an operation or a captured
    tensor gives, once to fold constants and once to rewrite the pipeline. No strategy mirrors this
    variable. The memory stays until the process ends. To free it, a thread of tf.data would wait
    for Python, and Python, at its end, for the thread.
    """
    array = np.frombuffer(content, np.uint8).reshape(shape)
    with tf.device("CPU:0"):
        tensor = tf.experimental.dlpack.from_dlpack(array.__dlpack__())
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(tensor))
        variable = tf.raw_ops.VarHandleOp(
            dtype=tf.uint8, shape=list(shape), shared_name=f"held_{next(_NUMBERS)}"
        )
        tf.raw_ops.AssignVariableOp(resource=variable, value=tensor)

    def read() -> tf.Tensor:
        return tf.ensure_shape(tf.raw_ops.ReadVariableOp(resource=variable, dtype=tf.uint8), shape)

    return read


def reader(
    table: ExampleTable, contents: Sequence[Read] | None = None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that reads the encoded images of rows, int32 `[n]` -> strings `[n]`.

    Args:
      table: the images.
      contents: what the files hold; by default they are mapped.

    Raises:
      tf.errors.InvalidArgumentError: in tf.data, if the bytes of an image have changed.
    """
    if contents is None:
        contents = [mapped(path, [path.stat().st_size]) for path in table.paths]
    places = [tf.constant(array) for array in (table.file, table.offset, table.length)]
    fingerprints = tf.constant(table.fingerprint)

    def read_one(row: tf.Tensor) -> tf.Tensor:
        file, offset, length = (array[row] for array in places)
        parts = [
            functools.partial(lambda read: read()[offset : offset + length], c) for c in contents
        ]
        part = parts[0]() if len(parts) == 1 else tf.switch_case(file, parts)
        # No operation makes a string of numbers, but a serialized tensor ends with them.
        return tf.strings.substr(tf.io.serialize_tensor(part), -length, length)

    def read(rows: tf.Tensor) -> tf.Tensor:
        found = tf.map_fn(read_one, rows, fn_output_signature=tf.TensorSpec([], tf.string))
        same = tf.debugging.assert_equal(
            fingerprint(found),
            tf.gather(fingerprints, rows),
            "stored images are damaged: prepare the data set again.",
        )
        with tf.control_dependencies([same]):
            return tf.identity(found)

    return read


def table_of(paths: Sequence[Path], split: str) -> ExampleTable:
    """Returns the table of a whole split, from its file beside the examples if it is there.

    Args:
      paths: of the split's TFRecord files, in order.
      split: its name.

    Raises:
      ValueError: if an example is damaged.
    """
    stored = paths[0].parent / f"examples_{split}.npz"
    sizes = [str(_VERSION), *(f"{path.name} {path.stat().st_size}" for path in paths)]
    # A file that is missing, damaged or of other examples is made again.
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        with np.load(stored) as arrays:
            if arrays["files"].tolist() == sizes:
                return _unpacked(arrays, tuple(paths))
    made = _read(paths)
    try:
        content = io.BytesIO()
        np.savez(content, files=np.array(sizes), **_packed(made))
        with files.replace_file(stored) as temporary:
            temporary.write_bytes(content.getbuffer())
    except OSError as error:
        print(
            f"note: {error} So every run reads all images of split {split} for their labels.",
            file=sys.stderr,
        )
    return made


def _packed(table: ExampleTable) -> dict[str, Any]:
    """Returns a table as arrays; texts are their bytes side by side, and their lengths."""
    arrays = {f"places {name}": getattr(table, name) for name in _PLACES}
    arrays |= {f"numbers {name}": array for name, array in table.numbers.items()}
    for name, texts in table.texts.items():
        encoded = [text.encode() for text in texts]
        arrays[f"texts {name}"] = np.frombuffer(b"".join(encoded), np.uint8)
        arrays[f"lengths {name}"] = np.array([len(text) for text in encoded], np.int64)
    return arrays


def _unpacked(arrays: np.lib.npyio.NpzFile, paths: tuple[Path, ...]) -> ExampleTable:
    names = {kind: [n.split()[1] for n in arrays if n.startswith(f"{kind} ")] for kind in _KINDS}
    texts = {}
    for name in names["texts"]:
        joined_bytes, ends = arrays[f"texts {name}"].tobytes(), arrays[f"lengths {name}"].cumsum()
        bounds = zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)
        texts[name] = [joined_bytes[start:end].decode() for start, end in bounds]
    return ExampleTable(
        numbers={name: arrays[f"numbers {name}"] for name in names["numbers"]},
        texts=texts,
        paths=paths,
        **{name: arrays[f"places {name}"] for name in _PLACES},
    )


_KINDS = ("numbers", "texts")


def _read(paths: Sequence[Path]) -> ExampleTable:
    """Returns the table of files, by one pass over their examples."""
    places: dict[str, list] = {name: [] for name in _PLACES}
    texts: dict[str, list[str]] = {}
    numbers: dict[str, list[np.ndarray]] = {}
    for number, path in enumerate(paths):
        for start, data in _examples(path):
            features = tf.train.Example.FromString(data).features.feature
            image = features["image"].bytes_list.value[0]
            header = read_header(image)
            row = (number, start + data.index(image), len(image), int(fingerprint(image)))
            for name, value in zip(_PLACES, (*row, (header.height, header.width)), strict=True):
                places[name].append(value)
            for name in set(_TEXTS) & set(features):
                texts.setdefault(name, []).append(features[name].bytes_list.value[0].decode())
            labels = np.array(features["attributes"].int64_list.value, np.int32)
            numbers.setdefault("attributes", []).append(labels)
            if "boxes" in features:
                boxes = np.array(features["boxes"].float_list.value, np.float32)
                numbers.setdefault("boxes", []).append(boxes.reshape(-1, 4))
    types = dict(zip(_PLACES, ("i4", "i8", "i8", "i8", "i4"), strict=True))
    return ExampleTable(
        numbers={name: np.stack(arrays) for name, arrays in numbers.items()},
        texts=texts,
        paths=tuple(paths),
        **{name: np.array(values, types[name]) for name, values in places.items()},
    )


def _examples(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields the examples of a TFRecord file, and where in the file each begins."""
    start = 0
    for data in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        yield start + _HEAD, data
        start += _HEAD + len(data) + _FOOT
