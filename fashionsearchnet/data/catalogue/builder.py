"""The TFDS data set of anybody's catalogue: a CSV of attributes and a folder of images.

What is used of a catalogue is chosen in `selection`; here it is split by seed, stored and opened
again.
"""

import os
from pathlib import Path

import tensorflow_datasets as tfds

from fashionsearchnet.data.catalogue import report as catalogue_report
from fashionsearchnet.data.catalogue.selection import CatalogueOptions, select
from fashionsearchnet.data.preparation import splits, storing


class Catalogue(storing.PreparedBuilder):
    """Images of a catalogue and their attributes; made by `prepare`.

    A data set once made is opened by `tfds.builder_from_directory`, without its table.
    """

    name = "catalogue"


def prepare(
    options: CatalogueOptions,
    data_dir: str | os.PathLike[str],
    overwrite: bool = False,
    show_progress: bool = True,
) -> tfds.core.DatasetBuilder:
    """Makes the data set `<data_dir>/catalogue/<name>`, or opens it if it is there already.

    It is built beside its place and moved there when it is complete: an interrupted build leaves
    what was there before. Beside the tfrecord files it holds `attribute_space.json`,
    `preparation_report.json` and `dropped.csv` (line, file, kind, reason).

    Args:
      options: what to make of which catalogue.
      data_dir: the folder of all prepared data sets.
      overwrite: whether to replace a data set of the same name.
      show_progress: whether to show bars while images are checked and stored.

    Raises:
      ValueError: for a catalogue that cannot be used, too few images for the splits, or a data
        set of the same name made with other options, unless `overwrite` is set.
      OSError: if a file cannot be read or written, or the disk is full.
    """
    if not overwrite:
        existing = open_existing(options, data_dir)
        if existing is not None:
            return existing
    selection = select(options, show_progress)
    indices = splits.split_indices(len(selection.rows), options.split_sizes, options.split_seed)
    config = storing.PreparedConfig(options, selection, indices, show_progress)

    def write_reports(folder: Path) -> None:
        catalogue_report.write_report(folder, options, selection, indices)

    return storing.store(Catalogue, config, data_dir, write_reports)


def open_existing(
    options: CatalogueOptions, data_dir: str | os.PathLike[str]
) -> tfds.core.DatasetBuilder | None:
    """Returns the data set of these options if it was made before, None if there is none.

    The images themselves are not compared.

    Raises:
      ValueError: naming the differences, if it was made with other options.
    """
    return storing.open_existing(Catalogue, options, data_dir)
