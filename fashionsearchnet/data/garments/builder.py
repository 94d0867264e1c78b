"""The data set `garments`: rendered pictures of clothes in which the place of attributes is known.

It needs no licence and no download, and comes in any size. The true box of each local attribute is
stored, so that attention can be scored. The pictures are a function of the configuration alone: the
same builder version gives the same data everywhere.
"""

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
import tqdm

from fashionsearchnet.checks import check_choice
from fashionsearchnet.data.garments.drawing import draw
from fashionsearchnet.data.garments.instances import sample_view
from fashionsearchnet.data.garments.scene import (
    FRAMED,
    SCATTERED,
    SPACE,
    Layout,
    Scene,
    sample_scene,
)

_JPEG_QUALITY = 92


@dataclasses.dataclass(kw_only=True)
class RenderedConfig(tfds.core.BuilderConfig):
    """The size of the pictures and the garments on them.

    Attributes:
      image_size: height and width, pixels.
      seed: of the world; configurations with the same seed show the same garments.
    """

    image_size: int
    seed: int

    def pictures(self) -> dict[str, list[tuple[int, int]]]:
        """Returns for each split the (garment, view) of its pictures, in stored order."""
        raise NotImplementedError

    def draw_example(self, garment: int, view: int = 0) -> dict[str, Any]:
        """Returns one example, its image as a file of JPEG bytes."""
        raise NotImplementedError


@dataclasses.dataclass(kw_only=True)
class GarmentsConfig(RenderedConfig):
    """One picture of each garment.

    Attributes:
      num_train, num_validation, num_gallery, num_query: pictures in each split.
      layout: how garments lie in the pictures.
    """

    num_train: int
    num_validation: int
    num_gallery: int
    num_query: int
    layout: Layout = FRAMED

    def split_sizes(self) -> dict[str, int]:
        """Returns the number of pictures of each split, in the order they are drawn."""
        return {
            "train": self.num_train,
            "validation": self.num_validation,
            "gallery": self.num_gallery,
            "query": self.num_query,
        }

    def pictures(self) -> dict[str, list[tuple[int, int]]]:
        """Numbers the garments through, so splits are disjoint."""
        return {
            split: [(garment, 0) for garment in garments]
            for split, garments in _number_through(self.split_sizes()).items()
        }

    def draw_example(self, garment: int, view: int = 0) -> dict[str, Any]:
        """Returns the picture of one garment."""
        name = f"garments-{garment:06d}"
        return _draw(sample_scene(self.seed, garment, self.layout), self.image_size, name)


@dataclasses.dataclass(kw_only=True)
class InstancesConfig(RenderedConfig):
    """Several pictures of each garment; its number is the instance id.

    No garment of `train` or `validation` is in another split. Of each query garment one or two
    pictures (in turn) are queries and the others are in the gallery. A distractor has the attribute
    values of a query garment and other details, so attributes alone do not find an item.

    Attributes:
      num_train, num_validation: garments in each of these splits, with all their pictures.
      num_query: garments with queries.
      num_distractors: garments that are in the gallery only, in turn twins of query garments.
      num_views: pictures of each garment, at least 3.
    """

    num_train: int
    num_validation: int
    num_query: int
    num_distractors: int
    num_views: int = 4

    def pictures(self) -> dict[str, list[tuple[int, int]]]:
        """Returns all views of all garments except the query garments, which are divided."""
        found = {
            split: [(g, v) for g in numbers for v in range(self.num_views)]
            for split, numbers in self._garments().items()
        }
        queries = [(g, v) for g, v in found["query"] if v <= g % 2]
        found["gallery"] = sorted(set(found["query"]) - set(queries)) + found["gallery"]
        return found | {"query": queries}

    def draw_example(self, garment: int, view: int = 0) -> dict[str, Any]:
        """Returns one picture of a garment."""
        instance = f"garment-{garment:06d}"
        queries, distractors = self._garments()["query"], self._garments()["gallery"]
        twin = None
        if garment in distractors:
            twin = queries[distractors.index(garment) % len(queries)]
        scene = sample_view(self.seed, garment, view, twin)
        return _draw(scene, self.image_size, f"{instance}-{view}") | {"instance_id": instance}

    def _garments(self) -> dict[str, range]:
        """Returns the garments of each split; those of `gallery` are the distractors."""
        return _number_through(
            {
                "train": self.num_train,
                "validation": self.num_validation,
                "query": self.num_query,
                "gallery": self.num_distractors,
            }
        )


def _number_through(sizes: Mapping[str, int]) -> dict[str, range]:
    """Returns disjoint ranges of consecutive numbers, one of each size."""
    ends = np.cumsum(list(sizes.values())).tolist()
    return {name: range(end - sizes[name], end) for name, end in zip(sizes, ends, strict=True)}


def _large(name: str, layout: Layout, description: str) -> GarmentsConfig:
    """Returns a configuration of the size of the paper's protocol; all show the same garments."""
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
    (float32 `[num_attributes, 4]`, see drawing.draw). Configurations of instances have
    `instance_id`, too. Examples are stored in the order of their garments.
    """

    name = "garments"
    # TFDS 4.9.10 looks for checksums of downloads there, and needs a package that it does not
    # install (importlib_resources). There are no downloads.
    code_path = None
    # A change of pictures or labels must change the version, or old data pass for new.
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
        InstancesConfig(
            name="instances",
            description="80 px, 4 pictures of each garment: 1,500 garments to train, 400 with "
            "queries, 600 distractors in the gallery.",
            image_size=80,
            num_train=1500,
            num_validation=150,
            num_query=400,
            num_distractors=600,
            seed=5,
        ),
        InstancesConfig(
            name="instances_tiny",
            description="64 px, 4 pictures of each garment, for tests of whole programs.",
            image_size=64,
            num_train=60,
            num_validation=10,
            num_query=20,
            num_distractors=20,
            seed=6,
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        """Returns the features and the metadata."""
        config = self.builder_config
        size, num_attributes = config.image_size, SPACE.num_attributes
        has_instances = isinstance(config, InstancesConfig)
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
                | ({"instance_id": tfds.features.Text()} if has_instances else {})
            ),
            metadata=tfds.core.MetadataDict(attribute_space=SPACE.to_dict(), seed=config.seed),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager
        return {
            split: self._generate_examples(split, pictures)
            for split, pictures in self.builder_config.pictures().items()
        }

    def _generate_examples(
        self, split: str, pictures: list[tuple[int, int]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        bar = tqdm.tqdm(pictures, f"Drawing {split}", unit=" images", mininterval=1.0)
        for number, (garment, view) in enumerate(bar):
            yield number, self.builder_config.draw_example(garment, view)


def _draw(scene: Scene, size: int, name: str) -> dict[str, Any]:
    """Returns the example of a scene."""
    image, boxes = draw(scene, size)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    return {
        "image": io.BytesIO(encoded.tobytes()),
        "image_id": name,
        "attributes": scene.values,
        "boxes": boxes,
    }


def prepare(data_dir: str | os.PathLike[str], config: str) -> Garments:
    """Returns the builder of a configuration; draws the pictures (with a progress bar) if needed.

    An interrupted build leaves no half data set: TFDS fills a folder of another name and renames
    it at the end.

    Args:
      data_dir: folder of all data sets; this one goes to `garments/<config>/<version>` below it.
      config: name of one of Garments.BUILDER_CONFIGS.

    Raises:
      ValueError: for an unknown configuration.
      OSError: if the folder cannot be written or the disk is full.
    """
    names = [known.name for known in Garments.BUILDER_CONFIGS]
    check_choice("the configuration of garments", config, names)
    try:
        builder = Garments(data_dir=os.fspath(data_dir), config=config)
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS says that it downloads something
            builder.download_and_prepare(file_format="tfrecord")
    except (OSError, RuntimeError, tf.errors.OpError) as error:  # RuntimeError: TFDS wraps some
        raise OSError(
            f"cannot write the data set garments/{config} below {data_dir} ({error}). Free some "
            "space or choose another folder, then run the same command again."
        ) from error
    return builder
