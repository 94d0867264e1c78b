"""The parameters of a request, with their checks."""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, get_origin

import numpy as np
from fastapi import Depends, Request
from pydantic import BaseModel, Field, ValidationError

from fashionsearchnet.attributes import MISSING, AttributeSpace, NameProblem, parse_pair
from fashionsearchnet.serving.errors import ApiError, describe
from fashionsearchnet.serving.limits import Limits

ItemId = Annotated[
    str | None, Field(description="Id of a gallery item.", examples=["train-000123"])
]
Filters = Annotated[
    list[str],
    Field(
        description="attribute=value that results must have; repeatable. Values of one attribute "
        "are alternatives; a result passes the filters of all attributes.",
        examples=[["colour=red", "colour=blue"]],
    ),
]

Must = Annotated[
    list[str],
    Field(
        description="attribute=value that results must have by their label or, where they have "
        "none, by what the model reads off their image; repeatable like filter.",
        examples=[["neckline=v-neck"]],
    ),
]


Offset = Annotated[
    int, Field(description="Items to skip: the next page begins there.", ge=0, le=10**12)
]
OnePerProduct = Annotated[
    bool, Field(description="Whether of several images of one product only the first is listed.")
]


class SearchParameters(BaseModel, extra="forbid"):
    """The parameters of a search, in a URL or a form."""

    item: ItemId = None
    set: Annotated[
        list[str],
        Field(
            description="An edit, attribute=value; repeatable, one per attribute.",
            examples=[["neckline=v-neck"]],
        ),
    ] = []
    correct: Annotated[
        list[str],
        Field(
            description="What the query really shows where the model misreads it, attribute=value; "
            "repeatable, one per attribute. Results are judged by it. An edit of the same "
            "attribute starts from it.",
            examples=[["neckline=round"]],
        ),
    ] = []
    like: Annotated[
        list[str],
        Field(
            description="An attribute that results must have alike, such as neckline or, with a "
            "weight, neckline:2; repeatable, in place of `set`. The others then count only among "
            "results that are equally alike.",
            examples=[["neckline", "colour:0.5"]],
        ),
    ] = []
    filter: Filters = []
    must: Must = []
    k: Annotated[int, Field(description="Number of results; at most limits.max_k.", ge=1)] = 20
    offset: Offset = 0
    one_per_product: OnePerProduct = False
    rerank: Annotated[
        int,
        Field(
            description="Put so many of the nearest items in the order of the probability that "
            "they show all that is wanted; 0 for none, at most limits.max_k. Distances stay as "
            "they are. Not with `like`, nor where the vectors of the gallery use its labels.",
            ge=0,
            examples=[100],
        ),
    ] = 0


class ExplainParameters(BaseModel, extra="forbid"):
    """The parameters of an explanation of a gallery item."""

    item: Annotated[str, Field(description="Id of a gallery item.", examples=["train-000123"])]


class ItemsParameters(BaseModel, extra="forbid"):
    """The parameters of one page of the gallery."""

    offset: Offset = 0
    limit: Annotated[int, Field(description="Items per page; at most limits.max_k.", ge=1)] = 24
    filter: Filters = []
    item: Annotated[
        list[str],
        Field(
            description="Only the items of these ids, in this order; repeatable. Ids that do not "
            "exist are left out.",
            max_length=1000,
            examples=[["train-000123"]],
        ),
    ] = []
    one_per_product: OnePerProduct = False


class CountsParameters(BaseModel, extra="forbid"):
    """The parameters of the numbers of items by value."""

    filter: Filters = []


MAX_DEPTH = 10_000  # results of one search over all its pages


def once(model: type[BaseModel]) -> Any:
    """Returns a dependency of a route that refuses a repeated parameter of its URL.

    Without it the last one would count, in silence.
    """

    async def check(request: Request) -> None:  # a coroutine: a function would get a thread
        given = request.query_params
        _check_once(model, {name: given.getlist(name) for name in given}, "parameter")

    return Depends(check)


def _check_once(model: type[BaseModel], fields: Mapping[str, Sequence[str]], what: str) -> None:
    """Raises an ApiError if a text is repeated that the model has once; `what` is its word."""
    for name in _single(model):
        if len(fields.get(name, ())) > 1:
            raise ApiError(422, "repeated_field", f"the {what} {name!r} may be given once only.")


@functools.cache
def _single(model: type[BaseModel]) -> list[str]:
    """Returns the names of the parameters that are no list."""
    fields = model.model_fields.items()
    return [name for name, field in fields if get_origin(field.annotation) is not list]


def search_parameters(fields: dict[str, list[str]]) -> SearchParameters:
    """Returns the parameters in the text fields of a form.

    Raises:
      ApiError: for a number or a yes or no that is none, and for a single field that is repeated.
    """
    _check_once(SearchParameters, fields, "field")
    names = _single(SearchParameters)
    single = {name: values[0] for name, values in fields.items() if name in names}
    try:
        return SearchParameters.model_validate({**fields, **single})
    except ValidationError as error:
        raise ApiError(422, "invalid_parameter", describe(error.errors())) from error


def check_count(name: str, count: int, limits: Limits) -> None:
    """Raises an ApiError if a request wants more than `max_k` results."""
    if count > limits.max_k:
        raise ApiError(
            422, "invalid_parameter", f"{name} may be at most {limits.max_k}; got {count}."
        )


def check_depth(offset: int, k: int) -> None:
    """Raises an ApiError for a page of results that lies too deep."""
    if offset + k > MAX_DEPTH:
        raise ApiError(
            422,
            "invalid_parameter",
            f"offset + k may be at most {MAX_DEPTH:,}; got {offset:,} + {k:,}. Filters make the "
            "list shorter.",
        )


@contextlib.contextmanager
def refused_names() -> Iterator[None]:
    """Turns a name that the attribute space does not have into an ApiError with its kind."""
    try:
        yield
    except NameProblem as problem:
        raise ApiError(422, problem.kind, str(problem)) from problem


def parse_filters(
    space: AttributeSpace, filters: Sequence[str], what: str = "filter"
) -> dict[str, list[str]]:
    """Returns for each filtered attribute the values allowed; `what` is the parameter's name.

    Raises:
      NameProblem: for a text that is no attribute=value, or an unknown attribute or value.
    """
    allowed: dict[str, list[str]] = {}
    for text in filters:
        attribute, value = parse_pair(space, text, what)
        values = allowed.setdefault(space.names[attribute], [])
        if space.values[attribute][value] not in values:
            values.append(space.values[attribute][value])
    return allowed


def value_names(space: AttributeSpace, values: np.ndarray) -> dict[str, str | None]:
    """Returns the name of the value of each attribute, None where it is missing."""
    return {
        name: None if value == MISSING else names[value]
        for name, names, value in zip(space.names, space.values, values.tolist(), strict=True)
    }
