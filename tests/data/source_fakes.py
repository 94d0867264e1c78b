"""Small drawn images, and helpers of the tests of published data sets."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds

from fashionsearchnet.data.image_files import ImageLimits
from fashionsearchnet.data.preparation.reader import Reader, prepare

LIMITS = ImageLimits(min_side=8, max_pixels=10_000, max_side=64)
SIZES: dict[str, Any] = dict(num_queries=3, num_gallery=6, num_validation=2, limits=LIMITS)


def draw_images(folder: Path, names: Iterable[str]) -> None:
    """Writes one JPEG file of 12 x 10 pixels per name, each with its own colours."""
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 255, (12, 10, 3), np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())


def write_lines(path: Path, lines: Iterable[Any]) -> None:
    """Writes one line per item."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def replace_line(path: Path, index: int, *lines: str) -> None:
    """Puts lines in the place of one; an index at the end appends."""
    content = path.read_text().splitlines()
    content[index : index + 1] = lines
    write_lines(path, content)


def prepare_quietly(reader: Reader, data_dir: Path, **options: Any) -> Path:
    """Prepares a data set without bars; returns its folder."""
    tfds.disable_progress_bar()
    chosen = reader.options_class(**(SIZES | options))
    return Path(prepare(reader, chosen, data_dir, show_progress=False).data_dir)


def stored_labels(folder: Path) -> dict[str, dict[str, list[int]]]:
    """Returns {split: {image_id: labels}} of a prepared data set, after decoding each image."""
    builder = tfds.builder_from_directory(folder)
    stored: dict[str, dict[str, list[int]]] = {}
    for split in builder.info.splits:
        stored[split] = {}
        for example in builder.as_dataset(split=split).as_numpy_iterator():
            assert example["image"].shape == (12, 10, 3)
            assert example["attributes"].dtype == np.int32
            stored[split][example["image_id"].decode()] = example["attributes"].tolist()
    return stored
