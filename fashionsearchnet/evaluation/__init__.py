"""Measures a system on a data set by the protocol of a task, with baselines beside it."""

from fashionsearchnet.evaluation.localization import score_boxes
from fashionsearchnet.evaluation.measure import Evaluation, evaluate, evaluate_each
from fashionsearchnet.evaluation.tasks import (
    PROTOCOLS,
    AttributeProtocol,
    InstanceProtocol,
    LabelledGalleryProtocol,
    ManipulationProtocol,
    TaskProtocol,
)
from fashionsearchnet.evaluation.tasks.manipulation import default_draw

__all__ = [
    "PROTOCOLS",
    "AttributeProtocol",
    "Evaluation",
    "InstanceProtocol",
    "LabelledGalleryProtocol",
    "ManipulationProtocol",
    "TaskProtocol",
    "default_draw",
    "evaluate",
    "evaluate_each",
    "score_boxes",
]
