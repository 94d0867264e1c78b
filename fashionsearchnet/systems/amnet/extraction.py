"""Between the stages: the training images' convolutional features, stored, and their memory."""

import os
from pathlib import Path
from typing import cast

import numpy as np
import tensorflow as tf

from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.systems.amnet.model import AMNet
from fashionsearchnet.systems.features import feature_batches, load_stored, store
from fashionsearchnet.systems.memory import class_means
from fashionsearchnet.training.distribution import once

_FILE = "convolutional_features.npy"
_BATCH_SIZE = 256


def fill_memory(
    model: AMNet, dataset: Dataset, split: str, workdir: str | os.PathLike[str]
) -> None:
    """Stores the features of a split for stage 2 and sets the memory to the split's class means.

    The origin of the model's features moves to the mean of the images. Otherwise the mean would be
    the largest part of every prototype. Convolutional features go to the disk batch by
    batch: those of all images can be larger than memory.
    """
    exact = cast(AMNet, model.in_float32())

    def make() -> None:
        batches = feature_batches(
            lambda images: {"convolved": exact.convolve(images)}, model.image_input, dataset, split
        )
        store(Path(workdir) / _FILE, (batch["convolved"] for batch in batches), dataset, split)

    once(make)
    convolved = load_convolved(workdir, dataset, split)
    signature = [tf.TensorSpec([None, model.convolved_dim], tf.float32)]
    represent = tf.function(exact.represent, input_signature=signature, autograph=False)
    embeddings = (
        represent(convolved[start : start + _BATCH_SIZE])["embedding"].numpy()
        for start in range(0, len(convolved), _BATCH_SIZE)
    )
    means, mean = class_means(model.space, embeddings, dataset.labels(split))
    model.move_origin(mean)
    model.memory.memory.assign(means - mean)


def load_convolved(workdir: str | os.PathLike[str], dataset: Dataset, split: str) -> np.ndarray:
    """Returns float32 `[num, convolved_dim]`, what `fill_memory` stored, as a memory map.

    Raises:
      FileNotFoundError: if the run has not finished its first stage.
      ValueError: if they are of another data set or split.
    """
    path = Path(workdir) / _FILE
    return load_stored(path, dataset, split, "amnet/train_classification", mapped=True)
