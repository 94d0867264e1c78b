"""The three tasks. Each says its questions, its rankings and its metrics."""

from fashionsearchnet.evaluation.tasks.attribute import AttributeProtocol
from fashionsearchnet.evaluation.tasks.instance import InstanceProtocol
from fashionsearchnet.evaluation.tasks.manipulation import (
    LabelledGalleryProtocol,
    ManipulationProtocol,
)
from fashionsearchnet.evaluation.tasks.task import Plan, TaskProtocol

PROTOCOLS: dict[str, type[TaskProtocol]] = {
    protocol.task: protocol
    for protocol in (ManipulationProtocol, AttributeProtocol, InstanceProtocol)
}

__all__ = [
    "PROTOCOLS",
    "AttributeProtocol",
    "InstanceProtocol",
    "LabelledGalleryProtocol",
    "ManipulationProtocol",
    "Plan",
    "TaskProtocol",
]
