import numpy as np
import pytest
from evaluation_fakes import BOX, SPACE, FakeDataset, FakeSystem

from fashionsearchnet.evaluation import ManipulationProtocol, evaluate
from fashionsearchnet.evaluation.localization import (
    attention_scores,
    cells_in_boxes,
    score_boxes,
)
from fashionsearchnet.networks.image_input import MapGeometry

SMALL = ManipulationProtocol(top_k=(1, 3), headline_k=3, num_resamples=50)


def test_localization_by_hand():
    measured = evaluate(FakeSystem(), FakeDataset(), SMALL)
    assert measured.localization is not None
    (name, entry), (mean, _) = measured.localization.items()
    assert (name, mean) == ("size", "mean")  # the only attribute with boxes
    assert entry == {
        "images": 72,
        "center_in_box": 1.0,  # (0.5, 0.5) lies on the left edge of BOX
        "iou": 0.25,
        "area": 1.0,
        "true_area": 0.25,
        "whole_image_center_in_box": 1.0,
        "whole_image_iou": 0.25,
    }
    boxes = np.zeros((2, 3, 4)) + np.array([0.25, 0.5, 0.5, 1.0])
    truth = np.full((2, 3, 4), -1.0)
    truth[0, 2] = BOX
    scored = score_boxes(SPACE, boxes, truth)["shape"]
    assert scored["images"] == 1
    assert (scored["iou"], scored["area"], scored["center_in_box"]) == (0.5, 0.125, 1.0)


def test_no_boxes_no_localization():
    dataset = FakeDataset()
    dataset.boxes = lambda split, image_input: None
    assert evaluate(FakeSystem(), dataset, SMALL).localization is None


def test_cells_belong_to_a_box_by_their_centre():
    geometry = MapGeometry(first_centre=2.0, cell_stride=4.0, image_size=16)  # at 2, 6, 10, 14
    boxes = np.array([[[0.0, 0.3, 0.5, 0.7], [-1.0, -1.0, -1.0, -1.0]]])
    inside = cells_in_boxes(boxes, (4, 4), geometry)
    assert inside.shape == (1, 2, 4, 4) and not inside[0, 1].any()
    np.testing.assert_array_equal(np.argwhere(inside[0, 0]), [[0, 1], [0, 2], [1, 1], [1, 2]])


def test_attention_by_hand():
    """FakeSystem looks at the upper right quarter; BOX is the true one."""

    class Placed(FakeSystem):
        map_geometry = MapGeometry(first_centre=4.0, cell_stride=8.0, image_size=16)

    scores = attention_scores(Placed(), FakeDataset(), "query")
    assert list(scores) == ["size", "mean"]
    cells = cells_in_boxes(np.array([[BOX]]), (2, 2), Placed.map_geometry)[0, 0]
    assert scores["size"] == {
        "images": 12,
        "mass_in_box": float(cells[0, 1]),
        "peak_in_box": float(cells[0, 1]),
        "center_in_box": scores["size"]["center_in_box"],
        "cells_in_box": cells.mean(),
    }


def test_attention_that_cannot_be_measured():
    with pytest.raises(ValueError, match="fake has no attention maps, or nobody knows"):
        attention_scores(FakeSystem(), FakeDataset(), "query")
