"""Pairs for training: two images that agree in an attribute, or show the same item."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_choice
from fashionsearchnet.choices import RARE_VALUES
from fashionsearchnet.data.dataset import check_instance_ids
from fashionsearchnet.training.sampler import Rows, Sampler

_LISTED = 10  # rare values that an error names


@dataclasses.dataclass(frozen=True)
class Pairs(Rows):
    """A batch of pairs.

    Attributes:
      first: int32 `[batch]`, positions of images.
      second: int32 `[batch]`, other images with the same value of the attribute.
      attribute: int32 `[batch]`, the attribute that they agree in; 0 for pairs by item.
    """

    first: np.ndarray
    second: np.ndarray
    attribute: np.ndarray


class ImagesByValue:
    """The images that show each value of each attribute, to draw from.

    Draws are uniform over the attributes, then over the values of the attribute, then over the
    images of the value: neither many values nor many images favour anything.

    Attributes:
      attributes: int64, those that can be drawn.
      left_out: what is not drawn and why, one text each; empty unless rare values are left out.
    """

    def __init__(
        self,
        values: np.ndarray,
        names: Mapping[str, Sequence[str]],
        rare_values: str,
        *,
        needs_others: bool,
    ):
        """Groups the images.

        Args:
          values: int `[num, attributes]`, -1 for missing.
          names: the names of the values by that of the attribute, in order.
          rare_values: what to do with values that fewer than two images show, those without any
            image included; a key of RARE_VALUES.
          needs_others: whether an attribute can be drawn only if images show another value of it.

        Raises:
          ValueError: for a rare value that is not to be left out, or if nothing can be drawn.
        """
        check_choice("rare_values", rare_values, RARE_VALUES)
        self._group(values, [len(own) for own in names.values()])
        counts = np.split(self._count, self._offset[1:])
        self._labelled = np.array([count.sum() for count in counts])
        rare = [
            f"{name}={own[v]} ({count[v]} image{'' if count[v] == 1 else 's'})"
            for (name, own), count in zip(names.items(), counts, strict=True)
            for v in np.flatnonzero(count < 2).tolist()
        ]
        if rare and rare_values == "refuse":
            raise ValueError(_too_rare(rare))
        alone = [needs_others and (count > 0).sum() < 2 for count in counts]
        usable = [np.flatnonzero(count >= 2) for count in counts]
        self._num_usable = np.array([len(own) for own in usable])
        self._first_usable = np.cumsum(self._num_usable) - self._num_usable
        self._usable = np.concatenate(usable) + np.repeat(self._offset, self._num_usable)
        self.attributes = np.flatnonzero((self._num_usable > 0) & ~np.array(alone))
        self.left_out = (
            *rare,
            *(
                f"{name} (images show one value at most)"
                for name in itertools.compress(names, alone)
            ),
        )
        if not len(self.attributes):
            others = ", and images of another value" if needs_others else ""
            raise ValueError(
                f"no attribute can be drawn: each needs a value that two images show{others}. "
                "Label more images, or leave attributes out of the data set."
            )

    def _group(self, values: np.ndarray, sizes: Sequence[int]) -> None:
        """Sorts the images by the values of all attributes together, each attribute a block."""
        self._offset = np.cumsum((0, *sizes))[:-1]
        images, attributes = np.nonzero(values >= 0)
        flat = values[images, attributes] + self._offset[attributes]
        self._members = images[np.argsort(flat, kind="stable")]
        self._count = np.bincount(flat, minlength=sum(sizes))
        self._start = np.cumsum(self._count) - self._count
        self._shown = np.flatnonzero(self._count)
        self._place_shown = np.cumsum(self._count > 0) - 1
        owner = np.repeat(np.arange(len(sizes)), sizes)[self._shown]
        self._num_shown = np.bincount(owner, minlength=len(sizes))
        self._first_shown = np.cumsum(self._num_shown) - self._num_shown

    def draw_attributes(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Returns attributes, int64 `[size]`."""
        return self.attributes[rng.integers(len(self.attributes), size=size)]

    def draw(
        self, rng: np.random.Generator, attribute: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the flat index of a value of each attribute, and two images that show it."""
        value = self._usable[
            self._first_usable[attribute] + rng.integers(self._num_usable[attribute])
        ]
        count, start = self._count[value], self._start[value]
        first = rng.integers(count)
        second = rng.integers(count - 1)
        second += second >= first
        return value, self._members[start + first], self._members[start + second]

    def draw_others(
        self, rng: np.random.Generator, attribute: np.ndarray, value: np.ndarray
    ) -> np.ndarray:
        """Returns for each an image that shows another value of the attribute, `[size]`."""
        count, begin = self._count[value], self._start[self._offset[attribute]]
        place = begin + rng.integers(self._labelled[attribute] - count)
        place += count * (place >= self._start[value])
        return self._members[place]

    def draw_of_other_values(
        self, rng: np.random.Generator, attribute: np.ndarray, value: np.ndarray
    ) -> np.ndarray:
        """Returns for each an image of another value of the attribute, that value drawn uniformly.

        Args:
          rng: to draw with.
          attribute: int `[size]`.
          value: int `[size]`, flat indices of values that images show.
        """
        number, begin = self._num_shown[attribute], self._first_shown[attribute]
        place = begin + rng.integers(number - 1)
        place += place >= self._place_shown[value]
        other = self._shown[place]
        return self._members[self._start[other] + rng.integers(self._count[other])]


class PairSampler(Sampler[Pairs]):
    """Draws pairs of images that agree in an attribute.

    Attributes:
      left_out: see `ImagesByValue`.
    """

    def __init__(
        self, values: np.ndarray, names: Mapping[str, Sequence[str]], rare_values: str = "refuse"
    ):
        """Groups the images; see `ImagesByValue` for arguments and errors."""
        self._images = ImagesByValue(values, names, rare_values, needs_others=False)
        self.left_out = self._images.left_out

    @classmethod
    def of_attributes(
        cls, space: AttributeSpace, values: np.ndarray, rare_values: str = "refuse"
    ) -> "PairSampler":
        """Returns a sampler of pairs that agree in an attribute.

        Args:
          space: A attributes.
          values: int32 `[num, A]`, -1 for missing.
          rare_values: a key of RARE_VALUES.
        """
        return cls(values, space.to_dict(), rare_values)

    @classmethod
    def of_instances(
        cls, instance_ids: Sequence[str], rare_values: str = "refuse"
    ) -> "PairSampler":
        """Returns a sampler of pairs that show the same item, items drawn uniformly.

        Args:
          instance_ids: of each image.
          rare_values: what to do with items that one image shows; a key of RARE_VALUES.

        Raises:
          ValueError: if an image has no id, or for items that one image shows.
        """
        check_instance_ids(instance_ids, "the training images")
        names, item = np.unique(np.asarray(instance_ids), return_inverse=True)
        return cls(item.reshape(-1, 1), {"instance": names.tolist()}, rare_values)

    def sample(self, rng: np.random.Generator, batch_size: int) -> Pairs:
        """Returns `batch_size` pairs."""
        attribute = self._images.draw_attributes(rng, batch_size)
        _, first, second = self._images.draw(rng, attribute)
        return Pairs(*(array.astype(np.int32) for array in (first, second, attribute)))


def _too_rare(rare: Sequence[str]) -> str:
    """Returns the message that refuses values."""
    more = f" and {len(rare) - _LISTED} more" if len(rare) > _LISTED else ""
    return (
        "each value must have at least two images that show it, but too few show "
        f"{', '.join(rare[:_LISTED])}{more}. Label more images, merge the values with others, or "
        "set rare_values to 'leave_out'."
    )
