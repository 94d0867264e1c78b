import cv2
import numpy as np
import pytest

from fashionsearchnet.explain.attention_sheet import (
    AttentionCell,
    AttentionRow,
    draw_attention_sheet,
)
from fashionsearchnet.explain.overlays import square_image
from fashionsearchnet.explain.panels import Panel, attention_panel
from fashionsearchnet.explain.retrieval_sheet import RetrievalRow, draw_retrieval_sheet
from fashionsearchnet.explain.search_sheet import SearchPicture, draw_search_sheet
from fashionsearchnet.networks.image_input import ImageInput

LONG = ("red", "Perfume and Body Mist of $12^", "horizontal-stripes-and-dots", "x" * 60)


@pytest.mark.parametrize(("num_results", "num_attention"), [(0, 0), (1, 0), (7, 1), (12, 3)])
def test_sheet_of_any_size_is_a_readable_picture(tmp_path, num_results, num_attention):
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    results = tuple(
        Panel(image, f"{i}: $id_", ("colour red, not blue",) * (i % 3), i % 3 == 0)
        for i in range(num_results)
    )
    attention = tuple(
        attention_panel(
            image, np.ones((3, 3)), (0.1, 0.1, 0.5, 0.5), f"attention: {i}", ImageInput(8)
        )
        for i in range(num_attention)
    )
    shown = SearchPicture(
        title="with colour = $blue^",
        query=Panel(image, "query"),
        attributes=(("colour", "red (90%)", "blue"), ("a very long attribute name " * 3, "x", "")),
        attention=attention,
        results=results,
        note="judged by labels",
    )
    draw_search_sheet(shown, tmp_path / "sheet.png")
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    assert picture is not None
    assert picture.shape[1] > 800 and picture.std() > 5


def test_sheet_into_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    panel = Panel(np.zeros((4, 4, 3), np.uint8))
    shown = SearchPicture("", panel, (), (), ())
    with pytest.raises(OSError, match="cannot write"):
        draw_search_sheet(shown, tmp_path / "file" / "sheet.png")


def read_picture(path):
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture


@pytest.mark.parametrize("num_attributes", [1, 12])
def test_attention_sheet_of_any_size(tmp_path, num_attributes):
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    cells = tuple(
        AttentionCell(
            square_image(image),
            (0, 0, 1, 1),
            LONG[i % 4],
            i / 12,
            (None, True, False)[i % 3],
            LONG[: i % 4],
            (0.2, 0.2, 0.4, 0.4) if i % 2 else None,
        )
        for i in range(num_attributes)
    )
    rows = [AttentionRow(LONG[-1], image, cells)] * 2
    names = (LONG * 3)[:num_attributes]
    draw_attention_sheet(rows, names, tmp_path / "maps.png", "title", "note " * 99)
    height, width, _ = read_picture(tmp_path / "maps.png").shape
    assert width > 600 and 400 < height < 1500
    if num_attributes == 12:
        assert 1700 < width < 2600


def test_own_and_true_boxes_differ_in_colour_and_line(tmp_path):
    grey = np.full((100, 100, 3), 128, np.uint8)

    def pink_pixels(true_box):
        cell = AttentionCell(grey, (0.1, 0.1, 0.9, 0.9), "red", 1.0, true_box=true_box)
        row = AttentionRow("image", grey, (cell,))
        draw_attention_sheet([row], ["colour"], tmp_path / "maps.png", "")
        blue, green, red = np.moveaxis(read_picture(tmp_path / "maps.png").astype(int), -1, 0)
        return ((red - green > 100) & (blue - green > 80)).sum()

    assert pink_pixels(None) == 0
    assert pink_pixels((0.3, 0.3, 0.7, 0.7)) > 100


def test_retrieval_sheet_marks_matches_in_green(tmp_path):
    grey = np.full((20, 30, 3), 128, np.uint8)

    def green_pixels(matches):
        results = tuple(
            Panel(grey, f"{i}: {LONG[i % 4]}", () if m else LONG * i, matches=m)
            for i, m in enumerate(matches)
        )
        rows = [
            RetrievalRow(Panel(grey, "query"), (LONG[:3],), results, 3),
            RetrievalRow(Panel(grey, LONG[3]), (LONG[:3],) * 9, results[:1], 0),
        ]
        draw_retrieval_sheet(rows, tmp_path / "sheet.png", LONG[1], "note " * 99)
        blue, green, red = np.moveaxis(read_picture(tmp_path / "sheet.png").astype(int), -1, 0)
        return ((green - red > 80) & (green - blue > 50)).sum()

    assert green_pixels([False] * 3) == 0
    assert 1000 < green_pixels([False, True]) < green_pixels([False, True, True])
