"""Training: the only loop, its stages and updates, examples, runs."""

from fashionsearchnet.training.loop import (
    PRECISIONS,
    SCHEDULES,
    OptimizerSettings,
    RunLength,
    Stage,
    train,
)

__all__ = ["PRECISIONS", "SCHEDULES", "OptimizerSettings", "RunLength", "Stage", "train"]
