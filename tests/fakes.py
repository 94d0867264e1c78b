"""A data set made in memory."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import MISSING, AttributeSpace
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.networks.image_input import ImageInput

SPACE = AttributeSpace.from_dict(
    {
        "colour": ["red", "green", "blue"],
        "sleeve": ["short", "long"],
        "neckline": ["round", "v-neck", "boat", "square"],
    }
)
SIZES = {"train": 64, "validation": 16, "gallery": 48, "query": 12}
# What the values of an attribute look like, as far apart as four colours can be.
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], np.float32)
GREY = np.array([127, 127, 127], np.float32)  # of a missing value
NOISE = 20.0  # standard deviation, so that no two images are the same


class FakeDataset(Dataset):
    """Images whose quadrants (in reading order) show the values of the attributes as colours.

    At most four attributes of at most four values each. Every split has its own images.
    """

    has_boxes = True

    def __init__(
        self,
        space: AttributeSpace = SPACE,
        sizes: Mapping[str, int] = SIZES,
        missing: float = 0.0,
        seed: int = 0,
    ):
        """Draws the labels; a share `missing` of them is set to -1."""
        self.space = space
        self.name = "fake/1.0.0"
        self._labels: dict[str, np.ndarray] = {}
        self._seeds = {split: (seed, number) for number, split in enumerate(sizes)}
        for split, size in sizes.items():
            rng = np.random.default_rng((*self._seeds[split], 0))
            labels = rng.integers(0, space.num_values, (size, space.num_attributes))
            labels[rng.random(labels.shape) < missing] = MISSING
            self._labels[split] = labels.astype(np.int32)

    def num_examples(self, split: str) -> int:
        return len(self._labels[split])

    def labels(self, split: str) -> np.ndarray:
        return self._labels[split]

    def image_ids(self, split: str) -> list[str]:
        return [f"{split}-{i}" for i in range(self.num_examples(split))]

    def boxes(self, split: str, image_input: ImageInput) -> np.ndarray:
        """Returns the attributes' quadrants, -1 where the value is missing."""
        corners = np.array([[y, x, y + 0.5, x + 0.5] for y in (0, 0.5) for x in (0, 0.5)])
        labels = self._labels[split]
        quadrants = np.broadcast_to(corners[: labels.shape[1]], (*labels.shape, 4))
        return np.where(labels[..., None] == MISSING, -1.0, quadrants).astype(np.float32)

    def channel_means(self, split: str = "train") -> tuple[float, float, float]:
        return 127.0, 127.0, 127.0

    def render(self, split: str, index: int, image_size: int) -> np.ndarray:
        """Returns float32 `[image_size, image_size, 3]` in about 0..255, read-only."""
        values = tuple(self._labels[split][index].tolist())
        return _render((*self._seeds[split], 1, index), values, image_size)

    def _see(self, split: str, index: int, image_input: ImageInput) -> np.ndarray:
        """Returns an image as a network's input."""
        image = self.render(split, index, image_input.size)
        values = (image - np.array(image_input.mean, np.float32)) / np.array(
            image_input.scale, np.float32
        )
        return values[..., ::-1] if image_input.channels == "bgr" else values

    def encoded_images(self, split: str) -> tf.data.Dataset:
        pictures = [self.render(split, i, 16) for i in range(self.num_examples(split))]
        pixels = np.clip(np.rint(pictures), 0, 255).astype(np.uint8)
        return tf.data.Dataset.from_tensor_slices(pixels).map(tf.io.encode_png)

    def images(
        self, split: str, image_input: ImageInput, *, batch_size: int = 64
    ) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(self._all_images(split, image_input)).batch(
            batch_size
        )

    def _all_images(self, split: str, image_input: ImageInput) -> np.ndarray:
        """Returns the images of a split as a network's input."""
        rows = range(self.num_examples(split))
        return np.stack([self._see(split, index, image_input) for index in rows])

    def image_loader(
        self, split: str, image_input: ImageInput
    ) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """Ignores which images to mirror; see `training_examples`."""
        images = tf.constant(self._all_images(split, image_input))
        return lambda positions, mirrored: tf.gather(images, positions)

    def training_examples(
        self,
        split: str,
        image_input: ImageInput,
        *,
        global_batch_size: int,
        seed: int,
        first_step: int = 0,
        flip: bool = False,
        context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """Returns endless batches, shuffled by (seed, epoch). `flip` is ignored: it would move
        the quadrants."""
        number = self.num_examples(split)
        images, labels = self._all_images(split, image_input), self._labels[split]
        pipelines, mine = 1, 0
        batch_size = global_batch_size
        if context is not None:
            pipelines, mine = context.num_input_pipelines, context.input_pipeline_id
            batch_size = context.get_per_replica_batch_size(global_batch_size)
        share = global_batch_size // pipelines

        @functools.cache
        def order(epoch: int) -> np.ndarray:
            return np.random.default_rng((seed, epoch)).permutation(number)

        def generate() -> Iterator[dict[str, np.ndarray]]:
            for step in itertools.count(first_step):
                first = step * global_batch_size + mine * share
                for start in range(first, first + share, batch_size):
                    places = [divmod(p, number) for p in range(start, start + batch_size)]
                    rows = [order(epoch)[place] for epoch, place in places]
                    yield {"image": images[rows], "attributes": labels[rows]}

        side = image_input.size
        signature = {
            "image": tf.TensorSpec([batch_size, side, side, 3], tf.float32),
            "attributes": tf.TensorSpec([batch_size, self.space.num_attributes], tf.int32),
        }
        return tf.data.Dataset.from_generator(generate, output_signature=signature)


@functools.lru_cache(maxsize=1000)
def _render(seed: tuple[int, ...], values: tuple[int, ...], image_size: int) -> np.ndarray:
    """Returns an image of these values; see `FakeDataset.render`."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0.0, NOISE, (image_size, image_size, 3)).astype(np.float32)
    half = image_size // 2
    for a, value in enumerate(values):
        rows = slice(0, half) if a < 2 else slice(half, None)
        columns = slice(0, half) if a % 2 == 0 else slice(half, None)
        image[rows, columns] += GREY if value == MISSING else COLOURS[value]
    image.setflags(write=False)
    return image
