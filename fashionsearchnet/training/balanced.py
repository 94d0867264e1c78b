"""Batches of images in which every attribute has labelled pairs."""

import dataclasses

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
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
          ValueError: if no attribute has two values, one of which two images show.
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
