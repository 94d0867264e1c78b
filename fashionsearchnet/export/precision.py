"""Weights stored in sixteen bits instead of thirty-two: half the size, and its cost.

Only the storage changes. A weight is turned back into float32 where it is used, which runs on any
machine; computing in sixteen bits is fast only on some. Vectors, such as biases and the statistics
of a normalisation, stay as they are: they are small, and a variance may be too large for float16.
"""

from typing import Any

import tensorflow as tf

from fashionsearchnet import evaluation
from fashionsearchnet.checks import check_choice
from fashionsearchnet.choices import EXPORT_PRECISIONS
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.evaluation import scores
from fashionsearchnet.systems.system import System

_FLOAT16_MAX = 65504.0


def reduce_weight(weight: Any, precision: str) -> tf.Tensor:
    """Returns the value of a keras variable in the type that it is stored in.

    float16 keeps 11 significant bits, of magnitudes up to 65504; bfloat16 keeps 8 bits, of any
    magnitude. Vectors, and values of other types, stay as they are.

    Raises:
      ValueError: for an unknown precision, or a magnitude that float16 cannot hold.
    """
    check_choice("precision", precision, EXPORT_PRECISIONS)
    value = tf.convert_to_tensor(weight.value)
    if value.dtype != tf.float32 or len(value.shape) < 2:
        return value
    largest = float(tf.reduce_max(tf.abs(value)))
    if precision == "float16" and largest > _FLOAT16_MAX:
        raise ValueError(
            f"weight {weight.path} reaches {largest:.3g}, and precision float16 ends at "
            f"{_FLOAT16_MAX:.0f}; use bfloat16 or float32."
        )
    return tf.cast(value, precision)


def round_weights(system: System, precision: str) -> None:
    """Rounds the weights of a system as an export of that precision does."""
    for weight in system.weights:
        weight.assign(tf.cast(reduce_weight(weight, precision), weight.dtype))


def measure_change(
    system: System,
    dataset: Dataset,
    protocol: evaluation.TaskProtocol,
    precision: str,
) -> dict[str, Any]:
    """Returns the effect of rounded weights on the headline of a task, such as Top-20.

    The system keeps the rounded weights.

    Args:
      system: a trained system.
      dataset: with its attributes.
      protocol: how to measure.
      precision: one of EXPORT_PRECISIONS.

    Returns:
      `figure`, its name; `float32` and `reduced`, its plain mean over attributes in [0, 1];
      `difference` (reduced less float32) and its 95 % bootstrap `interval`, paired over the same
      `questions`; `changed`, how many of these have another figure, such as a miss for a hit;
      `dataset`, `query_split`, `gallery_split`.
    """
    before = evaluation.evaluate(system, dataset, protocol).outcomes
    round_weights(system, precision)
    after = evaluation.evaluate(system, dataset, protocol).outcomes
    figure = protocol.headline
    values, reduced = (outcomes.row().values(figure) for outcomes in (before, after))
    grouping = before.grouping(protocol.num_resamples, protocol.seed)
    found = scores.difference(after.row(), before.row(), figure, grouping)
    return {
        "figure": figure.short,
        "float32": scores.summarize(values, grouping)["mean"],
        "reduced": scores.summarize(reduced, grouping)["mean"],
        "difference": found["mean"],
        "interval": found["mean_interval"],
        "questions": len(before.query),
        "changed": int((values != reduced).sum()),
        "dataset": dataset.name,
        "query_split": protocol.query_split,
        "gallery_split": protocol.gallery_split,
    }
