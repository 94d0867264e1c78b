"""The choice of a blend of image and label for the gallery vectors of a system."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.evaluation import metrics
from fashionsearchnet.evaluation.measure import measure
from fashionsearchnet.evaluation.ranking import Representations
from fashionsearchnet.evaluation.splits import read_splits
from fashionsearchnet.evaluation.tasks.manipulation.labelled import (
    LabelledGalleryPlan,
    LabelledGalleryProtocol,
)
from fashionsearchnet.systems.features import extract_features
from fashionsearchnet.systems.gallery_labels import ChosenBlend, check_blend
from fashionsearchnet.systems.system import System

# What a gallery may know: the share of labels known, and the share of these that are wrong.
# Where none is known, what the system reads is all that the blend uses.
_KNOWN, _WRONG = (0.0, 0.25, 0.5, 0.75, 1.0), (0.05, 0.1, 0.2)
CONDITIONS = (*((known, 0.0) for known in _KNOWN), *((1.0, wrong) for wrong in _WRONG))
GRID = tuple(round(0.1 * step, 1) for step in range(11))


@dataclasses.dataclass(frozen=True)
class BlendChoice:
    """The blends that were tried, and the chosen one; each is one number for all attributes.

    Attributes:
      figures: for each blend tried, its headline figure under each of CONDITIONS.
      alone: the figure of the images alone.
      blend: the chosen one.
    """

    figures: dict[float, tuple[float, ...]]
    alone: float
    blend: float

    def chosen(
        self, space: AttributeSpace, weights: str, protocol: LabelledGalleryProtocol
    ) -> ChosenBlend:
        """Returns the blend for a run to store."""
        facts: dict[str, Any] = {
            "query_split": protocol.query_split,
            "gallery_split": protocol.gallery_split,
            "figure": protocol.headline.short,
            "images_alone": self.alone,
            "conditions": [list(condition) for condition in CONDITIONS],
            "figures": list(self.figures[self.blend]),
        }
        return ChosenBlend(check_blend(space, self.blend), weights, facts)


def choose_blend(
    system: System,
    dataset: Dataset,
    protocol: LabelledGalleryProtocol,
    *,
    grid: Sequence[float] = GRID,
    batch_size: int = 64,
) -> BlendChoice:
    """Returns the blend whose mean headline figure over CONDITIONS is highest.

    Only blends count that are nowhere below the images alone. One number is chosen for all
    attributes: numbers of their own for each attribute fit the validation cut, and were no better
    on the queries (docs/results.md).

    Args:
      system: with `has_blocks`.
      dataset: with its attributes.
      protocol: the splits, which should be a validation cut, and the rules.
      grid: the numbers to try, 0 among them.
      batch_size: images per forward pass.

    Raises:
      ValueError: for a system without blocks, or as `evaluate_each` does.
    """
    system.prototypes()  # raises for a system without
    system.space.check_same(dataset.space, "the system", f"data set {dataset.name}")
    splits = read_splits(dataset, (protocol.query_split, protocol.gallery_split))
    conditions = [
        dataclasses.replace(protocol, known_labels=known, wrong_labels=wrong)
        for known, wrong in CONDITIONS
    ]
    plans = [condition.make_plan(dataset, splits) for condition in conditions]
    features = [extract_features(system, dataset, split, batch_size) for split in splits.names]
    features[1] = {key: splits.of_gallery(rows) for key, rows in features[1].items()}
    found = Representations(system, *features)
    alone = _figure(plans[0], found, 0.0)
    tried = {share: tuple(_figure(plan, found, share) for plan in plans) for share in grid}
    fit = [share for share in grid if min(tried[share]) >= alone]
    return BlendChoice(tried, alone, max(fit, key=lambda share: np.mean(tried[share])))


def _figure(plan: LabelledGalleryPlan, found: Representations, blend: float) -> float:
    """Returns the plain mean over attributes of the headline figure with a blend."""
    how = dataclasses.replace(plan.protocol, label_blend=(blend,))
    method = dataclasses.replace(plan, protocol=how).labelled_method(found, "labels used")
    values = measure(method, plan).values(how.headline)
    return float(np.nanmean(metrics.group_means(values, plan.group, len(plan.group_names))))
