"""A model's probabilities and maps, as the answers show them."""

import base64
from collections.abc import Sequence
from urllib.parse import quote

import cv2
import numpy as np

from fashionsearchnet import explain
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.serving import responses

OVERLAY_SIDE = 224  # pixels
_STRENGTH = 0.6  # opacity of the hottest place
_DIGITS = 6


def readings(space: AttributeSpace, probabilities: np.ndarray) -> list[responses.Reading]:
    """Returns what is read of each attribute in an image of probabilities float32 `[C]`."""
    found = []
    for attribute, name in enumerate(space.names):
        start = space.offsets[attribute]
        block = probabilities[start : start + space.num_values[attribute]]
        values = [
            responses.ValueProbability(
                value=space.values[attribute][value],
                probability=round(float(block[value]), _DIGITS),
            )
            for value in np.argsort(-block, kind="stable")
        ]
        best = values[0]
        found.append(
            responses.Reading(
                name=name, value=best.value, probability=best.probability, values=values
            )
        )
    return found


def box_of(boxes: np.ndarray | None, attribute: int) -> responses.Box | None:
    """Returns one of the boxes float32 `[A, 4]`."""
    if boxes is None:
        return None
    ymin, xmin, ymax, xmax = (round(float(edge), _DIGITS) for edge in boxes[attribute])
    return ymin, xmin, ymax, xmax


def overlay_url(activation: np.ndarray, geometry: explain.MapGeometry | None) -> str:
    """Returns a map float `[h, w]` as the data: URL of a transparent PNG of OVERLAY_SIDE pixels."""
    heat = explain.map_on_image(activation, OVERLAY_SIDE, geometry)
    opacity = _STRENGTH * heat[..., None]
    # On black an overlay is its colour times its opacity.
    black = np.zeros((OVERLAY_SIDE, OVERLAY_SIDE, 3), np.uint8)
    on_black = explain.overlay_map(black, heat, _STRENGTH).astype(np.float32)
    colour = np.where(opacity > 0, on_black / np.maximum(opacity, 1 / 255), 0)
    rgba = np.round(np.concatenate([colour, 255 * opacity], axis=-1)).clip(0, 255).astype(np.uint8)
    png = cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))[1].tobytes()
    return "data:image/png;base64," + base64.b64encode(png).decode()


def image_path(item: str) -> str:
    """Returns the path below which the service offers the image of a gallery item."""
    return f"/v1/items/{quote(item, safe='')}/image"


def map_geometry(geometry: dict[str, float] | None, image_size: int) -> explain.MapGeometry | None:
    """Returns where the maps' cells lie, of an export's `geometry`; None where it does not say."""
    if geometry is None:
        return None
    return explain.MapGeometry(geometry["first_centre"], geometry["cell_stride"], image_size)


def explained(
    space: AttributeSpace,
    probabilities: np.ndarray,
    maps: Sequence[np.ndarray] | None,
    boxes: np.ndarray | None,
    geometry: explain.MapGeometry | None,
) -> list[responses.Explained]:
    """Returns what is read of each attribute and where, with an overlay for each map."""
    return [
        responses.Explained(
            name=reading.name,
            value=reading.value,
            probability=reading.probability,
            box=box_of(boxes, attribute),
            overlay=None if maps is None else overlay_url(maps[attribute], geometry),
        )
        for attribute, reading in enumerate(readings(space, probabilities))
    ]
