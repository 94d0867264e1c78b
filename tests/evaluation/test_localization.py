import numpy as np
from evaluation_fakes import BOX, SPACE, FakeDataset, FakeSystem

from fashionsearchnet.evaluation import ManipulationProtocol, evaluate
from fashionsearchnet.evaluation.localization import score_boxes

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
