"""What a frozen trunk makes of the images of a split, computed once and kept in a folder.

A stage on a frozen trunk sees the same maps in each epoch, so it can train on stored ones: that
takes seconds where the trunk takes minutes. Evaluations of several systems on one trunk share its
outputs too. A file is found by the digest of all that it depends on, so it is never used for other
images, another input, another trunk or other weights.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fashionsearchnet import files
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.preprocess import decoding_rule
from fashionsearchnet.systems.convolutional import ConvolutionalSystem
from fashionsearchnet.systems.features import (
    FeatureArrays,
    extract_features,
    feature_batches,
    images_digest,
    read_array,
    store,
)
from fashionsearchnet.systems.system import System
from fashionsearchnet.training.distribution import once

# Stages train on float16: its rounding is far below what two photos of one item differ by. What is
# measured is what a search computes, so evaluations read float32.
_TRAINED_ON, _MEASURED_ON = np.dtype(np.float16), np.dtype(np.float32)
_BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class TrunkOutputs:
    """The outputs of a trunk for all images of a split, in stored order.

    Attributes:
      upright: float16 `[num, ...]`, a memory map; of vectors float32 in memory.
      mirrored: the same of the mirrored images; None if they were not asked for.
      labels: int32 `[num, A]`, -1 for missing.
    """

    upright: np.ndarray
    mirrored: np.ndarray | None
    labels: np.ndarray

    def parts(self, size: int = 1024) -> Iterator[np.ndarray]:
        """Yields the outputs of the upright images in order, float32 `[up to size, ...]`."""
        for start in range(0, len(self.upright), size):
            yield self.upright[start : start + size].astype(np.float32)

    def of(self, position: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
        """Returns the outputs of some images, float32 `[batch, ...]`.

        Args:
          position: int `[batch]`, of the images in the split.
          mirrored: bool `[batch]`, which of them to mirror; ignored without mirrored outputs.
        """
        outputs = self.upright[position]
        if self.mirrored is not None:
            rows = np.flatnonzero(mirrored)
            outputs[rows] = self.mirrored[position[rows]]
        return outputs.astype(np.float32)


def check_frozen(system: ConvolutionalSystem) -> None:
    """Raises a ValueError if a system trains its trunk: stored outputs would then be stale."""
    if system.trunk.trainable_variables:
        raise ValueError(
            "stored outputs are for a frozen trunk, but this stage trains the trunk; build the "
            "system with a trunk whose training is 'frozen', or train on images."
        )


def trunk_outputs(
    system: ConvolutionalSystem,
    dataset: Dataset,
    split: str,
    folder: str | os.PathLike[str],
    *,
    flip: bool = False,
) -> TrunkOutputs:
    """Returns what a system's trunk makes of a split, from `folder` if it is there.

    Args:
      system: with the trunk as it is now; a stage must not train it.
      dataset: that holds the images.
      split: of it.
      folder: of the stored outputs; runs may share it.
      flip: give the mirrored images too.

    Raises:
      ValueError: if a stored file is damaged, or an output is too large for float16.
      OSError: if a file cannot be written.
    """
    if dataset.vector_input is not None:
        return _of_vectors(system, dataset, split, flip)
    known = _description(system, dataset, split)

    def stored(mirrored: bool) -> np.ndarray:
        description = known | {"mirrored": mirrored}
        return _stored(system, dataset, split, Path(folder), description, _TRAINED_ON)

    return TrunkOutputs(stored(False), stored(True) if flip else None, dataset.labels(split))


def features_of_split(
    system: System,
    dataset: Dataset,
    split: str,
    folder: str | os.PathLike[str] | None = None,
    batch_size: int = _BATCH_SIZE,
) -> FeatureArrays:
    """Returns `extract_features`, from stored outputs of the trunk where it is frozen.

    Args:
      system: any system.
      dataset: with the system's attribute space.
      split: of it.
      folder: of the stored outputs, which systems on one trunk share; None to store nothing. A
        trunk that is not frozen stores nothing either.
      batch_size: images per forward pass.

    Raises:
      ValueError: if a stored file is damaged.
      OSError: if a file cannot be written.
    """
    if (
        folder is None
        or not isinstance(system, ConvolutionalSystem)
        or system.backbone.trunk.training != "frozen"
        or dataset.vector_input is not None
    ):
        return extract_features(system, dataset, split, batch_size)
    known = _description(system, dataset, split) | {"dtype": _MEASURED_ON.name, "mirrored": False}
    outputs = _stored(system, dataset, split, Path(folder), known, _MEASURED_ON)
    compute = tf.function(system.features_of, reduce_retracing=True, autograph=False)
    rows = (outputs[start : start + batch_size] for start in range(0, len(outputs), batch_size))
    batches = [{k: v.numpy() for k, v in compute(tf.constant(part)).items()} for part in rows]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _of_vectors(
    system: ConvolutionalSystem, dataset: Dataset, split: str, flip: bool
) -> TrunkOutputs:
    """Returns the vectors of a data set that has no images, float32: nothing is to be computed."""
    if flip:
        raise ValueError(f"{dataset.name} holds vectors, which have no mirror image; omit --flip.")
    dataset.check_seen_by(system.image_input)
    parts = list(dataset.images(split, system.image_input, batch_size=1024).as_numpy_iterator())
    return TrunkOutputs(np.concatenate(parts), None, dataset.labels(split))


def _stored(
    system: ConvolutionalSystem,
    dataset: Dataset,
    split: str,
    folder: Path,
    description: dict[str, Any],
    dtype: np.dtype,
) -> np.ndarray:
    """Returns the outputs that a description stands for, and computes them where they are not."""
    text = json.dumps(description, sort_keys=True)
    path = folder.expanduser() / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.npy"

    def make() -> None:
        if not (path.is_file() and path.with_suffix(".json").is_file()):
            batches = _compute(system, dataset, split, description["mirrored"], dtype)
            store(path, batches, dataset, split, made_from=description)

    once(make)
    cure = f"Delete {path} and run the same command again."
    facts = files.read_json(path.with_suffix(".json"), "what the outputs were made from", cure)
    shape = (dataset.num_examples(split), *system.trunk.output_shape[1:])
    found = read_array(path, cure, mapped=True)
    made_from = facts.get("made_from") if isinstance(facts, dict) else None
    if made_from != description or found.shape != shape or found.dtype != dtype:
        raise ValueError(
            f"{path} must hold {dtype} {shape} of the trunk and images of this run; it "
            f"holds {found.dtype} {found.shape} and other facts beside it. {cure}"
        )
    return found


def _compute(
    system: ConvolutionalSystem, dataset: Dataset, split: str, mirrored: bool, dtype: np.dtype
) -> Iterator[np.ndarray]:
    """Yields the outputs of all images in order, as they are stored."""
    trunk = system.in_float32().trunk

    def compute(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"outputs": trunk(images[:, :, ::-1] if mirrored else images, training=False)}

    for batch in feature_batches(compute, system.image_input, dataset, split, _BATCH_SIZE):
        outputs = batch["outputs"]
        largest = np.abs(outputs).max()
        if not largest < np.finfo(dtype).max:
            raise ValueError(
                f"outputs of trunk {system.backbone.trunk.backbone} must be below "
                f"{np.finfo(dtype).max:g} to be stored; got {largest:g}. Check the pretrained "
                "weights and --image_input, or do not freeze the trunk."
            )
        yield outputs.astype(dtype)


def _description(system: ConvolutionalSystem, dataset: Dataset, split: str) -> dict[str, Any]:
    """Returns all that the outputs depend on, as JSON can hold it."""
    trunk = system.backbone.trunk.to_dict()
    kept = ("backbone", "width", "first_stride", "normalization", "tap", "pooled_taps")
    return {
        "dataset": dataset.name,
        "split": split,
        "examples": images_digest(dataset.image_ids(split), dataset.labels(split)),
        "images": _digest([dataset.image_fingerprints(split).astype("<i8").tobytes()]),
        "image_input": system.image_input.to_dict() | decoding_rule(system.image_input),
        "trunk": {name: trunk[name] for name in kept},
        "output_shape": list(system.trunk.output_shape[1:]),
        "weights": _digest(v.numpy().tobytes() for v in system.trunk.variables),
    }


def _digest(contents: Iterable[bytes]) -> str:
    """Returns sixteen hex digits that differ if one of the contents does."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()[:16]
