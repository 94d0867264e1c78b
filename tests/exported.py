"""Systems that are quickly exported: what export, index and serving tests need of a trained one."""

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from fakes import SPACE

from fashionsearchnet.export import saved_model as export
from fashionsearchnet.systems.fashionsearchnet_v2 import FashionSearchNetV2


def tiny_system(seed: int = 0) -> FashionSearchNetV2:
    """Returns a small FashionSearchNetV2 with random weights, memory included."""
    keras.utils.set_random_seed(seed)
    system = FashionSearchNetV2(
        SPACE,
        image_size=40,
        width=0.05,
        first_stride=2,
        hidden_dims=(8, 8),
        representation_dim=6,
        global_dim=5,
    )
    memory = system.memory.memory
    memory.assign(np.random.default_rng(seed).normal(size=memory.shape))
    return system


def export_tiny(directory: str | os.PathLike[str], seed: int = 0) -> Path:
    """Returns `directory/<version>` with `tiny_system(seed)`; the version is the next free one.

    The system is exported once per process and copied then, and not checked in a fresh process:
    both take seconds.
    """
    taken = [int(path.name) for path in Path(directory).glob("[0-9]*")]
    target = Path(directory) / str(max(taken, default=0) + 1)
    return Path(shutil.copytree(_exported(seed), target))


@functools.cache
def _exported(seed: int) -> Path:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with mock.patch.object(export, "check_export", return_value={}):
        return export.export_system(tiny_system(seed), folder)


class PlainSystem(keras.Model):
    """The least that the contract asks for: no attention, no variant; an edit moves the query."""

    image_size, channel_means, space = 16, (100.0, 110.0, 120.0), SPACE

    def __init__(self, seed: int = 0):
        super().__init__(name="plain")
        keras.utils.set_random_seed(seed)
        self.arguments = {"seed": seed}
        self.logits = keras.layers.Dense(SPACE.total_values)
        self.projection = keras.layers.Dense(40)
        self.logits.build((None, 3))
        self.projection.build((None, SPACE.total_values + SPACE.num_attributes))

    def image_features(self, images):
        logits = self.logits(tf.reduce_mean(images, axis=[1, 2]) / 100.0)
        return {"embedding": logits, "logits": logits}

    def query_embedding(self, features, manipulation):
        edit = tf.cast(manipulation + 1, tf.float32)
        return self.projection(tf.concat([features["embedding"], edit], axis=1))

    def gallery_embedding(self, features):
        return self.query_embedding(features, -tf.ones_like(features["logits"][:, :3], tf.int32))

    def encode_query(self, images, manipulation):
        return self.query_embedding(self.image_features(images), manipulation)

    def encode_gallery(self, images):
        return self.gallery_embedding(self.image_features(images))
