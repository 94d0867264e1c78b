"""From the files of a published data set to a TFDS data set: check, unite, split, store.

A reader (one per data set) says what the files of the paper's authors hold; all that follows is
the same for each of them and stands here.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from fashionsearchnet import files
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data import image_files
from fashionsearchnet.data.catalogue import table
from fashionsearchnet.data.catalogue.selection import Selection
from fashionsearchnet.data.catalogue.table import Contradiction, Drop, Row
from fashionsearchnet.data.image_files import CheckedImage, ImageProblem
from fashionsearchnet.data.preparation import splits, storing
from fashionsearchnet.data.preparation.options import (
    PAPER_GALLERY,
    PAPER_QUERIES,
    PreparationOptions,
)
from fashionsearchnet.data.published import report
from fashionsearchnet.data.published.files import list_folder


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedOptions(PreparationOptions):
    """What to make of which folder.

    Attributes:
      source_dir: the folder with the files as their authors publish them (docs/datasets.md).
    """

    source_dir: str
    name: str = "paper"

    def to_dict(self) -> dict[str, Any]:
        """Returns what the data set depends on, for JSON."""
        content = super().to_dict()
        return content | {
            key: os.fspath(Path(value).expanduser().resolve())
            for key, value in content.items()
            if key.endswith("_dir") and value
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """What the files of a published data set say.

    Attributes:
      space: the attribute space.
      rows: one per image; `line` is where its label stands, `image` the name of its file.
      images_dir: folder to which these names are relative.
      max_lost: the share of images that may be missing or damaged, in [0, 1].
      drops: rows that are not used whatever their images are.
      limit: how many images to take, drawn by seed; None for all.
      fixed_splits: for splits that are published, the images of `train`, `gallery` and `query`;
        identical files stay as they are then. None to split by seed.
      extras: files to store beside the data set, as content for JSON.
      notes: what a user should know about this preparation.
    """

    space: AttributeSpace
    rows: list[Row]
    images_dir: Path
    max_lost: float
    drops: list[Drop] = dataclasses.field(default_factory=list)
    limit: int | None = None
    fixed_splits: Mapping[str, Sequence[str]] | None = None
    extras: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class PublishedDataset:
    """One data set of the paper: its builder, options and reader, and what the paper counts."""

    builder_class: type[storing.PreparedBuilder]
    options_class: type[PublishedOptions]
    read: Callable[[Any], Source]
    num_images: int
    num_attributes: int
    num_values: int


def prepare(
    dataset: PublishedDataset,
    options: PublishedOptions,
    data_dir: str | os.PathLike[str],
    overwrite: bool = False,
    show_progress: bool = True,
) -> tfds.core.DatasetBuilder:
    """Makes the data set `<data_dir>/<data set>/<name>`, or opens it if it is there already.

    Beside the tfrecord files it holds `attribute_space.json`, `preparation_report.json` and
    `dropped.csv`. An interrupted build leaves what was there before.

    Args:
      dataset: which one.
      options: what to make of which folder.
      data_dir: the folder of all prepared data sets.
      overwrite: whether to replace a data set of the same name.
      show_progress: whether to show bars while images are checked and stored.

    Raises:
      ValueError: for files that are not as published, too few images for the splits (said before
        any image is read, if the labels tell), or a data set of the same name made with other
        options, unless `overwrite` is set.
      OSError: if the folder is not the one of this data set, too many images are missing or
        damaged, a file cannot be read or written, or the disk is full.
    """
    if not overwrite:
        existing = storing.open_existing(dataset.builder_class, options, data_dir)
        if existing is not None:
            return existing
    source = dataset.read(options)
    selection = select(source, options, show_progress)
    indices = _split(source, selection, options)
    config = storing.PreparedConfig(options, selection, indices, show_progress)
    published = {
        "images": dataset.num_images,
        "attributes": dataset.num_attributes,
        "values": dataset.num_values,
        "query": PAPER_QUERIES,
        "gallery": PAPER_GALLERY,
    }

    def write_reports(folder: Path) -> None:
        report.write_report(folder, published, selection, indices, source.notes, options.to_dict())
        for name, content in source.extras.items():
            files.write_json(folder / name, content)

    return storing.store(dataset.builder_class, config, data_dir, write_reports)


def select(source: Source, options: PublishedOptions, show_progress: bool = True) -> Selection:
    """Returns the images of a source that are used, with their labels.

    Without published splits, images without any label are dropped and identical files become
    one, since a copy of a query in the gallery or the training images would be a leak; what their
    labels contradict each other on becomes missing.

    Raises:
      ValueError: if there are too few images for the splits even if all can be used; said before
        any is read.
      OSError: if more than `source.max_lost` of the images are missing or damaged, or all.
    """
    rows, drops = source.rows, list(source.drops)
    contradictions: list[Contradiction] = []
    if source.fixed_splits is None:
        rows, unlabelled = table.drop_unlabelled(rows)
        drops += unlabelled
        splits.check_sizes(len(rows), options.split_sizes)
    else:
        cut = {"validation": options.num_validation}
        splits.check_sizes(len(source.fixed_splits["train"]), cut)
    order = {row.image: position for position, row in enumerate(rows)}
    used = list(_usable_images(source, rows, options, drops, show_progress))
    used.sort(key=lambda use: order[use[0].image])
    rows = [row for row, _, _ in used]
    found = {row.image: (path, image) for row, path, image in used}
    if source.fixed_splits is None:
        digests = [image.digest for _, _, image in used]
        rows, twins, contradictions = table.unite_rows(
            rows, digests, source.space.names, "identical file"
        )
        rows, unlabelled = table.drop_unlabelled(rows)
        drops += [*twins, *unlabelled]
    return Selection(
        rows=rows,
        paths=[found[row.image][0] for row in rows],
        images=[found[row.image][1] for row in rows],
        space=source.space,
        labels=table.encode_values(rows, source.space),
        drops=sorted(drops, key=lambda drop: drop.row.line),
        contradictions=contradictions,
    )


def _usable_images(
    source: Source,
    rows: Sequence[Row],
    options: PublishedOptions,
    drops: list[Drop],
    show_progress: bool,
) -> Iterator[tuple[Row, Path, CheckedImage]]:
    """Yields the rows with a usable image, up to the limit; appends the others to `drops`.

    With a limit, images are checked in random order until enough different ones are found: a
    million need not be read for a quarter of them.
    """
    limit = len(rows) if source.limit is None else min(source.limit, len(rows))
    if limit < len(rows):
        order = np.random.RandomState(options.split_seed).permutation(len(rows))
        rows = [rows[i] for i in order]
    digests: set[str] = set()
    num_checked, num_dropped = 0, len(drops)
    with tqdm.tqdm(
        total=limit, desc="Checking images", unit=" images", disable=not show_progress
    ) as bar:
        while num_checked < len(rows) and len(digests) < limit:
            batch = rows[num_checked : num_checked + limit - len(digests)]
            num_checked += len(batch)
            found = _find_images(batch, source.images_dir, drops)
            _check_lost(source, drops[num_dropped:], num_checked)
            checked = image_files.check_images([path for _, path in found], options.limits)
            for (row, path), image in zip(found, checked, strict=True):
                bar.update()
                if image.problem:
                    drops.append(Drop(row, image.kind, image.problem))
                    continue
                digests.add(image.digest)
                yield row, path, image
        _check_lost(source, drops[num_dropped:], num_checked)


def _find_images(rows: Sequence[Row], folder: Path, drops: list[Drop]) -> list[tuple[Row, Path]]:
    """Returns the rows whose file exists, with its path; appends the others to `drops`."""
    found = []
    for row in rows:
        try:
            found.append((row, image_files.find_file(folder, row.image)))
        except ImageProblem as problem:
            drops.append(Drop(row, problem.kind, str(problem)))
    return found


def _check_lost(source: Source, lost: Sequence[Drop], num_checked: int) -> None:
    """Raises an OSError if more images than allowed, or all, are missing or damaged."""
    if not lost or (len(lost) <= source.max_lost * num_checked and len(lost) < num_checked):
        return
    allowed = f"at most {source.max_lost:.0%} may be" if source.max_lost < 1 else "none can be used"
    present = list_folder(source.images_dir) if source.images_dir.is_dir() else "no such folder"
    raise OSError(
        f"{len(lost)} of {num_checked} images are missing or damaged ({allowed}); the first: "
        f"{lost[0].row.image}, {lost[0].reason}. {source.images_dir}: {present}. Extract the "
        "images again so that their names are as in the labels (docs/datasets.md)."
    )


def _split(
    source: Source, selection: Selection, options: PublishedOptions
) -> dict[str, np.ndarray]:
    """Returns the rows of each split: by seed, or as published with a validation split cut off."""
    if source.fixed_splits is None:
        return splits.split_indices(len(selection.rows), options.split_sizes, options.split_seed)
    position = {row.image: index for index, row in enumerate(selection.rows)}
    indices = {
        split: np.array([position[name] for name in names], np.int64)
        for split, names in source.fixed_splits.items()
    }
    cut = splits.split_indices(
        len(indices["train"]), {"validation": options.num_validation}, options.split_seed
    )
    return indices | {split: indices["train"][part] for split, part in cut.items()}
