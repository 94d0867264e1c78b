"""A model's probabilities, boxes and maps, as the answers show them."""

import base64
from urllib.parse import quote

import cv2
import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.explain.overlays import map_on_image, overlay_map, seen_region
from fashionsearchnet.serving import answers
from fashionsearchnet.serving.calls import Prediction
from fashionsearchnet.serving.export_folder import ExportDescription

OVERLAY_SIDE = 224  # pixels
_STRENGTH = 0.6  # opacity of the hottest place
_DIGITS = 6
_WHOLE = (0.0, 0.0, 1.0, 1.0)

Region = tuple[float, ...]  # ymin, xmin, ymax, xmax in 0..1 of the image padded to a square


def readings(space: AttributeSpace, probabilities: np.ndarray) -> list[answers.Reading]:
    """Returns the reading of each attribute, from probabilities float32 `[C]`."""
    found = []
    numbers = probabilities.tolist()
    for name, names, start in zip(space.names, space.values, space.offsets, strict=True):
        block = zip(names, numbers[start : start + len(names)], strict=True)
        values = [
            answers.ValueProbability(value=value, probability=round(number, _DIGITS))
            for value, number in sorted(block, key=_probability, reverse=True)
        ]
        best = values[0]
        found.append(
            answers.Reading(
                name=name, value=best.value, probability=best.probability, values=values
            )
        )
    return found


def _probability(pair: tuple[str, float]) -> float:
    return pair[1]


def located(
    space: AttributeSpace, model: ExportDescription, image: bytes, found: Prediction
) -> list[answers.LocatedReading]:
    """Returns the reading of each attribute of an image, with its box."""
    region = _seen_region(model, image)
    return [
        answers.LocatedReading(**vars(reading), box=_box(found.boxes, attribute, region))
        for attribute, reading in enumerate(readings(space, found.probabilities))
    ]


def explained(
    space: AttributeSpace, model: ExportDescription, image: bytes, found: Prediction
) -> list[answers.Explained]:
    """Returns the reading of each attribute, with its box and an overlay of its map."""
    region = _seen_region(model, image)
    overlays: list[str | None] = [None] * space.num_attributes
    if found.maps is not None:
        heats = [map_on_image(one, OVERLAY_SIDE, model.geometry) for one in found.maps]
        overlays = [_overlay_url(_placed(heat, region)) for heat in heats]
    return [
        answers.Explained(
            name=reading.name,
            value=reading.value,
            probability=reading.probability,
            box=_box(found.boxes, attribute, region),
            overlay=overlays[attribute],
        )
        for attribute, reading in enumerate(readings(space, found.probabilities))
    ]


def image_path(item: str) -> str:
    """Returns the path below which the service offers the image of a gallery item."""
    return f"/v1/items/{quote(item, safe='')}/image"


def _seen_region(model: ExportDescription, image: bytes) -> Region:
    """Returns where the network's input lies on the padded square."""
    if model.image_input.fit == "pad":
        return _WHOLE
    picture = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None, "the model has read it"
    return seen_region(picture.shape[0], picture.shape[1], model.image_input)


def _box(boxes: np.ndarray | None, attribute: int, region: Region) -> answers.Box | None:
    """Returns one of the boxes float32 `[A, 4]` of the network's input, on the padded square."""
    if boxes is None:
        return None
    top, left, bottom, right = region
    scale = np.array([bottom - top, right - left] * 2)
    placed = np.array([top, left] * 2) + boxes[attribute].astype(np.float64) * scale
    ymin, xmin, ymax, xmax = (round(float(edge), _DIGITS) for edge in placed)
    return ymin, xmin, ymax, xmax


def _placed(heat: np.ndarray, region: Region) -> np.ndarray:
    """Returns the heat float32 `[side, side]` in its region of the square, zeros around it."""
    if region == _WHOLE:
        return heat
    side = len(heat)
    top, left, bottom, right = (round(edge * side) for edge in region)
    placed = np.zeros_like(heat)
    size = (max(1, right - left), max(1, bottom - top))
    placed[top : top + size[1], left : left + size[0]] = cv2.resize(
        heat, size, interpolation=cv2.INTER_AREA
    )
    return placed


def _overlay_url(heat: np.ndarray) -> str:
    """Returns heat float32 `[side, side]` in 0..1 as the data: URL of a transparent PNG."""
    opacity = _STRENGTH * heat[..., None]
    # On black an overlay is its colour times its opacity.
    black = np.zeros((*heat.shape, 3), np.uint8)
    on_black = overlay_map(black, heat, _STRENGTH).astype(np.float32)
    colour = np.where(opacity > 0, on_black / np.maximum(opacity, 1 / 255), 0)
    rgba = np.round(np.concatenate([colour, 255 * opacity], axis=-1)).clip(0, 255).astype(np.uint8)
    png = cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))[1].tobytes()
    return "data:image/png;base64," + base64.b64encode(png).decode()
