import cv2
import numpy as np
import pytest

from fashionsearchnet import explain


def test_square_image_puts_the_image_in_the_middle():
    image = np.full((4, 2, 3), 7, np.uint8)
    square = explain.square_image(image, (1.4, 2.6, 300))
    assert square.shape == (4, 4, 3)
    assert (square[:, 1:3] == 7).all()
    assert square[0, 0].tolist() == square[3, 3].tolist() == [1, 3, 255]


def test_map_on_image_is_scaled_by_its_maximum_and_clipped_at_zero():
    heat = explain.map_on_image(np.array([[-5.0, 2.0], [1.0, 4.0]]), 100)
    assert heat.shape == (100, 100)
    np.testing.assert_allclose(heat[[0, 0, -1, -1], [0, -1, 0, -1]], [0, 0.5, 0.25, 1])
    assert explain.map_on_image(np.full((3, 3), -1.0), 9).max() == 0.0


def test_map_on_image_follows_the_geometry_of_the_cells():
    activation = np.zeros((5, 5))
    activation[1, 3] = 1.0
    geometry = explain.MapGeometry(first_centre=20.0, cell_stride=12.0, image_size=80)
    heat = explain.map_on_image(activation, 160, geometry)
    hottest = np.unravel_index(heat.argmax(), heat.shape)
    np.testing.assert_allclose(hottest, [2 * 32, 2 * 56], atol=1)
    assert heat[64, 112 - 26] < 0.01  # a cell and a bit away: nothing


def test_overlay_leaves_cold_places_alone():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    heat = np.zeros((8, 8))
    heat[2, 3] = 1.0
    out = explain.overlay_map(image, heat)
    changed = (out != image).any(axis=-1)
    assert changed[2, 3] and changed.sum() == 1


@pytest.mark.parametrize("box", [(0.25, 0.5, 0.75, 0.9), (0, 0, 1, 1), (-0.5, 0, 1.5, 1)])
def test_box_is_drawn_inside_a_copy(box):
    image = np.full((100, 60, 3), 128, np.uint8)
    framed = explain.draw_box(image, box, (0, 255, 0))
    assert (image == 128).all()
    green = (framed == (0, 255, 0)).all(axis=-1)
    rows, columns = np.flatnonzero(green.any(axis=1)), np.flatnonzero(green.any(axis=0))
    expected = np.clip(box, 0, 1) * [100, 60, 100, 60]
    found = [rows[0], columns[0], rows[-1], columns[-1]]
    np.testing.assert_allclose(found, expected, atol=3)


def test_enlarge_keeps_the_shape_and_large_images():
    assert explain.enlarge(np.zeros((10, 20, 3), np.uint8), 256).shape == (128, 256, 3)
    large = np.zeros((300, 10, 3), np.uint8)
    assert explain.enlarge(large, 256) is large


@pytest.mark.parametrize(("num_results", "num_attention"), [(0, 0), (1, 0), (7, 1), (12, 3)])
def test_sheet_of_any_size_is_a_readable_picture(tmp_path, num_results, num_attention):
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    results = tuple(
        explain.Panel(image, f"{i}: $id_", ("colour red, not blue",) * (i % 3), i % 3 == 0)
        for i in range(num_results)
    )
    attention = tuple(
        explain.attention_panel(image, np.ones((3, 3)), (0.1, 0.1, 0.5, 0.5), f"attention: {i}")
        for i in range(num_attention)
    )
    sheet = explain.SearchSheet(
        title="with colour = $blue^",
        query=explain.Panel(image, "query"),
        attributes=(("colour", "red (90%)", "blue"), ("a very long attribute name " * 3, "x", "")),
        attention=attention,
        results=results,
        note="judged by labels",
    )
    explain.draw_search_sheet(sheet, tmp_path / "sheet.png")
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    assert picture is not None
    assert picture.shape[1] > 800 and picture.std() > 5


def test_sheet_into_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    panel = explain.Panel(np.zeros((4, 4, 3), np.uint8))
    sheet = explain.SearchSheet("", panel, (), (), ())
    with pytest.raises(OSError, match="cannot write"):
        explain.draw_search_sheet(sheet, tmp_path / "file" / "sheet.png")
