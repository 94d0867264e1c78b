"""Options of the preparation of any data set: its name, its splits, the sizes of its images."""

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.data.image_files import ImageLimits
from fashionsearchnet.data.preparation import splits

PAPER_SPLITS = {"query": 2_000, "gallery": 18_000}  # images, on every data set of the paper


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparationOptions:
    """Options of a preparation; a kind of source adds its own.

    Attributes:
      name: of the result, a folder below the one of the data set.
      num_queries: images of the split `query`; as many as in the paper by default.
      num_gallery: images of the split `gallery`; as many as in the paper by default.
      num_validation: images of the split `validation`, cut from the training images.
      split_seed: of the splits, in [0, 2**32).
      split_by: 'seed' draws the splits at random; 'id' makes them depend on the ids of images, or
        of their products, so that they stay the same when images are added.
      limits: sizes of the images.
      top_values: values of each attribute to keep, the most frequent ones; 0 for all.
      dense_splits: the images of all splits but `train` have a label of every attribute, as those
        of [Shin19]'s test.

    Raises:
      ValueError: for a name that is not a plain word, an empty split, or a seed out of range.
    """

    name: str
    num_queries: int = PAPER_SPLITS["query"]
    num_gallery: int = PAPER_SPLITS["gallery"]
    num_validation: int = 2_000
    split_seed: int = 0
    split_by: str = "seed"
    limits: ImageLimits = dataclasses.field(default_factory=ImageLimits)
    top_values: int = 0
    dense_splits: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", self.name):
            raise ValueError(
                "the name of a data set must begin with a letter and consist of letters, digits, "
                f"'_' and '-'; got {self.name!r}."
            )
        for name in ("num_queries", "num_gallery", "num_validation"):
            check_range(name, getattr(self, name), 1)
        check_range("split_seed", self.split_seed, 0, splits.MAX_SEED)
        check_choice("split_by", self.split_by, splits.SPLIT_BY)

    @property
    def split_sizes(self) -> dict[str, int]:
        """The number of images of each split but `train`, which gets the rest."""
        return {
            "query": self.num_queries,
            "gallery": self.num_gallery,
            "validation": self.num_validation,
        }

    @property
    def kept_attributes(self) -> tuple[str, ...]:
        """The attributes of the source to keep; () for all that it has."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the options for JSON; a data set opens with the same ones only."""
        content = dataclasses.asdict(self)
        for name in ("top_values", "dense_splits"):
            if not content[name]:  # as data sets say that were prepared before there was a choice
                del content[name]
        return content | content.pop("limits")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceOptions(PreparationOptions):
    """Options of the preparation of a published data set.

    Attributes:
      source_dir: the folder with the files as their authors publish them (docs/datasets.md).
      attributes: names of the attributes to keep; () for all.
    """

    source_dir: str
    name: str = "paper"
    attributes: tuple[str, ...] = ()

    @property
    def kept_attributes(self) -> tuple[str, ...]:
        return self.attributes

    def to_dict(self) -> dict[str, Any]:
        """Returns the options for JSON, folders as full paths."""
        content = super().to_dict()
        content["attributes"] = list(self.attributes)
        if not self.attributes:
            del content["attributes"]
        return content | {
            key: os.fspath(Path(value).expanduser().resolve())
            for key, value in content.items()
            if key.endswith("_dir") and value
        }
