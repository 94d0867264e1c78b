"""What the stages that train on labelled images share, whatever the system."""

import abc
import dataclasses

import keras
import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_range
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.preprocess import as_input
from fashionsearchnet.networks.losses import attribute_cross_entropy, attribute_hits
from fashionsearchnet.systems.convolutional import ConvolutionalSystem
from fashionsearchnet.systems.system import System
from fashionsearchnet.systems.trunk_outputs import TrunkOutputs, check_frozen
from fashionsearchnet.training import BalancedSampler, EpochSampler, Stage, Update
from fashionsearchnet.training.distribution import num_replicas


@dataclasses.dataclass
class ImageStage(Stage):
    """Batches of images with their labels, and the loss of classifying them.

    Attributes:
      model: trained in place.
      dataset: with the model's attribute space.
      global_batch_size: images per step over all replicas.
      split: to train on.
      seed: of the order and the flips.
      flip: mirror half of the images.
      balanced: draw batches in which every attribute has a pair of images that agree and one that
        differs, by `training.BalancedSampler`, in place of all images in random order.
    """

    model: System
    dataset: Dataset
    global_batch_size: int = 64
    split: str = "train"
    seed: int = 0
    flip: bool = False
    balanced: bool = False

    def examples(
        self, first_step: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        """Returns endless batches of {image, attributes} from a step on; see `Stage.examples`."""
        if self.balanced:
            return self._balanced_examples(first_step, context)
        return self.dataset.training_examples(
            self.split,
            self.model.image_input,
            global_batch_size=self.global_batch_size,
            seed=self.seed,
            first_step=first_step,
            flip=self.flip,
            context=context,
        )

    def _balanced_examples(
        self, first_step: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        values = self.dataset.labels(self.split)
        sampler = BalancedSampler(self.dataset.space, values)
        load_images = self.dataset.image_loader(self.split, self.model.image_input)
        labels = tf.constant(values)

        @tf.autograph.experimental.do_not_convert
        def load(drawn: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            mirrored = drawn["mirrored"] & self.flip
            images = load_images(drawn["position"], mirrored)
            return {"image": images, "attributes": tf.gather(labels, drawn["position"])}

        drawn = sampler.examples(
            seed=self.seed,
            first_step=first_step,
            global_batch_size=self.global_batch_size,
            context=context,
        )
        return drawn.map(load, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def seen(self, batch) -> tf.Tensor:
        """Returns the images of a batch as the network sees them, float32 `[batch, ...]`."""
        return as_input(batch["image"], self.model.image_input)

    def classification(self, logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns this replica's share of the loss and of the accuracy.

        The loss is summed over the attributes, as [Ak21] Eq. 2 prints it, and averaged over the
        batch.
        """
        loss, accuracy = classification(self.model.space, logits, labels)
        return loss / self.global_batch_size, accuracy


@dataclasses.dataclass
class TrunkStage(ImageStage):
    """Trains what stands on the trunk, and the trunk itself unless it is frozen.

    Attributes:
      outputs: of a frozen trunk, stored; the stage trains on them in place of images. It mirrors
        half of them if `outputs` holds mirrored ones; `flip` does not matter then.
      trunk_rate_multiplier: on the learning rate of the trunk.
    """

    model: ConvolutionalSystem
    outputs: TrunkOutputs | None = None
    trunk_rate_multiplier: float = 1.0

    def __post_init__(self) -> None:
        check_range("trunk_rate_multiplier", self.trunk_rate_multiplier, 0.0)
        if self.outputs is not None:
            check_frozen(self.model)

    def examples(
        self, first_step: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        """Returns endless batches of {image or outputs, attributes}; see `Stage.examples`."""
        if self.outputs is None:
            return super().examples(first_step, context)
        labels = self.outputs.labels
        if self.balanced:
            sampler: BalancedSampler | EpochSampler = BalancedSampler(self.dataset.space, labels)
        else:
            sampler = EpochSampler(len(labels))
        return self.outputs.examples(
            sampler,
            seed=self.seed,
            first_step=first_step,
            global_batch_size=self.global_batch_size,
            context=context,
        )

    def outputs_of(self, batch) -> tf.Tensor:
        """Returns the trunk's outputs for a batch of images, or the stored ones that it brings."""
        if self.outputs is not None:
            return batch["outputs"]
        return self.model.trunk(self.seen(batch), training=True)

    def update_of(self, *parts: keras.layers.Layer) -> Update:
        """Returns the update of the trunk and of these parts, the trunk at a rate of its own."""
        trunk = list(self.model.trunk.trainable_variables)
        variables = trunk + [v for part in parts for v in part.trainable_variables]
        rates = {variable.path: self.trunk_rate_multiplier for variable in trunk}
        return Update(self.loss, variables, rate_multipliers=rates)

    @abc.abstractmethod
    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's share of the loss, and its shares of the logged figures by name.

        See `Update`.
        """


def classification(
    space: AttributeSpace, logits: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the summed cross-entropy of this replica's images, and its share of the accuracy.

    Args:
      space: A attributes of C values together.
      logits: float `[batch, C]`, one block per attribute.
      labels: int32 `[batch, A]`, -1 for missing.
    """
    loss = tf.reduce_sum(attribute_cross_entropy(logits, labels, space.num_values))
    correct, labelled = attribute_hits(logits, labels, space.num_values)
    return loss, correct / tf.maximum(labelled, 1.0) / num_replicas()
