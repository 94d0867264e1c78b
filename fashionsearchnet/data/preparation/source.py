"""What a reader finds in the files of a data set."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.preparation.records import Contradiction, Drop, Record

_EXTRACT_AGAIN = (
    "Extract the images again so that their names are as in the labels (docs/datasets.md)."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """What the files of a data set say.

    Attributes:
      space: the attribute space; None for a catalogue, whose values are those that occur.
      attributes: names of a catalogue's attributes.
      records: one per image; names are relative to `images_dir`.
      images_dir: the folder of the images.
      max_lost: the share of images that may be missing or damaged, in [0, 1].
      cure: what the user can do if more are.
      drops: records that are not used, whatever their images are.
      contradictions: what the source disagrees on with itself.
      min_count: values of a catalogue with fewer images are dropped with their records.
      max_dropped: the share of a catalogue's rows that may be unusable, for any reason, in [0, 1].
      num_rows: how many records the files have; None where every one is in `records`.
      max_images: how many images to take, drawn by seed; None for all.
      fixed_splits: the images of `train`, `gallery`, `query` and, maybe, `validation`, where a data
        set publishes its splits; identical files stay as they are then. None to split by seed.
      bounds: of the splits by id of the data set that is replaced; None for new ones.
      extras: files to store beside the data set, as content for JSON.
      notes: what a user should know about this preparation.
      unlabelled: names of images that are kept without a label: an update knows none of their
        values, and a shop still sells them.
    """

    space: AttributeSpace | None = None
    attributes: tuple[str, ...] = ()
    records: list[Record]
    images_dir: Path
    max_lost: float
    cure: str = _EXTRACT_AGAIN
    drops: list[Drop] = dataclasses.field(default_factory=list)
    contradictions: list[Contradiction] = dataclasses.field(default_factory=list)
    min_count: int = 1
    max_dropped: float = 1.0
    num_rows: int | None = None
    max_images: int | None = None
    fixed_splits: Mapping[str, Sequence[str]] | None = None
    bounds: Mapping[str, int] | None = None
    extras: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unlabelled: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the attributes."""
        return self.space.names if self.space else self.attributes

    @property
    def is_catalogue(self) -> bool:
        """Whether it is a shop's table, whose values are those that occur."""
        return bool(self.attributes)
