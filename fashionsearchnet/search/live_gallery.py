"""Searches of a split of a data set with a trained system, of one query or many at once."""

import functools
from collections.abc import Collection, Sequence

import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import KEEP, MISSING, edit_blocks, predicted_values, softmax_blocks
from fashionsearchnet.checks import check_range
from fashionsearchnet.data import preprocess
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.index.agreement import likeliest_first, trusted
from fashionsearchnet.index.exact import ExactIndex
from fashionsearchnet.search.judgement import (
    Neighbours,
    Query,
    Reading,
    SearchResult,
    judge,
    judge_attributes,
)
from fashionsearchnet.search.queries import stored_images
from fashionsearchnet.systems.features import (
    FeatureArrays,
    alike_embeddings,
    alike_queries,
    attribute_logits,
    edited_embedding,
    extract_features,
    gallery_embeddings,
)
from fashionsearchnet.systems.gallery_labels import KnownLabels, beliefs_of, check_blend
from fashionsearchnet.systems.system import System


class LiveGallery:
    """A split whose images went through a system once, ready to be searched.

    Attributes:
      system: a system.
      dataset: holds the gallery.
      split: the gallery's split.
      ids: the ids of its images.
      labels: int32 `[gallery, A]`, their labels.
    """

    def __init__(
        self,
        system: System,
        dataset: Dataset,
        split: str = "gallery",
        batch_size: int = 64,
        label_blend: Sequence[float] | None = None,
        task: str = "manipulation",
    ) -> None:
        """Extracts the features of the split, `batch_size` images at a time.

        Args:
          system: answers the task.
          dataset: holds the gallery.
          split: the gallery's split.
          batch_size: images per forward pass.
          label_blend: for vectors that use the labels, the share of the label in the block of each
            attribute, see `gallery_labels`; None for vectors of the images alone.
          task: of the searches: 'manipulation' for `search`, 'attribute' for `search_alike`.

        Raises:
          ValueError: if the system does not answer the task or has no blocks for labels, or the
            attributes differ.
        """
        system.check_answers(task)
        system.space.check_same(dataset.space, "the system", f"data set {dataset.name}")
        self.system, self.dataset, self.split = system, dataset, split
        self.ids, self.labels = dataset.image_ids(split), dataset.labels(split)
        if label_blend is not None:
            system.prototypes()  # raises for a system without
            label_blend = check_blend(system.space, label_blend)
        self._features = extract_features(system, dataset, split, batch_size)
        self._known: KnownLabels | None = None
        if label_blend is not None:
            beliefs = beliefs_of(system.space, self.labels, self._probabilities)
            self._known = KnownLabels(beliefs, tuple(label_blend))

    def search(
        self,
        queries: Sequence[Query],
        manipulations: np.ndarray,
        k: int = 10,
        hit_rule: str = "identical",
        facets: bool = False,
        rerank: int = 0,
    ) -> list[SearchResult]:
        """Returns the k gallery images nearest to each edited query, judged.

        Where the data set's queries are gallery images too, no query is its own result.

        Args:
          queries: N images, at least one.
          manipulations: int32 `[N, A]`, the wanted values, -1 to keep.
          k: results of each, at least 1.
          hit_rule: one of `attributes.HIT_RULES`, for queries with labels.
          facets: leave out images without the wanted values: by label, and by what the system reads
            where there is no label. There may be fewer than k results then.
          rerank: put so many of the nearest images in the order of predicted agreement before the
            first k are taken (`index/agreement.py`); 0 for none. Distances stay as they are.

        Raises:
          ValueError: if images shall be re-ranked by a system that reads no attributes.
        """
        check_range("k", k, 1)
        features, readings = read_images(self.system, queries)
        depth = max(k, rerank) + self.dataset.queries_in_gallery
        nearest = self._nearest(features, manipulations, depth, facets)
        if rerank:
            nearest = self._by_agreement(features, manipulations, nearest, rerank)
        results = []
        for query, manipulation, reading, (distances, positions) in zip(
            queries, manipulations, readings, nearest, strict=True
        ):
            neighbours = self._neighbours(query, distances, positions, k)
            results.append(judge(query, manipulation, reading, neighbours, hit_rule))
        return results

    def search_alike(
        self,
        queries: Sequence[Query],
        weights: np.ndarray,
        k: int = 10,
        hit_rule: str = "identical",
    ) -> list[SearchResult]:
        """Returns the k gallery images most alike to each query in some attributes, judged.

        They have the largest weighted sum of cosines; see `System.alike_query`.

        Args:
          queries: N images, at least one.
          weights: float32 `[A]`, how much each attribute counts; 0 for none.
          k: results of each, at least 1.
          hit_rule: one of `attributes.HIT_RULES`, for queries with labels.

        Raises:
          ValueError: if no attribute counts.
        """
        check_range("k", k, 1)
        if not (weights > 0.0).any():
            raise ValueError("the search by attribute must name an attribute; got none.")
        features, readings = read_images(self.system, queries)
        asked: list[int] = np.argsort(-weights, kind="stable")[: np.count_nonzero(weights)].tolist()
        vectors = alike_embeddings(self.system, self._features)
        embeddings = alike_queries(self.system, features, weights)
        nearest = ExactIndex(vectors).search(embeddings, k + self.dataset.queries_in_gallery)
        results = []
        for query, reading, distances, positions in zip(queries, readings, *nearest, strict=True):
            found = self._neighbours(query, distances, positions, k)
            results.append(judge_attributes(query, asked, reading, found, hit_rule))
        return results

    def _neighbours(
        self, query: Query, distances: np.ndarray, positions: np.ndarray, k: int
    ) -> Neighbours:
        """Returns the first k of the images found, without the query itself."""
        ids = [self.ids[position] for position in positions]
        labels, predicted = self.labels[positions], self._predicted[positions]
        found = Neighbours(ids, distances, labels, predicted)
        return found.first(k, query.name if self.dataset.queries_in_gallery else None)

    def images(self, ids: Collection[str]) -> dict[str, bytes]:
        """Returns the encoded images of these ids."""
        positions = [position for position, name in enumerate(self.ids) if name in ids]
        stored = stored_images(self.dataset, self.split, positions)
        return {self.ids[p]: data for p, data in zip(positions, stored, strict=True)}

    @functools.cached_property
    def _probabilities(self) -> np.ndarray | None:
        """What the system reads off the images, float32 `[gallery, C]`; None if nothing."""
        logits = attribute_logits(self.system, self._features)
        return None if logits is None else softmax_blocks(self.system.space, logits)

    @functools.cached_property
    def _predicted(self) -> np.ndarray:
        """The likeliest values, int32 `[gallery, A]`, -1 if the system reads nothing."""
        if self._probabilities is None:
            return np.full_like(self.labels, MISSING)
        return predicted_values(self.system.space, self._probabilities)

    @functools.cached_property
    def _facets(self) -> np.ndarray:
        """The labels, and what the system reads where there is none, int32 `[gallery, A]`."""
        return np.where(self.labels == MISSING, self._predicted, self.labels)

    def _nearest(
        self, features: FeatureArrays, manipulations: np.ndarray, k: int, facets: bool
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns distances and positions `[k]` of the nearest images of each query."""
        rows = list(range(len(manipulations)))
        embed = edited_embedding(self.system.query_embedding, features)
        embeddings = embed(np.array(rows), manipulations)
        edited: list[tuple[int, ...]] = [()] * len(rows)
        if self.system.gallery_depends_on_edit:
            edited = [tuple(np.flatnonzero(row != KEEP).tolist()) for row in manipulations]
        nearest: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for attributes in dict.fromkeys(edited):  # the gallery is embedded once for each
            members = [row for row in rows if edited[row] == attributes]
            vectors = gallery_embeddings(self.system, self._features, attributes, self._known)
            if facets:
                for row in members:
                    nearest[row] = self._filtered(vectors, embeddings[row], manipulations[row], k)
                continue
            found = zip(*ExactIndex(vectors).search(embeddings[members], k), strict=True)
            nearest |= dict(zip(members, found, strict=True))
        return [nearest[row] for row in rows]

    def _by_agreement(
        self,
        features: FeatureArrays,
        manipulations: np.ndarray,
        nearest: Sequence[tuple[np.ndarray, np.ndarray]],
        number: int,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns the distances and positions with the first `number` in another order."""
        space, logits = self.system.space, attribute_logits(self.system, features)
        if logits is None or self._probabilities is None:
            raise ValueError(f"{self.system.title} reads no attributes: leave out rerank.")
        wanted = edit_blocks(space, softmax_blocks(space, logits), manipulations)
        found = []
        for row, (distances, positions) in enumerate(nearest):
            read = self._probabilities[positions[:number]]
            if self._known is not None:
                read = trusted(self._known.beliefs[positions[:number]], read)
            order = np.arange(len(positions))
            order[: len(read)] = likeliest_first(space, wanted[row], read)
            found.append((distances[order], positions[order]))
        return found

    def _filtered(
        self, vectors: np.ndarray, query: np.ndarray, manipulation: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns distances and positions of the nearest images that have the wanted values."""
        passes = ((self._facets == manipulation) | (manipulation == KEEP)).all(axis=1)
        allowed = np.flatnonzero(passes)
        if not len(allowed):
            return np.empty(0, np.float32), allowed
        distances, positions = ExactIndex(vectors[allowed]).search(query[None], k)
        return distances[0], allowed[positions[0]]


def model_input(system: System, image: bytes) -> tf.Tensor:
    """Returns an encoded image as a batch of one, float32 `[1, size, size, 3]`."""
    return preprocess.load_image(tf.constant(image), system.image_input)[None]


def read_images(
    system: System, queries: Sequence[Query]
) -> tuple[FeatureArrays, list[Reading | None]]:
    """Returns `system.image_features` of N images, each `[N, ...]`, and what it reads off each."""
    images = tf.concat([model_input(system, query.image) for query in queries], axis=0)
    features = system.image_features(images)
    logits = system.attribute_logits(features)
    readings: list[Reading | None] = [None] * len(queries)
    if logits is not None:
        probabilities = softmax_blocks(system.space, np.asarray(logits))
        readings = [Reading.of(system.space, row) for row in probabilities]
    return {key: np.asarray(value) for key, value in features.items()}, readings
