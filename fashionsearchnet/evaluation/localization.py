"""The fit of a system's boxes to the true ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.preprocess import as_input
from fashionsearchnet.evaluation import metrics
from fashionsearchnet.networks.image_input import MapGeometry
from fashionsearchnet.systems.features import FeatureArrays
from fashionsearchnet.systems.system import System


def localization(
    system: System, dataset: Dataset, features: Mapping[str, FeatureArrays]
) -> dict[str, Any] | None:
    """Scores the boxes in the splits whose features are given; None without boxes.

    A system that computes boxes has them among its features, under the name "boxes".
    """
    truth = [dataset.boxes(split, system.image_input) for split in features]
    boxes = [found["boxes"] for found in features.values() if "boxes" in found]
    known = [each for each in truth if each is not None]
    if not len(boxes) == len(known) == len(features):
        return None
    return score_boxes(dataset.space, np.concatenate(boxes), np.concatenate(known))


def score_boxes(space: AttributeSpace, boxes: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Scores the boxes of each attribute, and beside them a box that covers the whole image.

    Args:
      space: A attributes.
      boxes: float `[N, A, 4]` (ymin, xmin, ymax, xmax) in [0, 1], predicted.
      truth: float `[N, A, 4]`, -1 where there is none.

    Returns:
      For each attribute that has true boxes, and for "mean" (plain mean over those): `images`,
      `center_in_box` (share of images), `iou`, `area` of the predicted box (share of the image),
      `true_area`, `whole_image_center_in_box`, `whole_image_iou`.
    """
    whole = np.array([0.0, 0.0, 1.0, 1.0])
    result: dict[str, Any] = {}
    for attribute, name in enumerate(space.names):
        present = (truth[:, attribute] >= 0).all(axis=-1)
        if not present.any():
            continue
        own, true = boxes[present, attribute], truth[present, attribute].astype(np.float64)
        result[name] = {
            "images": int(present.sum()),
            "center_in_box": float(metrics.center_in_box(own, true).mean()),
            "iou": float(metrics.box_iou(own, true).mean()),
            "area": float(metrics.box_area(own).mean()),
            "true_area": float(metrics.box_area(true).mean()),
            "whole_image_center_in_box": float(metrics.center_in_box(whole[None], true).mean()),
            "whole_image_iou": float(
                metrics.box_iou(np.broadcast_to(whole, true.shape), true).mean()
            ),
        }
    if result:
        keys = next(iter(result.values()))
        result["mean"] = {
            key: float(np.mean([entry[key] for entry in result.values()])) for key in keys
        }
    return result


def check_attention(system: System, dataset: Dataset) -> None:
    """Raises a ValueError if a system has no attention, or a data set no boxes to compare it with.

    Args:
      system: any system.
      dataset: any data set.
    """
    if not system.has_attention or system.map_geometry is None:
        raise ValueError(
            f"{system.title} has no attention maps, or nobody knows where they lie. Take a run of "
            "fashionsearchnet_v2 with regions, or of ASENet or AG-MAN."
        )
    if not dataset.has_boxes:
        raise ValueError(f"{dataset.name} has no true boxes; use rendered garments.")


def attention_scores(
    system: System, dataset: Dataset, split: str, batch_size: int = 64
) -> dict[str, dict[str, float]]:
    """Scores where a system looks against the true boxes of a split.

    A cell belongs to a box if its centre does. Negative attention counts as none.

    Args:
      system: with attention whose cells have a known place.
      dataset: with true boxes.
      split: of it.
      batch_size: images per forward pass.

    Returns:
      For each attribute that has true boxes, and for "mean" (plain mean over those): `images`,
      `mass_in_box` (the share of the attention that lies in the box), `peak_in_box` (the share of
      images whose highest cell does), `center_in_box` (of the system's own box), and
      `cells_in_box`, the share of the cells: what attention that is the same everywhere has.

    Raises:
      ValueError: if the system has no attention, or the data set no boxes.
    """
    check_attention(system, dataset)
    geometry, truth = system.map_geometry, dataset.boxes(split, system.image_input)
    assert geometry is not None and truth is not None
    found: list[np.ndarray] = []
    done = 0
    for images in dataset.images(split, system.image_input, batch_size=batch_size):
        attention = system.attention(as_input(images, system.image_input))
        assert attention is not None
        maps = np.maximum(np.asarray(attention["maps"], np.float64), 0.0)
        true = truth[done : done + len(maps)]
        inside = cells_in_boxes(true, maps.shape[2:], geometry)
        found.append(_attention_figures(maps, inside, np.asarray(attention["boxes"]), true))
        done += len(maps)
    figures = np.concatenate(found)  # [N, A, 4]
    names = ("mass_in_box", "peak_in_box", "center_in_box", "cells_in_box")
    result: dict[str, dict[str, float]] = {}
    for attribute, name in enumerate(dataset.space.names):
        present = (truth[:, attribute] >= 0).all(axis=-1)
        if present.any():
            means = figures[present, attribute].mean(axis=0).tolist()
            result[name] = {"images": int(present.sum()), **dict(zip(names, means, strict=True))}
    keys = ("images", *names)
    result["mean"] = {key: float(np.mean([r[key] for r in result.values()])) for key in keys}
    return result


def cells_in_boxes(boxes: np.ndarray, size: tuple[int, ...], geometry: MapGeometry) -> np.ndarray:
    """Returns which cells of a map have their centre in a box, bool `[N, A, h, w]`.

    Args:
      boxes: float `[N, A, 4]`: ymin, xmin, ymax, xmax in 0..1 of the network's input.
      size: height and width of the map.
      geometry: where the cells lie.
    """
    rows, columns = (
        (geometry.first_centre + np.arange(cells) * geometry.cell_stride) / geometry.image_size
        for cells in size
    )
    top, left, bottom, right = (boxes[..., i, None] for i in range(4))
    in_rows = (rows >= top) & (rows <= bottom)  # [N, A, h]
    in_columns = (columns >= left) & (columns <= right)  # [N, A, w]
    return in_rows[..., :, None] & in_columns[..., None, :]


def _attention_figures(
    maps: np.ndarray, inside: np.ndarray, boxes: np.ndarray, true: np.ndarray
) -> np.ndarray:
    """Returns the four figures of `attention_scores` of each image, float64 `[N, A, 4]`."""
    flat, cells = (array.reshape(*array.shape[:2], -1) for array in (maps, inside))
    mass = (flat * cells).sum(axis=-1) / np.maximum(flat.sum(axis=-1), 1e-12)
    highest = flat.argmax(axis=-1)[..., None]
    peak = np.take_along_axis(cells, highest, axis=-1)[..., 0]
    return np.stack([mass, peak, metrics.center_in_box(boxes, true), cells.mean(axis=-1)], axis=-1)
