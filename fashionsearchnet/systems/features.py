"""The features of whole splits, and what a system makes of them.

Every image goes through the network once; features are NumPy arrays `[number of images, ...]`.
"""

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fashionsearchnet import files
from fashionsearchnet.attributes import KEEP
from fashionsearchnet.checks import check_range
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.preprocess import as_input
from fashionsearchnet.networks import kernels
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.systems.gallery_labels import KnownLabels
from fashionsearchnet.systems.system import System
from fashionsearchnet.training import distribution

FeatureArrays = dict[str, np.ndarray]


def store(
    path: Path, batches: Iterable[np.ndarray], dataset: Dataset, split: str, **details: Any
) -> None:
    """Writes features of a whole split as .npy, and beside it a .json file that names the images.

    Holds one batch in memory at a time.

    Args:
      path: the file, of suffix .npy.
      batches: arrays `[any, ...]`; together the features of all images, in stored order.
      dataset: that the images are of.
      split: that the images are of.
      **details: further entries of the .json.

    Raises:
      OSError: if a file cannot be written.
    """
    num = dataset.num_examples(split)
    rest = iter(batches)
    first = next(rest)
    shape = (num, *first.shape[1:])
    files.write_array(path, shape, first.dtype, itertools.chain([first], rest))
    images = {"dataset": dataset.name, "split": split, "digest": _split_digest(dataset, split)}
    files.write_json(_images_file(path), images | details)


def load_stored(
    path: Path, dataset: Dataset, split: str, script: str, *, mapped: bool = False
) -> np.ndarray:
    """Returns features of a whole split that an earlier stage stored as .npy, in stored order.

    Files without a .json beside them are checked for length only.

    Args:
      path: the file in that stage's run.
      dataset: that the run was trained on.
      split: that it was trained on.
      script: of tools/, which makes such runs.
      mapped: return a memory map, for features that are larger than memory.

    Raises:
      FileNotFoundError: if the run has not finished that stage.
      ValueError: if a file is damaged, or they are of another data set or split, or of other images
        or labels under the same name.
    """
    cure = "use the --dataset and --train_split of that run (its flags.txt)"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: --init_from must be a finished run of tools/{script}.py."
        )
    again = f"Train that run again by tools/{script}.py, in another --workdir."
    features = read_array(path, again, mapped=mapped)
    num = dataset.num_examples(split)
    if len(features) != num:
        raise ValueError(
            f"{path} holds {len(features)} images, but split {split!r} of {dataset.name} has "
            f"{num}; {cure}."
        )
    if _images_file(path).is_file():
        images = files.read_json(_images_file(path), "which images were stored", again)
        if not isinstance(images, dict) or not images.keys() >= {"dataset", "split", "digest"}:
            raise ValueError(f"{_images_file(path)} does not say which images were stored. {again}")
        if images["digest"] != _split_digest(dataset, split):
            raise ValueError(
                f"{path} holds split {images['split']!r} of {images['dataset']} as it was then, "
                f"which has other images or labels than split {split!r} of {dataset.name} now; "
                f"{cure}, or train it again if you prepared the data set again."
            )
    return features


def read_array(path: Path, cure: str, *, mapped: bool) -> np.ndarray:
    """Returns the array of an .npy file, or a memory map of it.

    Raises:
      ValueError: if the file is damaged, with the cure.
    """
    try:
        return np.load(path, mmap_mode="r" if mapped else None)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is damaged ({error}). {cure}") from error


def _images_file(path: Path) -> Path:
    """The file that names the images of the features in `path`."""
    return path.with_suffix(".json")


def images_digest(image_ids: Sequence[str], labels: np.ndarray) -> str:
    """Returns sixteen hex digits that differ if the images, their labels or their order do."""
    digest = hashlib.sha256("\n".join(image_ids).encode())
    digest.update(np.ascontiguousarray(labels, "<i4").data)
    return digest.hexdigest()[:16]


def _split_digest(dataset: Dataset, split: str) -> str:
    return images_digest(dataset.image_ids(split), dataset.labels(split))


def extract_features(
    system: System, dataset: Dataset, split: str, batch_size: int = 64
) -> FeatureArrays:
    """Returns `system.image_features` of all images of a split, in stored order.

    Args:
      system: any system.
      dataset: with the system's attribute space.
      split: to extract.
      batch_size: images per forward pass.
    """
    number = dataset.num_examples(split)
    features: FeatureArrays = {}
    done = 0
    compute, image_input = system.image_features, system.image_input
    for batch in feature_batches(compute, image_input, dataset, split, batch_size):
        if not features:
            features = {k: np.empty((number, *v.shape[1:]), v.dtype) for k, v in batch.items()}
        for key, value in batch.items():
            features[key][done : done + len(value)] = value
        done += len(next(iter(batch.values())))
    return features


def feature_batches(
    compute: Callable[[tf.Tensor], dict[str, tf.Tensor]],
    image_input: ImageInput,
    dataset: Dataset,
    split: str,
    batch_size: int = 64,
) -> Iterator[FeatureArrays]:
    """Yields the outputs of a network for a split, batch by batch: all may be larger than memory.

    Args:
      compute: from images float32 `[B, *image_input.shape]` to tensors `[B, ...]` by name.
      image_input: what the network wants to see.
      dataset: that holds the images.
      split: to extract.
      batch_size: images per forward pass.
    """
    check_range("batch_size", batch_size, 1)
    number = dataset.num_examples(split)
    if not number:
        raise ValueError(
            f"split {split!r} of {dataset.name} is empty; there is nothing to extract."
        )
    dataset.check_seen_by(image_input)
    images = dataset.images(split, image_input, batch_size=batch_size)
    batches = distribution.prefetched(images.map(kernels.wide))
    extract = tf.function(
        lambda images: compute(as_input(images, image_input)),
        input_signature=[batches.element_spec],
        autograph=False,
    )
    with tqdm(total=number, desc=f"features of {split}", unit="img", mininterval=1.0) as bar:
        for batch in batches:
            found = {key: value.numpy() for key, value in extract(batch).items()}
            yield found
            bar.update(len(next(iter(found.values()))))


def attribute_logits(system: System, features: FeatureArrays) -> np.ndarray | None:
    """Returns what the system reads off images, float32 `[number, C]`; None if it reads nothing."""
    if system.attribute_logits(_rows(features, slice(0, 1))) is None:
        return None
    return _batched(system.attribute_logits, features)


def gallery_embeddings(
    system: System,
    features: FeatureArrays,
    edited: Sequence[int] = (),
    known: KnownLabels | None = None,
) -> np.ndarray:
    """Returns the gallery vectors of images, float32 `[number, dim]`.

    Args:
      system: a system.
      features: of `extract_features`.
      edited: the edited attributes; they matter only where `gallery_depends_on_edit`.
      known: the labels that the vectors use, from a system with `has_blocks`; None for none.
    """
    if not system.gallery_depends_on_edit and known is None:
        return _batched(system.gallery_embedding, features)
    number = _number_of(features)
    edit = np.full((number, system.space.num_attributes), KEEP, np.int32)
    edit[:, list(edited)] = 0  # which value does not matter, only that there is one
    if known is not None:
        return _labelled_embeddings(system, features, edit, known)
    embed = edited_embedding(system.gallery_embedding, features)
    rows = np.arange(number)
    batches = [embed(rows[part], edit[part]) for part in _parts(number)]
    return np.concatenate(batches).astype(np.float32)


def _labelled_embeddings(
    system: System, features: FeatureArrays, edit: np.ndarray, known: KnownLabels
) -> np.ndarray:
    """Returns gallery vectors that use labels; see `gallery_embeddings`."""

    def embed(tensors: dict[str, tf.Tensor], beliefs: tf.Tensor, edits: tf.Tensor) -> tf.Tensor:
        blocks = system.gallery_blocks(tensors)
        return system.labelled_embedding(blocks, beliefs, tf.constant(known.blend), edits)

    beliefs = tf.TensorSpec([None, system.space.total_values], tf.float32)
    edits = tf.TensorSpec([None, system.space.num_attributes], tf.int32)
    compiled = tf.function(
        embed, input_signature=[_signature(features), beliefs, edits], autograph=False
    )
    batches = [
        compiled(_rows(features, part), known.beliefs[part], edit[part]).numpy()
        for part in _parts(_number_of(features))
    ]
    return np.concatenate(batches).astype(np.float32, copy=False)


def attribute_embeddings(system: System, features: FeatureArrays, attribute: int) -> np.ndarray:
    """Returns what images of a gallery show of an attribute, float32 `[number, dim]`."""
    return _batched(lambda tensors: system.attribute_embedding(tensors, attribute), features)


def attribute_queries(system: System, features: FeatureArrays, attribute: int) -> np.ndarray:
    """Returns the vectors of queries for an attribute, float32 `[number, dim]`."""
    return _batched(lambda tensors: system.attribute_query(tensors, attribute), features)


def alike_embeddings(system: System, features: FeatureArrays) -> np.ndarray:
    """Returns the vectors of a gallery for `alike_queries`, float32 `[number, dim]`."""
    return _batched(system.alike_embedding, features)


def alike_queries(system: System, features: FeatureArrays, weights: np.ndarray) -> np.ndarray:
    """Returns the vectors of queries for "alike in some attributes", float32 `[number, dim]`.

    Args:
      system: answers the task "attribute".
      features: of `extract_features`.
      weights: float32 `[A]`, see `System.alike_query`.
    """
    counts = tf.constant(weights, tf.float32)
    return _batched(lambda tensors: system.alike_query(tensors, counts), features)


def instance_embeddings(system: System, features: FeatureArrays) -> np.ndarray:
    """Returns what tells items apart, float32 `[number, dim]`."""
    return _batched(system.instance_embedding, features)


def edited_embedding(
    function: Callable[..., tf.Tensor], features: FeatureArrays
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Returns `function(features, manipulation)` as a function of positions and manipulations.

    Args:
      function: `query_embedding` or `gallery_embedding` of a system.
      features: of `extract_features`.
    """

    @functools.cache
    def compiled(num_attributes: int) -> Callable[..., tf.Tensor]:
        # The number is stated: broadcast against one attribute, an unknown number stays unknown.
        manipulation = tf.TensorSpec([None, num_attributes], tf.int32)
        return tf.function(
            function, input_signature=[_signature(features), manipulation], autograph=False
        )

    def embed(positions: np.ndarray, manipulations: np.ndarray) -> np.ndarray:
        edits = tf.constant(manipulations, tf.int32)
        return compiled(edits.shape[1])(_rows(features, positions), edits).numpy()

    return embed


def _batched(
    function: Callable[[dict[str, tf.Tensor]], tf.Tensor | None], features: FeatureArrays
) -> np.ndarray:
    """Returns float32 `[number, ...]` of a function of features, computed part by part."""
    compiled = tf.function(function, input_signature=[_signature(features)], autograph=False)
    parts = _parts(_number_of(features))
    batches = [compiled(_rows(features, part)).numpy() for part in parts]
    return np.concatenate(batches).astype(np.float32, copy=False)


def _number_of(features: FeatureArrays) -> int:
    return len(next(iter(features.values())))


def _parts(number: int, size: int = 1024) -> list[slice]:
    return [slice(start, start + size) for start in range(0, number, size)]


def _rows(features: FeatureArrays, rows: np.ndarray | slice) -> dict[str, tf.Tensor]:
    return {key: tf.constant(value[rows]) for key, value in features.items()}


def _signature(features: FeatureArrays) -> dict[str, tf.TensorSpec]:
    return {k: tf.TensorSpec([None, *v.shape[1:]], v.dtype) for k, v in features.items()}
