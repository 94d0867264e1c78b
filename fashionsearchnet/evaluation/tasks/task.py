"""The two classes of a task: how it measures (TaskProtocol), and its questions (Plan)."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_range
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.evaluation.ranking import Method, Representations
from fashionsearchnet.evaluation.scores import Figure, MethodScores, Outcomes
from fashionsearchnet.evaluation.splits import Splits
from fashionsearchnet.index.exact import Candidates


@dataclasses.dataclass(frozen=True)
class TaskProtocol(abc.ABC):
    """How a task is measured.

    Attributes:
      task: of `choices.TASKS`.
      metrics: keys of `scores.METRICS` in the order of the report.
      curve_metric: the one that is drawn over K.
      query_split: split of the query images; TFDS slicing such as `validation[:30%]` works.
      gallery_split: split of the gallery images.
      top_k: the Ks to report.
      num_resamples: of the bootstrap over query images.
      seed: of the bootstrap, and of a draw of questions.
    """

    task: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    curve_metric: ClassVar[str]

    query_split: str = "query"
    gallery_split: str = "gallery"
    top_k: tuple[int, ...] = (1, 5, 10, 20, 30, 40, 50)
    num_resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("the number of top_k", len(self.top_k), 1)
        for k in self.top_k:
            check_range("top_k", k, 1)
        check_range("num_resamples", self.num_resamples, 1)

    @property
    @abc.abstractmethod
    def headline(self) -> Figure:
        """The figure of the main table."""

    @property
    def is_published(self) -> bool:
        """Whether the papers' tables in `evaluation.published` have the same questions."""
        return True

    @property
    def report_name(self) -> str:
        """The name of the report, without suffix, unless a user gives another."""
        return f"{self.query_split}_{self.task}"

    @abc.abstractmethod
    def make_plan(self, dataset: Dataset, splits: Splits) -> "Plan":
        """Lists the questions.

        Raises:
          ValueError: if there is nothing to ask, or the data set lacks what the task needs.
        """


@dataclasses.dataclass(frozen=True)
class Words:
    """The sentences of a report that depend on its questions."""

    headline: str  # above the tables: the data, their number, the rule
    title: str  # behind the names of system and data set; '' for nothing more
    groups: str  # that a mean averages, such as 'attributes'
    per_group: str  # one of them, the heading of the columns; '' for a single group
    means: str  # about the two means
    notes: tuple[str, ...]  # how it was measured, one line each


@dataclasses.dataclass(frozen=True)
class Plan(abc.ABC):
    """The questions of an evaluation, all known before the images are looked at.

    Attributes:
      protocol: how they are measured.
      dataset: the name of the data set.
      space: its A attributes.
      splits: its queries and gallery.
      query: int32 `[M]`, the position of each question's image in the query split.
      group: int32 `[M]`, which of `group_names` the question belongs to. The questions of a group
        share their candidates.
      group_names: such as the attributes.
      own: int `[M]`, the position of the question's own image among the candidates, which is left
        out of the ranking; None if no query is among them.
    """

    protocol: TaskProtocol
    dataset: str
    space: AttributeSpace
    splits: Splits
    query: np.ndarray
    group: np.ndarray
    group_names: tuple[str, ...]
    own: np.ndarray | None

    def __len__(self) -> int:
        return len(self.query)

    @property
    def edits(self) -> np.ndarray:
        """The wanted values, int32 `[M, A]`, -1 to keep; `[M, 0]` where nothing is edited."""
        return np.empty((len(self), 0), np.int32)

    @abc.abstractmethod
    def relevant(self, questions: np.ndarray) -> np.ndarray:
        """Tells which candidates are hits, bool `[B, candidates]`.

        Args:
          questions: int `[B]`, their numbers, all of one group.
        """

    @abc.abstractmethod
    def score(
        self, distances: np.ndarray, relevant: np.ndarray, questions: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Scores the rankings of questions of one group; see `MethodScores.figures`.

        Args:
          distances: float32 `[B, candidates]`, squared; infinite for a query's own image, if it is
            left out. Of equal ones the earlier candidate comes first.
          relevant: bool `[B, candidates]`, the hits.
          questions: int `[B]`, their numbers.
        """

    @abc.abstractmethod
    def chance(self) -> MethodScores:
        """Returns the scores of a random order, by formula."""

    def by_vectors(
        self, name: str, vectors: Callable[[int], tuple[np.ndarray, Candidates]]
    ) -> Method:
        """Ranks by the vectors of the query images as they are.

        Args:
          name: its row in the tables.
          vectors: from a group to the vectors of the query split, float32 `[queries, dim]`, and
            the index of the group's candidates.
        """

        def embed(questions: np.ndarray) -> np.ndarray:
            return vectors(int(self.group[questions[0]]))[0][self.query[questions]]

        return Method(name, embed, lambda group: vectors(group)[1])

    @abc.abstractmethod
    def methods(self, found: Representations, name: str) -> list[Method]:
        """Lists the measured baselines, and last the system under the name given."""

    @property
    @abc.abstractmethod
    def rules(self) -> str:
        """A text that is equal only for equal rules."""

    def counts(self) -> dict[str, Any]:
        """Counts the questions, for the report."""
        number = np.bincount(self.group, minlength=len(self.group_names))
        per_group = dict(zip(self.group_names, number.tolist(), strict=True))
        return {"number": len(self), "per_group": per_group}

    @abc.abstractmethod
    def words(self) -> Words:
        """Words the report."""

    def outcomes(self) -> Outcomes:
        """Returns the outcomes without any scores yet."""
        query_split, gallery_split = self.splits.names
        return Outcomes(
            task=self.protocol.task,
            protocol=(
                f"data set {self.dataset} (attributes {self.space.fingerprint}, images and labels "
                f"{self.splits.digest}), query split {query_split}, gallery split {gallery_split}, "
                f"queries in gallery {self.splits.own is not None}, {self.rules}"
            ),
            query=self.query,
            group=self.group,
            edits=self.edits,
            group_names=self.group_names,
            rows=(),
        )

    def split_words(self) -> str:
        """Says how large the splits are."""
        (queries, gallery), splits = self.splits.names, self.splits
        return (
            f"{self.dataset}: {len(splits.query_labels):,} queries ({queries}), "
            f"{len(splits.gallery_labels):,} gallery images ({gallery})"
        )

    def relation_words(self) -> str:
        """Says which images are ranked."""
        queries, gallery = self.splits.names
        relation = "none of them a query"
        if self.splits.own is not None:
            left_out = "ranked too" if self.own is None else "left out of its own ranking"
            relation = f"the queries among them, each {left_out}"
        if self.splits.gallery_rows is not None:
            relation += "; the first image of each product, so a product counts once"
        return f"Queries: split `{queries}`; gallery: the images of split `{gallery}`, {relation}."
