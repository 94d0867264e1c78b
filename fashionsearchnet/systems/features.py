"""The features of whole splits: every image goes through the network once."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fashionsearchnet import files
from fashionsearchnet.checks import check_range
from fashionsearchnet.data.pipeline import Dataset


def store(path: Path, batches: Iterable[np.ndarray], dataset: Dataset, split: str) -> None:
    """Writes features of a whole split as .npy, and beside it (as .json) of which images they are.

    Holds one batch in memory at a time.

    Args:
      path: the file, of suffix .npy.
      batches: arrays `[any, ...]`; together the features of all images, in stored order.
      dataset: that the images are of.
      split: that the images are of.

    Raises:
      OSError: if a file cannot be written.
    """
    num = dataset.num_examples(split)
    with files.replace_file(path) as temporary, open(temporary, "wb") as file:
        for batch in batches:
            if not file.tell():
                header = {
                    "descr": np.lib.format.dtype_to_descr(batch.dtype),
                    "fortran_order": False,
                    "shape": (num, *batch.shape[1:]),
                }
                np.lib.format.write_array_header_1_0(file, header)
            # Not through a memory map: on a full disk that ends the process without a word.
            file.write(np.ascontiguousarray(batch).data)
    images = {"dataset": dataset.name, "split": split, "digest": _split_digest(dataset, split)}
    files.write_json(_images_file(path), images)


def load_stored(
    path: Path, dataset: Dataset, split: str, script: str, *, mapped: bool = False
) -> np.ndarray:
    """Returns features of a whole split that an earlier stage stored as .npy, in stored order.

    Those that were stored without a word of which images they are of pass if their number is right.

    Args:
      path: the file in that stage's run.
      dataset: that the run was trained on.
      split: that it was trained on.
      script: of tools/, which makes such runs.
      mapped: return a memory map, for features that are larger than memory.

    Raises:
      FileNotFoundError: if the run has not finished that stage.
      ValueError: if they are of another data set or split, or of other images or labels under the
        same name.
    """
    cure = "use the --dataset and --train_split of that run (its flags.txt)"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: --init_from must be a finished run of tools/{script}.py."
        )
    features = np.load(path, mmap_mode="r" if mapped else None)
    num = dataset.num_examples(split)
    if len(features) != num:
        raise ValueError(
            f"{path} holds {len(features)} images, but split {split!r} of {dataset.name} has "
            f"{num}; {cure}."
        )
    if _images_file(path).is_file():
        images = files.read_json(_images_file(path), "which images were stored", f"Run {script}.py")
        if images["digest"] != _split_digest(dataset, split):
            raise ValueError(
                f"{path} holds split {images['split']!r} of {images['dataset']} as it was then, "
                f"which has other images or labels than split {split!r} of {dataset.name} now; "
                f"{cure}, or train it again if the data set was prepared anew."
            )
    return features


def _images_file(path: Path) -> Path:
    """The file that says of which images the features in `path` are."""
    return path.with_suffix(".json")


def images_digest(image_ids: Sequence[str], labels: np.ndarray) -> str:
    """Returns sixteen hex digits that differ if the images, their labels or their order do."""
    digest = hashlib.sha256("\n".join(image_ids).encode())
    digest.update(np.ascontiguousarray(labels, "<i4").data)
    return digest.hexdigest()[:16]


def _split_digest(dataset: Dataset, split: str) -> str:
    return images_digest(dataset.image_ids(split), dataset.labels(split))


def extract_features(
    system: Any, dataset: Dataset, split: str, batch_size: int = 64
) -> dict[str, np.ndarray]:
    """Returns `system.image_features` of all images of a split, in stored order.

    Args:
      system: any system of the contract.
      dataset: with the system's attribute space.
      split: to extract.
      batch_size: images per forward pass.

    Returns:
      For each feature an array `[number of images, ...]`.
    """
    number = dataset.num_examples(split)
    features: dict[str, np.ndarray] = {}
    done = 0
    for batch in feature_batches(system, dataset, split, batch_size):
        if not features:
            features = {k: np.empty((number, *v.shape[1:]), v.dtype) for k, v in batch.items()}
        for key, value in batch.items():
            features[key][done : done + len(value)] = value
        done += len(next(iter(batch.values())))
    return features


def feature_batches(
    system: Any, dataset: Dataset, split: str, batch_size: int = 64
) -> Iterator[dict[str, np.ndarray]]:
    """Yields what `extract_features` returns batch by batch, for what is larger than memory."""
    check_range("batch_size", batch_size, 1)
    number = dataset.num_examples(split)
    if not number:
        raise ValueError(
            f"split {split!r} of {dataset.name} is empty; there is nothing to extract."
        )
    size = system.image_size
    signature = tf.TensorSpec([None, size, size, 3], tf.float32)
    extract = tf.function(system.image_features, input_signature=[signature])
    with tqdm(total=number, desc=f"features of {split}", unit="img", mininterval=1.0) as bar:
        for images in dataset.images(
            split, size, channel_means=system.channel_means, batch_size=batch_size
        ):
            yield {key: value.numpy() for key, value in extract(images).items()}
            bar.update(len(images))
