"""What the stages share that see images through a trunk, whatever a batch is made of."""

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.checks import check_range
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.preprocess import as_input
from fashionsearchnet.systems.convolutional import ConvolutionalSystem
from fashionsearchnet.systems.trunk_outputs import TrunkOutputs, check_frozen
from fashionsearchnet.training import Stage, Update
from fashionsearchnet.training.sampler import Drawn, Sampler


@dataclasses.dataclass
class TrunkStage(Stage):
    """Trains what stands on a trunk, and the trunk itself unless it is frozen.

    Attributes:
      model: trained in place.
      dataset: with the model's attribute space.
      global_batch_size: images, pairs or triplets per step over all replicas.
      split: to train on.
      seed: decides what is drawn and mirrored.
      flip: mirror half of the images.
      outputs: of a frozen trunk, stored; the stage trains on them in place of images. It mirrors
        half of them if `outputs` holds mirrored ones; `flip` does not matter then.
      trunk_rate_multiplier: on the learning rate of the trunk.
    """

    model: ConvolutionalSystem
    dataset: Dataset
    global_batch_size: int = 64
    split: str = "train"
    seed: int = 0
    flip: bool = False
    outputs: TrunkOutputs | None = None
    trunk_rate_multiplier: float = 1.0

    def __post_init__(self) -> None:
        check_range("trunk_rate_multiplier", self.trunk_rate_multiplier, 0.0)
        if self.outputs is not None:
            check_frozen(self.model)

    def drawn_examples(
        self,
        sampler: Sampler[Drawn],
        describe: Callable[[Drawn], Mapping[str, np.ndarray]],
        first_step: int,
        context: tf.distribute.InputContext | None,
    ) -> tf.data.Dataset:
        """Returns endless batches of what a sampler draws; see `Stage.examples`.

        Args:
          sampler: draws positions of images.
          describe: from a replica's share of a step to arrays by name: `position`, int32 `[n]`, the
            images in their split; `mirrored`, bool `[n]`, which to mirror; and others.
          first_step: the step to start at.
          context: of the input pipeline among several.

        Returns:
          batches of the other arrays and, in place of these two, `image` or `outputs`, `[n, ...]`.
        """
        settings: dict[str, Any] = {
            "seed": self.seed,
            "first_step": first_step,
            "global_batch_size": self.global_batch_size,
            "context": context,
        }
        if self.outputs is not None:
            stored = self.outputs.of

            def read(drawn: Drawn) -> dict[str, np.ndarray]:
                found = dict(describe(drawn))
                return {"outputs": stored(found.pop("position"), found.pop("mirrored")), **found}

            return sampler.examples(read, **settings)
        load = self.dataset.image_loader(self.split, self.model.image_input)

        @tf.autograph.experimental.do_not_convert
        def see(drawn: dict[str, tf.Tensor]) -> dict[str, Any]:
            others = {k: v for k, v in drawn.items() if k not in ("position", "mirrored")}
            return {"image": load(drawn["position"], drawn["mirrored"] & self.flip), **others}

        drawn = sampler.examples(describe, **settings)
        return drawn.map(see, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def outputs_of(self, batch) -> tf.Tensor:
        """Returns the trunk's outputs for a batch of images, or the stored ones that it brings."""
        if self.outputs is not None:
            return batch["outputs"]
        return self.model.trunk(as_input(batch["image"], self.model.image_input), training=True)

    def trunk_variables(self) -> list[keras.Variable]:
        """Returns the variables that learn at the rate of the trunk."""
        return list(self.model.trunk.trainable_variables)

    def update_of(self, variables: Sequence[keras.Variable]) -> Update:
        """Returns the update of the trunk, at a rate of its own, and of these variables."""
        trunk = self.trunk_variables()
        rates = {variable.path: self.trunk_rate_multiplier for variable in trunk}
        return Update(self.loss, [*trunk, *variables], rate_multipliers=rates)

    @abc.abstractmethod
    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's share of the loss, and its shares of the logged figures by name.

        See `Update`.
        """


def trainable(*parts: keras.layers.Layer | None) -> list[keras.Variable]:
    """Returns the trainable variables of parts in their order; a part may be None."""
    return [v for part in parts if part is not None for v in part.trainable_variables]
