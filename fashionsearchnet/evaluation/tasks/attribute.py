"""The task "one with a neckline like this": MAP and triplet accuracy for each attribute.

The measure of ASEN and AG-MAN: queries and candidates are the images that are labelled with the
attribute, relevant are those with the same value. Their code gives a query whose value no candidate
has the average precision 0; here it is left out and counted, as is one whose value all have.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fashionsearchnet.attributes import MISSING
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.evaluation import metrics
from fashionsearchnet.evaluation.ranking import Method, Representations
from fashionsearchnet.evaluation.scores import Figure, MethodScores
from fashionsearchnet.evaluation.splits import Splits
from fashionsearchnet.evaluation.tasks.task import Plan, TaskProtocol, Words
from fashionsearchnet.index.exact import ExactIndex
from fashionsearchnet.systems.agreement import agreement_gallery, agreement_queries
from fashionsearchnet.systems.features import attribute_embeddings, attribute_queries

Sides = tuple[np.ndarray, np.ndarray]  # the vectors of the queries and of the gallery


@dataclasses.dataclass(frozen=True)
class AttributeProtocol(TaskProtocol):
    """How retrieval by attribute is measured; see TaskProtocol. `top_k` is for Precision@K.

    Candidates at equal distance stand in a random order, the same for all queries and methods: the
    order of a gallery may follow its values.
    """

    task = "attribute"
    metrics = ("average_precision", "triplet_accuracy", "precision")
    curve_metric = "precision"

    @property
    def headline(self) -> Figure:
        """Mean average precision."""
        return Figure("average_precision")

    def make_plan(self, dataset: Dataset, splits: Splits) -> "AttributePlan":
        """Asks each query for each attribute of which some, not all candidates have its value."""
        if not dataset.space.has_values:
            raise ValueError(
                f"{dataset.name} has no values of attributes, but lists triplets; use "
                "tools/evaluate_triplets.py."
            )
        parts = [_questions(splits, a) for a in range(dataset.space.num_attributes)]
        columns = np.concatenate(parts, axis=1)
        num_relevant, num_items = columns[2:4]
        is_answerable = (num_relevant > 0) & (num_relevant < num_items)
        if not is_answerable.any():
            raise ValueError(
                f"no query of {splits.names[0]!r} shares a value with an image of "
                f"{splits.names[1]!r} while another image there has another value. Take a larger "
                "gallery."
            )
        query, group, num_relevant, num_items, own = columns[:, is_answerable]
        return AttributePlan(
            protocol=self,
            dataset=dataset.name,
            space=dataset.space,
            splits=splits,
            query=query.astype(np.int32),
            group=group.astype(np.int32),
            group_names=dataset.space.names,
            own=None if splits.own is None else own,
            num_relevant=num_relevant,
            num_items=num_items,
            num_unanswerable=int((~is_answerable).sum()),
        )


def _questions(splits: Splits, attribute: int) -> np.ndarray:
    """Counts what the queries labelled with an attribute find in the gallery, int64 `[5, n]`.

    The rows: position of the query in its split; attribute; number of other candidates with its
    value; number of other candidates; position of its own image among the candidates, or -1.
    """
    labels, gallery = splits.query_labels[:, attribute], splits.gallery_labels[:, attribute]
    query, is_candidate = np.flatnonzero(labels != MISSING), gallery != MISSING
    values = labels[query]
    counts = np.bincount(gallery[is_candidate], minlength=values.max(initial=0) + 1)
    columns = np.stack(
        np.broadcast_arrays(query, attribute, counts[values], is_candidate.sum(), -1)
    )
    if splits.own is not None:
        columns[2:4] -= 1
        columns[4] = np.cumsum(is_candidate)[splits.own[query]] - 1
    return columns


@dataclasses.dataclass(frozen=True)
class AttributePlan(Plan):
    """The questions of an evaluation by attribute; a group is an attribute.

    Attributes:
      num_relevant: int `[M]`, how many candidates have the query's value, itself left out.
      num_items: int `[M]`, how many candidates there are, itself left out.
      num_unanswerable: how many pairs of a query and an attribute were left out, since all
        candidates or none have the query's value.
    """

    protocol: AttributeProtocol
    num_relevant: np.ndarray
    num_items: np.ndarray
    num_unanswerable: int

    def relevant(self, questions: np.ndarray) -> np.ndarray:
        """Tells which candidates have the query's value, bool `[B, candidates]`."""
        gallery = self.splits.gallery_labels[:, self.group[questions[0]]]
        values = self.splits.query_labels[self.query[questions], self.group[questions]]
        return values[:, None] == gallery[gallery != MISSING]

    def score(
        self, distances: np.ndarray, relevant: np.ndarray, questions: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Returns the figures of the full ranking."""
        order = _order_of_ties(distances.shape[1])
        found = np.take_along_axis(relevant[:, order], metrics.ranking(distances[:, order]), axis=1)
        num_items = self.num_items[questions]
        last = np.minimum(np.array(self.protocol.top_k)[None], num_items[:, None])
        first = found[:, : last.max()].cumsum(axis=1)
        precision = np.take_along_axis(first, last - 1, axis=1) / last
        return {
            "average_precision": metrics.average_precision(found),
            "triplet_accuracy": metrics.triplet_accuracy(found, num_items),
            "precision": precision.astype(np.float32),
        }

    def chance(self) -> MethodScores:
        """Returns the expectations of a random order of the candidates."""
        share = self.num_relevant / self.num_items
        figures = {
            "average_precision": metrics.expected_average_precision(
                self.num_relevant, self.num_items
            ),
            "triplet_accuracy": np.full(len(self), 0.5),
            "precision": np.repeat(share[:, None], len(self.protocol.top_k), axis=1),
        }
        return MethodScores("chance", figures, self.protocol.top_k)

    def methods(self, found: Representations, name: str) -> list[Method]:
        """Lists the predictions, whole image (where the system has them), the system."""
        system, methods = found.system, []
        if found.probabilities is not None:
            blocks = self._blocks(found.probabilities)
            methods.append(self._method("predicted attributes", blocks))
            methods.append(self._method("predicted agreement", _agreement(blocks)))
        if "manipulation" in system.tasks and not system.gallery_depends_on_edit:
            methods.append(self._method("whole image", lambda attribute: found.whole))

        def own(attribute: int) -> Sides:
            queries = attribute_queries(system, found.queries, attribute)
            return queries, attribute_embeddings(system, found.gallery, attribute)

        return [*methods, self._method(name, own)]

    def _blocks(self, sides: Sides) -> Callable[[int], Sides]:
        """Splits the columns of all values by attribute."""
        ends = np.cumsum(self.space.num_values)[:-1]
        blocks = [np.split(side, ends, axis=1) for side in sides]
        return lambda attribute: (blocks[0][attribute], blocks[1][attribute])

    def _method(self, name: str, sides: Callable[[int], Sides]) -> Method:
        """Ranks by the vectors that `sides` has for each attribute."""

        @functools.lru_cache(maxsize=1)
        def vectors(attribute: int) -> tuple[np.ndarray, ExactIndex]:
            queries, gallery = sides(attribute)
            is_candidate = self.splits.gallery_labels[:, attribute] != MISSING
            return queries, ExactIndex(gallery[is_candidate])

        return self.by_vectors(name, vectors)

    @property
    def rules(self) -> str:
        """The rules as text."""
        return "same value of an attribute, equal distances in random order"

    def counts(self) -> dict[str, Any]:
        """Counts the queries and the candidates of each attribute."""
        labelled = (self.splits.gallery_labels != MISSING).sum(axis=0)
        return {
            **super().counts(),
            "unanswerable": self.num_unanswerable,
            "candidates_per_group": dict(zip(self.group_names, labelled.tolist(), strict=True)),
        }

    def words(self) -> Words:
        """Words the report."""
        return Words(
            headline=(
                f"{self.split_words()}, {len(self):,} pairs of a query and an attribute.\n"
                "MAP: candidates are the gallery images labelled with the attribute, relevant are "
                "those with the query's value."
            ),
            title="retrieval by attribute",
            groups="attributes",
            per_group="attribute",
            means=(
                "the plain mean over attributes; the query-weighted mean over all pairs of a query "
                "and an attribute"
            ),
            notes=(
                self.relation_words(),
                f"{self.num_unanswerable:,} pairs of a query and an attribute were left out, since "
                "no candidate or every candidate has the query's value.",
                "Euclidean distance between the system's vectors of the attribute; candidates at "
                "equal distance stand in a random order, the same for all queries.",
                "chance: the expectation of a random order of the candidates, by formula; its "
                "Precision@K is the share of relevant candidates. predicted attributes: the "
                "softmax output for the attribute as the vector. predicted agreement: the "
                "probability of the same value, by the softmax outputs of both images. whole "
                "image: the gallery vector of the same system, which stands for all attributes.",
            ),
        )


def _agreement(blocks: Callable[[int], Sides]) -> Callable[[int], Sides]:
    """Returns the vectors of `agreement.py` for probabilities of each attribute."""

    def sides(attribute: int) -> Sides:
        queries, gallery = blocks(attribute)
        return agreement_queries(queries).numpy(), agreement_gallery(gallery).numpy()

    return sides


@functools.lru_cache(maxsize=4)
def _order_of_ties(number: int) -> np.ndarray:
    """Returns a random order of so many candidates, int64; always the same."""
    return np.random.default_rng(0).permutation(number)
