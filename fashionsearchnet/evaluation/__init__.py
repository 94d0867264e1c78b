"""Measures a system on a data set by the protocol of a task, with baselines beside it."""

from fashionsearchnet.evaluation.measure import Evaluation, evaluate, evaluate_each, make_plans
from fashionsearchnet.evaluation.tasks.attribute import AttributeProtocol
from fashionsearchnet.evaluation.tasks.instance import InstanceProtocol
from fashionsearchnet.evaluation.tasks.manipulation.labelled import LabelledGalleryProtocol
from fashionsearchnet.evaluation.tasks.manipulation.task import (
    ManipulationProtocol,
    default_draw,
    shows_what_edits_keep,
)
from fashionsearchnet.evaluation.tasks.task import Plan, TaskProtocol

PROTOCOLS: dict[str, type[TaskProtocol]] = {
    protocol.task: protocol
    for protocol in (ManipulationProtocol, AttributeProtocol, InstanceProtocol)
}

__all__ = [
    "PROTOCOLS",
    "AttributeProtocol",
    "Evaluation",
    "InstanceProtocol",
    "LabelledGalleryProtocol",
    "ManipulationProtocol",
    "Plan",
    "TaskProtocol",
    "default_draw",
    "evaluate",
    "evaluate_each",
    "make_plans",
    "shows_what_edits_keep",
]
