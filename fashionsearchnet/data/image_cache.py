"""Images by their position in a split: read from the files each time, or kept in between."""

import dataclasses
import hashlib
import json
import mmap
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fashionsearchnet import files
from fashionsearchnet.checks import check_choice
from fashionsearchnet.choices import CACHES
from fashionsearchnet.data import preprocess
from fashionsearchnet.data.example_table import ExampleTable, held, mapped, reader
from fashionsearchnet.data.preprocess import Images, Pixels, decoding_rule
from fashionsearchnet.networks.image_input import ImageInput

_LARGEST_SHARE = 0.8  # of the free memory
_BATCH = 256  # images that are decoded at once

Load = Callable[[tf.Tensor, tf.Tensor], Images]


def loads_pixels(table: ExampleTable, image_input: ImageInput) -> bool:
    """Returns whether a network's input can be made of whole numbers without any loss."""
    return image_input.pixels != "exact" or preprocess.keeps_size(table.shape, image_input)


def image_loader(table: ExampleTable, image_input: ImageInput, cache: str, folder: Path) -> Load:
    """Returns a function that loads images by their row in a table, for tf.data.

    It returns the same whatever the cache.

    Args:
      table: of the images.
      image_input: what the network wants to see.
      cache: a key of `choices.CACHES`.
      folder: of decoded images.

    Returns:
      (rows, mirrored) -> images: int32 `[n]` and bool `[n]` to Pixels of n images where
      `loads_pixels`, else to float32 `[n, size, size, 3]`.

    Raises:
      ValueError: for an unknown cache, more images than the free memory or disk holds, or decoded
        ones where the network's input is not made of whole numbers.
      OSError: if the file of decoded images cannot be written.
    """
    check_choice("cache", cache, CACHES)
    if cache == "decoded":
        return _decoded_loader(table, image_input, folder)
    read = reader(table) if cache == "none" else _kept_reader(table)
    whole = loads_pixels(table, image_input)
    side = image_input.size

    def load_one(data: tf.Tensor) -> Images:
        if whole:
            return fitted_pixels(data, image_input)
        return preprocess.load_image(data, image_input)

    signature: Images = tf.TensorSpec([side, side, 3], tf.float32)
    if whole:
        values = tf.TensorSpec([side, side, 3], tf.uint8)
        signature = Pixels(values, tf.TensorSpec([4], tf.int32))

    def load(rows: tf.Tensor, mirrored: tf.Tensor) -> Images:
        images = tf.map_fn(load_one, read(rows), fn_output_signature=signature)
        return _mirror(images, mirrored)

    return load


@tf.autograph.experimental.do_not_convert
def fitted_pixels(data: tf.Tensor, image_input: ImageInput) -> Pixels:
    """Returns the pixels of JPEG or PNG bytes, a scalar string; see `preprocess.fit_pixels`."""
    image, shape = preprocess.decode_for(data, image_input)
    return preprocess.fit_pixels(image, image_input, shape)


def _mirror(images: Images, mirrored: tf.Tensor) -> Images:
    """Mirrors the images where `mirrored`, bool `[n]`, is true; the others stay."""

    def turn() -> Images:
        if isinstance(images, Pixels):
            return preprocess.mirror(images, mirrored)
        return tf.where(mirrored[:, None, None, None], images[:, :, ::-1], images)

    return tf.cond(tf.reduce_any(mirrored), turn, lambda: images)


def _kept_reader(table: ExampleTable) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns `reader` of a table whose images lie in memory, once."""
    size, free = int(table.length.sum()), free_memory()
    most = int(_LARGEST_SHARE * free)
    needs = f"keeps the files' bytes of {len(table):,} images in memory: {_readable(size)}"
    if size > most:
        raise ValueError(
            f"--cache=encoded {needs}. It may take {_readable(most)}, which is "
            f"{_LARGEST_SHARE:.0%} of the memory that is free. Close other programs, or use "
            "--cache=none, or --cache=decoded if the disk has the space."
        )
    _say(f"--cache=encoded {needs}. The machine has {_readable(free)} of free memory.")
    files_of = [np.memmap(path, np.uint8, "r") for path in table.paths]
    content, offsets = mmap.mmap(-1, size), np.cumsum(table.length) - table.length
    for number, offset, length in zip(table.file, table.offset, table.length, strict=True):
        content.write(files_of[number][offset : offset + length].data)
    kept = dataclasses.replace(table, paths=(), file=np.zeros_like(table.file), offset=offsets)
    return reader(kept, [held(content, [size])])


def _decoded_loader(table: ExampleTable, image_input: ImageInput, folder: Path) -> Load:
    """Returns what `image_loader` does, from a file of decoded images."""
    if not loads_pixels(table, image_input):
        raise ValueError(
            "--cache=decoded keeps whole numbers, and the model sees resized images with fractions "
            "(--image_pixels=exact). Train its first stage with --image_pixels=rounded or fast, or "
            "use --cache=encoded or none."
        )
    shape = (len(table), image_input.size, image_input.size, 3)
    path = folder / f"{_digest(table, image_input)}.uint8"

    def is_whole() -> bool:
        return path.is_file() and path.stat().st_size == np.prod(shape)

    if not is_whole():
        with files.hold_lock(path.with_suffix(".lock"), f"writes {path}", wait=True):
            if not is_whole():  # another process may have written it meanwhile
                _decode_all(table, image_input, path, shape)
    stored, shapes = mapped(path, shape), tf.constant(table.shape)

    def load(rows: tf.Tensor, mirrored: tf.Tensor) -> Images:
        places = tf.map_fn(
            lambda shape: preprocess.place_of(shape, image_input), tf.gather(shapes, rows)
        )
        return _mirror(Pixels(tf.gather(stored(), rows), places), mirrored)

    return load


def _decode_all(
    table: ExampleTable, image_input: ImageInput, path: Path, shape: tuple[int, ...]
) -> None:
    """Writes the values of all images, uint8 of `shape`, `[n, size, size, 3]`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size, free = int(np.prod(shape)), shutil.disk_usage(path.parent).free
    needs = f"writes {len(table):,} decoded images to a file: {_readable(size)}"
    if size > free:
        raise ValueError(
            f"--cache=decoded {needs}. The disk of {path.parent} has {_readable(free)} of free "
            "space. Free some, choose a --cache_dir on a larger disk, or use --cache=none."
        )
    _say(f"--cache=decoded {needs}, {path}. The disk has {_readable(free)} of free space.")
    rows = tf.data.Dataset.range(len(table), output_type=tf.int32).batch(_BATCH)
    values = rows.map(reader(table)).unbatch()
    values = values.map(
        lambda data: fitted_pixels(data, image_input).values, num_parallel_calls=tf.data.AUTOTUNE
    )
    # Not through a memory map: on a full disk that ends the process without a word.
    with files.replace_file(path) as temporary, open(temporary, "wb") as file:
        batches = values.batch(_BATCH).prefetch(2).as_numpy_iterator()
        with tqdm(total=len(table), desc="decoding", unit="img", mininterval=1.0) as bar:
            for batch in batches:
                file.write(np.ascontiguousarray(batch).data)
                bar.update(len(batch))


def _digest(table: ExampleTable, image_input: ImageInput) -> str:
    """Returns sixteen hex digits of the images and of all that their decoding depends on."""
    seen = {name: getattr(image_input, name) for name in ("size", "fit", "pixels")}
    digest = hashlib.sha256(json.dumps(seen | decoding_rule(image_input)).encode())
    digest.update(np.ascontiguousarray(table.fingerprint, "<i8").data)
    return digest.hexdigest()[:16]


def free_memory() -> int:
    """Returns the bytes of memory that this process may still take."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    (free,) = (1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or one without a limit
        return free
    return min(free, max(0, limit - used + int(stat.get("inactive_file", 0))))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _readable(size: int) -> str:
    """Returns a number of bytes as people read it: three digits at least, in GB, MB or kB."""
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if size >= 10 * unit:
            return f"{size / unit:,.0f} {name}"
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size / 1000:.1f} kB"
