import numpy as np
import pytest
from evaluation_fakes import SPACE, FakeDataset, FakeSystem

from fashionsearchnet.attributes import parse_manipulation
from fashionsearchnet.evaluation.tasks.manipulation.enumeration import enumerate_manipulations
from fashionsearchnet.evaluation.tasks.manipulation.hits import Gallery
from fashionsearchnet.explain.results import (
    legend,
    retrieval_rows,
    sample_edits,
    search_picture,
)
from fashionsearchnet.search.judgement import Query
from fashionsearchnet.search.live_gallery import LiveGallery
from fashionsearchnet.search.queries import queries_at


@pytest.fixture(scope="module")
def gallery():
    return LiveGallery(FakeSystem(), FakeDataset())


def test_rows_show_the_results_and_what_differs(gallery):
    edits = (["colour=blue", "size=large"], ["shape=disc"], ["colour=red"], ["shape=disc"])
    manipulations = np.stack([parse_manipulation(SPACE, edit) for edit in edits])
    queries = queries_at(gallery.dataset, "query", [4, 0, 7, 2])
    results = gallery.search(queries, manipulations, k=6)
    rows = retrieval_rows(gallery, results)
    for row, result in zip(rows, results, strict=True):
        for rank, (panel, name) in enumerate(zip(row.results, result.neighbours.ids, strict=True)):
            position = gallery.ids.index(name)
            assert panel.title == f"{rank + 1}: {name}"
            differing = {SPACE.names[a] for a in result.differing[rank]}
            assert {line.split()[0] for line in panel.lines} == differing
            assert panel.matches == (not differing) and len(panel.lines) == len(differing)
            expected = np.round(gallery.dataset.pixels("gallery")[position] + 100)
            np.testing.assert_array_equal(panel.image[..., ::-1], expected)
        assert row.num_relevant == (gallery.labels == result.target).all(axis=1).sum()
    had = SPACE.value_name(0, gallery.dataset.labels("query")[4, 0])
    assert rows[0].edits[0] == ("colour", had, "blue")
    assert [edit[0] for edit in rows[0].edits] == ["colour", "size"]
    matching = sum(any(panel.matches for panel in row.results) for row in rows)
    assert f"{matching} of 4 rows have a match" in legend(rows, "identical")


def test_the_edited_attribute_is_named_first_and_missing_is_not_none(gallery):
    (stored,) = queries_at(gallery.dataset, "query", [0])
    edit = np.array([[-1, -1, 1]], np.int32)
    unlabelled = gallery.search([Query("q", stored.image)], edit)
    with pytest.raises(ValueError, match="of q cannot be judged, since it has no labels"):
        retrieval_rows(gallery, unlabelled)
    query = Query("q", stored.image, np.array([0, -1, -1]))
    (row,) = retrieval_rows(gallery, gallery.search([query], edit, k=60))
    assert row.edits == (("shape", "missing", "disc"),)
    lines = [panel.lines for panel in row.results]
    assert ("shape missing, not disc",) in {line[:1] for line in lines}
    assert all(line[0].startswith("shape") for line in lines if "shape" in " ".join(line))
    assert any("size large, not missing" in line for line in lines)


def test_a_picture_of_one_search(gallery):
    (stored,) = queries_at(gallery.dataset, "query", [4])
    labels = (gallery.dataset.labels("query")[4] + 1) % 2
    wrong = Query("q", stored.image, labels)
    (result,) = gallery.search([wrong], parse_manipulation(SPACE, ["size=large"])[None], k=3)
    picture = search_picture(gallery, result)
    assert picture.title == "This one, but with size = large"
    name, has, wanted = picture.attributes[1]
    assert (name, wanted) == ("size", "large") and has.endswith("%)")
    read = SPACE.value_name(0, result.reading.values[0])
    label = SPACE.value_name(0, labels[0])
    assert picture.attributes[0][1].startswith(f"{read} (")
    assert picture.attributes[0][1].endswith(f"[label: {label}]")
    assert [panel.title for panel in picture.attention] == ["attention: size"]
    assert len(picture.results) == 3 and result.judged_by in picture.note
    (result,) = gallery.search([stored], np.full((1, 3), -1, np.int32))
    assert search_picture(gallery, result).title == "Like this one"


def test_random_edits_take_turns_and_depend_on_the_seed():
    dataset = FakeDataset(num_queries=40)
    labels = dataset.labels("query"), dataset.labels("gallery")
    sampled = sample_edits(*labels, 7, "identical", 3)
    edited = (sampled.manipulation >= 0).argmax(axis=1)
    assert ((sampled.manipulation >= 0).sum(axis=1) == 1).all()
    assert sorted(edited[:3]) == sorted(edited[3:6]) == [0, 1, 2]
    available = enumerate_manipulations(labels[0], Gallery(labels[1]))
    assert sampled.num_available == len(available)
    known = {(q, tuple(m)) for q, m in zip(available.query, available.edits, strict=True)}
    pairs = [(q, tuple(m)) for q, m in zip(sampled.query, sampled.manipulation, strict=True)]
    assert set(pairs) <= known and len(set(pairs)) == 7
    again = sample_edits(*labels, 7, "identical", 3)
    np.testing.assert_array_equal(again.manipulation, sampled.manipulation)
    other = sample_edits(*labels, 7, "identical", 4)
    assert not np.array_equal(other.query, sampled.query)
    everything = sample_edits(*labels, 10_000, "identical", 0)
    assert len(everything.query) == len(available)
    assert (
        "at random (seed 3" in sampled.in_words and f"7 of the {len(available)}" in sampled.in_words
    )
