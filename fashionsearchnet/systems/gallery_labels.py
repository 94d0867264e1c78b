"""Gallery vectors that use labels: what an image shows, blended with the prototype of its label.

In a shop the items of the gallery are labelled, and only the query is a photo. Each block of an
item's vector is then

  b' = |b'| unit((1 - s) b + w sum_v p_v m_v),  |b'| = (1 - s) |b| + w sum_v p_v |m_v|,
  s = w sum_v p_v,

with the block b of the image, the prototype m_v of each value v (the row of the attribute memory
that an edit to that value puts into a query) and the blend w of the attribute, from 0 (the image
alone) to 1 (the label alone). The belief p is one-hot for a label. Where there is no label, it is
READING_WEIGHT of what the system reads off the image, the probabilities of the values: a reading
may be wrong, and the image shows what it was read off. Without any belief (zeros) a block stays as
it is, as does one whose believed value has a prototype of zeros, which no training image showed.
No paper has this.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fashionsearchnet import files
from fashionsearchnet.attributes import AttributeSpace, edit_blocks, one_hot_blocks
from fashionsearchnet.checks import check_range

DEFAULT_BLEND = 0.5
READING_WEIGHT = 0.5  # of a label's; docs/results.md has 0, a quarter, a half and 1
_FILE = "label_blend.json"
_CURE = "Choose one with tools/choose_blend.py."


def blend_blocks(
    space: AttributeSpace,
    blocks: tf.Tensor,
    prototypes: tf.Tensor,
    beliefs: tf.Tensor,
    blend: tf.Tensor,
) -> tf.Tensor:
    """Returns blocks that use labels, float32 `[B, A, dim]`; see the module.

    Where image and prototype cancel out, a blend has no direction, and the image's block stays.

    Args:
      space: A attributes of C values together.
      blocks: float32 `[B, A, dim]`, of images.
      prototypes: float32 `[C, dim]`.
      beliefs: float32 `[B, C]`, how far each value is believed; the values of an attribute have at
        most 1 together, and zeros where nothing is known.
      blend: float32 `[A]` in 0..1, the share of the prototypes.
    """
    owner = np.repeat(np.arange(space.num_attributes), space.num_values)  # [C]
    is_own = np.arange(space.num_attributes)[:, None] == owner  # [A, C]
    is_known = _length(prototypes)[:, 0] > 0.0  # [C]
    of_attribute = tf.where(is_own & is_known, beliefs[:, None], 0.0)  # [B, A, C]
    share = blend[:, None]  # [A, 1]
    of_image = 1.0 - share * tf.reduce_sum(of_attribute, axis=-1, keepdims=True)  # [B, A, 1]
    mixed = of_image * blocks + share * tf.matmul(of_attribute, prototypes)
    wanted_length = tf.matmul(of_attribute, _length(prototypes))  # [B, A, 1]
    length = of_image * _length(blocks) + share * wanted_length
    own = _length(mixed)
    is_used = (of_image < 1.0) & (own > 1e-6 * length)
    return tf.where(is_used, mixed * length / tf.where(is_used, own, 1.0), blocks)


def beliefs_of(
    space: AttributeSpace, values: np.ndarray, probabilities: np.ndarray | None = None
) -> np.ndarray:
    """Returns what is believed of items, float32 `[N, C]`.

    Args:
      space: the attributes.
      values: int32 `[N, A]`, the labels, -1 for missing.
      probabilities: float32 `[N, C]`, what the system reads off the images, for missing labels;
        None for zeros there: the image alone.
    """
    if probabilities is None:
        return one_hot_blocks(space, values)
    return edit_blocks(space, np.float32(READING_WEIGHT) * probabilities, values)


def check_blend(space: AttributeSpace, blend: float | Sequence[float]) -> tuple[float, ...]:
    """Returns the blend of each attribute, from one number for all or one for each.

    Raises:
      ValueError: for a number out of 0..1, or another number of them.
    """
    each = [float(share) for share in np.atleast_1d(np.asarray(blend, np.float64))]
    if len(each) == 1:
        each *= space.num_attributes
    if len(each) != space.num_attributes:
        raise ValueError(
            f"label_blend must be one number, or one for each of {', '.join(space.names)}; got "
            f"{len(each)} numbers."
        )
    for share in each:
        check_range("label_blend", share, 0.0, 1.0)
    return tuple(each)


@dataclasses.dataclass(frozen=True)
class KnownLabels:
    """The labels that the vectors of a gallery use, and how.

    Attributes:
      beliefs: float32 `[number, C]`, see `beliefs_of`.
      blend: the share of the prototype in 0..1, for each attribute.
    """

    beliefs: np.ndarray
    blend: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class ChosenBlend:
    """The blend of a run, and what it was chosen on.

    Attributes:
      blend: the share of the prototype in 0..1, for each attribute.
      weights: the SHA-256 of the weights that it was chosen for; '' for the default.
      chosen_on: the splits, the shares of known and of wrong labels, and the figures found.
    """

    blend: tuple[float, ...]
    weights: str = ""
    chosen_on: dict[str, Any] = dataclasses.field(default_factory=dict)

    def save(self, workdir: str | os.PathLike[str]) -> Path:
        """Writes it into the folder of its run and returns the path."""
        path = Path(workdir).expanduser() / _FILE
        files.write_json(path, dataclasses.asdict(self))
        return path

    @classmethod
    def load(
        cls, workdir: str | os.PathLike[str], space: AttributeSpace, weights: str
    ) -> "ChosenBlend":
        """Returns the blend that was chosen for a run; the default for all if none was.

        Args:
          workdir: the folder of the run.
          space: its attributes.
          weights: the SHA-256 of its weights.

        Raises:
          ValueError: if the file is damaged, or belongs to other weights.
        """
        path = Path(workdir).expanduser() / _FILE
        if not path.is_file():
            return cls(check_blend(space, DEFAULT_BLEND))
        content = files.read_json(path, "the blend of labels", _CURE)
        try:
            found = cls(check_blend(space, content["blend"]), **_others(content))
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(
                f"{path} does not hold a blend of labels ({error}). {_CURE}"
            ) from error
        if found.weights != weights:
            raise ValueError(
                f"{path} was chosen for other weights than those of the run, which was trained "
                f"again. {_CURE}"
            )
        return found


def _others(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != "blend"}


def _length(blocks: tf.Tensor) -> tf.Tensor:
    """`[..., dim]` -> `[..., 1]`."""
    return tf.norm(blocks, axis=-1, keepdims=True)
