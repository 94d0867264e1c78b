"""Asks a system for the results of several edits at once, with the gallery embedded only once."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import KEEP, MISSING, AttributeSpace, apply_manipulation
from fashionsearchnet.evaluation import protocol
from fashionsearchnet.evaluation.methods import Features, gallery_embeddings, system_embedding
from fashionsearchnet.explain.panels import Panel
from fashionsearchnet.explain.retrieval_sheet import RetrievalRow
from fashionsearchnet.index.exact import ExactIndex
from fashionsearchnet.search import search


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Manipulations drawn at random.

    Attributes:
      query: int64 `[R]`, positions in the query split.
      manipulation: int32 `[R, A]`, the wanted values, -1 to keep.
      num_available: how many the protocol has in all.
      seed: of the draw.
    """

    query: np.ndarray
    manipulation: np.ndarray
    num_available: int
    seed: int

    @property
    def in_words(self) -> str:
        """How they were chosen, for the note of a sheet."""
        return (
            f"Queries and edits: {len(self.query)} of the {self.num_available:,} that the protocol "
            f"tries, drawn at random (seed {self.seed}, attributes in turn), not chosen."
        )


def draw_manipulations(
    query_labels: np.ndarray, gallery_labels: np.ndarray, number: int, hit_rule: str, seed: int
) -> Drawn:
    """Returns manipulations of the protocol, drawn at random while the attributes take turns.

    Args:
      query_labels: int32 `[queries, A]`.
      gallery_labels: int32 `[gallery, A]`.
      number: of manipulations; fewer are returned if there are not more.
      hit_rule: one of `protocol.HIT_RULES`.
      seed: of the draw.

    Raises:
      ValueError: if there is none.
    """
    gallery = protocol.Gallery(gallery_labels)
    available = protocol.enumerate_manipulations(
        query_labels, gallery, hit_rule, max_per_group=number, seed=seed
    )
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(available))
    shuffled = available.group[order]
    # How many of the same attribute came before: round 0 takes one of each, round 1 another.
    turn = np.array([(shuffled[:i] == a).sum() for i, a in enumerate(shuffled)])
    chosen = order[np.argsort(turn, kind="stable")][:number]
    return Drawn(
        query=available.query[chosen].astype(np.int64),
        manipulation=available.edits[chosen],
        num_available=sum(available.num_available),
        seed=seed,
    )


def stored_queries(dataset: Any, split: str, positions: np.ndarray) -> list[search.Query]:
    """Returns the images at these positions int `[R]` of a split, as queries with labels."""
    ids, labels = dataset.image_ids(split), np.asarray(dataset.labels(split))
    stored = search.stored_images(dataset, split, positions.tolist())
    return [
        search.Query(ids[position], data, labels[position])
        for position, data in zip(positions, stored, strict=True)
    ]


def image_features(system: Any, queries: Sequence[search.Query]) -> Features:
    """Returns `system.image_features` of these images, each an array `[number, ...]`."""
    images = tf.concat([search.model_input(system, query.data) for query in queries], axis=0)
    return {key: np.asarray(value) for key, value in system.image_features(images).items()}


def retrieval_rows(
    system: Any,
    dataset: Any,
    queries: Sequence[search.Query],
    manipulations: np.ndarray,
    query_features: Features,
    gallery_features: Features,
    *,
    gallery_split: str = "gallery",
    k: int = 5,
    hit_rule: str = "identical",
) -> tuple[RetrievalRow, ...]:
    """Returns a row of a sheet for each query.

    Args:
      system: a trained system.
      dataset: that holds the gallery.
      queries: images with labels, R of them.
      manipulations: int32 `[R, A]`, the wanted values, -1 to keep.
      query_features: of the queries, each `[R, ...]`; see `image_features`.
      gallery_features: of `features.extract_features`.
      gallery_split: the split that they are of.
      k: results per query, at least 1.
      hit_rule: one of `protocol.HIT_RULES`.

    Raises:
      ValueError: if a query has no labels, or an argument is out of range.
    """
    unknown = [query.name for query in queries if query.labels is None]
    if unknown:
        raise ValueError(
            f"the results of {unknown[0]} cannot be judged, since it has no labels; take queries "
            "of the data set."
        )
    found = _nearest(system, query_features, manipulations, gallery_features, k)
    labels = np.asarray(dataset.labels(gallery_split))
    known = np.stack([np.asarray(query.labels) for query in queries])
    targets = apply_manipulation(known, manipulations)
    num_relevant = protocol.Gallery(labels).num_relevant(targets, hit_rule)
    pictures = _pictures(dataset, gallery_split, found)
    ids = dataset.image_ids(gallery_split)
    rows = []
    for i, query in enumerate(queries):
        edited = [int(a) for a in np.flatnonzero(manipulations[i] != KEEP)]
        differing = search.differences_from_labels(targets[i], labels[found[i]], hit_rule)
        panels = []
        for rank, (position, differs) in enumerate(zip(found[i], differing, strict=True), start=1):
            order = [a for a in edited if a in differs] + [a for a in differs if a not in edited]
            pairs = [(a, labels[position, a], targets[i, a]) for a in order]
            lines = tuple(describe_difference(system.space, *pair) for pair in pairs)
            title = f"{rank}: {ids[position]}"
            panels.append(Panel(pictures[position], title, lines, matches=not differs))
        rows.append(
            RetrievalRow(
                query=Panel(search.decode(query.data), f"query {query.name}"),
                edits=tuple(_edit_words(system.space, a, known[i], targets[i]) for a in edited),
                results=tuple(panels),
                num_relevant=int(num_relevant[i]),
            )
        )
    return tuple(rows)


def legend(rows: Sequence[RetrievalRow], hit_rule: str) -> str:
    """Returns what the frames of a sheet mean, and how many rows have a match, for its note."""
    num_hits = sum(any(panel.matches for panel in row.results) for row in rows)
    return (
        f"Green frame and tick: every attribute matches (hit rule {hit_rule}); else what differs "
        f"is written below. {num_hits} of {len(rows)} rows have a match."
    )


def describe_difference(space: AttributeSpace, attribute: int, value: int, wanted: int) -> str:
    """Returns such as 'colour red, not blue'."""
    has, should = (_value_words(space, attribute, v) for v in (value, wanted))
    return f"{space.names[attribute]} {has}, not {should}"


def _nearest(
    system: Any,
    query_features: Features,
    manipulations: np.ndarray,
    gallery_features: Features,
    k: int,
) -> np.ndarray:
    """Returns the gallery positions of the K results of each query, int64 `[R, k]`."""
    rows = np.arange(len(manipulations))
    embed = system_embedding(system.query_embedding, query_features)
    embeddings = embed(rows, manipulations)
    gallery_of: list[tuple[int, ...]] = [()] * len(rows)
    if getattr(system, "gallery_depends_on_edit", False):
        gallery_of = [tuple(np.flatnonzero(row != KEEP)) for row in manipulations]
    found = np.empty((len(rows), min(k, len(gallery_features["embedding"]))), np.int64)
    for edited in dict.fromkeys(gallery_of):
        members = [row for row in rows if gallery_of[row] == edited]
        index = ExactIndex(gallery_embeddings(system, gallery_features, edited))
        _, found[members] = index.search(embeddings[members], k)
    return found


def _pictures(dataset: Any, split: str, positions: np.ndarray) -> dict[int, np.ndarray]:
    """Returns the decoded images at these positions of a split, read in one go."""
    wanted = sorted({int(position) for position in positions.ravel()})
    stored = search.stored_images(dataset, split, wanted)
    return {p: search.decode(data) for p, data in zip(wanted, stored, strict=True)}


def _edit_words(
    space: AttributeSpace, attribute: int, has: np.ndarray, target: np.ndarray
) -> tuple[str, str, str]:
    """Returns the attribute's name, what the query has, and what is wanted."""
    before, after = (_value_words(space, attribute, v[attribute]) for v in (has, target))
    return space.names[attribute], before, after


def _value_words(space: AttributeSpace, attribute: int, value: int) -> str:
    """Returns the name of a value; not 'none' for a missing one, which is a value of some."""
    return "missing" if value == MISSING else space.value_name(attribute, value)
