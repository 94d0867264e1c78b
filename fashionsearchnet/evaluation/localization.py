"""The fit of a system's boxes to the true ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.evaluation import metrics
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
