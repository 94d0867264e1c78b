"""The data set `garments`: rendered pictures of clothes whose every attribute has a known place.

No licence, no download, any size; the true box of each local attribute is stored, so that what a
model attends to can be scored, which photographs of shops do not allow. The pictures are a function
of the configuration alone: the same builder version gives the same data everywhere.
"""

import dataclasses
import io
import os
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from fashionsearchnet.checks import check_choice
from fashionsearchnet.data.garments.drawing import draw
from fashionsearchnet.data.garments.scene import FRAMED, SCATTERED, SPACE, Layout, sample_scene

_JPEG_QUALITY = 92


@dataclasses.dataclass(kw_only=True)
class GarmentsConfig(tfds.core.BuilderConfig):
    """How many pictures of what size.

    Attributes:
      image_size: height and width, pixels.
      num_train, num_validation, num_gallery, num_query: pictures in each split.
      seed: of the world; configurations with the same seed show the same garments.
      layout: how garments lie in the pictures.
    """

    image_size: int
    num_train: int
    num_validation: int
    num_gallery: int
    num_query: int
    seed: int
    layout: Layout = FRAMED

    def split_sizes(self) -> dict[str, int]:
        """Returns the number of pictures of each split, in the order they are drawn."""
        return {
            "train": self.num_train,
            "validation": self.num_validation,
            "gallery": self.num_gallery,
            "query": self.num_query,
        }


def _large(name: str, layout: Layout, description: str) -> GarmentsConfig:
    """Returns a configuration that allows the paper's protocol; all show the same garments."""
    return GarmentsConfig(
        name=name,
        description="96 px, 20,000 pictures to train, 18,000 in the gallery, 2,000 queries; "
        + description,
        image_size=96,
        num_train=20000,
        num_validation=2000,
        num_gallery=18000,
        num_query=2000,
        seed=3,
        layout=layout,
    )


class Garments(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of the rendered clothes; `metadata` holds the attribute space and the seed.

    Features of an example: `image` (uint8 `[size, size, 3]`, JPEG), `image_id`
    (`garments-000123`), `attributes` (int32 `[num_attributes]`, -1 for missing) and `boxes`
    (float32 `[num_attributes, 4]`, see drawing.draw). Examples are stored in the order
    of their ids.
    """

    name = "garments"
    # Where TFDS looks for checksums of downloads: there are none, and TFDS 4.9.10 finds the place
    # only with a package that it does not install (importlib_resources).
    code_path = None
    # Whatever changes the pictures or the labels must change this, or old data pass for new.
    VERSION = tfds.core.Version("1.1.0")
    BUILDER_CONFIGS = [  # noqa: RUF012 (the attribute that TFDS asks for)
        GarmentsConfig(
            name="tiny",
            description="64 px, 600 pictures to train, for tests of whole programs.",
            image_size=64,
            num_train=600,
            num_validation=100,
            num_gallery=300,
            num_query=60,
            seed=1,
        ),
        GarmentsConfig(
            name="small",
            description="64 px, 6,000 pictures to train, for the demo.",
            image_size=64,
            num_train=6000,
            num_validation=500,
            num_gallery=1500,
            num_query=200,
            seed=2,
        ),
        _large("large", SCATTERED, "garments anywhere in the picture, at 45 to 100 % of its size."),
        _large("large_framed", FRAMED, "the garments of large, each filling its picture."),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        """Returns the features and the metadata."""
        size, num_attributes = self.builder_config.image_size, SPACE.num_attributes
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(size, size, 3), encoding_format="jpeg"),
                    "image_id": tfds.features.Text(),
                    "attributes": tfds.features.Tensor(shape=(num_attributes,), dtype=np.int32),
                    "boxes": tfds.features.Tensor(shape=(num_attributes, 4), dtype=np.float32),
                }
            ),
            metadata=tfds.core.MetadataDict(
                attribute_space=SPACE.to_dict(), seed=self.builder_config.seed
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        """Returns one generator per split; scenes are numbered through, so splits are disjoint."""
        generators, first = {}, 0
        for split, size in self.builder_config.split_sizes().items():
            generators[split] = self._generate_examples(first, size)
            first += size
        return generators

    def _generate_examples(self, first: int, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields (number, example) of the scenes `first` to `first + count - 1`."""
        for index in range(first, first + count):
            yield index, draw_example(self.builder_config, index)


def draw_example(config: GarmentsConfig, index: int) -> dict[str, Any]:
    """Returns example number `index` of a configuration, its image as a file of JPEG bytes."""
    scene = sample_scene(config.seed, index, config.layout)
    image, boxes = draw(scene, config.image_size)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    return {
        "image": io.BytesIO(encoded.tobytes()),
        "image_id": f"garments-{index:06d}",
        "attributes": scene.values,
        "boxes": boxes,
    }


def prepare(data_dir: str | os.PathLike[str], config: str) -> Garments:
    """Returns the builder of a configuration, its pictures drawn (with a progress bar) if needed.

    A build that is interrupted leaves nothing that passes for a data set: TFDS fills a folder of
    another name and renames it at the end.

    Args:
      data_dir: folder of all data sets; this one goes to `garments/<config>/<version>` below it.
      config: 'tiny', 'small', 'large' or 'large_framed'.

    Raises:
      ValueError: for an unknown configuration.
      OSError: if the folder cannot be written or the disk is full.
    """
    names = [known.name for known in Garments.BUILDER_CONFIGS]
    check_choice("the configuration of garments", config, names)
    try:
        builder = Garments(data_dir=os.fspath(data_dir), config=config)
        builder.download_and_prepare(file_format="tfrecord")
    except (OSError, RuntimeError, tf.errors.OpError) as error:  # RuntimeError: TFDS wraps some
        raise OSError(
            f"cannot write the data set garments/{config} below {data_dir} ({error}). Free some "
            "space or choose another folder, then run the same command again."
        ) from error
    return builder
