"""Prepared data sets as tf.data: in order for evaluation, shuffled and resumable for training."""

import json
import os
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_choice
from fashionsearchnet.choices import CACHES
from fashionsearchnet.data import example_table, image_cache, preprocess
from fashionsearchnet.data.dataset import Dataset, ListedEdits, ListedTriplets
from fashionsearchnet.data.example_table import ExampleTable
from fashionsearchnet.data.listed_edits import MANIPULATIONS_FILE, read_listed_edits
from fashionsearchnet.data.listed_triplets import read_listed_triplets
from fashionsearchnet.data.vectors.dataset import DESCRIPTION, VectorDataset
from fashionsearchnet.networks.image_input import ImageInput

SPLITS = ("train", "validation", "gallery", "query")
_MEANS_SAMPLE = 5_000  # images; the standard error of a channel's mean is then under 1 of 255


class PreparedDataset(Dataset):
    """A data set that tools/prepare_data.py has stored; see `Dataset`."""

    def __init__(
        self,
        builder: tfds.core.DatasetBuilder,
        cache: str = "none",
        cache_dir: str | os.PathLike[str] | None = None,
    ):
        """Takes what TFDS has opened.

        Args:
          builder: of the data set.
          cache: how images are kept for training, a key of `choices.CACHES`.
          cache_dir: folder of decoded images; by default `decoded` in that of the data set.
        """
        self.builder = builder
        self._cache = check_choice("cache", cache, CACHES)
        self._cache_dir = Path(cache_dir or Path(builder.data_dir) / "decoded")
        self.name = builder.info.full_name
        space = builder.info.metadata["attribute_space"]
        self.space = AttributeSpace.from_dict(
            json.loads(space) if isinstance(space, str) else dict(space)
        )
        self.has_boxes = "boxes" in builder.info.features
        self.has_instances = "instance_id" in builder.info.features
        self.has_columns = "columns" in builder.info.features
        # Data sets stored before the metadata said it: only those that list edits.
        lists_edits = (Path(builder.data_dir) / MANIPULATIONS_FILE).is_file()
        self.queries_in_gallery = bool(builder.info.metadata.get("queries_in_gallery", lists_edits))
        # Products by a shop's own column. Elsewhere instances are what a task searches for.
        options = builder.info.metadata.get("options", {})
        self.counts_products = self.has_instances and bool(options.get("group_column"))
        self._tables: dict[str, ExampleTable] = {}

    def num_examples(self, split: str) -> int:
        """Returns the number of examples of a split; raises a ValueError for an unknown one."""
        try:
            return self.builder.info.splits[split].num_examples
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{self.name} has no split {split!r}; splits: "
                f"{', '.join(self.builder.info.splits)}, or slices such as validation[:20%]."
            ) from error

    def labels(self, split: str) -> np.ndarray:
        """Returns int32 `[num, attributes]`, -1 for missing."""
        return self._table(split).numbers["attributes"]

    def image_ids(self, split: str) -> list[str]:
        """Returns the ids of the images."""
        return list(self._table(split).texts["image_id"])

    def instance_ids(self, split: str) -> list[str] | None:
        """Returns for each image the id of the item that it shows; None if that is not known."""
        return list(self._table(split).texts["instance_id"]) if self.has_instances else None

    def columns(self, split: str) -> list[dict[str, str]] | None:
        """Returns what a shop shows of each image beside it; None if the source said nothing."""
        if not self.has_columns:
            return None
        return [json.loads(columns) for columns in self._table(split).texts["columns"]]

    def listed_edits(self) -> ListedEdits | None:
        """Returns the edits that the data set publishes for its split `query`; None without."""
        return read_listed_edits(Path(self.builder.data_dir), self)

    def listed_triplets(self, split: str) -> ListedTriplets | None:
        """Returns the triplets that the data set publishes for a whole split; None without."""
        number = self.num_examples(split)
        return read_listed_triplets(Path(self.builder.data_dir), split, number)

    def boxes(self, split: str, image_input: ImageInput) -> np.ndarray | None:
        """Returns the true boxes on the network's input, float32 `[num, A, 4]`, or None."""
        if not self.has_boxes:
            return None
        table = self._table(split)
        fitted = tf.data.Dataset.from_tensor_slices((table.numbers["boxes"], table.shape)).map(
            lambda boxes, shape: preprocess.fit_boxes(boxes, shape, image_input)
        )
        return np.concatenate(list(fitted.batch(1024).as_numpy_iterator()))

    def encoded_images(self, split: str) -> tf.data.Dataset:
        """Returns the images' bytes as stored, one scalar string each."""
        return self._records(split).map(lambda example: example["image"])

    def image_fingerprints(self, split: str) -> np.ndarray:
        """Returns what `Dataset.image_fingerprints` does, from the table: it reads no image."""
        return self._table(split).fingerprint

    def images(
        self, split: str, image_input: ImageInput, *, batch_size: int = 64
    ) -> tf.data.Dataset:
        """Returns batches of images as `Dataset.images` does, the last one smaller."""
        see = preprocess.load_image
        if image_cache.loads_pixels(self._table(split), image_input):
            see = image_cache.fitted_pixels
        return (
            self.encoded_images(split)
            .map(lambda data: see(data, image_input), num_parallel_calls=tf.data.AUTOTUNE)
            .batch(batch_size)
            .prefetch(tf.data.AUTOTUNE)
        )

    def channel_means(self, split: str = "train") -> tuple[float, float, float]:
        """Returns the mean of each channel in 0..255, over up to 5,000 images of `split`.

        Only the image counts, not what pads it to a square.
        """
        records = self.encoded_images(split).take(_MEANS_SAMPLE)
        means = records.map(
            lambda data: tf.reduce_mean(
                tf.cast(preprocess.decode_image(data), tf.float32), axis=[0, 1]
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        red, green, blue = np.mean(list(means.as_numpy_iterator()), axis=0)
        return float(red), float(green), float(blue)

    def image_loader(self, split: str, image_input: ImageInput) -> image_cache.Load:
        """Returns (positions, mirrored) -> images; see `Dataset.image_loader`."""
        table = self._table(split)
        return image_cache.image_loader(table, image_input, self._cache, self._cache_dir)

    def training_examples(
        self,
        split: str,
        image_input: ImageInput,
        *,
        global_batch_size: int,
        seed: int,
        first_step: int = 0,
        flip: bool = False,
        context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """Returns endless batches of {image, attributes} from step `first_step` on."""
        num = self.num_examples(split)
        if not num:
            raise ValueError(f"split {split!r} of {self.name} is empty; nothing to train on.")
        load = self.image_loader(split, image_input)
        labels = tf.constant(self.labels(split))
        examples = _draws(num, seed, first_step * global_batch_size, flip)
        batch_size = global_batch_size
        if context is not None:
            share = global_batch_size // context.num_input_pipelines
            batch_size = context.get_per_replica_batch_size(global_batch_size)
            mine = context.input_pipeline_id
            examples = examples.filter(lambda i, *_: i % global_batch_size // share == mine)
        return (
            examples.batch(batch_size, drop_remainder=True)
            .map(
                lambda _, rows, mirrored: {
                    "image": load(rows, mirrored),
                    "attributes": tf.gather(labels, rows),
                },
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            .prefetch(tf.data.AUTOTUNE)
        )

    def _records(self, split: str) -> tf.data.Dataset:
        """The examples as stored, images still encoded, in stored order."""
        if not self.num_examples(split):
            raise ValueError(f"split {split!r} of {self.name} is empty.")
        return self.builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(interleave_cycle_length=1),  # file after file
        )

    def _table(self, split: str) -> ExampleTable:
        """Everything but the images, and where they lie; made or read once."""
        if split not in self._tables:
            if not self.num_examples(split):
                raise ValueError(f"split {split!r} of {self.name} is empty.")
            parts = self.builder.info.splits[split].file_instructions
            tables = [self._part(Path(p.filename)).rows(_rows(p)) for p in parts]
            self._tables[split] = example_table.joined(tables)
        return self._tables[split]

    def _part(self, path: Path) -> ExampleTable:
        """Returns the rows of one file of a split."""
        for name, split in self.builder.info.splits.items():
            whole = split.file_instructions
            starts = np.cumsum([0, *(part.take for part in whole)])
            for part, start in zip(whole, starts[:-1], strict=True):
                if Path(part.filename) == path:
                    table = example_table.table_of([Path(p.filename) for p in whole], name)
                    return table.rows(slice(start, start + part.take))
        raise AssertionError(f"{path} is of no split")


def _draws(num: int, seed: int, first: int, flip: bool) -> tf.data.Dataset:
    """Returns endless (number of the example from `first` on, its row, whether to mirror it)."""
    first_epoch, skipped = divmod(first, num)

    def epoch_order(epoch: tf.Tensor) -> tf.data.Dataset:
        # Sets the seed of this function's graph, not the global one: the order must not depend
        # on a caller's seed. TensorFlow takes zero for "no seed".
        tf.random.set_seed(seed + 1)
        rows = tf.data.Dataset.range(num, output_type=tf.int32)
        return rows.shuffle(num, seed=epoch, reshuffle_each_iteration=False)

    def draw(number: tf.Tensor, row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        mirrored = tf.random.stateless_uniform([], [seed, number]) < 0.5
        return number, row, mirrored & flip

    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    return epochs.flat_map(epoch_order).skip(skipped).enumerate(first).map(draw)


def _rows(part: tfds.core.utils.shard_utils.FileInstruction) -> slice:
    """Returns the rows of a file that a split has."""
    return slice(part.skip, part.skip + part.take)


def open_dataset(
    data_dir: str | os.PathLike[str],
    name: str,
    cache: str = "none",
    cache_dir: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Opens a data set that tools/prepare_data.py has stored.

    Args:
      data_dir: the folder of all prepared data sets.
      name: folder of the data set below it, such as `garments/small` or `catalogue/my_shop`.
      cache: how images are kept for training, a key of `choices.CACHES`; vectors always are.
      cache_dir: folder of decoded images; by default `decoded` in that of the data set.

    Raises:
      FileNotFoundError: naming the data sets that exist and the command that prepares one.
    """
    folder, kind = Path(data_dir).expanduser() / name, name.partition("/")[0]
    vectors = sorted(path.parent for path in folder.glob(f"*/{DESCRIPTION}"))
    if vectors:
        return VectorDataset(vectors[-1])
    versions = sorted(path.parent for path in folder.glob("*/dataset_info.json"))
    if not versions:
        top = Path(data_dir).expanduser()
        infos = [
            p for name in ("dataset_info.json", DESCRIPTION) for p in top.glob(f"*/*/*/{name}")
        ]
        known = sorted({str(path.parent.parent.relative_to(top)) for path in infos})
        raise FileNotFoundError(
            f"{folder} holds no prepared data set. These exist: {', '.join(known) or 'none'}. "
            f"Prepare it: python tools/prepare_data.py --dataset={name} --data_dir={data_dir}"
            + (" --csv=... --images_dir=... --attributes=..." if kind == "catalogue" else "")
            + (" --features=... --csv=... --attributes=..." if kind == "vectors" else "")
            + (" --source_dir=..." if kind not in ("catalogue", "garments", "vectors") else "")
        )
    builder = tfds.builder_from_directory(str(versions[-1]))
    return PreparedDataset(builder, cache, cache_dir)
