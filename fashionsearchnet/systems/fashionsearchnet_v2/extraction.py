"""Between stages 2 and 3: the training images' local representations, stored, and their memory."""

import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.features import extract_features, load_stored, store
from fashionsearchnet.systems.memory import class_means
from fashionsearchnet.systems.trunk_outputs import TrunkOutputs

_FILE = "local_representations.npy"
_BATCH_SIZE = 1024
_SMALL_BATCH = 64  # for what the regions of a batch take in memory


def fill_memory(
    model: FashionSearchNetV2,
    dataset: Dataset,
    split: str,
    workdir: str | os.PathLike[str],
    outputs: TrunkOutputs | None = None,
) -> None:
    """Sets the memory to the class means of a split and stores the split's representations.

    [Ak21] Sec. 3.3 and 3.4: the memory is built after the second stage, and the third one works
    on fixed features.

    Args:
      model: after its second stage.
      dataset: that it was trained on.
      split: that it was trained on.
      workdir: of the run.
      outputs: of its frozen trunk for the split, if they are stored.
    """
    exact = model.in_float32()
    if outputs is None:
        representations = extract_features(exact, dataset, split)["embedding"]
    else:
        representations = _represent(exact, outputs)
    parts = np.array_split(representations, -(-len(representations) // _BATCH_SIZE))
    means, _ = class_means(model.space, parts, dataset.labels(split))
    model.memory.memory.assign(means)
    store(Path(workdir) / _FILE, [representations], dataset, split)


def _represent(model: FashionSearchNetV2, outputs: TrunkOutputs) -> np.ndarray:
    """Returns float32 `[num, attributes, dim]`, the representations of stored outputs."""

    @tf.function(reduce_retracing=True)
    def represent(part: tf.Tensor) -> tf.Tensor:
        return model.represent(model.locate(part))["embedding"]

    parts = outputs.parts(_SMALL_BATCH)
    return np.concatenate([represent(tf.constant(part)).numpy() for part in parts])


def load_representations(
    workdir: str | os.PathLike[str], dataset: Dataset, split: str
) -> np.ndarray:
    """Returns float32 `[num, attributes, dim]`, what `fill_memory` stored.

    Raises:
      FileNotFoundError: if the run has not finished its second stage.
      ValueError: if they are of another data set or split.
    """
    return load_stored(
        Path(workdir) / _FILE, dataset, split, "fashionsearchnet_v2/train_representations"
    )
