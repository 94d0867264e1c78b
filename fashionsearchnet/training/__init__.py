"""Training: the only loop, stages with their updates, optimizers, examples, and runs."""

from fashionsearchnet.training.edits import NEGATIVES, EditSampler, EditTriplets
from fashionsearchnet.training.loop import RunLength, train
from fashionsearchnet.training.optimizers import (
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    OptimizerSettings,
)
from fashionsearchnet.training.stages import Stage, Update

__all__ = [
    "NEGATIVES",
    "OPTIMIZERS",
    "PRECISIONS",
    "SCHEDULES",
    "EditSampler",
    "EditTriplets",
    "OptimizerSettings",
    "RunLength",
    "Stage",
    "Update",
    "train",
]
