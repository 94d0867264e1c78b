"""What the flags of the scripts describe that train readers of attributes on features."""

from typing import Any

import tensorflow as tf
from absl import flags

from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.systems.flam.model import FLAM
from fashionsearchnet.systems.flam.vector_stages import Vectors

import training_setup

FLAGS = flags.FLAGS
_OF_FEATURE = ("pooling", "pca_dim")


def build_model(dataset: Dataset, strategy: tf.distribute.Strategy, variant: str) -> FLAM:
    """Returns a model with the feature of --init_from, or with that of the flags' trunk.

    Raises:
      ValueError: for a flag that has no effect.
    """
    why = "is for a trunk that learns; this stage takes what the trunk gives as it is"
    training_setup.refuse_flags(["trunk_rate_multiplier"], why)
    reader: dict[str, Any] = {
        "variant": variant,
        "dropout_rate": FLAGS.dropout_rate,
        "input_dropout_rate": FLAGS.input_dropout_rate,
        "generator_dim": FLAGS.generator_dim,
    }
    if "reader_dim" in FLAGS:
        reader["reader_dim"] = FLAGS.reader_dim
    if FLAGS.init_from:
        why = f"is about a feature that no stage learns; --init_from={FLAGS.init_from} has one"
        training_setup.refuse_flags(_OF_FEATURE, why)
        # A feature of items knows no attributes: it may come from another data set, as in Table 4.
        start = training_setup.load_start(FLAM, dataset, any_attributes=True)
        kept = {"trunk": training_setup.trunk_of_start(start), "num_instances": 0}
        with strategy.scope():
            model = FLAM(dataset.space, **{**start.arguments, **reader, **kept})
            model.copy_parts(start, *model.feature_parts)
        return model
    with strategy.scope():
        model = FLAM(
            dataset.space,
            **reader,
            **feature_arguments(dataset),
            projection="pca",
            **training_setup.network_arguments(dataset),
        )
    training_setup.load_pretrained_weights(model)
    model.fit_feature(training_setup.outputs_now(model, dataset, flip=False).upright)
    return model


def feature_arguments(dataset: Dataset) -> dict[str, Any]:
    """Returns how the feature is made; vectors that another model computed are taken as they are.

    So an edited vector can be searched for in the database that they come from.
    """
    if dataset.vector_input is None:
        return {"pooling": FLAGS.pooling, "projection_dim": FLAGS.pca_dim}
    why = f"is for images: the vectors of {dataset.name} are taken as they are"
    training_setup.refuse_flags(_OF_FEATURE, why)
    return {"pooling": "spoc", "projection_dim": 0}


def features(model: FLAM, dataset: Dataset) -> Vectors:
    """Returns the features of the training images, and standardises what the reader sees."""
    outputs = training_setup.outputs_now(model, dataset, flip=FLAGS.flip)
    upright = model.feature_rows(outputs.upright)
    model.vector_standardization.adapt([upright])
    mirrored = None if outputs.mirrored is None else model.feature_rows(outputs.mirrored)
    return Vectors(upright, mirrored, outputs.labels)


def stage_arguments() -> dict[str, Any]:
    """Returns the arguments of a stage on vectors."""
    return {
        "global_batch_size": FLAGS.batch_size,
        "seed": FLAGS.seed,
        "balanced": FLAGS.balanced,
    }
