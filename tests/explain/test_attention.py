import numpy as np
import pytest
from evaluation_fakes import BOX, SPACE, FakeDataset, FakeSystem

from fashionsearchnet.explain.attention import attention_panels, attention_rows
from fashionsearchnet.search.judgement import Query, Reading
from fashionsearchnet.search.queries import queries_at


def test_attention_rows_say_what_is_read_and_what_is_true():
    dataset, system = FakeDataset(), FakeSystem()
    queries = queries_at(dataset, "query", range(12))
    boxes = dataset.boxes("query", system.image_input)
    rows = attention_rows(system, queries, [0, 1], boxes)
    for row, labels in zip(rows, dataset.labels("query"), strict=True):
        colour, size = row.cells
        assert colour.value == SPACE.value_name(0, labels[0])
        assert colour.is_right is True and colour.true_box is None and not colour.remarks
        assert colour.probability == pytest.approx(0.95, abs=0.05)
        assert size.true_box == pytest.approx(BOX)
        np.testing.assert_allclose(size.box, (0, 0.5, 0.5, 1))
        assert size.is_right is (None if labels[1] < 0 else True)
        assert size.remarks == (("no label",) if labels[1] < 0 else ())
        chroma = np.ptp(size.picture.astype(int), axis=-1)  # heat is in the upper right only
        assert chroma[60, 200] > 50 and chroma[200, 60] < 10


def test_attention_rows_tell_of_other_readings():
    dataset, system = FakeDataset(missing=False), FakeSystem()
    (stored,) = queries_at(dataset, "query", [3])
    labels = dataset.labels("query")[3]
    read = Query("no labels", stored.image)
    wrong = Query("wrong", stored.image, 1 - np.minimum(labels, 1))
    readings = [Reading(np.array(values), np.ones(3)) for values in ([0, 0, 0], [2, 1, 1])]
    first, second = attention_rows(system, [read, wrong], [2], readings=readings)
    shape, other = (SPACE.value_name(2, v) for v in (labels[2], 1 - labels[2]))
    searched = "box", "disc"
    assert first.cells[0].is_right is None
    expected = (f"read in searches: {searched[0]}",) if shape != searched[0] else ()
    assert first.cells[0].remarks == expected
    assert second.cells[0].is_right is False
    expected = (f"read in searches: {searched[1]}",) if shape != searched[1] else ()
    assert second.cells[0].remarks == (f"label: {other}", *expected)


def test_a_system_without_attention():
    class Blind(FakeSystem):
        has_attention = False

    queries = queries_at(FakeDataset(), "query", [0])
    with pytest.raises(ValueError, match=r"\(fake\) that has no attention maps"):
        attention_rows(Blind(), queries, [0])
    assert attention_panels(Blind(), queries[0], [0]) == ()
    (panel,) = attention_panels(FakeSystem(), queries[0], [1])
    assert (panel.title, panel.box) == ("attention: size", (0, 0.5, 0.5, 1))
