"""Manipulation where the gallery knows its labels, beyond the papers.

In a shop the gallery is labelled and only the query is a photo. The gallery knows a share of its
labels, some of them wrong. What counts as a hit does not change: the true labels say it.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fashionsearchnet.attributes import KEEP, MISSING, AttributeSpace, edit_blocks, predicted_values
from fashionsearchnet.checks import check_range
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.evaluation.ranking import Method, Representations
from fashionsearchnet.evaluation.splits import Splits
from fashionsearchnet.evaluation.tasks.manipulation.task import (
    ManipulationPlan,
    ManipulationProtocol,
)
from fashionsearchnet.evaluation.tasks.task import Words
from fashionsearchnet.index.exact import ExactIndex
from fashionsearchnet.systems.features import gallery_embeddings
from fashionsearchnet.systems.gallery_labels import (
    DEFAULT_BLEND,
    READING_WEIGHT,
    KnownLabels,
    beliefs_of,
    check_blend,
)


def known_labels_of(
    labels: np.ndarray, space: AttributeSpace, known: float, wrong: float, seed: int
) -> np.ndarray:
    """Draws the labels that a gallery knows, int32 `[N, A]`, -1 for missing.

    Each label is drawn on its own. A larger share knows all labels that a smaller one knows, and
    has all its wrong labels.

    Args:
      labels: int32 `[N, A]`, the true ones.
      space: the attributes.
      known: the share of labels that the gallery knows, in 0..1.
      wrong: the share of these that are replaced by another value of the attribute, in 0..1.
      seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    is_known, is_wrong = generator.random(labels.shape) < known, generator.random(labels.shape)
    sizes = np.array(space.num_values)
    others = (labels + generator.integers(1, sizes, labels.shape)) % sizes
    shown = np.where(is_wrong < wrong, others, labels)
    return np.where(is_known & (labels != MISSING), shown, MISSING).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class LabelledGalleryProtocol(ManipulationProtocol):
    """How manipulation is measured where the gallery knows labels.

    Attributes:
      known_labels: the share of its labels that the gallery knows.
      wrong_labels: the share of these that are wrong.
      label_blend: the share of the label's prototype in the system's blocks, one number or one for
        each attribute.
    """

    known_labels: float = 1.0
    wrong_labels: float = 0.0
    label_blend: tuple[float, ...] = (DEFAULT_BLEND,)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("known_labels", self.known_labels, 0.0, 1.0)
        check_range("wrong_labels", self.wrong_labels, 0.0, 1.0)

    @property
    def is_published(self) -> bool:
        """No paper's table has a labelled gallery."""
        return False

    @property
    def report_name(self) -> str:
        """As without labels, and behind it the shares in per cent."""
        wrong = f"_{100 * self.wrong_labels:g}_wrong" if self.wrong_labels else ""
        return f"{super().report_name}_labels_{100 * self.known_labels:g}_known{wrong}"

    def make_plan(self, dataset: Dataset, splits: Splits) -> "LabelledGalleryPlan":
        """Adds the labels that the gallery knows; also refuses a gallery without any label."""
        if (splits.gallery_labels == MISSING).all():
            raise ValueError(f"no image of {splits.names[1]!r} of {dataset.name} has a label.")
        blend = check_blend(dataset.space, self.label_blend)
        plan = super().make_plan(dataset, splits)
        fields = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
        fields["protocol"] = dataclasses.replace(self, plan=plan.protocol.plan, label_blend=blend)
        known = known_labels_of(
            splits.gallery_labels, dataset.space, self.known_labels, self.wrong_labels, self.seed
        )
        return LabelledGalleryPlan(**fields, known=known)


@dataclasses.dataclass(frozen=True)
class LabelledGalleryPlan(ManipulationPlan):
    """The manipulations, and the labels that the gallery knows.

    Attributes:
      known: int32 `[N, A]`, -1 for missing.
    """

    protocol: LabelledGalleryProtocol
    known: np.ndarray

    def methods(self, found: Representations, name: str) -> list[Method]:
        """Lists methods without labels, with a filter by label, and those that use labels.

        The last is the system with labels used, or, if it has no blocks, with the filter.
        """
        title = found.system.title
        *baselines, system = super().methods(found, f"{title}, images alone")
        facets = self._passes(self._facets(found))
        filtered = dataclasses.replace(system, name=f"{title}, filtered", passes=facets)
        unedited = f"unedited query of {title}, filtered"
        predicted = self._predicted_rows(found, facets)
        rows = [
            *baselines,
            *self._generic(found),
            *predicted,
            dataclasses.replace(baselines[0], name=unedited, passes=facets),
            system,
        ]
        if not found.system.has_blocks:
            return [*rows, dataclasses.replace(filtered, name=name)]
        labelled = self.labelled_method(found, name)
        both = dataclasses.replace(
            labelled, name=f"{title}, labels used and filtered", passes=facets
        )
        if self.protocol.rerank and predicted:
            rows.append(
                self.reranked(
                    dataclasses.replace(labelled, name=f"{title}, labels used"), predicted[-1]
                )
            )
        return [*rows, filtered, both, labelled]

    def labelled_method(self, found: Representations, name: str) -> Method:
        """Searches by a system whose gallery vectors use the labels known."""
        system, groups = found.system, self.manipulations.groups
        read = found.probabilities[1] if found.probabilities else None
        beliefs = beliefs_of(self.space, self.known, read)
        known = KnownLabels(beliefs, check_blend(self.space, self.protocol.label_blend))

        @functools.lru_cache(maxsize=1)
        def index_of(edited: tuple[int, ...]) -> ExactIndex:
            return ExactIndex(gallery_embeddings(system, found.gallery, edited, known))

        def index(group: int) -> ExactIndex:
            return index_of(groups[group] if system.gallery_depends_on_edit else ())

        return Method(name, self.embed_edited(found), index)

    def _facets(self, found: Representations) -> np.ndarray:
        """The known labels `[N, A]`, and the system's readings where there is none."""
        if found.probabilities is None:
            return self.known
        read = predicted_values(self.space, found.probabilities[1])
        return np.where(self.known == MISSING, read, self.known)

    def _passes(self, facets: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Filters the images that have the wanted values; see Method."""

        def passes(questions: np.ndarray) -> np.ndarray:
            allowed = np.ones((len(questions), len(facets)), bool)
            for attribute, wanted in enumerate(self.edits[questions].T):
                has = facets[None, :, attribute] == wanted[:, None]
                allowed &= has | (wanted == KEEP)[:, None]
            return allowed

        return passes

    def _generic(self, found: Representations) -> list[Method]:
        """Lists generic vectors with a filter by label alone: nothing there reads an image."""
        if found.generic is None:
            return []
        queries, gallery = found.generic
        index = ExactIndex(gallery)
        method = self.by_vectors("generic vectors, filtered", lambda group: (queries, index))
        return [dataclasses.replace(method, passes=self._passes(self.known))]

    def _predicted_rows(
        self, found: Representations, facets: Callable[[np.ndarray], np.ndarray]
    ) -> list[Method]:
        """Lists predicted attributes with the filter, and against labels where they are known."""
        if found.probabilities is None:
            return []
        queries, gallery = found.probabilities
        index = ExactIndex(gallery)
        unedited = self.by_vectors(
            "predicted attributes, unedited and filtered", lambda group: (queries, index)
        )
        # The one-hot of a label takes the block's place, as that of an edit does in a query.
        labelled = edit_blocks(self.space, gallery, self.known)
        return [
            dataclasses.replace(unedited, passes=facets),
            *(
                dataclasses.replace(method, name=f"{method.name}, labels used")
                for method in self._predictions(queries, labelled, gallery)
            ),
        ]

    @property
    def rules(self) -> str:
        """The rules as text; the blend belongs to the system, as its weights do."""
        how = self.protocol
        return (
            f"{super().rules}, gallery knows {how.known_labels:g} of its labels, "
            f"{how.wrong_labels:g} of them wrong, seed {how.seed}"
        )

    def counts(self) -> dict[str, Any]:
        """Counts the manipulations and the known labels."""
        number = int((self.known != MISSING).sum())
        wrong = int(((self.known != MISSING) & (self.known != self.splits.gallery_labels)).sum())
        return {**super().counts(), "num_known_labels": number, "num_wrong_labels": wrong}

    def words(self) -> Words:
        """Words the report."""
        words, counts = super().words(), self.counts()
        shares = zip(self.space.names, self.protocol.label_blend, strict=True)
        known = (
            f"{self.protocol.known_labels:.0%} of the gallery's labels known "
            f"({counts['num_known_labels']:,}, {counts['num_wrong_labels']:,} of them wrong)"
        )
        return dataclasses.replace(
            words,
            headline=f"{words.headline}\n{known}. Not comparable with the papers.",
            title=", ".join(filter(None, (words.title, known))),
            notes=(
                *words.notes,
                f"{known}. Each label is drawn on its own; the draws of larger shares contain "
                "those of smaller ones. Hits go by the true labels.",
                "labels used: each block of a gallery vector is a blend of the image's and the "
                "label's prototype. Share of the prototype: "
                f"{', '.join(f'{name} {share:g}' for name, share in shares)}. Without a label, the "
                f"prototypes of what the system reads off the image take {READING_WEIGHT:g} of "
                "that share, weighted by their probabilities. predicted attributes: the one-hot of "
                "the label takes the block's place.",
                "filtered: only images with the edited value are hits; they come first. By label, "
                "and by what the system reads where no label is known; for generic vectors by "
                "label alone. A system without blocks cannot use labels; its own row is filtered.",
            ),
        )
