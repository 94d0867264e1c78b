"""Systems that are quickly exported: what export, index and serving tests need of a trained one."""

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from fakes import SPACE
from small_networks import network

from fashionsearchnet.data import preprocess
from fashionsearchnet.export import saved_model as export
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.system import System


def tiny_system(seed: int = 0) -> FashionSearchNetV2:
    """Returns a small FashionSearchNetV2 with random weights, memory included."""
    keras.utils.set_random_seed(seed)
    system = FashionSearchNetV2(
        SPACE,
        **network(),
        hidden_dims=(8, 8),
        representation_dim=6,
        global_dim=5,
    )
    memory = system.memory.memory
    memory.assign(np.random.default_rng(seed).normal(size=memory.shape))
    return system


def export_plain(directory: str | os.PathLike[str]) -> Path:
    """Returns `directory/1` with an export of `PlainSystem`, not checked in a fresh process.

    It has a tenth of the operations of `export_tiny`, so it is opened in a tenth of the time.
    """
    with mock.patch.object(export, "check_export", return_value={}):
        return export.export_system(PlainSystem(), directory)


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


def load_images(system: System, images: Sequence[bytes]) -> tf.Tensor:
    """Returns encoded images as a system's input."""
    image_input = system.image_input
    return tf.stack([preprocess.load_image(tf.constant(data), image_input) for data in images])


class PlainSystem(System):
    """The least that an export needs: no attention, no trunk; an edit moves the query."""

    tasks = ("manipulation",)
    title = "Plain"
    stages = ("only",)

    def __init__(self, seed: int = 0):
        image_input = ImageInput(16, mean=(100.0, 110.0, 120.0))
        super().__init__("plain", SPACE, image_input, {"seed": seed})
        keras.utils.set_random_seed(seed)
        self.logits = keras.layers.Dense(SPACE.total_values)
        self.projection = keras.layers.Dense(40)
        self.logits.build((None, 3))
        self.projection.build((None, SPACE.total_values + SPACE.num_attributes))

    def image_features(self, images):
        return {"read": self.logits(tf.reduce_mean(images, axis=[1, 2]) / 100.0)}

    def attribute_logits(self, features):
        return features["read"]

    def query_embedding(self, features, manipulation):
        edit = tf.cast(manipulation + 1, tf.float32)
        return self.projection(tf.concat([features["read"], edit], axis=1))

    def gallery_embedding(self, features, manipulation=None):
        return self.query_embedding(features, -tf.ones_like(features["read"][:, :3], tf.int32))
