"""Stores labelled image files as a TFDS data set, complete or not at all."""

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
import tqdm

from fashionsearchnet import files
from fashionsearchnet.data import image_files
from fashionsearchnet.data.image_headers import ImageProblem
from fashionsearchnet.data.preparation import images
from fashionsearchnet.data.preparation.options import PreparationOptions
from fashionsearchnet.data.preparation.records import Record
from fashionsearchnet.data.preparation.selection import Selection


class PreparedConfig(tfds.core.BuilderConfig):
    """A selection of images and its splits, stored under one name."""

    def __init__(
        self,
        options: PreparationOptions,
        selection: Selection,
        indices: Mapping[str, np.ndarray],
        bounds: Mapping[str, int],
        show_progress: bool,
    ) -> None:
        """Makes a configuration.

        Args:
          options: of the preparation; opening the data set compares them.
          selection: the images and their labels.
          indices: for each split the records of the selection, in the order to store them.
          bounds: of splits by id, which an update keeps.
          show_progress: whether to show a bar while images are stored.
        """
        super().__init__(name=options.name, description=f"{len(selection.records)} images")
        self.options = options.to_dict()
        self.limits = options.limits
        self.selection = selection
        self.indices = indices
        self.bounds = bounds
        self.show_progress = show_progress


class PreparedBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """TFDS builder of a selection; each data set is a subclass with its name.

    Features of an example: `image`, `image_id` (its name in the source) and `attributes` (int32
    `[num_attributes]`, -1 for missing). Where the source knows products, `instance_id` is the id of
    the product that the image shows, else its image_id. Where the source has columns to show,
    `columns` holds them as a JSON object of texts. The metadata hold `attribute_space`, `options`
    and `queries_in_gallery`.
    """

    VERSION = tfds.core.Version("1.0.0")
    # TFDS would look for it by way of a package, importlib_resources, that it does not install.
    code_path = Path(__file__)

    def _info(self) -> tfds.core.DatasetInfo:
        """Returns the features and the metadata."""
        config = self.builder_config
        space, indices = config.selection.space, config.indices
        texts = {name: tfds.features.Text() for name in _text_features(config.selection)}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), dtype=np.uint8),
                    "image_id": tfds.features.Text(),
                    "attributes": tfds.features.Tensor(
                        shape=(space.num_attributes,), dtype=np.int32
                    ),
                    **texts,
                }
            ),
            metadata=tfds.core.MetadataDict(
                attribute_space=space.to_dict(),
                options=config.options,
                # As text: they are larger than the numbers that JSON readers hold exactly.
                split_bounds={name: str(bound) for name, bound in config.bounds.items()},
                queries_in_gallery=bool(np.isin(indices["query"], indices["gallery"]).all()),
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
        texts = _text_features(selection)
        bar = tqdm.tqdm(
            indices, f"Storing {split}", unit=" images", disable=hidden, mininterval=1.0
        )
        for key, index in enumerate(bar):
            path = selection.paths[index]
            data = images.read_bytes(path)
            if hashlib.sha256(data).hexdigest() != selection.images[index].digest:
                raise OSError(
                    f"{path} was changed during the preparation. Run the same command again."
                )
            record = selection.records[index]
            try:
                image, _ = image_files.normalize_image(data, config.limits, record.box)
            except ImageProblem as problem:  # the image was checked, its box was not
                raise OSError(f"{path}: {problem}. Correct the box, or remove its line.") from None
            yield (
                key,
                {
                    "image": image,
                    "image_id": record.image,
                    "attributes": selection.labels[index],
                    **{name: read(record) for name, read in texts.items()},
                },
            )


def _text_features(selection: Selection) -> dict[str, Callable[[Record], str]]:
    """Returns the features beside image, id and labels, and how to read them off a record."""
    features: dict[str, Callable[[Record], str]] = {}
    if any(record.group for record in selection.records):
        features["instance_id"] = lambda record: record.group or record.image
    if any(record.columns for record in selection.records):
        features["columns"] = lambda record: json.dumps(dict(record.columns), ensure_ascii=False)
    return features


def open_existing(
    builder_class: type[PreparedBuilder],
    options: PreparationOptions,
    data_dir: str | os.PathLike[str],
) -> tfds.core.DatasetBuilder | None:
    """Returns the data set of these options if it exists, else None; see Reader.open_existing."""
    folder = _dataset_folder(builder_class, options.name, data_dir)
    files.restore_folder(folder, _former_folder(folder))
    if not (folder / "dataset_info.json").is_file():
        return None
    builder = tfds.builder_from_directory(folder)
    check_same_options(folder, builder.info.metadata["options"], options)
    return builder


def check_same_options(
    folder: Path,
    before: Mapping[str, Any],
    options: PreparationOptions,
    may_change: Sequence[str] = (),
    cure: str = "",
) -> None:
    """Raises a ValueError that names the options in which a data set differs from `options`.

    Args:
      folder: of the data set.
      before: its options.
      options: those to compare.
      may_change: options that are not compared.
      cure: what to do; by default another name, or another data set in its place.
    """
    now = options.to_dict()
    differences = [
        f"{key} was {_shorten(before.get(key))}, now {_shorten(now.get(key))}"
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key) and key not in may_change
    ]
    if not differences:
        return
    is_table = all(difference.startswith("content of the csv") for difference in differences)
    update = "bring it up to date with --update, or " if is_table else ""
    cure = cure or f"Choose another name (--name), or {update}replace it with --overwrite"
    raise ValueError(f"{folder} was prepared with other options: {'; '.join(differences)}. {cure}.")


@contextlib.contextmanager
def hold_name(
    builder_class: type[PreparedBuilder], name: str, data_dir: str | os.PathLike[str]
) -> Iterator[Path]:
    """Yields the folder of a data set, which no other process prepares while the block runs.

    Raises:
      BlockingIOError: if another process does.
      OSError: if `data_dir` cannot be written.
    """
    folder = _dataset_folder(builder_class, name, data_dir)
    lock = folder.parent.parent / f".{name}.lock"
    new = [p for p in (lock.parent, lock.parent.parent) if not p.exists()]
    with contextlib.ExitStack() as held:
        held.callback(_remove_empty, new)  # leave nothing behind of a preparation that was refused
        try:
            held.enter_context(files.hold_lock(lock, f"prepares {builder_class.name}/{name}"))
        except BlockingIOError:
            raise
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot make {lock.parent} ({error.strerror}); choose another data_dir",
            ) from error
        files.restore_folder(folder, _former_folder(folder))
        yield folder


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def store(
    builder_class: type[PreparedBuilder],
    config: PreparedConfig,
    data_dir: str | os.PathLike[str],
    write_extras: Callable[[Path], None],
) -> tfds.core.DatasetBuilder:
    """Stores the data set `<data_dir>/<name of the builder>/<name of the configuration>`.

    It is built beside its place and moved there at the end: an interrupted build leaves the
    former data set. Beside the tfrecord files it holds `attribute_space.json`.

    Args:
      builder_class: of the data set.
      config: its content.
      data_dir: the folder of all prepared data sets.
      write_extras: adds files to the folder of the new data set.

    Raises:
      OSError: if a file cannot be read or written, or the disk is full.
    """
    target = _dataset_folder(builder_class, config.name, data_dir)
    with _explain_failure(target), _building_folder(target) as building:
        builder = builder_class(config=config, data_dir=building)
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS names the folder used meanwhile
            builder.download_and_prepare(file_format="tfrecord")
        built = Path(builder.data_dir)
        config.selection.space.save(built / "attribute_space.json")
        write_extras(built)
        files.replace_folder(built, target, _former_folder(target))
    return tfds.builder_from_directory(target)


def _dataset_folder(
    builder_class: type[PreparedBuilder], name: str, data_dir: str | os.PathLike[str]
) -> Path:
    return Path(data_dir).expanduser() / builder_class.name / name / str(builder_class.VERSION)


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
    """Turns the errors that TFDS and TensorFlow raise on a full disk into one OSError."""
    try:
        yield
    except Exception as error:
        words = ("no space left", "not enough disk space")  # the second are those of TFDS
        is_full = any(part in str(error).lower() for part in words) or (
            isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        )
        if is_full:
            raise OSError(
                errno.ENOSPC,
                f"no space left for {target}; a former data set there is unchanged. Free some "
                "space or choose another data_dir, then run the same command again",
            ) from error
        if isinstance(error, tf.errors.OpError):
            raise OSError(f"cannot write {target}: {error.message}") from error
        raise


def _former_folder(target: Path) -> Path:
    return target.parent.parent / f".{target.parent.name}.former"
