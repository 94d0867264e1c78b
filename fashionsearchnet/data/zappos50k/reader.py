"""Zappos50k with the triplet lists of CSN: four attributes, whose values nobody lists.

A. Yu, K. Grauman, "Fine-Grained Visual Comparisons with Local Learning", CVPR 2014, has the images.
[Veit17] A. Veit, S. Belongie, T. Karaletsos, "Conditional Similarity Networks", CVPR 2017, lists
triplets: `tripletlists/{class,closure,gender,heel}_tripletlist_{train,val,test}.txt` with a line
`<anchor> <far> <close>` each, positions from 0 of lines of `filenames.json`, which is a plain text
list of paths below `ut-zap50k-images`. AG-MAN and ASENet_V2 use the same lists.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.listed_triplets import TRIPLETS_FILE
from fashionsearchnet.data.preparation import source_files
from fashionsearchnet.data.preparation.options import SourceOptions
from fashionsearchnet.data.preparation.reader import Reader
from fashionsearchnet.data.preparation.records import Record
from fashionsearchnet.data.preparation.source import Source
from fashionsearchnet.data.preparation.storing import PreparedBuilder

ATTRIBUTES = ("class", "closure", "gender", "heel")
_IMAGES, _FILENAMES, _LISTS = "ut-zap50k-images", "filenames.json", "tripletlists"
_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_NO_EFFECT = (
    "CSN's splits: the images of its triplets to train, to validate and to test; query and gallery "
    "are both those to test. num_queries, num_gallery and num_validation have no effect"
)


class Zappos50k(PreparedBuilder):
    """Zappos50k with the triplet lists of CSN; no image has a value of an attribute."""

    name = "zappos50k"


def read(options: SourceOptions) -> Source:
    """Returns the images that triplets name, without labels, and the triplets.

    Raises:
      OSError: if a folder or file is missing; the message names it and lists what is there.
      ValueError: naming file and line, for another format.
    """
    folder = Path(options.source_dir).expanduser()
    lists = [
        f"{_LISTS}/{attribute}_tripletlist_{split}.txt"
        for attribute in ATTRIBUTES
        for split in _SPLITS.values()
    ]
    expected = [_FILENAMES, f"{_IMAGES}/", *lists]
    source_files.check_folder(folder, expected, "Zappos50k with CSN's triplets")
    names = _read_names(folder / _FILENAMES)
    listed = {split: _read_split(folder, suffix, len(names)) for split, suffix in _SPLITS.items()}
    triplets = {split: rows[_has_three_images(rows)] for split, rows in listed.items()}
    used = {split: np.unique(rows[:, 1:]) for split, rows in triplets.items()}
    images = {split: [names[line] for line in lines] for split, lines in used.items()}
    stored = {split: _positions(triplets[split], used[split]) for split in triplets}
    lines = np.unique(np.concatenate(list(used.values())))
    return Source(
        space=AttributeSpace.from_dict({attribute: () for attribute in ATTRIBUTES}),
        records=[Record(line + 1, names[line], ("",) * len(ATTRIBUTES)) for line in lines.tolist()],
        images_dir=folder / _IMAGES,
        max_lost=0,
        fixed_splits={
            "train": images["train"],
            "validation": images["validation"],
            "query": images["test"],
            "gallery": images["test"],
        },
        extras={
            TRIPLETS_FILE: {
                "train": stored["train"],
                "validation": stored["validation"],
                "query": stored["test"],
            }
        },
        notes=(_NO_EFFECT, *_left_out(listed), *_shared(images)),
    )


def _read_names(path: Path) -> list[str]:
    """Returns the paths of the images, one in each line."""
    names = source_files.read_lines(path)
    if names[0].startswith("[") or "" in names:
        raise ValueError(
            f"{path} must be a plain list, the path of an image in each line, whatever its name "
            f"ends in; line {names.index('') + 1 if '' in names else 1} is "
            f"{'blank' if '' in names else repr(names[0][:40])}. Get CSN's file again."
        )
    source_files.check_unique(path, names)
    return names


def _read_split(folder: Path, suffix: str, num_images: int) -> np.ndarray:
    """Returns the triplets of a split, int64 `[n, 4]`: attribute, anchor, close, far."""
    parts = [
        _read_triplets(
            folder / _LISTS / f"{attribute}_tripletlist_{suffix}.txt", number, num_images
        )
        for number, attribute in enumerate(ATTRIBUTES)
    ]
    return np.array([row for part in parts for row in part], np.int64)


def _read_triplets(
    path: Path, attribute: int, num_images: int
) -> Iterable[tuple[int, int, int, int]]:
    """Yields the lines of a list as attribute, anchor, close, far."""
    for line, text in enumerate(source_files.read_lines(path), 1):
        cells = text.split()
        if len(cells) != 3:
            raise ValueError(
                f"{path} line {line} must be three positions of images: anchor, far, close; got "
                f"{text[:40]!r}."
            )
        anchor, far, close = (
            source_files.parse_integer(path, line, cell, 0, num_images - 1, f"the {what} image")
            for cell, what in zip(cells, ("anchor", "far", "close"), strict=True)
        )
        yield attribute, anchor, close, far


def _has_three_images(triplets: np.ndarray) -> np.ndarray:
    """Returns which triplets int64 `[n, 4]` name three images, bool `[n]`."""
    anchor, close, far = triplets[:, 1:].T
    return (anchor != close) & (anchor != far) & (close != far)


def _left_out(listed: dict[str, np.ndarray]) -> list[str]:
    """Returns a note for each split with triplets that name an image twice."""
    numbers = {split: int((~_has_three_images(rows)).sum()) for split, rows in listed.items()}
    return [
        f"{number:,} triplets of the split {split} name an image twice; they are left out"
        for split, number in numbers.items()
        if number
    ]


def _positions(triplets: np.ndarray, used: np.ndarray) -> list[list[int]]:
    """Returns triplets whose images are positions among those that a split uses."""
    images = np.searchsorted(used, triplets[:, 1:])
    return np.concatenate([triplets[:, :1], images], axis=1).tolist()


def _shared(images: dict[str, list[str]]) -> list[str]:
    """Returns a note if images to train on are in other splits too."""
    train = set(images["train"])
    shared = {split: len(train & set(images[split])) for split in ("validation", "test")}
    return [
        f"{number:,} images are in triplets to train and in those of the split {split}"
        for split, number in shared.items()
        if number
    ]


READER = Reader(Zappos50k, SourceOptions, read, {"attributes": len(ATTRIBUTES)})
