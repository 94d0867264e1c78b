"""A search over HTTP: checks it, asks model and index, judges the results, and answers."""

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
from starlette.datastructures import UploadFile

from fashionsearchnet.attributes import (
    KEEP,
    MISSING,
    apply_manipulation,
    edit_blocks,
    parse_likes,
    parse_manipulation,
)
from fashionsearchnet.index.items import Item, Neighbours
from fashionsearchnet.search.judgement import (
    Query,
    Reading,
    SearchResult,
    judge,
    judge_attributes,
)
from fashionsearchnet.serving import answers, readings
from fashionsearchnet.serving.errors import ApiError
from fashionsearchnet.serving.finding import Wanted
from fashionsearchnet.serving.gallery import Gallery
from fashionsearchnet.serving.parameters import (
    SearchParameters,
    check_count,
    check_depth,
    parse_filters,
    refused_names,
    value_names,
)
from fashionsearchnet.serving.service import Service


@dataclasses.dataclass(frozen=True)
class Search:
    """A checked search.

    Attributes:
      gallery: the state of the gallery that the whole search sees.
      query: the image, with labels if it is an item.
      manipulation: int32 `[A]`, the edits.
      correction: int32 `[A]`, what the image really shows where the model misreads it.
      wanted: which items are results.
    """

    gallery: Gallery
    query: Query
    manipulation: np.ndarray
    correction: np.ndarray
    wanted: Wanted


async def checked(
    service: Service, parameters: SearchParameters, upload: UploadFile | None = None
) -> Search:
    """Returns the search that the parameters and the upload name.

    Raises:
      ApiError: for a parameter that breaks a rule, an unknown item or an unusable image.
    """
    space, item = service.model.space, parameters.item
    check_count("k", parameters.k, service.limits)
    check_depth(parameters.offset, parameters.k)
    check_count("rerank", parameters.rerank, service.limits)
    with refused_names():
        manipulation = parse_manipulation(space, parameters.set, "set")
        correction = parse_manipulation(space, parameters.correct, "correct")
        weights = parse_likes(space, parameters.like)
        filters = parse_filters(space, parameters.filter)
        must = parse_filters(space, parameters.must, "'must'")
    if (upload is None) == (item is None):
        got = "neither" if upload is None else "both"
        raise ApiError(
            422,
            "one_query",
            "give one query: item=ID of a gallery item, or POST the form field 'image'; "
            f"got {got}.",
        )
    gallery = service.gallery
    _check_like(gallery, parameters)
    _check_rerank(gallery, parameters)
    if item is not None:
        labels = (await gallery.item(item)).values
        query = Query(item, await gallery.image(item), labels)
    else:
        assert upload is not None
        query = Query("upload", await service.prepared(upload))
    wanted = Wanted(
        filters,
        must,
        parameters.offset,
        parameters.k,
        parameters.one_per_product,
        parameters.rerank,
        {space.names[a]: float(weights[a]) for a in np.flatnonzero(weights)},
        item,
    )
    return Search(gallery, query, manipulation, correction, wanted)


async def answer(service: Service, search: Search) -> answers.SearchAnswer:
    """Returns the answer to a search."""
    start = time.perf_counter()
    # The model takes a correction as an edit: either way the value replaces what it has read.
    asked = apply_manipulation(search.correction, search.manipulation)
    encoded = await service.encode(search.query.image, asked)
    between = time.perf_counter()
    space, like = service.model.space, search.wanted.like
    query, reading = _corrected(search, Reading.of(space, encoded.probabilities))
    asked_for = _known(search, query, encoded.probabilities) if like else encoded.embedding
    wanted, target = search.wanted, None
    if wanted.rerank:
        target = edit_blocks(space, encoded.probabilities[None], asked[None])[0]
    found = await search.gallery.nearest(asked_for, wanted, target)
    end = time.perf_counter()
    result = _judged(search, query, reading, found.neighbours)
    return answers.SearchAnswer(
        query=_query(service, search, encoded.probabilities),
        edits={space.names[a]: space.values[a][search.manipulation[a]] for a in result.edited},
        like=dict(like),
        target=value_names(space, result.target),
        results=_results(service, result, found.items),
        total=found.total,
        k=search.wanted.k,
        offset=search.wanted.offset,
        rerank=search.wanted.rerank,
        judged_by=result.judged_by,
        took_ms=answers.Milliseconds(
            total=round(1e3 * (time.perf_counter() - start), 2),
            model=round(1e3 * (between - start), 2),
            index=round(1e3 * (end - between), 2),
        ),
    )


def _check_like(gallery: Gallery, parameters: SearchParameters) -> None:
    """Raises an ApiError if a search by attribute cannot be answered."""
    if not parameters.like:
        return
    if parameters.set:
        raise ApiError(
            422,
            "like_and_set",
            "'like' is a search of its own: leave out 'set', or search with 'set' alone.",
        )
    _check_is_read(gallery, "like", "no_search_alike")


def _check_rerank(gallery: Gallery, parameters: SearchParameters) -> None:
    """Raises an ApiError if the items cannot be put in the order of predicted agreement."""
    if not parameters.rerank:
        return
    if parameters.like:
        raise ApiError(
            422,
            "like_and_rerank",
            "'like' has an order of its own: leave out 'rerank', or search without 'like'.",
        )
    if gallery.index.label_blend is not None:
        raise ApiError(
            422,
            "labels_and_rerank",
            "the vectors of this gallery use its labels, which tell more than the probabilities "
            "that 'rerank' compares: leave it out.",
        )
    _check_is_read(gallery, "rerank", "no_readings")


def _check_is_read(gallery: Gallery, parameter: str, code: str) -> None:
    """Raises an ApiError if the index lacks what the model reads off its images."""
    if not gallery.index.blocks.is_complete:
        raise ApiError(
            422,
            code,
            f"this gallery cannot be searched with {parameter!r}: an earlier version built its "
            "index. Build it again with tools/build_index.py.",
        )


def _judged(search: Search, query: Query, reading: Reading, neighbours: Neighbours) -> SearchResult:
    """Returns the results with what differs of what was asked for."""
    like = search.wanted.like
    if not like:
        return judge(query, search.manipulation, reading, neighbours, hit_rule=None)
    names = sorted(like, key=lambda name: -like[name])
    asked = [search.gallery.index.space.attribute_index(name) for name in names]
    return judge_attributes(query, asked, reading, neighbours, hit_rule=None)


def _known(search: Search, query: Query, probabilities: np.ndarray) -> np.ndarray:
    """Returns the probability of each value of the query, float32 `[C]`: 1 for what is known."""
    space, labels = search.gallery.index.space, query.labels
    values = search.correction
    if labels is not None:
        values = apply_manipulation(labels, search.correction)
    return edit_blocks(space, probabilities[None], values[None])[0]


def _corrected(search: Search, reading: Reading) -> tuple[Query, Reading]:
    """Returns the query and its reading with the corrections in them."""
    query = search.query
    if query.labels is not None and (query.labels != MISSING).any():
        labels = apply_manipulation(query.labels, search.correction)
        query = dataclasses.replace(query, labels=labels)
    is_right = search.correction != KEEP
    probabilities = np.where(is_right, np.float32(1), reading.probabilities)
    return query, Reading(apply_manipulation(reading.values, search.correction), probabilities)


def _query(service: Service, search: Search, probabilities: np.ndarray) -> answers.SearchQuery:
    """Returns the model's reading of the query, beside its labels."""
    space = service.model.space
    labels: dict[str, str | None] = dict.fromkeys(space.names)
    if search.query.labels is not None:
        labels = value_names(space, search.query.labels)
    corrected = value_names(space, search.correction)
    return answers.SearchQuery(
        item=search.wanted.leave_out,
        attributes=[
            answers.LabelledReading(
                **vars(reading), label=labels[reading.name], corrected=corrected[reading.name]
            )
            for reading in readings.readings(space, probabilities)
        ],
    )


def _results(service: Service, result: SearchResult, items: Sequence[Item]) -> list[answers.Result]:
    """Returns the results, each with the attributes that differ from the target."""
    space, found = service.model.space, result.neighbours
    assert found.predicted is not None
    return [
        answers.Result(
            id=item.id,
            distance=round(float(distance), 6),
            image=readings.image_path(item.id),
            attributes=value_names(space, labels),
            predicted=value_names(space, predicted),
            columns=dict(item.columns),
            product=item.group or None,
            matches=not differing,
            differing=[space.names[attribute] for attribute in differing],
            by_prediction=by_prediction,
        )
        for item, distance, labels, predicted, differing, by_prediction in zip(
            items,
            found.distances,
            found.labels,
            found.predicted,
            result.differing,
            result.by_prediction,
            strict=True,
        )
    ]
