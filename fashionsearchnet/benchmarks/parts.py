"""The parts that are timed: a step of each stage, and extraction, each with its bare trunk."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.benchmarks.timing import Call, operations
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.networks import kernels
from fashionsearchnet.systems.agman.model import AGMAN
from fashionsearchnet.systems.agman.stages import EmbeddingStage
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.stages import (
    GlobalStage,
    LocalizationStage,
    RepresentationStage,
)
from fashionsearchnet.systems.flam.instance_stage import InstanceStage
from fashionsearchnet.systems.flam.model import FLAM
from fashionsearchnet.systems.flam.vector_stages import ManipulatorStage, Vectors
from fashionsearchnet.training import OptimizerSettings, Stage, distribution
from fashionsearchnet.training.loop import compiled_by_xla, replica_update
from fashionsearchnet.training.rate_groups import rate_groups

# Values per attribute of Shopping100k, in its own order.
NUM_VALUES = (16, 17, 19, 14, 10, 15, 2, 11, 16, 7, 9, 15)
_FORWARD_AND_BACKWARD = 3  # operations over those of the forward pass alone
_NUM_STORED = 4096  # examples of the stages on vectors
_FEATURE_DIM = 256  # of FLAM's vectors
# At a rate of zero the steps cost the same, and no loss can blow up.
_SETTINGS = OptimizerSettings(learning_rate=0.0, momentum=0.9)


@dataclasses.dataclass(frozen=True)
class Part:
    """Something to time.

    Attributes:
      name: in tables.
      unit: what it takes in, in plural.
      number: of units per call.
      call: does it once.
      bare: the work of its trunk alone, on as many images; None for a part without a trunk.
      trunk_operations: of a call of `bare`.
      operations: of a call of `call`, counted in the same way; the update of weights is none.
    """

    name: str
    unit: str
    number: int
    call: Call
    bare: Call | None = None
    trunk_operations: int = 0
    operations: int = 0


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all parts are measured with.

    Attributes:
      dataset: its images, and its labels but for FashionSearchNet-v2.
      network: the arguments `image_input` and `trunk` of a system.
      batch_size: images per call.
      jit_compile: whether XLA compiles steps and trunks.
      num_values: of the attributes of FashionSearchNet-v2.
    """

    dataset: Dataset
    network: Mapping[str, Any]
    batch_size: int
    jit_compile: bool = False
    num_values: Sequence[int] = NUM_VALUES

    def fashionsearchnet(self) -> FashionSearchNetV2:
        """Returns the paper's network."""
        names = {f"attribute{a}": list(map(str, range(n))) for a, n in enumerate(self.num_values)}
        return FashionSearchNetV2(AttributeSpace.from_dict(names), **self.network)

    def labels(self, number: int) -> np.ndarray:
        """Returns random labels of FashionSearchNet-v2's attributes, int32 `[number, A]`."""
        rng = np.random.default_rng(0)
        return rng.integers(0, self.num_values, (number, len(self.num_values))).astype(np.int32)

    def compiled(self, function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        """Returns the graph of a function."""
        return (
            compiled_by_xla(function)
            if self.jit_compile
            else tf.function(function, autograph=False)
        )

    def step(self, stage: Stage, **replaced: tf.Tensor) -> tuple[Call, int]:
        """Returns a step of a stage on one of its own batches, and its operations.

        `replaced` takes the place of entries of the batch.
        """
        losses = [update.loss for update in stage.updates()]
        updates = [replica_update(u, rate_groups(u, _SETTINGS, 1)) for u in stage.updates()]
        if self.jit_compile:
            updates = [compiled_by_xla(update) for update in updates]
        batch = on_device(kernels.wide(next(iter(stage.examples(0, None))) | replaced))
        seed = tf.constant([0, 1])

        @tf.function(autograph=False)
        def step(batch) -> tf.Tensor:
            return tf.add_n([update(batch, seed)["loss"] for update in updates])

        forward = tf.function(lambda *given: [loss(*given) for loss in losses], autograph=False)
        count = operations(forward.get_concrete_function(batch, seed))
        return lambda: step(batch), _FORWARD_AND_BACKWARD * count

    def bare_step(
        self,
        trunk: Callable[[tf.Tensor], tf.Tensor],
        variables: Sequence[keras.Variable],
        images: tf.Tensor,
    ) -> tuple[Call, int]:
        """Returns forward and backward of a trunk with its update, and their operations."""
        optimizer = _SETTINGS.build(1, list(variables))

        def run(images: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(tf.cast(trunk(images), tf.float32)))
                scaled = optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, [v.value for v in variables])
            optimizer.apply(gradients, list(variables))
            return loss

        forward = tf.function(trunk, autograph=False).get_concrete_function(images)
        step = self.compiled(run)
        return lambda: step(images), _FORWARD_AND_BACKWARD * operations(forward)


def on_device(batch: Any) -> Any:
    """Returns a batch as `distribution.prefetched` brings it: no step waits for a copy of it."""
    with tf.device(distribution.compute_device()):
        return tf.nest.map_structure(tf.identity, batch)


def extraction(setting: Setting) -> Part:
    """From images to global representations, beside the bare conv1-conv7."""
    model = setting.fashionsearchnet()
    images = _random_images(setting, setting.batch_size)

    def bare(images: tf.Tensor) -> tf.Tensor:
        return model.localize(images)["conv7"]

    count, all_operations = (
        operations(tf.function(run, autograph=False).get_concrete_function(images))
        for run in (bare, model.encode_gallery)
    )
    whole = setting.compiled(lambda images: tf.reduce_mean(model.encode_gallery(images)))
    trunk = setting.compiled(lambda images: tf.reduce_mean(tf.cast(bare(images), tf.float32)))
    return Part(
        "extraction",
        "images",
        setting.batch_size,
        lambda: whole(images),
        lambda: trunk(images),
        count,
        all_operations,
    )


def localization_step(setting: Setting) -> Part:
    """Stage 1 of FashionSearchNet-v2."""
    return _fashionsearchnet_step(setting, "stage 1", LocalizationStage)


def representation_step(setting: Setting) -> Part:
    """Stage 2 of FashionSearchNet-v2."""
    return _fashionsearchnet_step(setting, "stage 2", RepresentationStage)


def _fashionsearchnet_step(setting: Setting, name: str, kind: Callable[..., Stage]) -> Part:
    model = setting.fashionsearchnet()
    stage = kind(model, setting.dataset, setting.batch_size)
    labels = tf.constant(setting.labels(setting.batch_size))
    call, all_operations = setting.step(stage, attributes=labels)
    maps = model.attention_maps
    parts = (model.trunk, model.conv5, maps.conv6, maps.conv7)
    bare, count = setting.bare_step(
        lambda images: model.localize(images, training=True)["conv7"],
        [v for part in parts for v in part.trainable_variables],
        _random_images(setting, setting.batch_size),
    )
    title = f"FashionSearchNet-v2, {name}"
    return Part(title, "images", setting.batch_size, call, bare, count, all_operations)


def global_step(setting: Setting) -> Part:
    """Stage 3 of FashionSearchNet-v2, on stored representations."""
    model = setting.fashionsearchnet()
    labels = setting.labels(_NUM_STORED) % 2  # so that edits have targets
    shape = (*labels.shape, model.memory.memory.shape[-1])
    stored = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    stage = GlobalStage(model, stored, labels, global_batch_size=setting.batch_size)
    call, _ = setting.step(stage)
    return Part("FashionSearchNet-v2, stage 3", "triplets", setting.batch_size, call)


def item_step(setting: Setting) -> Part:
    """FLAM's stage on images: pairs of an item."""
    pairs = setting.batch_size // 2
    model = FLAM(setting.dataset.space, **setting.network, num_instances=1000)
    stage = InstanceStage(model, setting.dataset, global_batch_size=pairs)
    return _beside_trunk(setting, "FLAM, items", model.trunk, stage, 2 * pairs)


def manipulator_step(setting: Setting) -> Part:
    """FLAM's generator and discriminator, on vectors."""
    rng = np.random.default_rng(0)
    model = FLAM(setting.dataset.space, **setting.network, projection_dim=_FEATURE_DIM)
    model.editor.start_discriminator()
    vectors = Vectors(rng.normal(size=(_NUM_STORED, _FEATURE_DIM)).astype(np.float32))
    stage = ManipulatorStage(model, model.editor, vectors, setting.batch_size)
    call, _ = setting.step(stage)
    return Part("FLAM, manipulator", "vectors", setting.batch_size, call)


def triplet_step(setting: Setting) -> Part:
    """AG-MAN's triplets of images."""
    triplets = max(1, setting.batch_size // 3)
    model = AGMAN(setting.dataset.space, **setting.network)
    stage = EmbeddingStage(model, setting.dataset, triplets)
    return _beside_trunk(setting, "AG-MAN, triplets", model.trunk, stage, 3 * triplets)


PARTS: dict[str, Callable[[Setting], Part]] = {
    "extraction": extraction,
    "stage1": localization_step,
    "stage2": representation_step,
    "stage3": global_step,
    "flam_items": item_step,
    "flam_manipulator": manipulator_step,
    "agman": triplet_step,
}


def _beside_trunk(
    setting: Setting, name: str, trunk: keras.Model, stage: Stage, number: int
) -> Part:
    """Returns the part of a stage whose trunk sees `number` images."""
    call, all_operations = setting.step(stage)
    bare, count = setting.bare_step(
        lambda images: trunk(images, training=True),
        trunk.trainable_variables,
        _random_images(setting, number),
    )
    return Part(name, "images", number, call, bare, count, all_operations)


def _random_images(setting: Setting, number: int) -> tf.Tensor:
    """Returns float32 `[number, size, size, 3]`."""
    size = setting.network["image_input"].size
    return tf.random.stateless_normal([number, size, size, 3], [0, 1], stddev=50.0)
