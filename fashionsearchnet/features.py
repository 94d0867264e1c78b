"""The features of whole splits: every image goes through the network once."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fashionsearchnet.checks import check_range
from fashionsearchnet.data.pipeline import Dataset


def load_stored(
    path: Path, dataset: Dataset, split: str, script: str, *, mapped: bool = False
) -> np.ndarray:
    """Returns features of a whole split that an earlier stage stored as .npy, in stored order.

    Args:
      path: the file in that stage's run.
      dataset: that the run was trained on.
      split: that it was trained on.
      script: of tools/, which makes such runs.
      mapped: return a memory map, for features that are larger than memory.

    Raises:
      FileNotFoundError: if the run has not finished that stage.
      ValueError: if they are of another data set or split.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: --init_from must be a finished run of tools/{script}.py."
        )
    features = np.load(path, mmap_mode="r" if mapped else None)
    num = dataset.num_examples(split)
    if len(features) != num:
        raise ValueError(
            f"{path} holds {len(features)} images, but split {split!r} of {dataset.name} has "
            f"{num}; use the --dataset and --train_split of that run (its flags.txt)."
        )
    return features


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
    check_range("batch_size", batch_size, 1)
    size = system.image_size
    signature = tf.TensorSpec([None, size, size, 3], tf.float32)
    extract = tf.function(system.image_features, input_signature=[signature])
    number = dataset.num_examples(split)
    features: dict[str, np.ndarray] = {}
    done = 0
    with tqdm(total=number, desc=f"features of {split}", unit="img", mininterval=1.0) as bar:
        for images in dataset.images(
            split, size, channel_means=system.channel_means, batch_size=batch_size
        ):
            batch = {key: value.numpy() for key, value in extract(images).items()}
            if not features:
                features = {k: np.empty((number, *v.shape[1:]), v.dtype) for k, v in batch.items()}
            for key, value in batch.items():
                features[key][done : done + len(value)] = value
            done += len(images)
            bar.update(len(images))
    if not done:
        raise ValueError(
            f"split {split!r} of {dataset.name} is empty; there is nothing to extract."
        )
    return features
