"""Examples as a function of (seed, step)."""

import abc
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Self, TypeVar

import numpy as np
import tensorflow as tf

from fashionsearchnet.training.distribution import replica_rows


@dataclasses.dataclass(frozen=True)
class Rows:
    """A batch of examples as arrays `[batch, ...]`."""

    def __getitem__(self, rows: slice) -> Self:
        """Returns some rows of the batch."""
        return type(self)(**{name: array[rows] for name, array in vars(self).items()})


Drawn = TypeVar("Drawn", bound=Rows)


class Sampler(abc.ABC, Generic[Drawn]):
    """Draws batches of positions of images."""

    @abc.abstractmethod
    def sample(self, rng: np.random.Generator, batch_size: int) -> Drawn:
        """Returns a batch that depends on the state of `rng` only."""

    def batches(self, seed: int, first_step: int, batch_size: int) -> Iterator[Drawn]:
        """Yields endless batches; the batch of a step depends on the seed and the step only."""
        step = first_step
        while True:
            yield self.sample(np.random.default_rng((seed, step)), batch_size)
            step += 1

    def examples(
        self,
        load: Callable[[Drawn], Mapping[str, Any]] = vars,
        *,
        seed: int,
        first_step: int,
        global_batch_size: int,
        context: tf.distribute.InputContext | None,
    ) -> tf.data.Dataset:
        """Returns endless batches as `Stage.examples` does.

        `load` takes one replica's share of a step and returns arrays by name, of the same shapes
        and dtypes at each call; by default, the drawn positions themselves.
        """
        shares = replica_rows(global_batch_size, context)

        def loaded() -> Iterator[dict[str, np.ndarray]]:
            for batch in self.batches(seed, first_step, global_batch_size):
                for rows in shares:
                    yield dict(load(batch[rows]))

        signature = {
            name: tf.TensorSpec(array.shape, array.dtype) for name, array in next(loaded()).items()
        }
        examples = tf.data.Dataset.from_generator(loaded, output_signature=signature)
        return examples.prefetch(tf.data.AUTOTUNE)
