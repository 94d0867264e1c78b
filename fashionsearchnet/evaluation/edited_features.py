"""[Shin19] Table 5: how well a classifier reads features before and after an edit.

A classifier that never saw an edited feature says whether the edit did what it should: the edited
attribute reads as wanted, and the others read as before.
"""

import dataclasses
from typing import Any

import numpy as np

from fashionsearchnet.attributes import KEEP, MISSING, predicted_values
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.evaluation.measure import make_plans
from fashionsearchnet.evaluation.tasks.manipulation.task import (
    ManipulationPlan,
    ManipulationProtocol,
)
from fashionsearchnet.systems.features import (
    FeatureArrays,
    attribute_logits,
    edited_embedding,
    extract_features,
)
from fashionsearchnet.systems.system import System

_BATCH_SIZE = 1024  # edits


@dataclasses.dataclass(frozen=True)
class EditedAccuracy:
    """The accuracy of a classifier on features of queries; NaN where nothing can be counted.

    Attributes:
      attributes: their A names.
      original: float `[A]`, on the features as they are.
      edited: float `[A, A]`: row a has the edits of attribute a, column b what the classifier reads
        of attribute b. Right is the wanted value for b = a, and the query's label elsewhere.
      num_queries: int `[A]`, queries with a label.
      num_edits: int `[A]`, edits of each attribute.
    """

    attributes: tuple[str, ...]
    original: np.ndarray
    edited: np.ndarray
    num_queries: np.ndarray
    num_edits: np.ndarray

    @property
    def mean_difference(self) -> float:
        """The mean of `edited` less `original` over the edited attributes, the paper's Avg.diff."""
        return float(np.nanmean(np.diag(self.edited) - self.original))

    @property
    def kept(self) -> np.ndarray:
        """The mean accuracy on the attributes that the edits of each attribute keep, `[A]`."""
        others = np.where(np.eye(len(self.attributes), dtype=bool), np.nan, self.edited)
        return np.array([_mean(row) for row in others])

    @property
    def original_of_others(self) -> np.ndarray:
        """The mean of `original` over the same attributes, `[A]`."""
        number = len(self.attributes)
        return np.array([_mean(np.delete(self.original, a)) for a in range(number)])

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures for JSON, None for NaN."""
        return {
            "attributes": list(self.attributes),
            "original": _as_json(self.original),
            "edited": [_as_json(row) for row in self.edited],
            "mean_difference": self.mean_difference,
            "num_queries": self.num_queries.tolist(),
            "num_edits": self.num_edits.tolist(),
        }


def measure_edited(
    system: System,
    classifier: System,
    dataset: Dataset,
    protocol: ManipulationProtocol,
    batch_size: int = 64,
) -> EditedAccuracy:
    """Returns how well a classifier reads the queries' features, as they are and edited.

    Args:
      system: edits features: `query_embedding` gives features of the same kind.
      classifier: reads attributes off them by `attribute_logits`.
      dataset: with the attributes of both.
      protocol: which edits.
      batch_size: images per forward pass.

    Raises:
      ValueError: if the attributes differ or there is no edit to try.
    """
    for each, what in ((system, "the system"), (classifier, "the classifier")):
        each.space.check_same(dataset.space, what, f"data set {dataset.name}")
    (plan,) = make_plans(dataset, [protocol])
    assert isinstance(plan, ManipulationPlan)
    features = extract_features(system, dataset, protocol.query_split, batch_size)
    labels = plan.splits.query_labels
    embed = edited_embedding(system.query_embedding, features)
    batches = np.array_split(np.arange(len(plan)), -(-len(plan) // _BATCH_SIZE))
    vectors = np.concatenate([embed(plan.query[rows], plan.edits[rows]) for rows in batches])
    read = _read(classifier, {"embedding": vectors})
    is_edited = plan.edits != KEEP
    expected = np.where(is_edited, plan.edits, labels[plan.query])
    number = dataset.space.num_attributes
    edited = [_accuracy(read[is_edited[:, a]], expected[is_edited[:, a]]) for a in range(number)]
    return EditedAccuracy(
        attributes=tuple(dataset.space.names),
        original=_accuracy(_read(classifier, features), labels),
        edited=np.stack(edited),
        num_queries=(labels != MISSING).sum(axis=0),
        num_edits=is_edited.sum(axis=0),
    )


def _read(classifier: System, features: FeatureArrays) -> np.ndarray:
    """Returns the values that a classifier reads, int `[num, A]`."""
    logits = attribute_logits(classifier, features)
    if logits is None:
        raise ValueError(f"{classifier.title} reads no attributes, so it is no classifier.")
    return predicted_values(classifier.space, logits)


def _accuracy(read: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Returns the share of right values of each attribute, float `[A]`; missing ones are left out.

    Args:
      read: int `[num, A]`.
      expected: int `[num, A]`, -1 for missing.
    """
    known = expected != MISSING
    with np.errstate(invalid="ignore"):
        return ((read == expected) & known).sum(axis=0) / known.sum(axis=0)


def _mean(values: np.ndarray) -> float:
    """Returns the mean of the numbers; NaN without any."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else float("nan")


def _as_json(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
