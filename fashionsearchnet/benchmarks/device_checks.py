"""Whether a device computes what a CPU does: what must hold before its speed means anything."""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet import training
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.networks import kernels
from fashionsearchnet.networks.backbones import Trunk
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.systems import regions
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.stages import GlobalStage, RepresentationStage
from fashionsearchnet.training import distribution

_CPU = "/CPU:0"
_TOLERANCE = 1e-4  # of float32, over the largest number
_STEP_TOLERANCE = 1e-2  # of an update, over its norm: a box may move with the last digit of a map
_SPACE = AttributeSpace.from_dict({"colour": ["a", "b", "c"], "sleeve": ["d", "e"]})
_SIZE, _BATCH = 64, 8


def check_all(device: str, dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yields the name of each check and what it found.

    Args:
      device: such as '/GPU:0'.
      dataset: of images to take a step on.

    Raises:
      ValueError: naming what differs, and by how much.
    """
    yield "product of matrices, convolution", check_products(device)
    yield "boxes against OpenCV", check_boxes(device)
    yield "a step of stage 2 against the CPU", check_step(device, dataset)
    yield "a resumed run against a straight one", check_resume(device)


def check_products(device: str) -> str:
    """Compares a product of matrices with NumPy's, and a convolution with the CPU's."""
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=(300, 300)).astype(np.float32) for _ in range(2))
    images = rng.normal(size=(4, 32, 32, 16)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 16, 32)).astype(np.float32)
    with tf.device(device):
        product = tf.matmul(left, right).numpy()
        convolved = tf.nn.conv2d(images, kernel, 1, "SAME").numpy()
    with tf.device(_CPU):
        expected = tf.nn.conv2d(images, kernel, 1, "SAME").numpy()
    apart = max(_relative(product, left.astype(np.float64) @ right), _relative(convolved, expected))
    if not apart <= _TOLERANCE:
        raise ValueError(
            f"products on {device} are {apart:.1e} of the largest number apart from the CPU's, "
            f"more than {_TOLERANCE:.0e}: check the driver, or whether products are shortened "
            "(TensorFloat-32)."
        )
    return f"at most {apart:.1e} of the largest number apart"


def opencv_boxes(maps: np.ndarray, threshold: float) -> np.ndarray:
    """Returns the boxes of maps by a loop over OpenCV's connected components.

    Args:
      maps: float32 `[batch, attributes, height, width]`.
      threshold: share of a map's maximum.

    Returns:
      int32 `[batch, attributes, 4]`, as `regions.attention_boxes` does.
    """
    boxes = np.zeros((*maps.shape[:2], 4), np.int32)
    for index in np.ndindex(maps.shape[:2]):
        one = maps[index]
        mask = (one > np.float32(threshold) * one.max()).astype(np.uint8)
        _, labels, found, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        areas = found[1:, cv2.CC_STAT_AREA]
        largest = 1 + np.flatnonzero(areas == areas.max())
        best = (
            max(largest, key=lambda r: one[labels == r].sum()) if len(largest) > 1 else largest[0]
        )
        left, top, width, height, _ = found[best]
        boxes[index] = top, left, top + height - 1, left + width - 1
    return boxes


def smooth_maps(batch: int, num_attributes: int, side: int = 13) -> np.ndarray:
    """Returns maps of a few smooth blobs, as trained ones are, float32 `[batch, A, side, side]`."""
    noise = np.random.default_rng(0).random((batch * num_attributes, side, side), np.float32)
    maps = np.stack([cv2.GaussianBlur(one, (0, 0), 1.5) for one in noise])
    return (maps - maps.mean()).reshape(batch, num_attributes, side, side)


def check_boxes(device: str) -> str:
    """Compares the boxes of smooth maps with OpenCV's."""
    maps = smooth_maps(32, 12)
    with tf.device(device):
        boxes = tf.function(regions.attention_boxes, autograph=False)(
            tf.constant(maps), 0.2
        ).numpy()
    same = (boxes == opencv_boxes(maps, 0.2)).all(axis=-1)
    if not same.all():
        raise ValueError(
            f"{(~same).sum()} of {same.size} boxes on {device} differ from OpenCV's: its integers "
            "or comparisons are wrong."
        )
    return f"all {same.size} the same"


def check_step(device: str, dataset: Dataset) -> str:
    """Compares what a step of stage 2 does to the weights with what it does on the CPU."""
    moved = [_moved_by_a_step(place, dataset) for place in (device, _CPU)]
    apart = _relative_norm(moved[0], moved[1])
    if not apart <= _STEP_TOLERANCE:
        raise ValueError(
            f"a step on {device} moves the weights otherwise than on the CPU: {apart:.1e} of the "
            f"update apart, more than {_STEP_TOLERANCE:.0e}."
        )
    return f"{apart:.1e} of the update apart"


def _moved_by_a_step(device: str, dataset: Dataset) -> np.ndarray:
    """Returns the gradients of all trained weights, as one vector."""
    with tf.device(device):
        model = _small_model(dataset.space, dropout_rate=0.0)
    stage = RepresentationStage(model, dataset, _BATCH)
    batch = kernels.wide(next(iter(stage.examples(0, None))))  # data sets belong on the CPU
    with tf.device(device):
        (update,) = stage.updates()

        @tf.function(autograph=False)
        def gradients() -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                loss, _ = update.loss(batch, tf.constant([0, 1]))
            return tape.gradient(loss, [v.value for v in update.variables])

        return np.concatenate([np.ravel(gradient) for gradient in gradients()])


def check_resume(device: str) -> str:
    """Compares the weights of a run that was stopped with those of one that ran through.

    Both train on the first GPU that TensorFlow sees, or else on the CPU, like any run.

    They need not be the same bit for bit on a GPU, unless operations are deterministic.
    """
    quiet = contextlib.redirect_stderr(io.StringIO())  # no progress bars
    with tempfile.TemporaryDirectory() as folder, quiet:
        straight = _trained(Path(folder) / "straight", 4)
        _trained(Path(folder) / "stopped", 2)
        resumed = _trained(Path(folder) / "stopped", 4)
    if np.array_equal(straight, resumed):
        return "the same bit for bit"
    apart = _relative_norm(resumed, straight)
    if not apart <= _TOLERANCE:
        raise ValueError(
            f"a run on {device} that was stopped ends {apart:.1e} apart from one that was not."
        )
    return f"{apart:.1e} apart"


def _trained(workdir: Path, num_steps: int) -> np.ndarray:
    """Returns the weights of a small run of stage 3 after `num_steps`."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, _SPACE.num_values, (64, _SPACE.num_attributes)).astype(np.int32)
    model = _small_model(_SPACE, dropout_rate=0.5)
    stored = rng.normal(size=(64, _SPACE.num_attributes, 16)).astype(np.float32)
    training.train(
        GlobalStage(model, stored, labels, global_batch_size=_BATCH),
        workdir=workdir,
        optimizer=training.OptimizerSettings(learning_rate=0.05, momentum=0.9),
        length=training.RunLength(num_steps),
        strategy=distribution.get_strategy("one_device"),
    )
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def _small_model(space: AttributeSpace, dropout_rate: float) -> FashionSearchNetV2:
    keras.utils.set_random_seed(0)
    return FashionSearchNetV2(
        space,
        image_input=ImageInput(_SIZE),
        trunk=Trunk(width=0.25, first_stride=2, normalization="none"),
        hidden_dims=(32, 32),
        representation_dim=16,
        global_dim=16,
        dropout_rate=dropout_rate,
    )


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Returns the largest difference over the largest number."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _relative_norm(found: np.ndarray, expected: np.ndarray) -> float:
    """Returns |found - expected| over |expected|, Euclidean norms."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
