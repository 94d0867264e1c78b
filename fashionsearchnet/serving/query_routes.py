"""The routes that need the model: prediction, search and explanation."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from fashionsearchnet.serving import answers, errors, readings, searches
from fashionsearchnet.serving.health_routes import TheService
from fashionsearchnet.serving.parameters import (
    ExplainParameters,
    SearchParameters,
    once,
    search_parameters,
)
from fashionsearchnet.serving.service import Service
from fashionsearchnet.serving.uploads import read_form, while_connected

router = APIRouter(prefix="/v1", tags=["queries"])

_ITEM_ERRORS = errors.declared(404, 422, 503)
_UPLOAD_ERRORS = errors.declared(400, 408, 413, 415, 422, 503)
_IMAGE = {
    "type": "string",
    "format": "binary",
    "description": "JPEG, PNG, WebP or BMP; at most limits.max_upload_bytes and max_pixels. Where "
    "the model edits vectors that another model computed: a .npy file or a JSON list of numbers.",
}


def _form(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """Returns the OpenAPI description of a multipart body, which the routes read themselves."""
    schema = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


_IMAGE_FORM = _form({"image": _IMAGE}, ["image"])
_SEARCH_FORM = _form({"image": _IMAGE, **SearchParameters.model_json_schema()["properties"]}, [])


@router.post(
    "/predict",
    summary="Read the attributes of an image",
    openapi_extra=_IMAGE_FORM,
    responses=_UPLOAD_ERRORS,
)
async def predict(request: Request, service: TheService) -> answers.Prediction:
    """Returns the value of every attribute, with the probability of each value."""
    async with service.admitted():
        image = await _uploaded(request, service)
        found = await while_connected(request, service.predict(image))
        model = service.model
        attributes = await service.in_thread(
            readings.located, model.space, model.description, image, found
        )
    return answers.Prediction(attributes=attributes)


@router.get(
    "/explain",
    summary="Where the model looks, for an item",
    responses=_ITEM_ERRORS,
    dependencies=[once(ExplainParameters)],
)
async def explain_item(
    request: Request, service: TheService, parameters: Annotated[ExplainParameters, Query()]
) -> answers.Explanation:
    """Returns for every attribute a box and a heat map to lay over the image of the item."""
    async with service.admitted():
        image = await service.gallery.image(parameters.item)
        return await while_connected(request, _explain(service, image))


@router.post(
    "/explain",
    summary="Where the model looks, for an upload",
    openapi_extra=_IMAGE_FORM,
    responses=_UPLOAD_ERRORS,
)
async def explain_upload(request: Request, service: TheService) -> answers.Explanation:
    """Returns for every attribute a box and a heat map to lay over the uploaded image."""
    async with service.admitted():
        image = await _uploaded(request, service)
        return await while_connected(request, _explain(service, image))


@router.get(
    "/search",
    summary="Search with an item, edited",
    responses=_ITEM_ERRORS,
    dependencies=[once(SearchParameters)],
)
async def search_by_item(
    request: Request, service: TheService, parameters: Annotated[SearchParameters, Query()]
) -> answers.SearchAnswer:
    """Returns the items nearest to a gallery item with some attributes changed.

    The gallery item is not among them.
    """
    async with service.admitted():
        search = await searches.checked(service, parameters)
        return await while_connected(request, searches.answer(service, search))


@router.post(
    "/search",
    summary="Search with an upload or an item, edited",
    openapi_extra=_SEARCH_FORM,
    responses=_UPLOAD_ERRORS | errors.declared(404),
)
async def search_by_form(request: Request, service: TheService) -> answers.SearchAnswer:
    """Returns the items nearest to an image, or a gallery item, with some attributes changed."""
    async with service.admitted():
        known = tuple(SearchParameters.model_fields)
        form = await read_form(request, known, service.limits)
        parameters = search_parameters(dict(form.fields))
        search = await searches.checked(service, parameters, form.image)
        return await while_connected(request, searches.answer(service, search))


async def _uploaded(request: Request, service: Service) -> bytes:
    """Returns the image of a form with no other field, ready for the model."""
    form = await read_form(request, (), service.limits)
    if form.image is None:
        raise errors.ApiError(
            422, "missing_image", "send a file as the form field 'image'; got none."
        )
    return await service.prepared(form.image)


async def _explain(service: Service, image: bytes) -> answers.Explanation:
    """Returns where the model looks in an image."""
    model, found = service.model, await service.predict(image)
    attributes = await service.in_thread(
        readings.explained, model.space, model.description, image, found
    )
    return answers.Explanation(attributes=attributes)
