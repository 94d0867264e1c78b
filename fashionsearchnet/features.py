"""The features of whole splits: every image goes through the network once."""

from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fashionsearchnet.checks import check_range
from fashionsearchnet.data.pipeline import Dataset


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
