"""The task "this one, but with a v-neck"."""

from fashionsearchnet.evaluation.tasks.manipulation.task import (
    PLANS,
    ManipulationProtocol,
    default_draw,
)

__all__ = ["PLANS", "ManipulationProtocol", "default_draw"]
