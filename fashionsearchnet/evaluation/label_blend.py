"""The choice of a blend of image and label for the gallery vectors of a system."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

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
_NEAR = 0.2  # how far the number of one attribute may lie from the common one
LEAST_GAIN = 0.005  # of the mean, for a blend per attribute; less may be chance

Blend = tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class BlendChoice:
    """The blends that were tried, and the chosen one.

    Attributes:
      figures: for each blend tried, its headline figure under each of CONDITIONS.
      alone: the figure of the images alone.
      common: the best blend with one number for all attributes.
      blend: the chosen one.
    """

    figures: dict[Blend, tuple[float, ...]]
    alone: float
    common: Blend
    blend: Blend

    def chosen(self, weights: str, protocol: LabelledGalleryProtocol) -> ChosenBlend:
        """Returns the blend for a run to store."""
        facts: dict[str, Any] = {
            "query_split": protocol.query_split,
            "gallery_split": protocol.gallery_split,
            "figure": protocol.headline.short,
            "images_alone": self.alone,
            "conditions": [list(condition) for condition in CONDITIONS],
            "figures": list(self.figures[self.blend]),
        }
        return ChosenBlend(self.blend, weights, facts)


def choose_blend(
    system: System,
    dataset: Dataset,
    protocol: LabelledGalleryProtocol,
    *,
    grid: Sequence[float] = GRID,
    batch_size: int = 64,
) -> BlendChoice:
    """Returns the blend whose mean headline figure over CONDITIONS is highest.

    Only blends count that are nowhere below the images alone. First one number for all attributes
    is chosen, then a number near it for each attribute in turn; these are taken if they add
    LEAST_GAIN.

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
    none = (0.0,) * system.space.num_attributes
    alone = _figure(plans[0], found, none)

    @functools.cache
    def figures(blend: Blend) -> tuple[float, ...]:
        return tuple(_figure(plan, found, blend) for plan in plans)

    tried: dict[Blend, tuple[float, ...]] = {}

    def best(blends: Sequence[Blend]) -> Blend:
        tried.update({blend: figures(blend) for blend in blends})
        fit = [blend for blend in blends if min(tried[blend]) >= alone]
        return max(fit, key=lambda blend: np.mean(tried[blend]), default=none)

    common = each = best([check_blend(system.space, share) for share in grid])
    near = [share for share in grid if abs(share - common[0]) < 1.01 * _NEAR]
    for attribute in range(system.space.num_attributes):
        head, tail = each[:attribute], each[attribute + 1 :]
        each = best([each, *((*head, float(share), *tail) for share in near)])
    tried.update({blend: figures(blend) for blend in (common, each)})
    gain = np.mean(tried[each]) - np.mean(tried[common])
    return BlendChoice(tried, alone, common, each if gain >= LEAST_GAIN else common)


def _figure(plan: LabelledGalleryPlan, found: Representations, blend: Blend) -> float:
    """Returns the plain mean over attributes of the headline figure with a blend."""
    how = dataclasses.replace(plan.protocol, label_blend=blend)
    method = dataclasses.replace(plan, protocol=how).labelled_method(found, "labels used")
    values = measure(method, plan).values(how.headline)
    return float(np.nanmean(metrics.group_means(values, plan.group, len(plan.group_names))))
