"""The task "this one, but with a v-neck": Top-K and NDCG@K of edited queries."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fashionsearchnet.attributes import HIT_RULES, MISSING, edit_blocks
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.choices import DRAW_OF_SEVERAL, PLANS
from fashionsearchnet.data.dataset import Dataset, ListedEdits
from fashionsearchnet.evaluation import metrics
from fashionsearchnet.evaluation.ranking import Method, Representations
from fashionsearchnet.evaluation.scores import Figure, MethodScores
from fashionsearchnet.evaluation.splits import Splits
from fashionsearchnet.evaluation.tasks.manipulation import hits
from fashionsearchnet.evaluation.tasks.manipulation.enumeration import (
    Manipulations,
    enumerate_manipulations,
    listed_manipulations,
)
from fashionsearchnet.evaluation.tasks.manipulation.hits import Gallery
from fashionsearchnet.evaluation.tasks.task import Plan, TaskProtocol, Words
from fashionsearchnet.index.agreement import AgreementCandidates, ReRanked, trusted
from fashionsearchnet.index.exact import ExactIndex, nearest
from fashionsearchnet.systems.features import edited_embedding, gallery_embeddings


def default_draw(num_changes: int) -> int | None:
    """How many manipulations of each set are drawn unless a user says; None for all."""
    return DRAW_OF_SEVERAL if num_changes > 1 else None


def shows_what_edits_keep(labels: np.ndarray) -> bool:
    """Returns False if there are several attributes, and each labelled image has a label of one.

    In such data, as FashionAI's, nobody knows what an edit must keep, and every search that finds
    the new value succeeds.

    Args:
      labels: int32 `[n, A]`, -1 for missing.
    """
    return labels.shape[1] == 1 or int((labels != MISSING).sum(axis=1).max(initial=0)) != 1


@dataclasses.dataclass(frozen=True)
class ManipulationProtocol(TaskProtocol):
    """How manipulation is measured.

    Attributes:
      plan: one of PLANS. `num_changes`, `add_missing` and the draw matter for `all` only.
      keep_query_image: rank the query's own image too where it is a gallery image, as ADDE does;
        else it is left out of its own ranking.
      hit_rule: one of `attributes.HIT_RULES`.
      add_missing: also give values to attributes that a query lacks.
      num_changes: how many attributes change at once; the paper's figures are for 1.
      max_manipulations_per_attribute: draw so many of each attribute, or of each set of attributes
        that change together; None for all, which may be millions for more than one change.
      headline_k: the K of the main table; one of `top_k`.
      rerank: also measure the system with so many of its nearest images in the order of predicted
        agreement; 0 for no such row. Only for systems that read the attributes.
    """

    task = "manipulation"
    metrics = ("top_k", "ndcg")
    curve_metric = "top_k"

    plan: str = "auto"
    keep_query_image: bool = False
    hit_rule: str = "identical"
    add_missing: bool = False
    num_changes: int = 1
    max_manipulations_per_attribute: int | None = None
    headline_k: int = 20
    rerank: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rerank:
            check_range("rerank", self.rerank, self.headline_k)
        check_choice("plan", self.plan, PLANS)
        check_choice("hit_rule", self.hit_rule, HIT_RULES)
        check_choice("headline_k", self.headline_k, self.top_k)
        check_range("num_changes", self.num_changes, 1)

    @property
    def headline(self) -> Figure:
        """Top-K at `headline_k`."""
        return Figure("top_k", self.headline_k)

    @property
    def is_published(self) -> bool:
        """Whether every possible change of one attribute is tried, as in the papers' tables."""
        return self.plan != "listed" and self.num_changes == 1

    @property
    def report_name(self) -> str:
        """The query split, and behind it how many attributes change at once if not one."""
        changes = f"_{self.num_changes}_changes" if self.num_changes > 1 else ""
        return f"{self.query_split}{changes}"

    def make_plan(self, dataset: Dataset, splits: Splits) -> "ManipulationPlan":
        """Lists the manipulations to try; see TaskProtocol."""
        if self.keep_query_image and splits.own is None:
            raise ValueError(
                "keep_query_image is for queries that are gallery images too; none of "
                f"{splits.names[0]!r} is in {splits.names[1]!r}. Leave it off."
            )
        if not shows_what_edits_keep(splits.query_labels):
            raise ValueError(
                f"each image of {splits.names[0]!r} of {dataset.name} labels one attribute, so "
                "nobody knows what an edit must keep. Measure --task=attribute."
            )
        listed, gallery = self._listed_edits(dataset), Gallery(splits.gallery_labels)
        if listed is None:
            most = self.max_manipulations_per_attribute
            rules = (self.hit_rule, self.add_missing, most, self.seed, self.num_changes)
            found = enumerate_manipulations(splits.query_labels, gallery, *rules)
        else:
            found = listed_manipulations(splits.query_labels, listed)
        own = None if self.keep_query_image else splits.own
        return ManipulationPlan(
            protocol=dataclasses.replace(self, plan="listed" if listed else "all"),
            dataset=dataset.name,
            space=dataset.space,
            splits=splits,
            query=found.query,
            group=found.group,
            group_names=found.group_names(dataset.space.names),
            own=None if own is None else own[found.query],
            manipulations=found,
            gallery=gallery,
            source=listed.source if listed else "",
        )

    def _listed_edits(self, dataset: Dataset) -> ListedEdits | None:
        """Reads the edits that the data set lists; None to try all that the gallery allows."""
        if self.plan == "all":
            return None
        why = f"got {self.query_split!r} and num_changes {self.num_changes}"
        if self.query_split == "query" and self.num_changes == 1:
            listed = dataset.listed_edits()
            if listed is not None:
                return listed
            why = f"{dataset.name} lists none"
        if self.plan == "auto":
            return None
        raise ValueError(
            "plan 'listed' is for data sets that list edits, query_split 'query' and num_changes "
            f"1; {why}. Use plan 'all'."
        )


@dataclasses.dataclass(frozen=True)
class ManipulationPlan(Plan):
    """The manipulations of an evaluation.

    Attributes:
      manipulations: the edits of the query images.
      gallery: the labels of the gallery.
      source: the list that they come from, and its author; '' for all that the gallery allows.
    """

    protocol: ManipulationProtocol
    manipulations: Manipulations
    gallery: Gallery
    source: str

    @property
    def edits(self) -> np.ndarray:
        """The wanted values, int32 `[M, A]`, -1 to keep."""
        return self.manipulations.edits

    @property
    def _num_ranked(self) -> int:
        return len(self.gallery) - (self.own is not None)

    def relevant(self, questions: np.ndarray) -> np.ndarray:
        """Tells which gallery images have the labels wanted, bool `[B, gallery]`."""
        return self.gallery.relevant(self.manipulations.targets[questions], self.protocol.hit_rule)

    def score(
        self, distances: np.ndarray, relevant: np.ndarray, questions: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Scores by `ranks`, int32 `[B]`, and `ndcg`, float32 `[B, len(top_k)]`."""
        longest = min(max(self.protocol.top_k), self._num_ranked)
        first = nearest(distances, longest)
        found = self.gallery.labels[first]  # [B, longest, A]
        targets = self.manipulations.targets[questions, None]
        share = hits.relevance(targets, found, self.protocol.hit_rule)
        return {
            "ranks": metrics.first_hit_ranks(distances, relevant),
            "ndcg": metrics.ndcg(share, self.protocol.top_k).astype(np.float32),
        }

    def chance(self) -> MethodScores:
        """Returns the scores of a random order of the gallery."""
        targets, rule = self.manipulations.targets, self.protocol.hit_rule
        gain = self.gallery.mean_gain(targets, rule)
        num_relevant = self.gallery.num_relevant(targets, rule)
        if self.own is not None:
            share = hits.relevance(targets, self.gallery.labels[self.own], rule)
            gain = (gain * len(self.gallery) - (2.0**share - 1.0)) / self._num_ranked
            num_relevant = num_relevant - (share == 1.0)
        ndcg = np.repeat(gain[:, None], len(self.protocol.top_k), axis=1)
        figures = {"num_relevant": num_relevant, "ndcg": ndcg}
        return MethodScores("chance", figures, self.protocol.top_k, self._num_ranked)

    def methods(self, found: Representations, name: str) -> list[Method]:
        """Lists unedited query, the predictions (if it reads attributes), and the system."""
        system, groups = found.system, self.manipulations.groups

        # One is enough: manipulations come sorted by the edited attributes.
        @functools.lru_cache(maxsize=1)
        def vectors_of(edited: tuple[int, ...]) -> tuple[np.ndarray, ExactIndex]:
            queries, gallery = (
                gallery_embeddings(system, side, edited) for side in (found.queries, found.gallery)
            )
            return queries, ExactIndex(gallery)

        def vectors(group: int) -> tuple[np.ndarray, ExactIndex]:
            return vectors_of(groups[group] if system.gallery_depends_on_edit else ())

        own = Method(name, self.embed_edited(found), lambda group: vectors(group)[1])
        predictions = self._predictions(*found.probabilities) if found.probabilities else ()
        if self.protocol.rerank and not predictions:
            raise ValueError(
                f"rerank must be 0 for {system.title}, which reads no attributes; got "
                f"{self.protocol.rerank}."
            )
        return [
            self.by_vectors("unedited query", vectors),
            *predictions,
            *(self.reranked(own, method) for method in predictions[1:] if self.protocol.rerank),
            own,
        ]

    def reranked(self, method: Method, agreement: Method) -> Method:
        """Puts the nearest images of a method in the order of predicted agreement."""
        number = self.protocol.rerank

        def embed(questions: np.ndarray) -> np.ndarray:
            return np.concatenate([method.embed(questions), agreement.embed(questions)], axis=1)

        # One is enough: manipulations come sorted by their group.
        @functools.lru_cache(maxsize=1)
        def joined(group: int) -> ReRanked:
            return ReRanked(method.index(group), agreement.index(group), number)

        return Method(f"{method.name}, nearest {number} by agreement", embed, joined)

    def embed_edited(self, found: Representations) -> Callable[[np.ndarray], np.ndarray]:
        """Embeds the edited queries; see Method."""
        embed = edited_embedding(found.system.query_embedding, found.queries)
        return lambda questions: embed(self.query[questions], self.edits[questions])

    def _predictions(
        self, queries: np.ndarray, gallery: np.ndarray, read: np.ndarray | None = None
    ) -> tuple[Method, Method]:
        """Searches softmax outputs with edited blocks set to one-hot, in two ways.

        "predicted attributes" ranks by Euclidean distance, "predicted agreement" by the probability
        of all wanted values.

        Args:
          queries: softmax outputs of the query split, float32 `[N, C]`.
          gallery: those of the gallery, or the one-hots of labels where it knows them.
          read: where `gallery` has labels, the softmax outputs.
        """
        likely = gallery if read is None else trusted(gallery, read)
        by_distance, by_agreement = ExactIndex(gallery), AgreementCandidates(self.space, likely)

        def embed(questions: np.ndarray) -> np.ndarray:
            return edit_blocks(self.space, queries[self.query[questions]], self.edits[questions])

        return (
            Method("predicted attributes", embed, lambda group: by_distance),
            Method("predicted agreement", embed, lambda group: by_agreement),
        )

    @property
    def rules(self) -> str:
        """The rules as text. The Ks are not in it: ranks serve any K."""
        how = self.protocol
        if how.plan == "listed":
            text = f"hit rule {how.hit_rule}, {self.source}"
        else:
            text = (
                f"hit rule {how.hit_rule}, add missing {how.add_missing}, "
                f"attributes changed at once {how.num_changes}, manipulations of each set of "
                f"attributes {how.max_manipulations_per_attribute or 'all'}, seed {how.seed}"
            )
        return text + (", query images ranked too" if how.keep_query_image else "")

    def counts(self) -> dict[str, Any]:
        """Counts the manipulations, and those that were available."""
        available = zip(self.group_names, self.manipulations.num_available, strict=True)
        return {
            **super().counts(),
            "adding_a_missing_value": self.manipulations.num_added,
            "available_per_group": dict(available),
        }

    def words(self) -> Words:
        """Words the report."""
        how, n = self.protocol, self.protocol.num_changes
        over, groups, per_group = "attributes (the paper's Avg.)", "attributes", "attribute"
        if n > 1:
            over = "the sets of attributes that change together, each counting the same"
            groups, per_group = f"sets of {n} attributes", f"set of {n} attributes"
        elif self.group_names != self.space.names:
            over = "groups of edits, each counting the same, however few edits it has"
            groups, per_group = "groups of edits", "group of edits"
        at_once, title = (f"of {n} attributes at once ", f"{n} attributes changed at once")
        rule = HIT_RULES[how.hit_rule]
        return Words(
            headline=(
                f"{self.split_words()}, {len(self):,} manipulations {at_once if n > 1 else ''}"
                f"({self.manipulations.num_added:,} give a value to an attribute that the query "
                f"lacks).\n{how.headline.short}, hit rule {how.hit_rule}: {rule}."
            ),
            title=title if n > 1 else "",
            groups=groups,
            per_group=per_group,
            means=(
                f"the plain mean over {over}; the query-weighted mean over all manipulations"
                + (" (the figure of ADDE)" if how.plan == "listed" else "")
            ),
            notes=(
                self.relation_words(),
                self._tried_words(groups),
                f"Hit (rule `{how.hit_rule}`): one of the K nearest by Euclidean distance has the "
                "target's attributes.",
                "chance: a random order of the gallery, by formula. unedited query: the gallery "
                "representation of the query image. predicted attributes: softmax outputs with "
                f"the edited {'blocks' if n > 1 else 'block'} set to one-hot. predicted agreement: "
                "the same outputs, ranked by the probability of all wanted values.",
            ),
        )

    def _tried_words(self, groups: str) -> str:
        """Says which manipulations were tried, of how many."""
        how, available = self.protocol, self.manipulations.num_available
        if how.plan == "listed":
            missed = int((self.chance().figures["num_relevant"] == 0).sum())
            return (
                f"Tried: {self.source}. {missed:,} of them have no hit in the gallery and count "
                "as misses."
            )
        what = "one value of a query by another"
        if how.num_changes > 1:
            what = f"exactly {how.num_changes} values of a query by others"
        present = sum(number > 0 for number in available)
        most = how.max_manipulations_per_attribute
        return (
            f"Every replacement of {what} whose target combination exists in the gallery is one "
            f"manipulation; available: {sum(available):,} in {present:,} of the {len(available):,} "
            f"{groups}. {f'At most {most:,} of each were drawn.' if most else 'All were tried.'}"
            + (" Values were also given to attributes that a query lacks." * how.add_missing)
        )
