"""The task "this one, but with a v-neck"."""

from fashionsearchnet.evaluation.tasks.manipulation.labelled import LabelledGalleryProtocol
from fashionsearchnet.evaluation.tasks.manipulation.task import (
    PLANS,
    ManipulationProtocol,
    default_draw,
)

__all__ = ["PLANS", "LabelledGalleryProtocol", "ManipulationProtocol", "default_draw"]
