"""What a request asks for: edits and filters in words, turned into numbers and checked."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from fashionsearchnet.attributes import KEEP, MISSING, AttributeSpace
from fashionsearchnet.serving.errors import ApiError, describe
from fashionsearchnet.serving.settings import Settings

_LONGEST_PAIR = 500  # characters of attribute=value

ItemId = Annotated[
    str | None, Field(description="Id of a gallery item.", examples=["train-000123"])
]
Filters = Annotated[
    list[str],
    Field(
        description="attribute=value that results must have; repeatable. Values of one attribute "
        "are alternatives, different attributes must all hold.",
        examples=[["colour=red", "colour=blue"]],
    ),
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
    filter: Filters = []
    k: Annotated[int, Field(description="Number of results; at most limits.max_k.", ge=1)] = 20


class ExplainParameters(BaseModel, extra="forbid"):
    """The parameters of an explanation of a gallery item."""

    item: Annotated[str, Field(description="Id of a gallery item.", examples=["train-000123"])]


class ItemsParameters(BaseModel, extra="forbid"):
    """The parameters of one page of the gallery."""

    offset: Annotated[int, Field(description="Items to skip.", ge=0, le=10**12)] = 0
    limit: Annotated[int, Field(description="Items per page; at most limits.max_k.", ge=1)] = 24
    filter: Filters = []


def search_parameters(fields: dict[str, list[str]]) -> SearchParameters:
    """Returns the parameters in the text fields of a form.

    Raises:
      ApiError: for a k that is no number or below 1, and for a field given twice that may not be.
    """
    for name in ("item", "k"):
        if len(fields.get(name, ())) > 1:
            raise ApiError(422, "repeated_field", f"the field {name!r} may be given once only.")
    single = {name: values[0] for name, values in fields.items() if name in ("item", "k")}
    try:
        return SearchParameters.model_validate({**fields, **single})
    except ValidationError as error:
        raise ApiError(422, "invalid_parameter", describe(error.errors())) from error


def check_count(name: str, count: int, settings: Settings) -> None:
    """Raises an ApiError if more results are asked for than the service gives."""
    if count > settings.max_k:
        raise ApiError(
            422, "invalid_parameter", f"{name} may be at most {settings.max_k}; got {count}."
        )


def parse_edits(space: AttributeSpace, edits: Sequence[str]) -> np.ndarray:
    """Returns the manipulation int32 `[A]` of edits such as `neckline=v-neck`.

    Raises:
      ApiError: for an unknown attribute or value, with suggestions, or two edits of one attribute.
    """
    manipulation = np.full(space.num_attributes, KEEP, np.int32)
    for edit in edits:
        attribute, value = _parse_pair(space, "set", edit)
        if manipulation[attribute] != KEEP:
            raise ApiError(
                422,
                "duplicate_edit",
                f"attribute {space.names[attribute]!r} is set twice; give it one value.",
            )
        manipulation[attribute] = value
    return manipulation


def parse_filters(space: AttributeSpace, filters: Sequence[str]) -> dict[str, list[str]]:
    """Returns for each filtered attribute the values allowed.

    Raises:
      ApiError: for an unknown attribute or value, with suggestions.
    """
    allowed: dict[str, list[str]] = {}
    for text in filters:
        attribute, value = _parse_pair(space, "filter", text)
        values = allowed.setdefault(space.names[attribute], [])
        if space.values[attribute][value] not in values:
            values.append(space.values[attribute][value])
    return allowed


def value_names(space: AttributeSpace, values: np.ndarray) -> dict[str, str | None]:
    """Returns the name of the value of each attribute, None where it is missing."""
    return {
        name: None if value == MISSING else space.values[attribute][value]
        for attribute, (name, value) in enumerate(zip(space.names, values, strict=True))
    }


def _parse_pair(space: AttributeSpace, parameter: str, text: str) -> tuple[int, int]:
    """Returns the indices of the attribute and the value of `attribute=value`."""
    name, equals, value = (part.strip() for part in text[:_LONGEST_PAIR].partition("="))
    if not equals or len(text) > _LONGEST_PAIR:
        raise ApiError(
            422,
            "malformed_pair",
            f"{parameter} must read attribute=value, such as {space.names[0]}="
            f"{space.values[0][0]}; got {text[:100]!r}.",
        )
    try:
        attribute = space.attribute_index(name)
    except ValueError as error:
        raise ApiError(422, "unknown_attribute", str(error)) from error
    try:
        return attribute, space.value_index(name, value)
    except ValueError as error:
        raise ApiError(422, "unknown_value", str(error)) from error
