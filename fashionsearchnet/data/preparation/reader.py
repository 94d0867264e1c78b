"""From a source to a prepared data set: read, choose, split, store.

A reader, one per kind of source, says what its files hold. All other steps stand here, once.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from fashionsearchnet import files
from fashionsearchnet.data.preparation import splits, storing, summary
from fashionsearchnet.data.preparation.options import PreparationOptions
from fashionsearchnet.data.preparation.selection import Selection, Source, select


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
) -> tfds.core.DatasetBuilder:
    """Prepares the data set `<data_dir>/<kind>/<name>`, or opens it if it exists.

    It is built beside its place and moved there at the end: an interrupted build leaves the
    former data set. Beside the tfrecord files it holds `attribute_space.json`,
    `preparation_report.json` and `dropped.csv` (line, file, kind, reason).

    Args:
      reader: of the source.
      options: of the preparation.
      data_dir: the folder of all prepared data sets.
      overwrite: whether to replace a data set of the same name.
      show_progress: whether to show bars while images are checked and stored.

    Raises:
      ValueError: for a source that cannot be used, too few images for the splits (before any
        image is read, if the labels tell), or a data set of the same name with other options,
        unless `overwrite` is set.
      OSError: for a folder of something else, too many missing or damaged images, a file that
        cannot be read or written, or a full disk.
    """
    existing = None if overwrite else reader.open_existing(options, data_dir)
    if existing is not None:
        return existing
    source = reader.read(options)
    selection = select(source, options, show_progress)
    indices = _split(source, selection, options)
    config = storing.PreparedConfig(options, selection, indices, show_progress)
    content = summary.summarize(selection, indices, source, reader.paper)
    content["options"] = options.to_dict()

    def write_extras(folder: Path) -> None:
        summary.write(folder, content, selection.drops)
        for name, extra in source.extras.items():
            files.write_json(folder / name, extra)

    return storing.store(reader.builder_class, config, data_dir, write_extras)


def _split(
    source: Source, selection: Selection, options: PreparationOptions
) -> dict[str, np.ndarray]:
    """Returns the records of each split: by seed, or as published with `validation` cut off."""
    if source.fixed_splits is None:
        return splits.split_indices(len(selection.records), options.split_sizes, options.split_seed)
    position = {record.image: index for index, record in enumerate(selection.records)}
    indices = {
        split: np.array([position[name] for name in names], np.int64)
        for split, names in source.fixed_splits.items()
    }
    cut = splits.split_indices(
        len(indices["train"]), {"validation": options.num_validation}, options.split_seed
    )
    return indices | {split: indices["train"][part] for split, part in cut.items()}
