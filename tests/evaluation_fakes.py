"""A data set whose images spell out their attributes, and a system that reads them."""

import contextlib
import hashlib
import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver

from fashionsearchnet import evaluation
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.systems.system import System

SPACE = AttributeSpace.from_dict(
    {"colour": ["red", "green", "blue"], "size": ["small", "large"], "shape": ["box", "disc"]}
)
MEANS = (100.0, 100.0, 100.0)
IMAGE_INPUT = ImageInput(4, mean=MEANS)
BOX = (0.25, 0.5, 0.75, 1.0)


@contextlib.contextmanager
def script(name):
    """A script such as `amnet/train_classification` as a module; leaving it removes its flags."""
    before = set(flags.FLAGS)
    path = Path(__file__).parents[1] / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name.replace('/', '_')}_tool", path)
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        with flagsaver.flagsaver():
            yield module
    finally:
        del sys.modules[spec.name]
        for flag in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, flag)


def evaluated(system, dataset, protocol, **more):
    """The evaluation, as one of any task."""
    return evaluation.evaluate(system, dataset, protocol, **more)


class FakeDataset(Dataset):
    """Pixel (0, a) of an image holds the value of attribute a, less the channel means."""

    def __init__(self, num_queries=12, num_gallery=60, seed=0, missing=True, name="fakes/tiny"):
        self.space, self.name, self.has_boxes = SPACE, name, True
        generator = np.random.default_rng(seed)
        low = -1 if missing else 0
        number = num_queries + num_gallery
        columns = [generator.integers(low, size, number) for size in SPACE.num_values]
        labels = np.stack(columns, axis=1).astype(np.int32)
        labels[:, 0] = np.maximum(labels[:, 0], 0)
        self._labels = {"query": labels[:num_queries], "gallery": labels[num_queries:]}

    def num_examples(self, split):
        return len(self._labels[split])

    def labels(self, split):
        return self._labels[split]

    def image_ids(self, split):
        return [f"{split}{i}" for i in range(self.num_examples(split))]

    def boxes(self, split, image_input):
        assert image_input == IMAGE_INPUT
        boxes = np.full((self.num_examples(split), 3, 4), -1, np.float32)
        boxes[:, 1] = BOX
        return boxes

    def pixels(self, split):
        images = np.zeros((self.num_examples(split), 4, 4, 3), np.float32)
        images[:, 0, :3] = self.labels(split)[..., None]
        return images

    def images(self, split, image_input, *, batch_size=64):
        assert image_input == IMAGE_INPUT
        return tf.data.Dataset.from_tensor_slices(self.pixels(split)).batch(batch_size)

    def encoded_images(self, split):
        pictures = np.round(self.pixels(split) + np.array(MEANS)).astype(np.uint8)
        data = [cv2.imencode(".png", picture)[1].tobytes() for picture in pictures]
        return tf.data.Dataset.from_tensor_slices(data)

    def channel_means(self, split="train"):
        return MEANS

    def image_loader(self, split, image_input):
        raise NotImplementedError("nothing trains on this data set")

    def training_examples(self, split, image_input, **kwargs):
        raise NotImplementedError("nothing trains on this data set")


class QueriesInGallery(FakeDataset):
    """The queries are every fifth gallery image, as ADDE's splits have it."""

    queries_in_gallery = True
    own = np.arange(55, -1, -5)

    def labels(self, split):
        labels = super().labels("gallery")
        return labels[self.own] if split == "query" else labels

    def image_ids(self, split):
        names = [f"image{i}" for i in range(60)]
        return [names[i] for i in self.own] if split == "query" else names


class FakeSystem(System):
    """Represents an image by one-hot blocks of its attributes; `noise` blurs what it sees."""

    tasks = ("manipulation", "attribute", "instance")
    has_attention = True
    stages = ("only",)
    map_geometry = None

    def __init__(self, noise=0.0, name="fake"):
        super().__init__(name, SPACE, IMAGE_INPUT, {"noise": noise})
        self.noise = noise

    @property
    def title(self):
        return self.name

    def image_features(self, images):
        values = tf.cast(tf.round(images[:, 0, :3, 0]), tf.int32)
        embedding = self._one_hot(values)
        noise = tf.random.stateless_normal(tf.shape(embedding), [self._seed(), 0])
        embedding += self.noise * noise
        whole = tf.constant([0.0, 0.0, 1.0, 1.0])
        boxes = tf.broadcast_to(whole, [tf.shape(images)[0], 3, 4])
        return {"embedding": embedding, "logits": 4.0 * embedding, "boxes": boxes}

    def query_embedding(self, features, manipulation):
        wanted = self._one_hot(manipulation)
        sizes = list(SPACE.num_values)
        keep = tf.repeat(manipulation < 0, sizes, axis=1)
        return tf.where(keep, features["embedding"], wanted)

    def gallery_embedding(self, features, manipulation=None):
        return features["embedding"]

    def attribute_embedding(self, features, attribute):
        start, size = SPACE.offsets[attribute], SPACE.num_values[attribute]
        return features["embedding"][:, start : start + size]

    def instance_embedding(self, features):
        return features["embedding"]

    def attribute_logits(self, features):
        return features["logits"]

    def attention(self, images):
        number = images.shape[0]
        maps = np.zeros((number, 3, 2, 2), np.float32)
        maps[:, :, 0, 1] = 1.0
        boxes = np.broadcast_to(np.array([0, 0.5, 0.5, 1], np.float32), (number, 3, 4))
        return {"maps": maps, "boxes": boxes, "logits": self.image_features(images)["logits"]}

    def _seed(self):
        return int(hashlib.sha256(self.name.encode()).hexdigest()[:4], 16)

    @staticmethod
    def _one_hot(values):
        sizes = SPACE.num_values
        blocks = [tf.one_hot(values[:, a], size) for a, size in enumerate(sizes)]
        return tf.concat(blocks, axis=1)


class EditDependentSystem(FakeSystem):
    """Sees only the edited attribute, in queries and in the gallery."""

    gallery_depends_on_edit = True

    def query_embedding(self, features, manipulation):
        return super().query_embedding(features, manipulation) * self._mask(manipulation)

    def gallery_embedding(self, features, manipulation=None):
        return features["embedding"] * self._mask(manipulation)

    @staticmethod
    def _mask(manipulation):
        return tf.repeat(tf.cast(manipulation >= 0, tf.float32), list(SPACE.num_values), axis=1)


class BlockSystem(FakeSystem):
    """Says that its vectors are made of blocks, so that a gallery can use labels."""

    has_blocks = True

    _PLACES = np.array([(a, v) for a, size in enumerate(SPACE.num_values) for v in range(size)])

    def gallery_blocks(self, features):
        spread = np.zeros((SPACE.total_values, SPACE.num_attributes, 3), np.float32)
        spread[np.arange(SPACE.total_values), self._PLACES[:, 0], self._PLACES[:, 1]] = 1.0
        return tf.einsum("bc,cad->bad", features["embedding"], spread)

    def prototypes(self):
        return tf.one_hot(self._PLACES[:, 1], 3)

    def merge_blocks(self, blocks, manipulation=None):
        return tf.stack([blocks[:, a, v] for a, v in self._PLACES], axis=1)
