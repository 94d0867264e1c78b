"""A small data set as tools/prepare_data.py stores them: pictures that show numbers."""

from pathlib import Path

import cv2
import numpy as np
import tensorflow_datasets as tfds
from fakes import SPACE

from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.preprocess import as_input
from fashionsearchnet.networks.image_input import ImageInput

SIZES = {"train": 23, "validation": 6, "gallery": 9, "query": 4}
FIRST = {"train": 0, "validation": 23, "gallery": 29, "query": 38}
SIDE = 8
IMAGE_INPUT = ImageInput(SIDE, mean=(0.0, 0.0, 0.0))


def picture(number):
    """uint8 [8, 6, 3]: the number as a colour on the left, its double on the right."""
    image = np.zeros((8, 6, 3), np.uint8)
    image[:, :3], image[:, 3:] = number, 2 * number
    image[..., 1] = 7
    return image


def labels(number):
    return np.array([number % 3, number % 2 if number % 5 else -1, number % 4], np.int32)


class Numbers(tfds.core.GeneratorBasedBuilder):
    """Pictures of numbers; the attribute space stands in the metadata."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = None
    space: dict[str, list[str]]

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                    "image_id": tfds.features.Text(),
                    "attributes": tfds.features.Tensor(shape=(3,), dtype=np.int32),
                    "boxes": tfds.features.Tensor(shape=(3, 4), dtype=np.float32),
                }
            ),
            metadata=tfds.core.MetadataDict(attribute_space=self.space),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in SIZES}

    def _generate_examples(self, split):
        for number in range(FIRST[split], FIRST[split] + SIZES[split]):
            boxes = np.full((3, 4), -1.0, np.float32)
            boxes[0] = (0.0, 0.5, 1.0, 1.0)
            yield (
                number,
                {
                    "image": cv2.imencode(".png", picture(number)[..., ::-1])[1].tobytes(),
                    "image_id": f"number-{number}",
                    "attributes": labels(number),
                    "boxes": boxes,
                },
            )


def store(folder: Path) -> Path:
    """Stores them as catalogue/numbers, in three files a split; returns the folder."""
    Numbers.space = SPACE.to_dict()
    config = tfds.download.DownloadConfig(num_shards=3)
    Numbers(data_dir=str(folder)).download_and_prepare(
        file_format="tfrecord", download_config=config
    )
    (folder / "catalogue").mkdir()
    (folder / "numbers").rename(folder / "catalogue" / "numbers")
    return folder


def seen(
    dataset: Dataset, split: str, image_input: ImageInput = IMAGE_INPUT, **arguments: int
) -> list[np.ndarray]:
    """What a network sees of a split, batch by batch."""
    batches = dataset.images(split, image_input, **arguments)
    return [as_input(batch, image_input).numpy() for batch in batches]


def numbers_of(split: str) -> list[int]:
    """The numbers on the pictures of a split, in order."""
    return list(range(FIRST[split], FIRST[split] + SIZES[split]))
