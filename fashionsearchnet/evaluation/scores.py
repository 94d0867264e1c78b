"""The outcome of every manipulation for every method, and what is concluded from it.

A method's outcome is the rank of its first hit for each manipulation, which gives Top-K for every
K. Outcomes are stored beside a report, so that two runs on the same manipulations can be compared
pair by pair later: much sharper than comparing their two intervals.
"""

import dataclasses
import functools
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.checks import check_choice
from fashionsearchnet.evaluation import metrics

BASELINES = ("chance", "unedited query", "predicted attributes")


class Row(Protocol):
    """One line of the tables."""

    @property
    def name(self) -> str:
        """What the line is called."""

    @property
    def ndcg(self) -> np.ndarray:
        """NDCG of each manipulation, float `[M, len(top_k)]`."""

    def success(self, k: int) -> np.ndarray:
        """Returns how likely each manipulation has a hit among the first K, float64 `[M]`."""


@dataclasses.dataclass(frozen=True)
class MeasuredRow:
    """A method that was run: `ranks` int32 `[M]` of the first hits, counted from 1."""

    name: str
    ranks: np.ndarray
    ndcg: np.ndarray

    def success(self, k: int) -> np.ndarray:
        """Returns 1.0 for a hit among the first K, 0.0 for a miss."""
        return (self.ranks <= k).astype(np.float64)


@dataclasses.dataclass(frozen=True)
class ChanceRow:
    """A random order of the gallery, by formula, from the number of hits of each target."""

    num_relevant: np.ndarray
    num_items: int
    ndcg: np.ndarray
    name: str = "chance"

    def success(self, k: int) -> np.ndarray:
        """Returns the probability of a hit among the first K."""
        return metrics.random_hit_rate(self.num_relevant, self.num_items, k)


@dataclasses.dataclass(frozen=True)
class Grouping:
    """What belongs together among M manipulations, for means and for the bootstrap.

    Attributes:
      group: int `[M]`, the attribute, or set of attributes, that is changed.
      num_groups: G.
      query: int `[M]`, the query image; images are what is resampled.
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
        """The query image of each manipulation, counted without gaps, int `[M]`."""
        return np.unique(self.query, return_inverse=True)[1].reshape(-1)

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """How often each query image is drawn, float64 `[resamples, images]`."""
        return metrics.bootstrap_weights(self.clusters.max() + 1, self.num_resamples, self.seed)


def summarize(values: np.ndarray, grouping: Grouping) -> dict[str, Any]:
    """Returns the means of per-manipulation values and their 95 % bootstrap intervals.

    Args:
      values: float `[M]`.
      grouping: of the same manipulations.

    Returns:
      `per_group` (None for a group without manipulations), `mean` (plain mean over groups; for
      single changes these are the attributes, and it is the paper's "Avg."), `queries` (mean over
      all manipulations), and for each the interval `[low, high]` under `<key>_interval`.
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
        "per_group_interval": [
            _interval(sampled[:, g]) if present[g] else None for g in range(size)
        ],
        "mean": float(per_group[present].mean()),
        "mean_interval": _interval(sampled_mean),
        "queries": float(np.mean(values)),
        "queries_interval": _interval(sampled_queries),
    }


def top_k_difference(row: Row, other: Row, k: int, grouping: Grouping) -> dict[str, Any]:
    """Returns Top-K of a row minus that of another, paired, as `summarize` does.

    Args:
      row: the first one.
      other: the second one, of the same manipulations.
      k: K.
      grouping: of those manipulations.
    """
    return summarize(row.success(k) - other.success(k), grouping)


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """What is stored of an evaluation: which manipulations, and how each measured row did.

    Attributes:
      protocol: text that is equal only for evaluations on the same data by the same rules.
      query: int32 `[M]`; group: int32 `[M]`; edits: int32 `[M, A]`, as in `Manipulations`.
      group_names: of the attributes, or sets of attributes, that are changed.
      top_k: the Ks of `ndcg`.
      rows: the measured rows, that of the system first.
    """

    protocol: str
    query: np.ndarray
    group: np.ndarray
    edits: np.ndarray
    group_names: tuple[str, ...]
    top_k: tuple[int, ...]
    rows: tuple[MeasuredRow, ...]

    def grouping(self, num_resamples: int = 1000, seed: int = 0) -> Grouping:
        """Returns the grouping of the manipulations."""
        return Grouping(self.group, len(self.group_names), self.query, num_resamples, seed)

    def row(self, name: str = "") -> MeasuredRow:
        """Returns the row of that name; that of the system for ''.

        Raises:
          ValueError: listing the rows that there are.
        """
        names = [row.name for row in self.rows]
        return self.rows[names.index(check_choice("row", name or names[0], names))]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a compressed NumPy archive (.npz)."""
        with files.replace_file(path) as temporary:
            np.savez_compressed(
                temporary,
                protocol=np.array(self.protocol),
                query=self.query,
                group=self.group,
                edits=self.edits,
                group_names=np.array(self.group_names),
                top_k=np.array(self.top_k),
                row_names=np.array([row.name for row in self.rows]),
                ranks=np.stack([row.ranks for row in self.rows]),
                ndcg=np.stack([row.ndcg for row in self.rows]).astype(np.float32),
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Outcomes":
        """Reads what `save` wrote; `path` may also name the report (.json or .md) beside it.

        Raises:
          FileNotFoundError: if there is no such file.
          ValueError: if it is not such a file.
        """
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
            rows = zip(stored["row_names"], stored["ranks"], stored["ndcg"], strict=True)
            return cls(
                protocol=str(stored["protocol"]),
                query=stored["query"],
                group=stored["group"],
                edits=stored["edits"],
                group_names=tuple(map(str, stored["group_names"])),
                top_k=tuple(map(int, stored["top_k"])),
                rows=tuple(MeasuredRow(str(name), ranks, ndcg) for name, ranks, ndcg in rows),
            )
        except Exception as error:
            raise ValueError(
                f"{path} does not hold the outcomes of an evaluation ({error}). "
                "Run tools/evaluate.py again."
            ) from error

    def check_comparable(self, other: "Outcomes", this: str, that: str) -> None:
        """Raises a ValueError if two evaluations (described by two texts) cannot be paired."""
        if self.protocol != other.protocol:
            raise ValueError(
                f"{this} and {that} were measured by different protocols:\n  {self.protocol}\n"
                f"  {other.protocol}\nEvaluate both by the same version of the tools, with the "
                "same data, splits, rules and seed."
            )
        for key in ("query", "group", "edits"):
            if not np.array_equal(getattr(self, key), getattr(other, key)):
                raise ValueError(
                    f"{this} and {that} have different manipulations ({key} differs). "
                    "Evaluate both with the same data, splits, rules and seed."
                )


def paired_difference(
    report_a: str | os.PathLike[str],
    report_b: str | os.PathLike[str],
    row_a: str = "",
    row_b: str = "",
    k: int = 20,
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns Top-K of a minus Top-K of b with 95 % intervals, as `summarize` does.

    Args:
      report_a: path of a report or of its .npz.
      report_b: the same of another run, on the same manipulations.
      row_a: a row of a; '' for that of the system.
      row_b: a row of b; '' for that of the system.
      k: K.
      num_resamples: of the bootstrap over query images.
      seed: of the bootstrap.

    Raises:
      ValueError: if the two were not measured on the same manipulations.
    """
    a, b = Outcomes.load(report_a), Outcomes.load(report_b)
    a.check_comparable(b, str(report_a), str(report_b))
    return top_k_difference(a.row(row_a), b.row(row_b), k, a.grouping(num_resamples, seed))


def curve(row: Row, grouping: Grouping, top_k: Sequence[int]) -> list[float]:
    """Returns the mean over groups of Top-K for every K."""
    means = [
        metrics.group_means(row.success(k), grouping.group, grouping.num_groups) for k in top_k
    ]
    return [float(np.nanmean(mean)) for mean in means]


def _number(value: float) -> float | None:
    """Returns a plain float, or None for NaN, which JSON does not have."""
    return None if np.isnan(value) else float(value)


def _interval(sampled: np.ndarray) -> list[float]:
    """Returns the 2.5 % and 97.5 % points of resampled means."""
    return [float(value) for value in np.nanpercentile(sampled, [2.5, 97.5])]
