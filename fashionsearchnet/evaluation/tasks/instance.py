"""The task "this very item": Recall@K."""

import dataclasses
from typing import Any

import numpy as np

from fashionsearchnet.checks import check_choice
from fashionsearchnet.data.dataset import Dataset, check_instance_ids
from fashionsearchnet.evaluation import metrics
from fashionsearchnet.evaluation.ranking import Method, Representations
from fashionsearchnet.evaluation.scores import Figure, MethodScores
from fashionsearchnet.evaluation.splits import Splits
from fashionsearchnet.evaluation.tasks.task import Plan, TaskProtocol, Words
from fashionsearchnet.index.exact import ExactIndex
from fashionsearchnet.systems.features import instance_embeddings


@dataclasses.dataclass(frozen=True)
class InstanceProtocol(TaskProtocol):
    """How the retrieval of items is measured; see TaskProtocol.

    Attributes:
      headline_k: the K of the main table; one of `top_k`.
    """

    task = "instance"
    metrics = ("recall",)
    curve_metric = "recall"

    top_k: tuple[int, ...] = (1, 5, 10, 20, 50)
    headline_k: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("headline_k", self.headline_k, self.top_k)

    @property
    def headline(self) -> Figure:
        """Recall at `headline_k`."""
        return Figure("recall", self.headline_k)

    def make_plan(self, dataset: Dataset, splits: Splits) -> "InstancePlan":
        """Asks each query whose item is in another image of the gallery.

        Raises:
          ValueError: if the data set knows no items, an image has none, or the splits share none.
        """
        ids = [dataset.instance_ids(split) for split in splits.names]
        if ids[0] is None or ids[1] is None:
            raise ValueError(
                f"{dataset.name} does not say which images show the same item (it has no instance "
                "ids), so the task 'instance' cannot be measured. Take a data set that does, such "
                "as garments/instances."
            )
        for found, split in zip(ids, splits.names, strict=True):
            check_instance_ids(found or [], f"split {split!r} of {dataset.name}")
        gallery_ids = splits.of_gallery(np.array(ids[1]))
        _, numbers = np.unique(np.array([*ids[0], *gallery_ids]), return_inverse=True)
        queries, gallery = np.split(numbers.reshape(-1).astype(np.int32), [len(ids[0])])
        num_relevant = np.bincount(gallery, minlength=numbers.max() + 1)[queries]
        if splits.own is not None:
            num_relevant = num_relevant - 1
        query = np.flatnonzero(num_relevant).astype(np.int32)
        if not len(query):
            raise ValueError(
                f"no image of gallery split {splits.names[1]!r} shows an item of query split "
                f"{splits.names[0]!r}. Take splits that share items."
            )
        return InstancePlan(
            protocol=self,
            dataset=dataset.name,
            space=dataset.space,
            splits=splits,
            query=query,
            group=np.zeros(len(query), np.int32),
            group_names=("all",),
            own=None if splits.own is None else splits.own[query],
            query_instances=queries[query],
            gallery_instances=gallery,
            num_relevant=num_relevant[query],
        )


@dataclasses.dataclass(frozen=True)
class InstancePlan(Plan):
    """The queries of an evaluation by item, in a single group.

    Attributes:
      query_instances: int32 `[M]`, the number of each query's item.
      gallery_instances: int32 `[gallery]`, the number of each gallery image's item.
      num_relevant: int `[M]`, how many other gallery images show the query's item.
    """

    protocol: InstanceProtocol
    query_instances: np.ndarray
    gallery_instances: np.ndarray
    num_relevant: np.ndarray

    @property
    def num_unanswerable(self) -> int:
        """The number of queries left out, since no other gallery image shows their item."""
        return len(self.splits.query_labels) - len(self)

    def relevant(self, questions: np.ndarray) -> np.ndarray:
        """Tells which gallery images show the query's item, bool `[B, gallery]`."""
        return self.query_instances[questions, None] == self.gallery_instances

    def score(
        self, distances: np.ndarray, relevant: np.ndarray, questions: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Ranks the first hits: `ranks` int32 `[B]`."""
        del questions
        return {"ranks": metrics.first_hit_ranks(distances, relevant)}

    def chance(self) -> MethodScores:
        """Returns the scores of a random order of the gallery."""
        number = len(self.gallery_instances) - (self.own is not None)
        return MethodScores("chance", {"num_relevant": self.num_relevant}, num_items=number)

    def methods(self, found: Representations, name: str) -> list[Method]:
        """Lists predicted attributes (if the system reads them), and the system."""
        sides = (found.queries, found.gallery)
        queries, gallery = (instance_embeddings(found.system, side) for side in sides)
        methods = [self._method(name, queries, gallery)]
        if found.probabilities is not None:
            methods.insert(0, self._method("predicted attributes", *found.probabilities))
        return methods

    def _method(self, name: str, queries: np.ndarray, gallery: np.ndarray) -> Method:
        vectors = queries, ExactIndex(gallery)
        return self.by_vectors(name, lambda group: vectors)

    @property
    def rules(self) -> str:
        """The rules as text."""
        return "same item"

    def counts(self) -> dict[str, Any]:
        """Counts queries and items."""
        return {
            **super().counts(),
            "unanswerable": self.num_unanswerable,
            "query_items": len(np.unique(self.query_instances)),
            "gallery_items": len(np.unique(self.gallery_instances)),
        }

    def words(self) -> Words:
        """Words the report."""
        counts = self.counts()
        return Words(
            headline=(
                f"{self.split_words()}, {len(self):,} queries of {counts['query_items']:,} items "
                "have another image of the item in the gallery.\nRecall@K: share of these queries "
                "with such an image among the first K."
            ),
            title="retrieval of items",
            groups="queries",
            per_group="",
            means="the mean over queries",
            notes=(
                self.relation_words(),
                f"{self.num_unanswerable:,} queries were left out, since no other gallery image "
                f"shows their item. The gallery shows {counts['gallery_items']:,} items.",
                "Euclidean distance between the system's vectors of items; images at equal "
                "distance stand in the order of the gallery.",
                "chance: a random order of the gallery, by formula. predicted attributes: the "
                "softmax outputs for all attributes as the vector.",
            ),
        )
