"""A search over HTTP: checks it, asks model and index, judges the results, and answers."""

import dataclasses
import time

import numpy as np
from starlette.datastructures import UploadFile

from fashionsearchnet.attributes import parse_manipulation
from fashionsearchnet.search.judgement import Query, Reading, SearchResult, judge
from fashionsearchnet.serving import answers, readings
from fashionsearchnet.serving.errors import ApiError
from fashionsearchnet.serving.gallery import Gallery
from fashionsearchnet.serving.parameters import (
    SearchParameters,
    check_count,
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
      item: id of the query in the gallery, or None for an upload.
      query: the image, with labels if it is an item.
      manipulation: int32 `[A]`.
      filters: the labels allowed, by attribute.
      must: the values allowed, by attribute; read off the image where there is no label.
      k: number of results.
    """

    gallery: Gallery
    item: str | None
    query: Query
    manipulation: np.ndarray
    filters: dict[str, list[str]]
    must: dict[str, list[str]]
    k: int


async def checked(
    service: Service, parameters: SearchParameters, upload: UploadFile | None = None
) -> Search:
    """Returns the search that the parameters and the upload name.

    Raises:
      ApiError: for a parameter that breaks a rule, an unknown item or an unusable image.
    """
    space, item = service.model.space, parameters.item
    check_count("k", parameters.k, service.limits)
    with refused_names():
        manipulation = parse_manipulation(space, parameters.set, "set")
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
    if item is not None:
        labels = (await gallery.item(item)).values
        query = Query(item, await gallery.image(item), labels)
    else:
        assert upload is not None
        query = Query("upload", await service.prepared(upload))
    return Search(gallery, item, query, manipulation, filters, must, parameters.k)


async def answer(service: Service, search: Search) -> answers.SearchAnswer:
    """Returns the answer to a search."""
    start = time.perf_counter()
    encoded = await service.encode(search.query.image, search.manipulation)
    between = time.perf_counter()
    found = await search.gallery.nearest(
        encoded.embedding, search.k, search.filters, search.must, search.item
    )
    end = time.perf_counter()
    space = service.model.space
    reading = Reading.of(space, encoded.probabilities)
    result = judge(search.query, search.manipulation, reading, found)
    return answers.SearchAnswer(
        query=_query(service, search, encoded.probabilities),
        edits={space.names[a]: space.values[a][search.manipulation[a]] for a in result.edited},
        target=value_names(space, result.target),
        results=_results(service, result),
        k=search.k,
        judged_by=result.judged_by,
        took_ms=answers.Milliseconds(
            total=round(1e3 * (time.perf_counter() - start), 2),
            model=round(1e3 * (between - start), 2),
            index=round(1e3 * (end - between), 2),
        ),
    )


def _query(service: Service, search: Search, probabilities: np.ndarray) -> answers.SearchQuery:
    """Returns the model's reading of the query, beside its labels."""
    space = service.model.space
    labels: dict[str, str | None] = dict.fromkeys(space.names)
    if search.query.labels is not None:
        labels = value_names(space, search.query.labels)
    return answers.SearchQuery(
        item=search.item,
        attributes=[
            answers.LabelledReading(**dict(reading), label=labels[reading.name])
            for reading in readings.readings(space, probabilities)
        ],
    )


def _results(service: Service, result: SearchResult) -> list[answers.Result]:
    """Returns the results, each with the attributes that differ from the target."""
    space, found = service.model.space, result.neighbours
    return [
        answers.Result(
            id=item,
            distance=round(float(distance), 6),
            image=readings.image_path(item),
            attributes=value_names(space, labels),
            matches=not differing,
            differing=[space.names[attribute] for attribute in differing],
        )
        for item, distance, labels, differing in zip(
            found.ids, found.distances, found.labels, result.differing, strict=True
        )
    ]
