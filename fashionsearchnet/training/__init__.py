"""Training: the only loop, stages with their updates, optimizers, examples, and runs."""

from fashionsearchnet.training.balanced import BalancedSampler, EpochSampler, Images
from fashionsearchnet.training.edits import EPOCHS, NEGATIVES, EditSampler, EditTriplets
from fashionsearchnet.training.loop import RunLength, train
from fashionsearchnet.training.optimizers import (
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    OptimizerSettings,
)
from fashionsearchnet.training.pairs import RARE_VALUES, Pairs, PairSampler
from fashionsearchnet.training.stages import Stage, Update
from fashionsearchnet.training.triplets import NEGATIVES_OF, AttributeTriplets, TripletSampler

__all__ = [
    "EPOCHS",
    "NEGATIVES",
    "NEGATIVES_OF",
    "OPTIMIZERS",
    "PRECISIONS",
    "RARE_VALUES",
    "SCHEDULES",
    "AttributeTriplets",
    "BalancedSampler",
    "EditSampler",
    "EditTriplets",
    "EpochSampler",
    "Images",
    "OptimizerSettings",
    "PairSampler",
    "Pairs",
    "RunLength",
    "Stage",
    "TripletSampler",
    "Update",
    "train",
]
