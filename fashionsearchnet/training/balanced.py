"""Batches of images: all in turn, or such that every attribute has labelled pairs."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_range
from fashionsearchnet.training.pairs import ImagesByValue
from fashionsearchnet.training.sampler import Rows, Sampler


@dataclasses.dataclass(frozen=True)
class Images(Rows):
    """A batch of images.

    Attributes:
      position: int32 `[batch]`, of images in their split.
      mirrored: bool `[batch]`, which of them to mirror if the stage flips images.
    """

    position: np.ndarray
    mirrored: np.ndarray


class EpochSampler(Sampler[Images]):
    """Draws each image once per epoch, in an order of the epoch's own.

    The last batch of an epoch is filled from the next one.
    """

    def __init__(self, num_images: int):
        """Draws from images 0 to `num_images` - 1.

        Raises:
          ValueError: if there is none.
        """
        check_range("number of images", num_images, 1)
        self._num = num_images

    def sample(self, rng: np.random.Generator, batch_size: int) -> Images:
        """Returns images of as many random orders as the batch needs."""
        orders = [rng.permutation(self._num) for _ in range(-(-batch_size // self._num))]
        position = np.concatenate(orders)[:batch_size]
        return Images(position.astype(np.int32), rng.random(batch_size) < 0.5)

    def batches(self, seed: int, first_step: int, batch_size: int) -> Iterator[Images]:
        """Yields endless batches; the batch of a step depends on the seed and the step only."""
        epoch, begin = divmod(first_step * batch_size, self._num)
        order = self._order(seed, epoch)
        while True:
            while len(order) - begin < batch_size:
                epoch += 1
                order = np.concatenate([order[begin:], self._order(seed, epoch)])
                begin = 0
            rng = np.random.default_rng((seed, first_step, 1))
            yield Images(order[begin : begin + batch_size], rng.random(batch_size) < 0.5)
            first_step, begin = first_step + 1, begin + batch_size

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        return np.random.default_rng((seed, epoch)).permutation(self._num).astype(np.int32)


class BalancedSampler(Sampler[Images]):
    """Draws batches in which every attribute has two images that agree and one that differs.

    The attributes take turns, in an order that each batch draws. For each, one of its values, two
    images of it and an image of another value are drawn as `TripletSampler` draws them. Up to two
    images that are left of the batch are drawn from all images.

    Attributes:
      left_out: values and attributes that are not drawn on purpose, since too few images show them.
    """

    def __init__(self, space: AttributeSpace, values: np.ndarray):
        """Groups the images by value.

        Args:
          space: A attributes.
          values: int32 `[num, A]`, -1 for missing.

        Raises:
          ValueError: unless some attribute has two values, and two images share one of them.
        """
        self._images = ImagesByValue(values, space.to_dict(), "leave_out", needs_others=True)
        self._num = len(values)
        self.left_out = self._images.left_out

    def sample(self, rng: np.random.Generator, batch_size: int) -> Images:
        """Returns `batch_size` images.

        Raises:
          ValueError: if the batch is too small for a triplet of each attribute.
        """
        attributes = rng.permutation(self._images.attributes)
        if batch_size < 3 * len(attributes):
            raise ValueError(
                f"batch_size must be at least {3 * len(attributes)} for batches balanced by "
                f"attribute: three images for each of {len(attributes)} attributes; got "
                f"{batch_size}. Use larger batches, or do not balance them."
            )
        attribute = np.resize(attributes, batch_size // 3)  # in turn
        value, first, second = self._images.draw(rng, attribute)
        other = self._images.draw_others(rng, attribute, value)
        rest = rng.integers(self._num, size=batch_size % 3)
        # In a random order, so that all replicas see all attributes.
        position = rng.permutation(np.concatenate([first, second, other, rest]))
        return Images(position.astype(np.int32), rng.random(batch_size) < 0.5)
