"""A search: checked, put to the model and the index, and judged."""

import dataclasses
import time

import numpy as np
from starlette.datastructures import UploadFile

from fashionsearchnet.attributes import KEEP, apply_manipulation
from fashionsearchnet.evaluation.methods import predicted_values
from fashionsearchnet.search.search import differences_from_labels, differences_from_prediction
from fashionsearchnet.serving import readings, responses
from fashionsearchnet.serving.errors import ApiError
from fashionsearchnet.serving.queries import (
    SearchParameters,
    check_count,
    parse_edits,
    parse_filters,
    value_names,
)
from fashionsearchnet.serving.service import Encoded, Neighbours, Service

_HIT_RULE = "identical"
_FROM_LABELS = f"the labels of the query, with the edit (hit rule {_HIT_RULE})"
_FROM_PREDICTION = (
    "the attributes predicted for the query, with the edit; attributes that a result has no label "
    "for are not compared"
)


@dataclasses.dataclass(frozen=True)
class Search:
    """A search that can be made.

    Attributes:
      item: id of the query, or None for an upload.
      labels: int32 `[A]` of the item; None for an upload.
      image: the encoded image of the query.
      manipulation: int32 `[A]`.
      filters: the values allowed, by attribute.
      k: number of results.
    """

    item: str | None
    labels: np.ndarray | None
    image: bytes
    manipulation: np.ndarray
    filters: dict[str, list[str]]
    k: int


async def checked(
    service: Service, parameters: SearchParameters, upload: UploadFile | None = None
) -> Search:
    """Returns the search that the parameters and the upload name.

    Raises:
      ApiError: for a parameter that breaks a rule, an unknown item or an unusable image.
    """
    space = service.model.space
    check_count("k", parameters.k, service.settings)
    manipulation = parse_edits(space, parameters.set)
    filters = parse_filters(space, parameters.filter)
    if (upload is None) == (parameters.item is None):
        got = "neither" if upload is None else "both"
        raise ApiError(
            422,
            "one_query",
            "give one query: item=ID of a gallery item, or POST the form field 'image'; "
            f"got {got}.",
        )
    labels = None
    if upload is not None:
        image = await service.prepared(upload)
    else:
        labels = await service.labels(str(parameters.item))
        image = await service.image(str(parameters.item))
    return Search(parameters.item, labels, image, manipulation, filters, parameters.k)


async def answer(service: Service, search: Search) -> responses.SearchAnswer:
    """Returns the answer to a search."""
    start = time.perf_counter()
    encoded = await service.encode(search.image, search.manipulation)
    between = time.perf_counter()
    found = await service.nearest(encoded.embedding, search.k, search.filters, search.item)
    end = time.perf_counter()
    space = service.model.space
    predicted = predicted_values(space, encoded.probabilities)
    known = predicted if search.labels is None else search.labels
    target = apply_manipulation(known, search.manipulation)
    return responses.SearchAnswer(
        query=_query(service, search, encoded),
        edits={
            space.names[a]: space.values[a][search.manipulation[a]]
            for a in np.flatnonzero(search.manipulation != KEEP)
        },
        target=value_names(space, target),
        results=_results(service, search, target, found),
        k=search.k,
        judged_by=_FROM_PREDICTION if search.labels is None else _FROM_LABELS,
        took_ms=responses.Milliseconds(
            total=round(1e3 * (time.perf_counter() - start), 2),
            model=round(1e3 * (between - start), 2),
            index=round(1e3 * (end - between), 2),
        ),
    )


def _query(service: Service, search: Search, encoded: Encoded) -> responses.SearchQuery:
    """Returns what the model reads in the query, beside its labels."""
    space = service.model.space
    labels: dict[str, str | None] = dict.fromkeys(space.names)
    if search.labels is not None:
        labels = value_names(space, search.labels)
    return responses.SearchQuery(
        item=search.item,
        attributes=[
            responses.LabelledReading(**dict(reading), label=labels[reading.name])
            for reading in readings.readings(space, encoded.probabilities)
        ],
    )


def _results(
    service: Service, search: Search, target: np.ndarray, found: Neighbours
) -> list[responses.Result]:
    """Returns the results with what keeps each from matching the target."""
    space = service.model.space
    if search.labels is None:
        differing = differences_from_prediction(target, found.values, search.manipulation)
    else:
        differing = differences_from_labels(target, found.values, _HIT_RULE)
    return [
        responses.Result(
            id=item,
            distance=round(float(distance), 6),
            image=readings.image_path(item),
            attributes=value_names(space, values),
            matches=not differs,
            differing=[space.names[attribute] for attribute in differs],
        )
        for item, distance, values, differs in zip(
            found.ids, found.distances, found.values, differing, strict=True
        )
    ]
