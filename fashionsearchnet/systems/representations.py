"""Systems with a representation of each attribute; those of the training images, stored."""

import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.systems.agreement import agreement_gallery, agreement_queries
from fashionsearchnet.systems.convolutional import ConvolutionalSystem
from fashionsearchnet.systems.features import extract_features, load_stored, store
from fashionsearchnet.systems.memory import AttributeMemory, class_means, shown_values
from fashionsearchnet.systems.system import Features
from fashionsearchnet.systems.trunk_outputs import TrunkOutputs
from fashionsearchnet.training.distribution import once

_FILE = "local_representations.npy"
_BATCH_SIZE = 1024
_SMALL_BATCH = 64  # for what the regions of a batch take in memory


class RepresentationSystem(ConvolutionalSystem):
    """A system whose image features hold a representation of each attribute, under "embedding".

    Attributes:
      memory: the mean representation of each value, once `fill_memory` has set it.
    """

    memory: AttributeMemory

    @property
    def describes_each_attribute(self) -> bool:
        """Whether attributes have representations of their own, and not one for all."""
        return True

    @property
    def ranks_by_agreement(self) -> bool:
        """Whether one attribute is ranked by the probability of the same value; ours."""
        return False

    def attribute_embedding(self, features: Features, attribute: int) -> tf.Tensor:
        """Returns the representation of an attribute, float32 `[B, dim]`.

        Where it ranks by agreement: float32 `[B, values + 2]`, see `agreement.py`.
        """
        if self.ranks_by_agreement:
            return agreement_gallery(self._probabilities(features, attribute))
        return features["embedding"][:, attribute if self.describes_each_attribute else 0]

    def attribute_query(self, features: Features, attribute: int) -> tf.Tensor:
        """Returns the vectors of queries; see `attribute_embedding`."""
        if self.ranks_by_agreement:
            return agreement_queries(self._probabilities(features, attribute))
        return self.attribute_embedding(features, attribute)

    def _probabilities(self, features: Features, attribute: int) -> tf.Tensor:
        """Returns the softmax over the values of an attribute, float32 `[B, values]`."""
        logits = self.attribute_logits(features)
        assert logits is not None  # what ranks by agreement reads values
        start, number = self.space.offsets[attribute], self.space.num_values[attribute]
        return tf.nn.softmax(logits[:, start : start + number])


def fill_memory(
    model: RepresentationSystem,
    dataset: Dataset,
    split: str,
    workdir: str | os.PathLike[str],
    outputs: TrunkOutputs | None = None,
) -> None:
    """Sets the memory to the class means of a split and stores the split's representations.

    [Ak21] Sec. 3.3 and 3.4: the memory is built after the representations are trained, and the
    stage on edits works on fixed features.

    The row of a value that no image of the split shows stays zero: no image is read as that value,
    and an edit to it ranks by the other attributes where blocks have equal length.

    Args:
      model: after the stage that trains its representations.
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
    each = of_each_attribute(representations, model.space.num_attributes)
    parts = np.array_split(each, -(-len(each) // _BATCH_SIZE))
    labels = dataset.labels(split)
    means, _ = class_means(model.space, parts, labels)
    model.memory.memory.assign(means * shown_values(model.space, labels)[:, None])
    once(lambda: store(Path(workdir) / _FILE, [representations], dataset, split))


def of_each_attribute(representations: np.ndarray, num_attributes: int) -> np.ndarray:
    """Returns `[num, A, dim]`: attributes that share a representation each get a view of it."""
    num, _, dim = representations.shape
    return np.broadcast_to(representations, (num, num_attributes, dim))


def _represent(model: RepresentationSystem, outputs: TrunkOutputs) -> np.ndarray:
    """Returns float32 `[num, A, dim]`, the representations of stored outputs."""

    @tf.function(autograph=False, reduce_retracing=True)
    def represent(part: tf.Tensor) -> tf.Tensor:
        return model.features_of(part)["embedding"]

    parts = outputs.parts(_SMALL_BATCH)
    return np.concatenate([represent(tf.constant(part)).numpy() for part in parts])


def load_representations(
    workdir: str | os.PathLike[str], dataset: Dataset, split: str, script: str
) -> np.ndarray:
    """Returns float32 `[num, A, dim]`, what `fill_memory` stored.

    Args:
      workdir: of the run that stored them.
      dataset: that it was trained on.
      split: that it was trained on.
      script: of tools/, which makes such runs.

    Raises:
      FileNotFoundError: if the run has not finished that stage.
      ValueError: if they are of another data set or split.
    """
    return load_stored(Path(workdir) / _FILE, dataset, split, script)
