"""The routes of the gallery: attributes, items and their images."""

import hashlib
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Header, Path, Query, Response

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.index.filters import value_counts
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.networks.image_input import VectorInput
from fashionsearchnet.serving import answers, errors
from fashionsearchnet.serving.health_routes import TheService
from fashionsearchnet.serving.parameters import (
    MAX_DEPTH,
    CountsParameters,
    ItemsParameters,
    check_count,
    once,
    parse_filters,
    refused_names,
    value_names,
)
from fashionsearchnet.serving.readings import image_path

router = APIRouter(prefix="/v1", tags=["gallery"])
_IMAGE_SECONDS = 300  # that a browser may keep an image: an id can get another one
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_TYPES = {  # by the first bytes
    b"\xff\xd8": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"RIFF": "image/webp",
    b"BM": "image/bmp",
}
_IMAGE_ANSWERS: errors.Responses = {
    200: {
        "description": "The image as it is stored.",
        "content": {name: _BINARY for name in _TYPES.values()},
    },
    304: {"description": "The image that If-None-Match names is still the one."},
}


@router.get("/attributes", summary="Attributes, model and limits", responses=errors.declared())
async def read_attributes(service: TheService) -> answers.Attributes:
    """Returns the attributes and values that edits and filters can name, and the limits."""
    description, limits = service.model.description, service.limits
    index = service.gallery.index
    return answers.Attributes(
        attributes=[
            answers.Attribute(name=name, values=values)
            for name, values in service.model.space.to_dict().items()
        ],
        num_items=len(index),
        uses_labels=index.label_blend is not None,
        has_products=index.items.has_groups,
        finds_alike=index.blocks.is_complete,
        model=answers.Model(
            system=description.system,
            variant=description.variant,
            fingerprint=service.model.fingerprint,
            takes="vectors" if isinstance(description.image_input, VectorInput) else "images",
            image_size=description.image_input.size,
        ),
        limits=answers.Limits(
            max_upload_bytes=limits.max_upload_bytes,
            max_pixels=limits.max_pixels,
            max_k=limits.max_k,
            max_depth=MAX_DEPTH,
        ),
    )


@router.get(
    "/items",
    summary="One page of the gallery",
    responses=errors.declared(422),
    dependencies=[once(ItemsParameters)],
)
async def read_items(
    service: TheService, parameters: Annotated[ItemsParameters, Query()]
) -> answers.Items:
    """Returns items in the order in which they were put into the index."""
    check_count("limit", parameters.limit, service.limits)
    space, index = service.model.space, service.gallery.index
    with refused_names():
        allowed = parse_filters(space, parameters.filter)

    def read() -> answers.Items:
        positions = index.matching(allowed, one_per_group=parameters.one_per_product)
        if parameters.item:
            at = {index.ids[position]: position for position in positions}
            positions = np.array([at[name] for name in parameters.item if name in at], int)
        shown = positions[parameters.offset :][: parameters.limit]
        return answers.Items(
            items=[_item(index, space, position) for position in shown],
            total=len(positions),
            offset=parameters.offset,
            limit=parameters.limit,
        )

    return await service.in_thread(read)


@router.get("/counts", summary="Items with each label", responses=errors.declared(422))
async def read_counts(
    service: TheService, parameters: Annotated[CountsParameters, Query()]
) -> answers.Counts:
    """Returns for each attribute how many items have each label, among those that are filtered."""
    space, index = service.model.space, service.gallery.index
    with refused_names():
        allowed = parse_filters(space, parameters.filter)
    counts = await service.in_thread(value_counts, space, index.items, allowed)
    return answers.Counts(
        attributes=[
            answers.AttributeCounts(
                name=name,
                values=[
                    answers.ValueCount(value=value, items=int(number))
                    for value, number in zip(values, numbers[:-1], strict=True)
                ],
                unlabelled=int(numbers[-1]),
            )
            for name, values, numbers in zip(space.names, space.values, counts, strict=True)
        ]
    )


def _item(index: GalleryIndex, space: AttributeSpace, position: int) -> answers.Item:
    item = index.get(index.ids[position])
    return answers.Item(
        id=item.id,
        image=image_path(item.id),
        attributes=value_names(space, item.values),
        predicted=value_names(space, index.items.predicted[position]),
        columns=dict(item.columns),
        product=item.group or None,
    )


@router.get(
    # Ids may hold slashes, which arrive decoded.
    "/items/{item:path}/image",
    summary="The image of an item",
    response_class=Response,
    responses=_IMAGE_ANSWERS | errors.declared(404, 422),
)
async def read_image(
    service: TheService,
    item: Annotated[str, Path(description="Its id, percent-encoded.", examples=["train-000123"])],
    if_none_match: Annotated[str | None, Header(description="ETag of a copy.")] = None,
) -> Response:
    """Returns the encoded image that was put into the index with the item."""
    data = await service.gallery.image(item)
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": f"public, max-age={_IMAGE_SECONDS}"}
    if if_none_match is not None and tag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=_content_type(data), headers=headers)


def _content_type(data: bytes) -> str:
    """Returns the media type of an encoded image."""
    for magic, name in _TYPES.items():
        if data.startswith(magic):
            return name
    return "application/octet-stream"
