"""Training: the only loop, stages with their updates, optimizers, examples, and runs."""

from fashionsearchnet.training.balanced import BalancedSampler, EpochSampler, Images
from fashionsearchnet.training.edits import EditSampler, EditTriplets
from fashionsearchnet.training.loop import Execution, RunLength, train
from fashionsearchnet.training.optimizers import OptimizerSettings
from fashionsearchnet.training.pairs import Pairs, PairSampler
from fashionsearchnet.training.stages import Stage, Update
from fashionsearchnet.training.triplets import (
    AttributeTriplets,
    ListedTripletSampler,
    TripletSampler,
)

__all__ = [
    "AttributeTriplets",
    "BalancedSampler",
    "EditSampler",
    "EditTriplets",
    "EpochSampler",
    "Execution",
    "Images",
    "ListedTripletSampler",
    "OptimizerSettings",
    "PairSampler",
    "Pairs",
    "RunLength",
    "Stage",
    "TripletSampler",
    "Update",
    "train",
]
