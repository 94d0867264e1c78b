"""The paper's protocol applied to a system, with the baselines beside it."""

from fashionsearchnet.evaluation.boxes import score_boxes
from fashionsearchnet.evaluation.measure import Evaluation, evaluate, evaluate_each
from fashionsearchnet.evaluation.ranking import chance_row
from fashionsearchnet.evaluation.settings import Settings, default_draw

__all__ = [
    "Evaluation",
    "Settings",
    "chance_row",
    "default_draw",
    "evaluate",
    "evaluate_each",
    "score_boxes",
]
