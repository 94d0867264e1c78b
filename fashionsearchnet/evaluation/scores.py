"""Scores of each method on each question, and their means, intervals and paired differences.

A question is a manipulation, a query with an attribute, or a query. The figures of every question
are stored beside a report, so two runs can be compared pair by pair later. That is much sharper
than a comparison of their two intervals.
"""

import dataclasses
import functools
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.checks import check_choice
from fashionsearchnet.evaluation import metrics

BASELINES = (
    "chance",
    "unedited query",
    "predicted attributes",
    "predicted agreement",
    "whole image",
)


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric in words."""

    title: str  # in headings; `{k}` stands for K
    rule: str = ""  # how it is computed; '' where its name says it
    short: str = ""  # its name elsewhere; '' for the same

    @property
    def has_k(self) -> bool:
        """Whether there is a figure for each K."""
        return "{k}" in self.title


METRICS = {
    "top_k": Metric("Top-{k} accuracy", short="Top-{k}"),
    "ndcg": Metric(
        "NDCG@{k}",
        "NDCG@K: relevance is the share of attributes that match the target, gain 2^relevance - "
        "1, discount log2(rank + 1), the ideal is K images that match in all (the definition of "
        "ADDE).",
    ),
    "average_precision": Metric(
        "MAP",
        "MAP: average precision over the full ranking (the precision at the rank of each relevant "
        "candidate, divided by their number), mean over queries.",
    ),
    "triplet_accuracy": Metric(
        "Triplet accuracy",
        "Triplet accuracy: how often a relevant candidate comes before an irrelevant one, exactly, "
        "over all pairs of a query; mean over queries.",
        short="triplet accuracy",
    ),
    "precision": Metric("Precision@{k}", "Precision@K: share of relevant ones among the first K."),
    "recall": Metric(
        "Recall@{k}",
        "Recall@K: share of queries with an image of the same item among the first K.",
    ),
}
_OF_FIRST_HITS = ("top_k", "recall")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A metric, at a K where it has one."""

    metric: str
    k: int | None = None

    @property
    def title(self) -> str:
        """Its name in headings, such as 'Top-20 accuracy'."""
        return METRICS[self.metric].title.format(k=self.k or "K")

    @property
    def short(self) -> str:
        """Its name elsewhere, such as 'Top-20'."""
        return (METRICS[self.metric].short or METRICS[self.metric].title).format(k=self.k or "K")


@dataclasses.dataclass(frozen=True)
class MethodScores:
    """How well one method answers M questions.

    Attributes:
      name: the method's row in the tables.
      figures: of each question by metric, float `[M]` or `[M, len(top_k)]`; those of a random order
        are expectations. In place of metrics that follow from the first hit for any K they hold
        `ranks`, int32 `[M]`, of the first hits, counted from 1, or, for a random order,
        `num_relevant`, int `[M]`, the number of hits.
      top_k: the Ks of their columns.
      num_items: of a random order: how many items are ranked, where a figure follows from the
        first hit.
    """

    name: str
    figures: Mapping[str, np.ndarray]
    top_k: tuple[int, ...] = ()
    num_items: int = 0

    def values(self, figure: Figure) -> np.ndarray:
        """Returns a figure of each question, float `[M]` in [0, 1]."""
        if figure.metric in _OF_FIRST_HITS and figure.k:
            if "ranks" in self.figures:
                return (self.figures["ranks"] <= figure.k).astype(np.float64)
            num_relevant = self.figures["num_relevant"]
            return metrics.random_hit_rate(num_relevant, self.num_items, figure.k)
        found = self.figures[figure.metric]
        return found if found.ndim == 1 else found[:, self.top_k.index(figure.k or 0)]


@dataclasses.dataclass(frozen=True)
class Grouping:
    """The groups and the images of M questions, for means and for the bootstrap.

    Attributes:
      group: int `[M]`, such as the attribute, below `num_groups`.
      num_groups: G.
      query: int `[M]`, the query image; the bootstrap resamples images.
      num_resamples: of the bootstrap.
      seed: of the bootstrap; equal for all rows, so that their differences are paired.
    """

    group: np.ndarray
    num_groups: int
    query: np.ndarray
    num_resamples: int = 1000
    seed: int = 0

    @functools.cached_property
    def clusters(self) -> np.ndarray:
        """The query image of each question, counted without gaps, int `[M]`."""
        return np.unique(self.query, return_inverse=True)[1].reshape(-1)

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """How often each query image is drawn, float64 `[resamples, images]`."""
        return metrics.bootstrap_weights(self.clusters.max() + 1, self.num_resamples, self.seed)


def summarize(values: np.ndarray, grouping: Grouping) -> dict[str, Any]:
    """Returns the means of values of M questions, float `[M]`, and their 95 % bootstrap intervals.

    They are `per_group` (None for a group without questions), `mean` (the plain mean over groups;
    over attributes the "Avg." of [Ak21]) and `queries` (the mean over all questions). The interval
    `[low, high]` of each is under `<key>_interval`; None for a group that no resample has.
    """
    size = grouping.num_groups
    per_group = metrics.group_means(values, grouping.group, size)
    sampled, sampled_queries = metrics.bootstrap_group_means(
        values, grouping.group, size, grouping.clusters, grouping.weights
    )
    present = ~np.isnan(per_group)
    sampled_mean = np.nanmean(sampled[:, present], axis=1)
    return {
        "per_group": [_number(value) for value in per_group],
        "per_group_interval": [_interval(values) for values in sampled.T],
        "mean": float(per_group[present].mean()),
        "mean_interval": _interval(sampled_mean),
        "queries": float(np.mean(values)),
        "queries_interval": _interval(sampled_queries),
    }


def difference(
    scores: MethodScores, other: MethodScores, figure: Figure, grouping: Grouping
) -> dict[str, Any]:
    """Summarizes a figure of a method minus that of another on the same questions."""
    return summarize(scores.values(figure) - other.values(figure), grouping)


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """The stored part of an evaluation: its questions, and the scores of each method that was run.

    Attributes:
      task: of `choices.TASKS`.
      protocol: text that is equal only for evaluations on the same data by the same rules.
      query: int32 `[M]`, the position of the query image in its split.
      group: int32 `[M]`, which of `group_names` the question belongs to.
      edits: int32 `[M, A]`, the wanted values, -1 to keep; `[M, 0]` where nothing is edited.
      group_names: such as the attributes.
      rows: the methods that were run, the system first.
    """

    task: str
    protocol: str
    query: np.ndarray
    group: np.ndarray
    edits: np.ndarray
    group_names: tuple[str, ...]
    rows: tuple[MethodScores, ...]

    def grouping(self, num_resamples: int = 1000, seed: int = 0) -> Grouping:
        """Groups the questions."""
        return Grouping(self.group, len(self.group_names), self.query, num_resamples, seed)

    def row(self, name: str = "") -> MethodScores:
        """Returns the scores of a method; of the system for ''."""
        names = [row.name for row in self.rows]
        return self.rows[names.index(check_choice("row", name or names[0], names))]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a compressed NumPy archive (.npz)."""
        first = self.rows[0]
        figures: dict[str, Any] = {
            name: np.stack([row.figures[name] for row in self.rows]) for name in first.figures
        }
        with files.replace_file(path) as temporary:
            np.savez_compressed(
                temporary,
                task=np.array(self.task),
                protocol=np.array(self.protocol),
                query=self.query,
                group=self.group,
                edits=self.edits,
                group_names=np.array(self.group_names),
                top_k=np.array(first.top_k),
                row_names=np.array([row.name for row in self.rows]),
                figure_names=np.array(list(figures)),
                **figures,
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Outcomes":
        """Reads such an archive; `path` may also name the report (.json or .md) beside it."""
        path = Path(path).with_suffix(".npz")
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} does not exist: it should hold the outcomes of an evaluation. "
                "Point to a report that tools/evaluate.py wrote."
            )
        data = path.read_bytes()
        # A damaged byte makes zipfile, zlib or NumPy's reader of headers raise almost anything:
        # zlib.error, NotImplementedError, tokenize.TokenError, SystemError and more were seen.
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as content:
                stored = {key: content[key] for key in content.files}
            # Files that were written before there were several tasks have none of the two.
            names = stored.get("figure_names", np.array(["ranks", "ndcg"]))
            top_k = tuple(map(int, stored["top_k"]))
            rows = [
                MethodScores(str(row), {str(n): stored[str(n)][i] for n in names}, top_k)
                for i, row in enumerate(stored["row_names"])
            ]
            return cls(
                task=str(stored.get("task", "manipulation")),
                protocol=str(stored["protocol"]),
                query=stored["query"],
                group=stored["group"],
                edits=stored["edits"],
                group_names=tuple(map(str, stored["group_names"])),
                rows=tuple(rows),
            )
        except Exception as error:
            raise ValueError(
                f"{path} does not hold the outcomes of an evaluation ({error}). "
                "Run tools/evaluate.py again."
            ) from error

    def check_comparable(self, other: "Outcomes", this: str, that: str) -> None:
        """Raises a ValueError if two evaluations (described by two texts) cannot be paired."""
        if self.task != other.task:
            raise ValueError(
                f"{this} is of task {self.task!r}, {that} of task {other.task!r}: they have no "
                "figure in common. Take reports of the same task."
            )
        if self.protocol != other.protocol:
            raise ValueError(
                f"{this} and {that} were measured by different protocols:\n  {self.protocol}\n"
                f"  {other.protocol}\nEvaluate both by the same version of the tools, with the "
                "same data, splits, rules and seed."
            )
        for key in ("query", "group", "edits"):
            if not np.array_equal(getattr(self, key), getattr(other, key)):
                raise ValueError(
                    f"{this} and {that} ask different questions ({key} differs). "
                    "Evaluate both with the same data, splits, rules and seed."
                )


def curve(
    scores: MethodScores, grouping: Grouping, metric: str, top_k: Sequence[int]
) -> list[float]:
    """Returns the mean over groups of a metric for every K."""
    size = grouping.num_groups
    values = [scores.values(Figure(metric, k)) for k in top_k]
    return [float(np.nanmean(metrics.group_means(v, grouping.group, size))) for v in values]


def _number(value: float) -> float | None:
    """Returns a plain float, or None for NaN, which JSON does not have."""
    return None if np.isnan(value) else float(value)


def _interval(sampled: np.ndarray) -> list[float] | None:
    """Returns the 2.5 % and 97.5 % points of resampled means; None where all are NaN."""
    if np.isnan(sampled).all():
        return None
    return [float(value) for value in np.nanpercentile(sampled, [2.5, 97.5])]
