"""A small GAN on vectors: a stage of two updates, each with an optimizer of its own."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet import training
from fashionsearchnet.training.sampler import Rows, Sampler

NOISE_DIM, DIM = 4, 3
REAL_MEAN = (2.0, -1.0, 0.5)
SPREAD = 0.3


@dataclasses.dataclass(frozen=True)
class Vectors(Rows):
    """Vectors to imitate, float32 `[batch, 3]`, and noise to start from, float32 `[batch, 4]`."""

    real: np.ndarray
    noise: np.ndarray


class VectorSampler(Sampler[Vectors]):
    """Draws from one normal distribution."""

    def sample(self, rng, batch_size):
        real = rng.normal(REAL_MEAN, SPREAD, (batch_size, DIM))
        noise = rng.normal(size=(batch_size, NOISE_DIM))
        return Vectors(real.astype(np.float32), noise.astype(np.float32))


class VectorGan(keras.Model):
    def __init__(self):
        super().__init__()
        self.generator = _network("generator", NOISE_DIM, DIM)
        self.discriminator = _network("discriminator", DIM, 1)


def _network(name: str, inputs: int, outputs: int) -> keras.Model:
    hidden = keras.layers.Dense(16, activation="tanh", name=f"{name}_hidden")
    last = keras.layers.Dense(outputs, dtype="float32", name=f"{name}_output")
    return keras.Sequential([keras.Input((inputs,)), hidden, last], name=name)


class GanStage(training.Stage):
    """The discriminator first, then the generator against it, both by Adam."""

    name = "gan"

    def __init__(self, model: VectorGan, global_batch_size: int):
        self.model, self.global_batch_size = model, global_batch_size

    def examples(self, first_step, context):
        return VectorSampler().examples(
            seed=0,
            first_step=first_step,
            global_batch_size=self.global_batch_size,
            context=context,
        )

    def updates(self):
        adam = training.OptimizerSettings("adam", learning_rate=0.01, beta_1=0.5)
        return [
            training.Update(
                self.discriminator_loss,
                self.model.discriminator.trainable_variables,
                name="discriminator",
                optimizer=adam,
            ),
            training.Update(
                self.generator_loss,
                self.model.generator.trainable_variables,
                name="generator",
                optimizer=adam,
            ),
        ]

    def discriminator_loss(self, batch, seed):
        """-log D(real) - log(1 - D(made))."""
        real = self.model.discriminator(batch["real"])
        made = self.model.discriminator(self.model.generator(batch["noise"]))
        return self._mean(tf.nn.softplus(-real) + tf.nn.softplus(made)), {}

    def generator_loss(self, batch, seed):
        """-log D(made)."""
        made = self.model.generator(batch["noise"])
        distance = self._mean(tf.norm(made - REAL_MEAN, axis=-1))
        return self._mean(tf.nn.softplus(-self.model.discriminator(made))), {"distance": distance}

    def _mean(self, values):
        return tf.reduce_sum(values) / self.global_batch_size
