"""What an earlier preparation of the same name left: its space, its splits, its checked images."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from fashionsearchnet import files
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.preparation.images import CheckedImage
from fashionsearchnet.data.preparation.near_copies import Miniature

IMAGES_FILE = "checked_images.npz"
_SPLIT_OPTIONS = ("split_by", "split_seed", "num_queries", "num_gallery", "num_validation")


@dataclasses.dataclass(frozen=True)
class Former:
    """An earlier preparation.

    Attributes:
      space: its attributes and values.
      options: its options, as `PreparationOptions.to_dict` gave them.
      bounds: of its splits by id, in 0..2**64; empty for splits by seed.
      images: the results of checking its files; empty if they were not stored.
    """

    space: AttributeSpace
    options: Mapping[str, Any]
    bounds: Mapping[str, int]
    images: Mapping[Path, CheckedImage]

    def bounds_for(self, options: Mapping[str, Any]) -> Mapping[str, int] | None:
        """Returns the bounds of the splits if these options ask for the same splits, or None."""
        same = all(
            self.options.get(key) == options.get(key) for key in (*_SPLIT_OPTIONS, "group_column")
        )
        # Dense splits depend on the labels, so they are cut again.
        return self.bounds if self.bounds and same and not options.get("dense_splits") else None

    def images_for(self, options: Mapping[str, Any]) -> Mapping[Path, CheckedImage]:
        """Returns the checked images if these options have the same limits, else none."""
        limits = ("min_side", "max_side", "max_pixels")
        same = all(self.options.get(key) == options.get(key) for key in limits)
        return self.images if same else {}


def read_former(folder: Path) -> Former | None:
    """Returns the preparation in the folder of a data set; None if there is none."""
    if not (folder / "dataset_info.json").is_file():
        return None
    metadata = tfds.builder_from_directory(folder).info.metadata
    bounds = {name: int(bound) for name, bound in metadata.get("split_bounds", {}).items()}
    return Former(
        space=AttributeSpace.load(folder / "attribute_space.json"),
        options=metadata.get("options", {}),
        bounds=bounds,
        images=_read_images(folder / IMAGES_FILE),
    )


def write_images(folder: Path, paths: Sequence[Path], images: Sequence[CheckedImage]) -> None:
    """Stores the results of checking the files of a data set in its folder."""
    miniatures = [image.miniature for image in images]
    if not images or None in miniatures:
        return
    texts = {"paths": [os.fspath(path) for path in paths], "changes": [i.change for i in images]}
    with files.replace_file(folder / IMAGES_FILE) as temporary:
        np.savez(
            temporary,
            texts=np.frombuffer(json.dumps(texts).encode(), np.uint8),
            digests=np.array([image.digest for image in images], "S64"),
            stamps=np.array([image.stamp for image in images], np.int64),
            pixels=np.stack([m.pixels for m in miniatures if m]),
            hashes=np.stack([m.hash for m in miniatures if m]),
            aspects=np.array([m.aspect for m in miniatures if m], np.float64),
        )


def _read_images(path: Path) -> dict[Path, CheckedImage]:
    """Returns what `write_images` wrote; nothing if it is not there or damaged."""
    try:
        with np.load(path) as content:
            texts = json.loads(content["texts"].tobytes())
            rows = zip(
                texts["paths"],
                texts["changes"],
                content["digests"],
                content["stamps"].tolist(),
                content["pixels"],
                content["hashes"],
                content["aspects"].tolist(),
                strict=True,
            )
            return {
                Path(name): CheckedImage(
                    digest=digest.decode(),
                    change=change,
                    stamp=(stamp[0], stamp[1]),
                    miniature=Miniature(pixels, bits, aspect),
                )
                for name, change, digest, stamp, pixels, bits, aspect in rows
            }
    except Exception:  # all files are checked again then
        return {}
