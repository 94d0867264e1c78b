"""One table of every stage of every system, small enough to train in a test."""

import dataclasses
import json
import tempfile
from collections.abc import Callable

import flam_stages
import keras
import numpy as np
import tensorflow as tf
from fakes import SPACE, FakeDataset
from small_networks import network
from vector_gan import GanStage, VectorGan

from fashionsearchnet import training
from fashionsearchnet.attributes import one_hot_blocks
from fashionsearchnet.systems.agman.model import AGMAN
from fashionsearchnet.systems.agman.stages import EmbeddingStage
from fashionsearchnet.systems.amnet.model import AMNet
from fashionsearchnet.systems.amnet.stages import ClassificationStage, ManipulationStage
from fashionsearchnet.systems.asenet.model import ASENet
from fashionsearchnet.systems.edit_ranking_stage import EditRankingStage
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.stages import (
    GlobalStage,
    LocalizationStage,
    RepresentationStage,
)
from fashionsearchnet.systems.memory import class_means
from fashionsearchnet.systems.triplet_stage import TripletStage
from fashionsearchnet.systems.trunk_outputs import trunk_outputs
from fashionsearchnet.systems.value_stage import ValueStage
from fashionsearchnet.training import distribution, loop
from fashionsearchnet.training.rate_groups import rate_groups

BATCH = 16
# Stages with the same trunk share its stored outputs, as runs may.
OUTPUTS = tempfile.TemporaryDirectory()


def build_model(
    variant: str,
    normalization: str = "batch",
    dropout_rate: float = 0.1,
    training: str = "full",
) -> FashionSearchNetV2:
    keras.utils.set_random_seed(0)
    return FashionSearchNetV2(
        SPACE,
        variant=variant,
        **network(width=0.1, normalization=normalization, training=training),
        hidden_dims=(16, 16),
        representation_dim=8,
        dropout_rate=dropout_rate,
        global_dim=6,
    )


def localization(variant="full", **model_arguments):
    return LocalizationStage(build_model(variant, **model_arguments), FakeDataset(), BATCH)


def representations(variant="full", **model_arguments):
    return RepresentationStage(build_model(variant, **model_arguments), FakeDataset(), BATCH)


def stored_outputs(stage):
    """The outputs of a stage's frozen trunk, mirrored ones among them."""
    return trunk_outputs(stage.model, stage.dataset, "train", OUTPUTS.name, flip=True)


def frozen_localization(**model_arguments):
    """The same stage on the stored maps of a frozen trunk."""
    model = build_model("full", training="frozen", **model_arguments)
    stage = LocalizationStage(model, FakeDataset(), BATCH)
    stage.outputs = stored_outputs(stage)
    return stage


def pooled_representations(**model_arguments):
    """On stored pooled features: no attention to train."""
    model = build_model("ours_pooled", training="frozen", **model_arguments)
    stage = RepresentationStage(model, FakeDataset(), BATCH, balanced=True)
    stage.outputs = stored_outputs(stage)
    model.standardization.adapt(stage.outputs.parts())
    return stage


def finetuned_representations(**model_arguments):
    """On images, the trunk at a rate of its own and with fixed statistics."""
    model = build_model("full_pooled", training="fixed_statistics", **model_arguments)
    stage = RepresentationStage(model, FakeDataset(), BATCH, trunk_rate_multiplier=0.1)
    images = stage.dataset.images("train", model.image_input)
    model.standardization.adapt(model.trunk(batch).numpy() for batch in images)
    return stage


def balanced_representations(**model_arguments):
    """The same stage on batches balanced by attribute."""
    stage = representations(**model_arguments)
    stage.balanced = True
    return stage


def global_ranking(variant="full", memory_rate_multiplier=1.0, **model_arguments):
    """Stored representations are noisy one-hot blocks, as a trained second stage gives."""
    model = build_model(variant, **model_arguments)
    values = FakeDataset().labels("train")
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(*values.shape, 8)).astype(np.float32)
    stored = noise + 2 * (values[..., None] == np.arange(8))
    model.memory.memory.assign(class_means(SPACE, [stored], values)[0])
    return GlobalStage(
        model,
        stored,
        values,
        global_batch_size=BATCH,
        memory_rate_multiplier=memory_rate_multiplier,
    )


def batch_ranking(variant="ours", **model_arguments):
    """The same stage with the loss and the edits of our own variant."""
    plain = global_ranking(variant, **model_arguments)
    return GlobalStage(
        plain.model,
        plain.representations,
        FakeDataset().labels("train"),
        global_batch_size=BATCH,
        ranking_loss="softmax",
        num_changes=2,
    )


def build_amnet(normalization: str = "batch", dropout_rate: float = 0.1) -> AMNet:
    keras.utils.set_random_seed(0)
    return AMNet(
        SPACE,
        **network(width=0.1, normalization=normalization),
        feature_dim=16,
        dropout_rate=dropout_rate,
    )


def classification(**model_arguments):
    return ClassificationStage(build_amnet(**model_arguments), FakeDataset(), BATCH)


def manipulation(**model_arguments):
    """Stored features show the labels through noise, as a trained first stage gives."""
    model = build_amnet(**model_arguments)
    values = FakeDataset().labels("train")
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(SPACE.total_values, model.convolved_dim)).astype(np.float32)
    noise = rng.normal(0.0, 0.3, (len(values), model.convolved_dim)).astype(np.float32)
    stored = one_hot_blocks(SPACE, values) @ patterns + noise
    model.memory.memory.assign(rng.normal(size=model.memory.memory.shape))
    return ManipulationStage(model, stored, values, global_batch_size=BATCH)


def triplets(
    kind=ASENet,
    variant="asenet_v2",
    stage=TripletStage,
    normalization="batch",
    dropout_rate=0.0,
    **arguments,
):
    """Vectors of attributes by triplets of images; `normalization` is that of the attention too."""
    del dropout_rate  # there is none
    keras.utils.set_random_seed(0)
    trunk_training = arguments.pop("training", "full")
    model = kind(
        SPACE,
        variant=variant,
        hidden_dim=12,
        attention_normalization=normalization,
        **network(width=0.1, normalization=normalization, training=trunk_training),
        **arguments,
    )
    return stage(model, FakeDataset(), BATCH)


def triplet_net(**model_arguments):
    return triplets(variant="triplet_net", embedding_dim=16, **model_arguments)


def csn(**model_arguments):
    return triplets(variant="csn", embedding_dim=16, **model_arguments)


def asenet_v1(**model_arguments):
    return triplets(variant="asenet_v1", embedding_dim=16, **model_arguments)


def agman_embedding(variant="agman", **model_arguments):
    return triplets(AGMAN, variant, EmbeddingStage, **model_arguments)


def frozen_csn(**model_arguments):
    """The same stage on the stored maps of a frozen trunk."""
    stage = csn(training="frozen", **model_arguments)
    return dataclasses.replace(stage, outputs=stored_outputs(stage))


def weighed_agman(**model_arguments):
    """Both losses by learned weights, on the trunk's last map."""
    return agman_embedding("classification", loss_weighting="uncertainty", **model_arguments)


def from_values(**model_arguments):
    """Vectors of attributes from the labels of images."""
    return triplets(
        ASENet, "csn", ValueStage, learns_from="values", embedding_dim=16, **model_arguments
    )


def editing(kind=ASENet, variant="asenet_v2", **model_arguments):
    """Stored vectors are noisy one-hot blocks, as a trained first stage gives."""
    stage = triplets(kind, variant, edit_ranking=True, block_dim=6, **model_arguments)
    model, values = stage.model, FakeDataset().labels("train")
    rng = np.random.default_rng(0)
    dim = model.memory.memory.shape[-1]
    noise = rng.normal(size=(*values.shape, dim)).astype(np.float32)
    stored = noise + 2 * (values[..., None] == np.arange(dim))
    stored /= np.linalg.norm(stored, axis=-1, keepdims=True)
    model.memory.memory.assign(class_means(SPACE, [stored], values)[0])
    model.start_ranking(stored)
    return EditRankingStage(
        model,
        stored,
        values,
        variables=model.ranking_variables,
        memory=model.edits_by.memory,
        global_batch_size=BATCH,
        ranking_loss="softmax",
    )


def agman_editing(**model_arguments):
    return editing(AGMAN, "agman", **model_arguments)


def gan(**_):
    """A stage of two updates, until a system has one."""
    keras.utils.set_random_seed(0)
    return GanStage(VectorGan(), BATCH)


# Every system has its stages here, or test_every_system_has_its_stages_in_the_table fails.
STAGES: dict[str, list[Callable[..., training.Stage]]] = {
    "agman": [agman_embedding, weighed_agman, agman_editing],
    "asenet": [triplets, triplet_net, csn, frozen_csn, asenet_v1, from_values, editing],
    "amnet": [classification, manipulation],
    "fashionsearchnet_v2": [
        localization,
        representations,
        balanced_representations,
        frozen_localization,
        pooled_representations,
        finetuned_representations,
        global_ranking,
        batch_ranking,
    ],
    "flam": [
        flam_stages.instances,
        flam_stages.embedders,
        flam_stages.classifiers,
        flam_stages.manipulator,
        flam_stages.manipulator_without_adversary,
        flam_stages.ranking,
    ],
}
ALL = [*(stage for stages in STAGES.values() for stage in stages), gan]
SEVERAL_UPDATES = (flam_stages.manipulator, flam_stages.manipulator_without_adversary, gan)
RATE = {
    "classification": 0.02,
    "manipulation": 0.01,
    "embedding": 0.02,
    "localization": 0.02,
    "representations": 0.02,
    "global": 0.05,
    "instances": 0.02,
    "embedders": 0.05,
    "classifiers": 0.05,
    "manipulator": 0.01,
    "gan": 0.0,  # its updates bring their own optimizers
}
# Without batch normalisation the stages that read images bear less.
PLAIN_RATE = {
    **RATE,
    **dict.fromkeys(("classification", "localization", "representations", "embedding"), 1e-3),
}


def train(
    stage,
    workdir,
    num_steps,
    strategy=None,
    log_every=5,
    checkpoint_every=1000,
    rate=None,
    steps_per_call=1,
    weight_decay=1e-4,
):
    """Trains a stage as tools/ would."""
    training.train(
        stage,
        workdir=workdir,
        optimizer=optimizer_settings(rate or RATE[stage.name], weight_decay),
        length=training.RunLength(num_steps, log_every, checkpoint_every),
        strategy=strategy or distribution.get_strategy("one_device"),
        execution=training.Execution(steps_per_call=steps_per_call),
    )


def optimizer_settings(rate: float, weight_decay: float = 1e-4) -> training.OptimizerSettings:
    return training.OptimizerSettings(learning_rate=rate, momentum=0.9, weight_decay=weight_decay)


def train_plainly(stage, num_steps: int, rate: float) -> dict[str, tf.Tensor]:
    """Takes the same steps on one device without the loop: no compiled function, no strategy.

    Returns the numbers that the last update of the last step logs.
    """
    settings, batches = optimizer_settings(rate), iter(stage.examples(0, None))
    updates = [
        loop.replica_update(update, rate_groups(update, settings, num_steps))
        for update in stage.updates()
    ]
    for number in range(1, num_steps + 1):
        batch = next(batches)
        for index, update in enumerate(updates):
            seed = tf.constant([0, number])
            own = tf.random.experimental.stateless_fold_in(seed, index) if index else seed
            last = update(batch, own)
    return last


def logged(workdir) -> list[dict]:
    """The lines of a run's metrics."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def weights(model) -> dict[str, np.ndarray]:
    return {variable.path: variable.numpy() for variable in model.variables}


def own_paths(stage) -> list[str]:
    """The paths of all variables that a stage moves."""
    return [variable.path for update in stage.updates() for variable in update.variables]
