"""A prepared data set of vectors, with the methods of every data set: a vector counts as an image.

<data_dir>/vectors/<name>/1.0.0/   dataset.json, vectors.npy, labels.npy, items.json,
                                   attribute_space.json, preparation_report.json
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from fashionsearchnet import files
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.networks.image_input import ImageInput, VectorInput, encode_vector

DESCRIPTION = "dataset.json"
VERSION = "1.0.0"
UNLABELLED = "unlabelled"  # the split of the vectors without any label
_SPLIT = re.compile(r"(\w+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")
_CURE = "Prepare it again: tools/prepare_data.py --dataset=vectors/NAME --features=... --overwrite."


class VectorDataset(Dataset):
    """Vectors that another model computed; see `Dataset`."""

    vector_input: VectorInput

    def __init__(self, folder: str | os.PathLike[str]):
        """Opens a data set.

        Args:
          folder: that `preparation.prepare` wrote.

        Raises:
          FileNotFoundError: if it holds none.
          ValueError: if a file of it is damaged.
        """
        folder = Path(folder)
        description = files.read_json(folder / DESCRIPTION, "a data set of vectors", _CURE)
        items = files.read_json(folder / "items.json", "its ids", _CURE)
        self.name = "/".join(folder.parts[-3:])
        self.space = AttributeSpace.load(folder / "attribute_space.json")
        self.vector_input = VectorInput(**description["vector_input"])
        self._ids: list[str] = items["ids"]
        self._groups: list[str] | None = items["groups"]
        self._columns: list[dict[str, str]] | None = items["columns"]
        self._sizes: dict[str, int] = description["splits"]
        try:
            self._vectors = np.load(folder / "vectors.npy", mmap_mode="r")
            self._labels = np.load(folder / "labels.npy")
        except (ValueError, OSError, EOFError) as error:
            raise ValueError(f"{folder} is damaged ({error}). {_CURE}") from error
        lengths = {len(self._ids), len(self._vectors), len(self._labels)}
        if len(lengths) > 1 or self._vectors.shape[1] != self.vector_input.size:
            raise ValueError(f"the files of {folder} do not fit each other. {_CURE}")

    def num_examples(self, split: str) -> int:
        """Returns the number of vectors of a split; raises a ValueError for an unknown one."""
        return len(self._rows(split))

    def labels(self, split: str) -> np.ndarray:
        """Returns int32 `[num, A]`, -1 for missing."""
        return self._labels[self._rows(split)]

    def image_ids(self, split: str) -> list[str]:
        """Returns the ids of the vectors."""
        return [self._ids[row] for row in self._rows(split)]

    def instance_ids(self, split: str) -> list[str] | None:
        """Returns the product of each vector; a vector without one is its own. None without any."""
        if self._groups is None:
            return None
        return [self._groups[row] or self._ids[row] for row in self._rows(split)]

    def columns(self, split: str) -> list[dict[str, str]] | None:
        """Returns what a shop shows of each; None if the table said nothing."""
        if self._columns is None:
            return None
        return [self._columns[row] for row in self._rows(split)]

    def vectors(self, split: str) -> np.ndarray:
        """Returns float32 `[num, size]`."""
        return self._vectors[self._rows(split)]

    def encoded_images(self, split: str) -> tf.data.Dataset:
        """Returns the bytes of the vectors, one scalar string each; see `VectorInput`."""
        rows = self._rows(split)

        def generate() -> Iterator[bytes]:
            for row in rows:
                yield encode_vector(self._vectors[row])

        return tf.data.Dataset.from_generator(
            generate, output_signature=tf.TensorSpec([], tf.string)
        )

    def images(
        self, split: str, image_input: ImageInput, *, batch_size: int = 64
    ) -> tf.data.Dataset:
        """Returns batches of vectors float32 `[batch, size]`, the last one smaller."""
        self.check_seen_by(image_input)
        rows = self._rows(split)

        def generate() -> Iterator[np.ndarray]:
            for start in range(0, len(rows), batch_size):
                yield self._vectors[rows[start : start + batch_size]]

        signature = tf.TensorSpec([None, self.vector_input.size], tf.float32)
        return tf.data.Dataset.from_generator(generate, output_signature=signature)

    def channel_means(self, split: str = "train") -> tuple[float, float, float]:
        """Raises a ValueError: vectors have no channels."""
        raise ValueError(f"{self.name} holds vectors, which have no red, green and blue.")

    def image_loader(
        self, split: str, image_input: ImageInput
    ) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """Returns (positions, mirrored) -> vectors; `mirrored` has no meaning for them."""
        self.check_seen_by(image_input)
        vectors = tf.constant(self.vectors(split))
        return lambda positions, mirrored: tf.gather(vectors, positions)

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
        """Raises a ValueError: what learns from vectors takes them all at once."""
        raise ValueError(
            f"{self.name} holds vectors, so there is no network on images to train. Systems on "
            "vectors: flam (train_embedders.py, train_classifiers.py, train_manipulator.py) and "
            "the variants full_pooled and ours_pooled of fashionsearchnet_v2."
        )

    def _rows(self, split: str) -> np.ndarray:
        """Returns the positions of a split in stored order; raises a ValueError for an unknown one.

        Args:
          split: names with + between them, each with a slice if wanted (train[:20%]), or all.
        """
        text = "+".join(self._sizes) if split == "all" else split
        parts = [_SPLIT.fullmatch(part.strip()) for part in text.split("+")]
        rows = [self._part(*part.groups()) for part in parts if part and part[1] in self._sizes]
        if len(rows) < len(parts):
            raise ValueError(
                f"{self.name} has no split {split!r}; splits: {', '.join(self._sizes)}, or slices "
                "such as validation[:20%], several with + between them, or all."
            )
        return np.concatenate(rows)

    def _part(self, name: str, first: str | None, last: str | None) -> np.ndarray:
        """Returns the positions of one part of a split."""
        names = list(self._sizes)
        start = sum(self._sizes[n] for n in names[: names.index(name)])
        size = self._sizes[name]
        bounds = [_place(text, size) for text in (first, last)]
        return np.arange(start, start + size)[bounds[0] : bounds[1]]


def _place(text: str | None, size: int) -> int | None:
    """Returns the bound of a slice of `size` examples that a text such as 20% names."""
    if not text:
        return None
    return round(int(text[:-1]) / 100 * size) if text.endswith("%") else int(text)
