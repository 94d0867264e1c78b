"""The TFDS data set of anybody's catalogue: a CSV of attributes and a folder of images.

What is used of a catalogue is chosen in `catalogue_selection`; here it is split by seed, stored
and opened again.
"""

import contextlib
import errno
import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
import tqdm

from fashionsearchnet.data import image_files, splits
from fashionsearchnet.data.catalogue import report as catalogue_report
from fashionsearchnet.data.catalogue.selection import CatalogueOptions, Selection, select


class CatalogueConfig(tfds.core.BuilderConfig):
    """One catalogue, as selected and split."""

    def __init__(
        self,
        options: CatalogueOptions,
        selection: Selection,
        indices: dict[str, np.ndarray],
        show_progress: bool,
    ) -> None:
        super().__init__(name=options.name, description=f"{len(selection.rows)} images")
        self.options = options
        self.selection = selection
        self.indices = indices
        self.show_progress = show_progress


class Catalogue(tfds.core.GeneratorBasedBuilder):
    """Images of a catalogue with their attributes; made by `prepare`.

    A data set once made is opened by `tfds.builder_from_directory`, without its table. Its
    metadata hold `attribute_space` and `options`.
    """

    VERSION = tfds.core.Version("1.0.0")
    # TFDS would look for it by way of a package, importlib_resources, that it does not install.
    code_path = Path(__file__)

    def _info(self) -> tfds.core.DatasetInfo:
        """Returns the features: image, image_id and attributes (-1 for missing)."""
        config = self.builder_config
        return tfds.core.DatasetInfo(
            builder=self,
            description="Images of a catalogue and their attributes.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), dtype=np.uint8),
                    "image_id": tfds.features.Text(),
                    "attributes": tfds.features.Tensor(
                        shape=(config.selection.space.num_attributes,), dtype=np.int32
                    ),
                }
            ),
            metadata=tfds.core.MetadataDict(
                attribute_space=config.selection.space.to_dict(),
                split_seed=config.options.split_seed,
                options=config.options.to_dict(),
            ),
            disable_shuffling=True,  # the order of the splits, which is random, is kept
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager
        return {
            split: self._generate_examples(split, indices)
            for split, indices in self.builder_config.indices.items()
        }

    def _generate_examples(
        self, split: str, indices: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        config, selection = self.builder_config, self.builder_config.selection
        hidden = not config.show_progress
        bar = tqdm.tqdm(indices, f"Storing {split}", unit=" images", disable=hidden)
        for key, index in enumerate(bar):
            path = selection.paths[index]
            data = image_files.read_bytes(path)
            if hashlib.sha256(data).hexdigest() != selection.images[index].digest:
                raise OSError(f"{path} was changed while the data set was being made; run again.")
            image, _ = image_files.normalize_image(data, config.options.limits)
            yield (
                key,
                {
                    "image": image,
                    "image_id": selection.rows[index].image,
                    "attributes": selection.labels[index],
                },
            )


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
    sizes = {
        "query": options.num_queries,
        "gallery": options.num_gallery,
        "validation": options.num_validation,
    }
    indices = splits.split_indices(len(selection.rows), sizes, options.split_seed)
    target = _dataset_folder(options.name, data_dir)
    with _explain_failure(target), _building_folder(target) as building:
        config = CatalogueConfig(options, selection, indices, show_progress)
        builder = Catalogue(config=config, data_dir=building)
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS names the folder used meanwhile
            builder.download_and_prepare(file_format="tfrecord")
        built = Path(builder.data_dir)
        selection.space.save(built / "attribute_space.json")
        catalogue_report.write_report(built, options, selection, indices)
        _move_folder(built, target)
    return tfds.builder_from_directory(target)


def open_existing(
    options: CatalogueOptions, data_dir: str | os.PathLike[str]
) -> tfds.core.DatasetBuilder | None:
    """Returns the data set of these options if it was made before, None if there is none.

    The images themselves are not compared.

    Raises:
      ValueError: naming the differences, if it was made with other options.
    """
    folder = _dataset_folder(options.name, data_dir)
    _finish_interrupted_move(folder)
    if not (folder / "dataset_info.json").is_file():
        return None
    builder = tfds.builder_from_directory(folder)
    before, now = builder.info.metadata["options"], options.to_dict()
    differences = [
        f"{name} was {_shorten(before.get(name))}, now {_shorten(now.get(name))}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    if differences:
        raise ValueError(
            f"{folder} was made with other options: {'; '.join(differences)}. Choose another "
            "name, or set overwrite."
        )
    return builder


def _dataset_folder(name: str, data_dir: str | os.PathLike[str]) -> Path:
    return Path(data_dir).expanduser() / Catalogue.name / name / str(Catalogue.VERSION)


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:16]}...{text[-16:]}"


@contextlib.contextmanager
def _building_folder(target: Path) -> Iterator[Path]:
    """Yields an empty folder on the disk of `target`, removed at the end."""
    folder = target.parent.parent / f".{target.parent.name}.building"
    shutil.rmtree(folder, ignore_errors=True)  # of a build that was killed
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot make {folder} ({error.strerror}); choose another data_dir"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _explain_failure(target: Path) -> Iterator[None]:
    """Turns whatever a full disk raises within TFDS and TensorFlow into one OSError."""
    try:
        yield
    except Exception as error:
        is_full = "no space left" in str(error).lower() or (
            isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        )
        if is_full:
            raise OSError(
                errno.ENOSPC,
                f"no space left to make {target}; what was there before is unchanged. Free some "
                "space or choose another data_dir, then run the same command again",
            ) from error
        if isinstance(error, tf.errors.OpError):
            raise OSError(f"cannot write {target}: {error.message}") from error
        raise


def _move_folder(built: Path, target: Path) -> None:
    """Puts `built` in the place of `target`, which keeps its content if that fails."""
    former = _former_folder(target)
    shutil.rmtree(former, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(former)
    built.rename(target)
    shutil.rmtree(former, ignore_errors=True)


def _finish_interrupted_move(target: Path) -> None:
    """Brings back a data set whose replacement was killed between the two renames."""
    former = _former_folder(target)
    if former.exists() and not target.exists():
        former.rename(target)


def _former_folder(target: Path) -> Path:
    return target.parent.parent / f".{target.parent.name}.former"
