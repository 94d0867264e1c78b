"""The task "this one, but with a v-neck"."""

from fashionsearchnet.evaluation.tasks.manipulation.enumeration import (
    Manipulations,
    enumerate_manipulations,
    listed_manipulations,
)
from fashionsearchnet.evaluation.tasks.manipulation.hits import Gallery, count_differences
from fashionsearchnet.evaluation.tasks.manipulation.task import (
    PLANS,
    ManipulationPlan,
    ManipulationProtocol,
    default_draw,
)

__all__ = [
    "PLANS",
    "Gallery",
    "ManipulationPlan",
    "ManipulationProtocol",
    "Manipulations",
    "count_differences",
    "default_draw",
    "enumerate_manipulations",
    "listed_manipulations",
]
