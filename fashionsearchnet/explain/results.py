"""Search results as pictures: a row of a sheet for each, or a sheet of its own."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.evaluation.tasks.manipulation.enumeration import enumerate_manipulations
from fashionsearchnet.evaluation.tasks.manipulation.hits import Gallery
from fashionsearchnet.explain.attention import attention_panels
from fashionsearchnet.explain.panels import Panel
from fashionsearchnet.explain.retrieval_sheet import RetrievalRow
from fashionsearchnet.explain.search_sheet import SearchPicture
from fashionsearchnet.search.judgement import SearchResult, describe_difference, value_words
from fashionsearchnet.search.live_gallery import LiveGallery
from fashionsearchnet.search.queries import decode

_MOST_ATTENTION = 3  # attributes that the search is about whose attention is shown


@dataclasses.dataclass(frozen=True)
class SampledEdits:
    """Manipulations chosen at random.

    Attributes:
      query: int64 `[R]`, positions in the query split.
      manipulation: int32 `[R, A]`, the wanted values, -1 to keep.
      num_available: how many there are in all.
      seed: of the choice.
    """

    query: np.ndarray
    manipulation: np.ndarray
    num_available: int
    seed: int

    @property
    def in_words(self) -> str:
        """The way they were chosen, for the note of a sheet."""
        return (
            f"Queries and edits: {len(self.query)} of the {self.num_available:,} changes of one "
            f"value that the gallery allows, chosen at random (seed {self.seed}, attributes in "
            "turn)."
        )


def sample_edits(
    query_labels: np.ndarray, gallery_labels: np.ndarray, number: int, hit_rule: str, seed: int
) -> SampledEdits:
    """Returns random changes of one value whose target exists; the attributes take turns.

    Args:
      query_labels: int32 `[queries, A]`.
      gallery_labels: int32 `[gallery, A]`.
      number: of manipulations; the result has fewer if fewer exist.
      hit_rule: one of `attributes.HIT_RULES`.
      seed: of the choice.

    Raises:
      ValueError: if no manipulation exists.
    """
    available = enumerate_manipulations(
        query_labels, Gallery(gallery_labels), hit_rule, max_per_group=number, seed=seed
    )
    order = np.random.default_rng(seed).permutation(len(available))
    shuffled = available.group[order]
    # How many of the same attribute came before: round 0 takes one of each, round 1 another.
    turn = np.array([(shuffled[:i] == a).sum() for i, a in enumerate(shuffled)])
    chosen = order[np.argsort(turn, kind="stable")][:number]
    return SampledEdits(
        query=available.query[chosen].astype(np.int64),
        manipulation=available.edits[chosen],
        num_available=sum(available.num_available),
        seed=seed,
    )


def retrieval_rows(
    gallery: LiveGallery, results: Sequence[SearchResult], hit_rule: str = "identical"
) -> tuple[RetrievalRow, ...]:
    """Returns a row of a sheet for each result.

    Args:
      gallery: what was searched.
      results: of `gallery.search`, for queries with labels.
      hit_rule: that the results were judged by.

    Raises:
      ValueError: if a query has no labels.
    """
    for result in results:
        if result.query.labels is None:
            raise ValueError(
                f"the results of {result.query.name} cannot be judged, since it has no labels. "
                "Take queries of the data set."
            )
    space = gallery.system.space
    targets = np.stack([result.target for result in results])
    num_relevant = Gallery(gallery.labels).num_relevant(targets, hit_rule)
    panels = result_panels(gallery, results)
    return tuple(
        RetrievalRow(
            query=Panel(decode(result.query.image), f"query {result.query.name}"),
            edits=tuple(_edit_words(space, result, a) for a in result.edited),
            results=row,
            num_relevant=int(number),
        )
        for result, row, number in zip(results, panels, num_relevant, strict=True)
    )


def alike_rows(gallery: LiveGallery, results: Sequence[SearchResult]) -> tuple[RetrievalRow, ...]:
    """Returns a row of a sheet for each result of a search by attribute.

    Args:
      gallery: what was searched.
      results: of `gallery.search_alike`, for queries with labels of what was asked for.
    """
    space, rows = gallery.system.space, []
    for result, panels in zip(results, result_panels(gallery, results), strict=True):
        asked = list(result.asked)
        wanted = result.target[asked]
        edits = tuple(
            (space.names[a], value_words(space, a, result.target[a]), "like this") for a in asked
        )
        rows.append(
            RetrievalRow(
                query=Panel(decode(result.query.image), f"query {result.query.name}"),
                edits=edits,
                results=panels,
                num_relevant=int((gallery.labels[:, asked] == wanted).all(axis=1).sum()),
            )
        )
    return tuple(rows)


def search_picture(gallery: LiveGallery, result: SearchResult) -> SearchPicture:
    """Returns the content of a sheet of one search."""
    space, edited = gallery.system.space, result.edited
    likes = ", ".join(space.names[a] for a in result.asked)
    wishes = ", ".join(
        f"{space.names[a]} = {space.value_name(a, result.manipulation[a])}" for a in edited
    )
    (panels,) = result_panels(gallery, [result])
    return SearchPicture(
        title=_title(wishes, likes),
        query=Panel(decode(result.query.image), f"query {result.query.name}"),
        attributes=tuple(
            (name, _reading_words(space, result, a), _wish(space, result, a))
            for a, name in enumerate(space.names)
        ),
        attention=attention_panels(gallery.system, result.query, result.subject[:_MOST_ATTENTION]),
        results=panels,
        note=f"Attributes of the query: as predicted. Green frame and tick: a match, judged by "
        f"{result.judged_by}.",
    )


def _title(wishes: str, likes: str) -> str:
    """Returns the question of a search in words."""
    if wishes:
        return f"This one, but with {wishes}"
    return f"Like this one in {likes}" if likes else "Like this one"


def result_panels(gallery: LiveGallery, results: Sequence[SearchResult]) -> list[tuple[Panel, ...]]:
    """Returns a panel for every neighbour of every result, with what keeps it from matching."""
    images = gallery.images({name for result in results for name in result.neighbours.ids})
    pictures = {name: decode(data) for name, data in images.items()}
    rows = []
    for result in results:
        panels = []
        for rank, (name, labels, differing) in enumerate(
            zip(result.neighbours.ids, result.neighbours.labels, result.differing, strict=True), 1
        ):
            order = sorted(differing, key=lambda a: a not in result.edited)  # the edit comes first
            lines = tuple(
                describe_difference(gallery.system.space, a, labels[a], result.target[a])
                for a in order
            )
            panels.append(Panel(pictures[name], f"{rank}: {name}", lines, not lines))
        rows.append(tuple(panels))
    return rows


def legend(rows: Sequence[RetrievalRow], hit_rule: str) -> str:
    """Explains the frames of a sheet and counts the rows with a match, for its note."""
    num_hits = sum(any(panel.matches for panel in row.results) for row in rows)
    return (
        f"Green frame and tick: every attribute matches (hit rule {hit_rule}). Below the others: "
        f"what differs. {num_hits} of {len(rows)} rows have a match."
    )


def alike_legend(rows: Sequence[RetrievalRow]) -> str:
    """Explains the frames of a sheet by attribute and counts the matches, for its note."""
    shown = [panel.matches for row in rows for panel in row.results]
    return (
        "Green frame and tick: the label of what was asked for is the query's. Below the others: "
        f"what it is. {sum(shown):,} of {len(shown):,} results match."
    )


def _edit_words(
    space: AttributeSpace, result: SearchResult, attribute: int
) -> tuple[str, str, str]:
    """Returns the attribute's name, what the query has, and what is wanted."""
    assert result.query.labels is not None
    before, after = result.query.labels[attribute], result.target[attribute]
    words = [value_words(space, attribute, value) for value in (before, after)]
    return space.names[attribute], words[0], words[1]


def _reading_words(space: AttributeSpace, result: SearchResult, attribute: int) -> str:
    """Returns the value that is read off the query, and its label where that is another."""
    label = None if result.query.labels is None else result.query.labels[attribute]
    if result.reading is None:
        return "" if label is None else value_words(space, attribute, label)
    value = result.reading.values[attribute]
    words = f"{space.value_name(attribute, value)} ({result.reading.probabilities[attribute]:.0%})"
    if label in (None, value) or attribute in result.edited:
        return words
    return f"{words} [label: {value_words(space, attribute, label)}]"


def _wish(space: AttributeSpace, result: SearchResult, attribute: int) -> str:
    """Returns the name of the wanted value, '' where the attribute is kept."""
    if attribute not in result.edited:
        return ""
    return space.value_name(attribute, result.manipulation[attribute])
