import cv2
import numpy as np
import pytest

from fashionsearchnet.data.garments.scene import SPACE, sample_scene
from fashionsearchnet.data.garments.shapes import both_sides, cut, mirrored, moved, ribbon, smooth


def test_smooth_passes_through_its_points_and_keeps_straight_lines_straight():
    points = np.array([(0.0, 0.0), (1.0, 2.0), (3.0, 1.0), (4.0, 4.0)])
    curve = smooth(points, 5)
    assert curve.shape == (16, 2)
    np.testing.assert_allclose(curve[::5], points)
    line = smooth([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)])
    np.testing.assert_allclose(line[:, 0], line[:, 1], atol=1e-12)


def test_both_sides_is_symmetric():
    right = np.array([(0.0, 0.0), (1.0, 0.5), (0.5, 2.0)])
    outline = both_sides(right)
    np.testing.assert_array_equal(outline[3:][::-1], mirrored(right))


def test_a_ribbon_has_its_width():
    band = ribbon(np.array([(0.0, 0.0), (0.0, 1.0), (0.0, 2.0)]), 0.5)
    np.testing.assert_allclose(np.abs(band[:, 0]), 0.25)
    assert cv2.contourArea(band.astype(np.float32)) == pytest.approx(1.0)


def test_moved():
    np.testing.assert_array_equal(moved(np.array([(1.0, 2.0)]), 0.5, -1.0), [(1.5, 1.0)])


def test_cuts_are_finite_and_have_what_their_values_say():
    for index in range(150):
        scene = sample_scene(8, index)
        garment = cut(scene)
        for outline in garment.outlines():
            assert np.isfinite(outline).all()
            assert cv2.contourArea(outline.astype(np.float32)) > 0.03
        has_sleeves = scene.value("sleeve") not in ("-", "sleeveless")
        assert len(garment.sleeves) == 2 * has_sleeves
        assert (garment.hood is not None) == (scene.value("neckline") == "hood")
        assert (garment.neck > 0.0) == (scene.value("neckline") != "-")
        assert len(garment.armholes) == (2 if scene.value("neckline") != "-" else 0)


def test_categories_have_outlines_of_their_own():
    outlines: dict[str, list[float]] = {}
    for index in range(200):
        scene = sample_scene(8, index)
        garment = cut(scene)
        size = np.ptp(garment.body, axis=0)
        outlines.setdefault(scene.value("category"), []).append(size[1] / size[0])
    assert set(outlines) == set(SPACE.values[0])
    tall = {name: np.mean(ratios) for name, ratios in outlines.items()}
    assert min(tall["coat"], tall["trousers"]) > 1.15 * tall["sweater"]
    assert tall["skirt"] < 1.0 < tall["dress"]
