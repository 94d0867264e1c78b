"""Triplets for retrieval by attributes: anchor and positive agree in one, the negative does not."""

import dataclasses

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_choice
from fashionsearchnet.choices import NEGATIVES_OF
from fashionsearchnet.data.dataset import ListedTriplets
from fashionsearchnet.training.pairs import ImagesByValue
from fashionsearchnet.training.sampler import Rows, Sampler


@dataclasses.dataclass(frozen=True)
class AttributeTriplets(Rows):
    """A batch of triplets.

    Attributes:
      anchor: int32 `[batch]`, positions of images.
      positive: int32 `[batch]`, other images with the anchor's value of the attribute.
      negative: int32 `[batch]`, images that are labelled with another value of it.
      attribute: int32 `[batch]`, the attribute that counts.
      mirrored: bool `[batch, 3]`, which of the three images a stage that flips mirrors.
    """

    anchor: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    attribute: np.ndarray
    mirrored: np.ndarray


class TripletSampler(Sampler[AttributeTriplets]):
    """Draws an attribute, one of its values, two images that show it and one that does not.

    Attribute, value and images are each drawn uniformly, and a negative as NEGATIVES_OF says. A
    missing label takes no part.

    Attributes:
      left_out: what is not drawn and why, one text each; empty unless rare values are left out.
    """

    def __init__(
        self,
        space: AttributeSpace,
        values: np.ndarray,
        rare_values: str = "refuse",
        negatives_of: str = "images",
    ):
        """Groups the images by value.

        Args:
          space: A attributes.
          values: int32 `[num, A]`, -1 for missing.
          rare_values: what to do with values that fewer than two images show; a key of
            `choices.RARE_VALUES`. One that is left out still occurs in negatives.
          negatives_of: how a negative is drawn; a key of NEGATIVES_OF.

        Raises:
          ValueError: naming the rare values and how many images show them, or if there is no
            attribute to draw: each needs a value with two images, and an image of another value.
        """
        self._negatives_of = check_choice("negatives_of", negatives_of, NEGATIVES_OF)
        self._images = ImagesByValue(values, space.to_dict(), rare_values, needs_others=True)
        self.left_out = self._images.left_out

    def sample(self, rng: np.random.Generator, batch_size: int) -> AttributeTriplets:
        """Returns `batch_size` triplets."""
        attribute = self._images.draw_attributes(rng, batch_size)
        value, anchor, positive = self._images.draw(rng, attribute)
        if self._negatives_of == "values":
            negative = self._images.draw_of_other_values(rng, attribute, value)
        else:
            negative = self._images.draw_others(rng, attribute, value)
        anchor, positive, negative, attribute = (
            array.astype(np.int32) for array in (anchor, positive, negative, attribute)
        )
        mirrored = rng.random((batch_size, 3)) < 0.5
        return AttributeTriplets(anchor, positive, negative, attribute, mirrored)


class ListedTripletSampler(Sampler[AttributeTriplets]):
    """Draws from triplets that a data set lists, each equally likely.

    Attributes:
      left_out: empty: no value is left out where none is known.
    """

    left_out: tuple[str, ...] = ()

    def __init__(self, listed: ListedTriplets):
        """Takes the triplets of the split to train on.

        Raises:
          ValueError: if there are none.
        """
        if not len(listed.anchor):
            raise ValueError("the split lists no triplet to train on; choose another one.")
        self._listed = listed

    def sample(self, rng: np.random.Generator, batch_size: int) -> AttributeTriplets:
        """Returns `batch_size` triplets."""
        rows = rng.integers(len(self._listed.anchor), size=batch_size)
        drawn = {name: array[rows] for name, array in vars(self._listed).items()}
        return AttributeTriplets(**drawn, mirrored=rng.random((batch_size, 3)) < 0.5)
