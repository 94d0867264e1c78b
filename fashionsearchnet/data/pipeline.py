"""Prepared data sets as tf.data: in order for evaluation, shuffled and resumable for training."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data import preprocess
from fashionsearchnet.data.dataset import Dataset, ListedEdits, ListedTriplets
from fashionsearchnet.data.listed_edits import MANIPULATIONS_FILE, read_listed_edits
from fashionsearchnet.data.listed_triplets import read_listed_triplets
from fashionsearchnet.data.vectors.dataset import DESCRIPTION, VectorDataset
from fashionsearchnet.networks.image_input import ImageInput

SPLITS = ("train", "validation", "gallery", "query")
_MEANS_SAMPLE = 5_000  # images; the standard error of a channel's mean is then under 1 of 255
_SHUFFLE_BUFFER = 50_000  # encoded images held in memory while shuffling


class PreparedDataset(Dataset):
    """A data set that tools/prepare_data.py has stored; see `Dataset`."""

    def __init__(self, builder: tfds.core.DatasetBuilder):
        self.builder = builder
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
        self._tables: dict[str, dict[str, np.ndarray]] = {}

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
        return self._table(split)["attributes"]

    def image_ids(self, split: str) -> list[str]:
        """Returns the ids of the images."""
        return [name.decode() for name in self._table(split)["image_id"]]

    def instance_ids(self, split: str) -> list[str] | None:
        """Returns for each image the id of the item that it shows; None if that is not known."""
        if not self.has_instances:
            return None
        return [name.decode() for name in self._table(split)["instance_id"]]

    def columns(self, split: str) -> list[dict[str, str]] | None:
        """Returns what a shop shows of each image beside it; None if the source said nothing."""
        if not self.has_columns:
            return None
        return [json.loads(columns) for columns in self._table(split)["columns"]]

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
        records = self._records(split).map(
            lambda example: preprocess.fit_boxes(
                example["boxes"],
                tf.io.extract_jpeg_shape(example["image"])
                if self._is_jpeg
                else tf.shape(preprocess.decode_image(example["image"])),
                image_input,
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return np.concatenate(list(records.batch(1024).as_numpy_iterator()))

    def encoded_images(self, split: str) -> tf.data.Dataset:
        """Returns the images' bytes as stored, one scalar string each."""
        return self._records(split).map(lambda example: example["image"])

    def images(
        self, split: str, image_input: ImageInput, *, batch_size: int = 64
    ) -> tf.data.Dataset:
        """Returns batches of float32 `[batch, size, size, 3]`, the last one smaller."""
        return (
            self.encoded_images(split)
            .map(
                lambda data: preprocess.load_image(data, image_input),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
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

    def image_loader(
        self, split: str, image_input: ImageInput
    ) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """Returns (positions, mirrored) -> images; see `Dataset.image_loader`."""
        encoded = tf.constant(list(self.encoded_images(split).as_numpy_iterator()))

        def load_one(content: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            data, mirrored = content
            image = preprocess.load_image(data, image_input)
            return tf.where(mirrored, image[:, ::-1], image)

        signature = tf.TensorSpec([image_input.size, image_input.size, 3], tf.float32)
        return lambda positions, mirrored: tf.map_fn(
            load_one, (tf.gather(encoded, positions), mirrored), fn_output_signature=signature
        )

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
        encoded = self._records(split).cache()
        first_example = first_step * global_batch_size
        first_epoch, skipped = divmod(first_example, num)

        def epoch_order(epoch: tf.Tensor) -> tf.data.Dataset:
            # Sets the seed of this function's graph, not the global one: the order must not depend
            # on a caller's seed. TensorFlow takes zero for "no seed".
            tf.random.set_seed(seed + 1)
            buffer = min(num, _SHUFFLE_BUFFER)
            return encoded.shuffle(buffer, seed=epoch, reshuffle_each_iteration=False)

        def load(index: tf.Tensor, example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            image = preprocess.load_image(example["image"], image_input)
            if flip:
                mirrored = tf.random.stateless_uniform([], [seed, index]) < 0.5
                image = tf.where(mirrored, image[:, ::-1], image)
            return {"image": image, "attributes": example["attributes"]}

        examples = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
        examples = examples.flat_map(epoch_order).skip(skipped).enumerate(first_example)
        batch_size = global_batch_size
        if context is not None:
            share = global_batch_size // context.num_input_pipelines
            batch_size = context.get_per_replica_batch_size(global_batch_size)
            mine = context.input_pipeline_id
            examples = examples.filter(lambda i, _: i % global_batch_size // share == mine)
        return (
            examples.map(load, num_parallel_calls=tf.data.AUTOTUNE)
            .batch(batch_size, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )

    @property
    def _is_jpeg(self) -> bool:
        return self.builder.info.features["image"].encoding_format == "jpeg"

    def _records(self, split: str) -> tf.data.Dataset:
        """The examples as stored, images still encoded, in stored order."""
        if not self.num_examples(split):
            raise ValueError(f"split {split!r} of {self.name} is empty.")
        return self.builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders={"image": tfds.decode.SkipDecoding()},
        )

    def _table(self, split: str) -> dict[str, np.ndarray]:
        """Everything but the images, as arrays; read once."""
        if split not in self._tables:
            names = ["attributes", "image_id"]
            names += ["instance_id"] * self.has_instances + ["columns"] * self.has_columns
            columns = self._records(split).map(lambda example: {k: example[k] for k in names})
            batches = list(columns.batch(4096).as_numpy_iterator())
            self._tables[split] = {
                key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]
            }
        return self._tables[split]


def open_dataset(data_dir: str | os.PathLike[str], name: str) -> Dataset:
    """Opens a data set that tools/prepare_data.py has stored.

    Args:
      data_dir: the folder of all prepared data sets.
      name: folder of the data set below it, such as `garments/small` or `catalogue/my_shop`.

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
    return PreparedDataset(tfds.builder_from_directory(str(versions[-1])))
