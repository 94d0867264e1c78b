"""Small stages of FLAM, for the tables of stages and its own tests."""

import keras
import numpy as np
from fakes import SPACE, FakeDataset
from small_networks import network

from fashionsearchnet.attributes import one_hot_blocks
from fashionsearchnet.systems.flam.instance_stage import InstanceStage
from fashionsearchnet.systems.flam.model import FLAM
from fashionsearchnet.systems.flam.ranking_stage import RankingStage
from fashionsearchnet.systems.flam.vector_stages import (
    ClassifierStage,
    EmbedderStage,
    ManipulatorStage,
    Vectors,
)

BATCH = 16
DIM = 12


class ItemDataset(FakeDataset):
    """Images with the same labels show the same item."""

    def instance_ids(self, split):
        return ["".join(map(str, row)) for row in self.labels(split)]


def build_model(
    variant: str = "m_os_adv",
    normalization: str = "batch",
    dropout_rate: float = 0.1,
    training: str = "full",
    **arguments,
) -> FLAM:
    keras.utils.set_random_seed(0)
    return FLAM(
        SPACE,
        variant=variant,
        **network(width=0.1, normalization=normalization, training=training),
        **{"projection_dim": DIM, "reader_dim": 16, "generator_dim": 24, **arguments},
        dropout_rate=dropout_rate,
    )


def vectors(labelled: bool = True) -> Vectors:
    """Unit vectors that show the labels through noise."""
    values = FakeDataset().labels("train")
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(SPACE.total_values, DIM))
    found = one_hot_blocks(SPACE, values) @ patterns + rng.normal(0.0, 0.3, (len(values), DIM))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return Vectors(found.astype(np.float32), None, values if labelled else None)


def instances(**model_arguments):
    model = build_model(num_instances=5, **model_arguments)
    return InstanceStage(model, ItemDataset(), global_batch_size=BATCH)


def _adapted(variant, **model_arguments):
    model = build_model(variant, **model_arguments)
    model.vector_standardization.adapt([vectors().upright])
    return model


def embedders(variant="m_os_adv", **model_arguments):
    model = _adapted(variant, **model_arguments)
    return EmbedderStage(model, model.editor, vectors(), BATCH)


def classifiers(**model_arguments):
    model = _adapted("cls_concat", **model_arguments)
    return ClassifierStage(model, model.editor, vectors(), BATCH)


def manipulator(variant="m_os_adv", **model_arguments):
    model = _adapted(variant, **model_arguments)
    model.editor.start_discriminator()
    return ManipulatorStage(model, model.editor, vectors(labelled=False), BATCH)


def manipulator_without_adversary(**model_arguments):
    return manipulator("m", **model_arguments)


def ranking(labelled: bool = True, **model_arguments):
    model = _adapted("ranked", **model_arguments)
    return RankingStage(model, model.editor, vectors(labelled), BATCH, num_changes=2)
