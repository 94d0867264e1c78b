"""From a source to a prepared data set: read, choose, split, store.

A reader, one per kind of source, says what its files hold. All other steps stand here, once.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from fashionsearchnet import files
from fashionsearchnet.data.preparation import records, splits, storing, summary
from fashionsearchnet.data.preparation.former import Former, read_former, write_images
from fashionsearchnet.data.preparation.images import CheckedImage
from fashionsearchnet.data.preparation.narrowing import narrow
from fashionsearchnet.data.preparation.options import PreparationOptions
from fashionsearchnet.data.preparation.selection import Selection, select
from fashionsearchnet.data.preparation.source import Source

_MAY_CHANGE = ("content of the csv",)  # options that an update may change
_CURE = (  # of an update with other options
    "An update keeps the options of the first preparation: give them again, or replace the data "
    "set with --overwrite and train again"
)


@dataclasses.dataclass(frozen=True)
class Reader:
    """One kind of source.

    Attributes:
      builder_class: of its data sets.
      options_class: of its preparations.
      read: returns what the files say, given the options.
      paper: the numbers of images, attributes, values, `query` and `gallery` images that the
        paper states; empty for a catalogue.
    """

    builder_class: type[storing.PreparedBuilder]
    options_class: type[PreparationOptions]
    read: Callable[[Any], Source]
    paper: dict[str, int] = dataclasses.field(default_factory=dict)

    def open_existing(
        self, options: PreparationOptions, data_dir: str | os.PathLike[str]
    ) -> tfds.core.DatasetBuilder | None:
        """Returns the data set of these options if it exists, else None.

        The images themselves are not compared.

        Raises:
          ValueError: naming the differences, if it was prepared with other options.
        """
        return storing.open_existing(self.builder_class, options, data_dir)


def prepare(
    reader: Reader,
    options: PreparationOptions,
    data_dir: str | os.PathLike[str],
    overwrite: bool = False,
    show_progress: bool = True,
    update: bool = False,
) -> tfds.core.DatasetBuilder:
    """Prepares the data set `<data_dir>/<kind>/<name>`, or opens it if it exists.

    It is built beside its place and moved there at the end: an interrupted build leaves the
    former data set. Beside the tfrecord files it holds `attribute_space.json`,
    `preparation_report.json`, `dropped.csv` (line, file, kind, reason) and `near_copies.csv`.

    Args:
      reader: of the source.
      options: of the preparation.
      data_dir: the folder of all prepared data sets.
      overwrite: whether to replace a data set of the same name. Splits by id stay as they were,
        unless their sizes or their seed change.
      show_progress: whether to show bars while images are checked and stored.
      update: whether to bring a data set of the same name up to date: images that have not changed
        are not decoded again, the attributes and values stay those of the models trained on it, and
        every image stays in its split.

    Raises:
      ValueError: for a source that cannot be used, too few images for the splits (before any
        image is decoded, if the labels tell), or a data set of the same name with other options,
        unless `overwrite` is set. For an update: if there is no data set of this name, or more of
        its images are gone than `source.max_dropped` allows.
      BlockingIOError: if another process prepares a data set of this name.
      OSError: for a folder of something else, too many missing or damaged images, a file that
        cannot be read or written, or a full disk.
    """
    if update and options.dense_splits:
        raise ValueError(
            "--update does not go with --dense_splits: a new label could move an image that models "
            "were trained on to the queries. Use --overwrite, and train again."
        )
    existing = None if overwrite or update else reader.open_existing(options, data_dir)
    if existing is not None:
        return existing
    with storing.hold_name(reader.builder_class, options.name, data_dir) as folder:
        former = read_former(folder)
        if update and former is None:
            raise ValueError(
                f"there is no data set {folder} to update. Check --name and --data_dir, or prepare "
                "it without --update."
            )
        source = narrow(reader.read(options), options.kept_attributes, options.top_values)
        images: Mapping[Path, CheckedImage] = {}
        if former is not None:
            source = dataclasses.replace(source, bounds=former.bounds_for(options.to_dict()))
            if update:
                storing.check_same_options(folder, former.options, options, _MAY_CHANGE, _CURE)
                source = _keep_space(source, former, folder)
                images = former.images_for(options.to_dict())
        selection = select(source, options, show_progress, images)
        changes = _count_changes(selection, former) if update and former is not None else {}
        if changes:
            _check_gone(changes, source.max_dropped, folder)
        indices, bounds = _split(source, selection, options)
        config = storing.PreparedConfig(options, selection, indices, bounds, show_progress)
        content = summary.summarize(selection, indices, source, reader.paper)
        content["options"] = options.to_dict()
        if changes:
            content["updated"] = changes

        def write_extras(built: Path) -> None:
            summary.write(built, content, selection, indices)
            write_images(built, selection.paths, selection.images)
            for name, extra in source.extras.items():
                files.write_json(built / name, extra)

        return storing.store(reader.builder_class, config, data_dir, write_extras)


def _keep_space(source: Source, former: Former, folder: Path) -> Source:
    """Returns a source with the attribute space of an earlier preparation.

    Raises:
      ValueError: if its splits depend on the number of images.
    """
    if source.bounds is None:
        raise ValueError(
            f"{folder} has splits by seed: with other images they would change, and queries would "
            "have been trained on. Prepare it once with --split_by=id and --overwrite, then update."
        )
    found, unknown = records.known_values(source.records, former.space)
    notes = [
        f"{name}: missing, since the data set has no such value ({summary.UNKNOWN_FILE} has all): "
        + records.list_counts(counts, summary.NUM_LISTED)
        for name, counts in unknown.items()
    ]
    unlabelled = {
        after.image
        for before, after in zip(source.records, found, strict=True)
        if any(before.values) and not any(after.values)
    }
    return dataclasses.replace(
        source,
        records=found,
        space=former.space,
        min_count=1,
        notes=(*source.notes, *notes),
        extras={**source.extras, **({summary.UNKNOWN_FILE: unknown} if unknown else {})},
        unlabelled=frozenset(unlabelled),
    )


def _count_changes(selection: Selection, former: Former) -> dict[str, int]:
    """Returns how many images are new, changed, unchanged and gone."""
    before = {path: image.digest for path, image in former.images.items()}
    now = {path: i.digest for path, i in zip(selection.paths, selection.images, strict=True)}
    same = sum(before.get(path) == digest for path, digest in now.items())
    known = sum(path in before for path in now)
    return {
        "new": len(now) - known,
        "changed": known - same,
        "unchanged": same,
        "gone": len(before.keys() - now.keys()),
    }


def _check_gone(changes: Mapping[str, int], max_dropped: float, folder: Path) -> None:
    """Raises ValueError if an update loses too many images of a data set."""
    gone, before = changes["gone"], changes["changed"] + changes["unchanged"] + changes["gone"]
    if gone > max_dropped * before:
        raise ValueError(
            f"{gone:,} of the {before:,} images of {folder} are gone from the table, more than "
            f"--max_dropped={max_dropped:.2g} allows. Is the table complete? Nothing was changed. "
            "--max_dropped=1 allows any loss."
        )


def _split(
    source: Source, selection: Selection, options: PreparationOptions
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Returns the records of each split, and the bounds of splits by id.

    Raises:
      ValueError: for a split without an image, too few images with all labels, or a choice of
        splits that are published.
    """
    if source.fixed_splits is not None:
        if options.dense_splits:
            raise ValueError(
                "--dense_splits is for splits that are drawn, but these are published. Leave it "
                "out."
            )
        return _published_splits(source, selection, options), {}
    sizes, seed = options.split_sizes, options.split_seed
    keys = [record.group or record.image for record in selection.records]
    rows = np.arange(len(keys))
    if options.dense_splits:
        rows = splits.dense_rows(selection.labels, keys)
        splits.check_dense(len(rows), sizes)
    if options.split_by == "seed":
        cut = splits.split_indices(len(rows), sizes, seed)
        return splits.with_rest(cut, rows, len(keys)), {}
    cut, bounds = splits.split_by_id([keys[row] for row in rows], sizes, seed, source.bounds)
    indices = splits.with_rest(cut, rows, len(keys))
    empty = [name for name, found in indices.items() if not len(found)]
    if empty:
        raise ValueError(
            f"the split {empty[0]!r} would have no image of {len(keys):,}. Ask for other sizes of "
            "the splits, or have more images or products."
        )
    return indices, bounds


def _published_splits(
    source: Source, selection: Selection, options: PreparationOptions
) -> dict[str, np.ndarray]:
    """Returns the splits as published, with `validation` cut off `train` unless it is published.

    They lack the images that are missing or damaged, as far as `source.max_lost` allows some.

    Raises:
      ValueError: for a split without an image.
    """
    position = {record.image: index for index, record in enumerate(selection.records)}
    indices = {
        split: np.array([position[name] for name in names if name in position], np.int64)
        for split, names in (source.fixed_splits or {}).items()
    }
    for split, found in indices.items():
        if not len(found):
            raise ValueError(f"no image of the published split {split!r} is left. {source.cure}")
    if "validation" in indices:
        return indices
    cut = splits.split_indices(
        len(indices["train"]), {"validation": options.num_validation}, options.split_seed
    )
    return indices | {split: indices["train"][part] for split, part in cut.items()}
