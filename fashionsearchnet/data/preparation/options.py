"""What the preparation of any data set is told: its name, its splits, the sizes of its images."""

import dataclasses
import re
from typing import Any

from fashionsearchnet.checks import check_range
from fashionsearchnet.data.image_files import ImageLimits
from fashionsearchnet.data.preparation import splits

PAPER_QUERIES, PAPER_GALLERY = 2_000, 18_000  # images, on every data set of the paper


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparationOptions:
    """What to make of some labelled images; a kind of source adds what it asks for.

    Attributes:
      name: of what is made, a folder below the one of the data set.
      num_queries: images of the split `query`; as many as in the paper by default.
      num_gallery: images of the split `gallery`; as many as in the paper by default.
      num_validation: images of the split `validation`, cut from what would be training images.
      split_seed: of the splits, in [0, 2**32).
      limits: sizes of the images.

    Raises:
      ValueError: for a name that is no plain word, an empty split, or a seed out of range.
    """

    name: str
    num_queries: int = PAPER_QUERIES
    num_gallery: int = PAPER_GALLERY
    num_validation: int = 2_000
    split_seed: int = 0
    limits: ImageLimits = dataclasses.field(default_factory=ImageLimits)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", self.name):
            raise ValueError(
                "the name of a data set must begin with a letter and consist of letters, digits, "
                f"'_' and '-'; got {self.name!r}."
            )
        for name in ("num_queries", "num_gallery", "num_validation"):
            check_range(name, getattr(self, name), 1)
        check_range("split_seed", self.split_seed, 0, splits.MAX_SEED)

    @property
    def split_sizes(self) -> dict[str, int]:
        """The number of images of each split but `train`, which gets the rest."""
        return {
            "query": self.num_queries,
            "gallery": self.num_gallery,
            "validation": self.num_validation,
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns what the data set depends on, for JSON."""
        content = dataclasses.asdict(self)
        return content | content.pop("limits")
