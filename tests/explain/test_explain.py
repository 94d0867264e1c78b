import cv2
import numpy as np
import pytest
from evaluation_fakes import BOX, SPACE, EditDependentSystem, FakeDataset, FakeSystem

from fashionsearchnet import explain
from fashionsearchnet.attributes import apply_manipulation, one_hot_blocks, parse_manipulation
from fashionsearchnet.evaluation import protocol
from fashionsearchnet.explain import attention, layout, retrieval
from fashionsearchnet.search import search
from fashionsearchnet.systems.features import extract_features

LONG = ("red", "Perfume and Body Mist of $12^", "horizontal-stripes-and-dots", "x" * 60)


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


def read_picture(path):
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture


@pytest.mark.parametrize("width", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("text", [*LONG, "", "a  b\nc", "\N{CHECK MARK} " + "y" * 50])
def test_wrapped_lines_fit_and_keep_the_text(text, width):
    whole = layout.wrap(text, layout.BODY, width, 99)
    assert all(layout.BODY.width(line) <= width for line in whole.lines)
    assert "".join(whole.lines).replace(" ", "") == "".join(text.split())
    cut = layout.wrap(text, layout.BODY, width, 2)
    assert all(layout.BODY.width(line) <= width for line in cut.lines)
    assert cut.lines[:1] == whole.lines[:1] and len(cut.lines) == min(2, len(whole.lines))
    if len(whole.lines) > 2:
        assert cut.lines[-1].endswith("\N{HORIZONTAL ELLIPSIS}")
    assert cut.height == pytest.approx(len(cut.lines) * layout.BODY.line_height)


def test_words_are_kept_whole_where_they_can_be():
    width = layout.BODY.width("category sweater, not t-")
    assert layout.wrap("category sweater, not t-shirt", layout.BODY, width, 2).lines == (
        "category sweater, not",
        "t-shirt",
    )
    lines = layout.wrap("> vertical-stripes", layout.BODY, width, 2).lines
    assert lines == ("> vertical-", "stripes")
    assert layout.wrap("> vertical-stripes", layout.BODY, width, 2).lines == (
        "> vertical-",
        "stripes",
    )


def test_a_name_is_cut_in_its_middle():
    name = "folder/of/many/images/photo_0123.jpg"
    (shown,) = layout.cut_middle(name, layout.SMALL, 1.0).lines
    head, tail = shown.split("\N{HORIZONTAL ELLIPSIS}")
    assert name.startswith(head) and name.endswith(tail) and tail.endswith("0123.jpg")
    assert layout.SMALL.width(shown) <= 1.0
    assert layout.cut_middle("a.jpg", layout.SMALL, 1.0).lines == ("a.jpg",)


@pytest.mark.parametrize("num_attributes", [1, 12])
def test_attention_sheet_of_any_size(tmp_path, num_attributes):
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    cells = tuple(
        explain.AttentionCell(
            explain.square_image(image),
            (0, 0, 1, 1),
            LONG[i % 4],
            i / 12,
            (None, True, False)[i % 3],
            LONG[: i % 4],
            (0.2, 0.2, 0.4, 0.4) if i % 2 else None,
        )
        for i in range(num_attributes)
    )
    rows = [explain.AttentionRow(LONG[-1], image, cells)] * 2
    names = (LONG * 3)[:num_attributes]
    explain.draw_attention_sheet(rows, names, tmp_path / "maps.png", "title", "note " * 99)
    height, width, _ = read_picture(tmp_path / "maps.png").shape
    assert width > 600 and 400 < height < 1500
    if num_attributes == 12:
        assert 1700 < width < 2600


def test_own_and_true_boxes_differ_in_colour_and_line(tmp_path):
    grey = np.full((100, 100, 3), 128, np.uint8)

    def pink_pixels(true_box):
        cell = explain.AttentionCell(grey, (0.1, 0.1, 0.9, 0.9), "red", 1.0, true_box=true_box)
        row = explain.AttentionRow("image", grey, (cell,))
        explain.draw_attention_sheet([row], ["colour"], tmp_path / "maps.png", "")
        blue, green, red = np.moveaxis(read_picture(tmp_path / "maps.png").astype(int), -1, 0)
        return ((red - green > 100) & (blue - green > 80)).sum()

    assert pink_pixels(None) == 0
    assert pink_pixels((0.3, 0.3, 0.7, 0.7)) > 100


def test_attention_rows_say_what_is_read_and_what_is_true():
    dataset, system = FakeDataset(), FakeSystem()
    queries = retrieval.stored_queries(dataset, "query", np.arange(12))
    boxes = dataset.boxes("query", system.image_size)
    rows = attention.attention_rows(system, queries, [0, 1], boxes)
    for row, labels in zip(rows, dataset.labels("query"), strict=True):
        colour, size = row.cells
        assert colour.value == SPACE.value_name(0, labels[0])
        assert colour.is_right is True and colour.true_box is None and not colour.remarks
        assert 0.9 < colour.probability <= 1
        assert size.true_box == pytest.approx(BOX)
        np.testing.assert_allclose(size.box, (0, 0.5, 0.5, 1))
        assert size.is_right is (None if labels[1] < 0 else True)
        assert size.remarks == (("no label",) if labels[1] < 0 else ())
        chroma = np.ptp(size.picture.astype(int), axis=-1)  # heat is in the upper right only
        assert chroma[60, 200] > 50 and chroma[200, 60] < 10


def test_attention_rows_tell_of_other_readings():
    dataset, system = FakeDataset(missing=False), FakeSystem()
    (stored,) = retrieval.stored_queries(dataset, "query", np.array([3]))
    labels = dataset.labels("query")[3]
    read = search.Query("no labels", stored.data)
    wrong = search.Query("wrong", stored.data, 1 - np.minimum(labels, 1))
    logits = np.array([[9.0, 0, 0, 9, 0, 9, 0], [0, 0, 9, 0, 9, 0, 9]])
    first, second = attention.attention_rows(system, [read, wrong], [2], search_logits=logits)
    shape, other = (SPACE.value_name(2, v) for v in (labels[2], 1 - labels[2]))
    searched = "box", "disc"
    assert first.cells[0].is_right is None
    expected = (f"read in searches: {searched[0]}",) if shape != searched[0] else ()
    assert first.cells[0].remarks == expected
    assert second.cells[0].is_right is False
    expected = (f"read in searches: {searched[1]}",) if shape != searched[1] else ()
    assert second.cells[0].remarks == (f"label: {other}", *expected)


def test_a_system_without_attention_is_refused():
    with pytest.raises(ValueError, match="no attention maps"):
        attention.attention_rows(object(), [], [0])


@pytest.mark.parametrize("kind", [FakeSystem, EditDependentSystem])
def test_retrieval_rows_hold_the_nearest(kind):
    dataset, system = FakeDataset(), kind()
    edits = (["colour=blue", "size=large"], ["shape=disc"], ["colour=red"], ["shape=disc"])
    manipulations = np.stack([parse_manipulation(SPACE, edit) for edit in edits])
    queries = retrieval.stored_queries(dataset, "query", np.array([4, 0, 7, 2]))
    gallery, labels = extract_features(system, dataset, "gallery"), dataset.labels("gallery")
    features = retrieval.image_features(system, queries)
    rows = retrieval.retrieval_rows(system, dataset, queries, manipulations, features, gallery, k=6)
    for row, query, edit in zip(rows, queries, manipulations, strict=True):
        target = apply_manipulation(np.asarray(query.labels), edit)
        seen = edit >= 0 if kind is EditDependentSystem else np.full(3, True)
        one_hot = one_hot_blocks(SPACE, np.where(seen, [target, *labels], -1))
        distances = ((one_hot[1:] - one_hot[0]) ** 2).sum(axis=1)
        found = [int(panel.title.split("gallery")[1]) for panel in row.results]
        assert distances[found].tolist() == sorted(distances)[:6]
        assert [int(panel.title.split(":")[0]) for panel in row.results] == [1, 2, 3, 4, 5, 6]
        for panel, position in zip(row.results, found, strict=True):
            differing = {SPACE.names[a] for a in np.flatnonzero(labels[position] != target)}
            assert {line.split()[0] for line in panel.lines} == differing
            assert panel.matches == (not differing) and len(panel.lines) == len(differing)
            expected = np.round(dataset.pixels("gallery")[position] + 100)
            np.testing.assert_array_equal(panel.image[..., ::-1], expected)
        assert row.num_relevant == (labels == target).all(axis=1).sum()
    had = SPACE.value_name(0, dataset.labels("query")[4, 0])
    assert rows[0].edits[0] == ("colour", had, "blue")
    assert [edit[0] for edit in rows[0].edits] == ["colour", "size"]
    matching = sum(any(panel.matches for panel in row.results) for row in rows)
    assert f"{matching} of 4 rows have a match" in retrieval.legend(rows, "identical")


def test_the_edited_attribute_is_named_first_and_missing_is_not_none():
    dataset, system = FakeDataset(), FakeSystem()
    query = search.Query("q", retrieval.stored_queries(dataset, "query", np.array([0]))[0].data)
    with pytest.raises(ValueError, match="of q cannot be judged, since it has no labels"):
        retrieval.retrieval_rows(system, dataset, [query], np.array([[-1, -1, 1]]), {}, {})
    query = search.Query("q", query.data, np.array([0, -1, -1]))
    (row,) = retrieval.retrieval_rows(
        system,
        dataset,
        [query],
        np.array([[-1, -1, 1]], np.int32),
        retrieval.image_features(system, [query]),
        extract_features(system, dataset, "gallery"),
        k=60,
    )
    assert row.edits == (("shape", "missing", "disc"),)
    lines = [panel.lines for panel in row.results]
    assert ("shape missing, not disc",) in {line[:1] for line in lines}
    assert all(line[0].startswith("shape") for line in lines if "shape" in " ".join(line))
    assert any("size large, not missing" in line for line in lines)


def test_random_edits_take_turns_and_depend_on_the_seed():
    dataset = FakeDataset(num_queries=40)
    labels = dataset.labels("query"), dataset.labels("gallery")
    drawn = retrieval.draw_manipulations(*labels, 7, "identical", 3)
    edited = (drawn.manipulation >= 0).argmax(axis=1)
    assert ((drawn.manipulation >= 0).sum(axis=1) == 1).all()
    assert sorted(edited[:3]) == sorted(edited[3:6]) == [0, 1, 2]
    available = protocol.enumerate_manipulations(labels[0], protocol.Gallery(labels[1]))
    assert drawn.num_available == len(available)
    known = {(q, tuple(m)) for q, m in zip(available.query, available.edits, strict=True)}
    pairs = [(q, tuple(m)) for q, m in zip(drawn.query, drawn.manipulation, strict=True)]
    assert set(pairs) <= known and len(set(pairs)) == 7
    again = retrieval.draw_manipulations(*labels, 7, "identical", 3)
    np.testing.assert_array_equal(again.manipulation, drawn.manipulation)
    other = retrieval.draw_manipulations(*labels, 7, "identical", 4)
    assert not np.array_equal(other.query, drawn.query)
    everything = retrieval.draw_manipulations(*labels, 10_000, "identical", 0)
    assert len(everything.query) == len(available)
    assert "at random (seed 3" in drawn.in_words and f"7 of the {len(available)}" in drawn.in_words


def test_retrieval_sheet_marks_matches_in_green(tmp_path):
    grey = np.full((20, 30, 3), 128, np.uint8)

    def green_pixels(matches):
        results = tuple(
            explain.Panel(grey, f"{i}: {LONG[i % 4]}", () if m else LONG * i, matches=m)
            for i, m in enumerate(matches)
        )
        rows = [
            explain.RetrievalRow(explain.Panel(grey, "query"), (LONG[:3],), results, 3),
            explain.RetrievalRow(explain.Panel(grey, LONG[3]), (LONG[:3],) * 9, results[:1], 0),
        ]
        explain.draw_retrieval_sheet(rows, tmp_path / "sheet.png", LONG[1], "note " * 99)
        blue, green, red = np.moveaxis(read_picture(tmp_path / "sheet.png").astype(int), -1, 0)
        return ((green - red > 80) & (green - blue > 50)).sum()

    assert green_pixels([False] * 3) == 0
    assert 1000 < green_pixels([False, True]) < green_pixels([False, True, True])
