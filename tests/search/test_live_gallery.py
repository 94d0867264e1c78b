import cv2
import numpy as np
import pytest
from evaluation_fakes import (
    MEANS,
    SPACE,
    BlockSystem,
    EditDependentSystem,
    FakeDataset,
    FakeSystem,
)

from fashionsearchnet.attributes import (
    apply_manipulation,
    edit_blocks,
    one_hot_blocks,
    parse_likes,
    parse_manipulation,
)
from fashionsearchnet.evaluation.ranking import Representations
from fashionsearchnet.index.agreement import AgreementCandidates
from fashionsearchnet.search.live_gallery import LiveGallery
from fashionsearchnet.search.queries import queries_at, queries_by_id, query_from_file
from fashionsearchnet.systems.features import extract_features


@pytest.fixture(scope="module")
def gallery():
    return LiveGallery(FakeSystem(), FakeDataset(missing=False))


def test_all_hits_come_first(gallery):
    (query,) = queries_by_id(gallery.dataset, "query", ["query4"])
    manipulation = parse_manipulation(SPACE, ["colour=blue", "size=large"])
    (result,) = gallery.search([query], manipulation[None], k=60)
    assert query.labels is not None and result.reading is not None
    assert result.target.tolist() == [2, 1, query.labels[2]]
    np.testing.assert_array_equal(result.reading.values, query.labels)
    assert (result.reading.probabilities > 0.8).all()
    assert sorted(result.neighbours.ids) == sorted(gallery.ids)
    num_hits = (gallery.labels == result.target).all(axis=1).sum()
    assert num_hits > 0
    for rank, name in enumerate(result.neighbours.ids):
        labels = gallery.labels[gallery.ids.index(name)]
        np.testing.assert_array_equal(result.neighbours.labels[rank], labels)
        assert result.differing[rank] == tuple(np.flatnonzero(labels != result.target))
        assert (not result.differing[rank]) == (rank < num_hits)


def test_an_image_from_outside_is_judged_by_the_prediction(gallery, tmp_path):
    cv2.imwrite(str(tmp_path / "query.png"), np.full((16, 16, 3), round(MEANS[0]), np.uint8))
    query = query_from_file(tmp_path / "query.png")
    manipulation = parse_manipulation(SPACE, ["shape=disc"])
    (result,) = gallery.search([query], manipulation[None], k=3)
    assert result.reading.values.tolist() == [0, 0, 0]
    assert result.target.tolist() == [0, 0, 1]
    assert result.differing[0] == () and "predicted" in result.judged_by


@pytest.mark.parametrize("kind", [FakeSystem, EditDependentSystem])
def test_many_searches_at_once_hold_the_nearest(kind):
    dataset = FakeDataset()
    gallery = LiveGallery(kind(), dataset)
    edits = (["colour=blue", "size=large"], ["shape=disc"], ["colour=red"], ["shape=disc"])
    manipulations = np.stack([parse_manipulation(SPACE, edit) for edit in edits])
    queries = queries_at(dataset, "query", [4, 0, 7, 2])
    results = gallery.search(queries, manipulations, k=6)
    for result, query, edit in zip(results, queries, manipulations, strict=True):
        target = apply_manipulation(np.asarray(query.labels), edit)
        seen = edit >= 0 if kind is EditDependentSystem else np.full(3, True)
        one_hot = one_hot_blocks(SPACE, np.where(seen, [target, *gallery.labels], -1))
        distances = ((one_hot[1:] - one_hot[0]) ** 2).sum(axis=1)
        found = [gallery.ids.index(name) for name in result.neighbours.ids]
        assert distances[found].tolist() == sorted(distances)[:6]
        assert (np.diff(result.neighbours.distances) >= 0).all()


def test_a_query_in_the_gallery_is_not_its_own_result():
    dataset = FakeDataset()
    gallery = LiveGallery(FakeSystem(), dataset)
    (query,) = queries_by_id(dataset, "gallery", ["gallery3"])
    keep = np.full((1, 3), -1, np.int32)
    (result,) = gallery.search([query], keep, k=60)
    assert "gallery3" in result.neighbours.ids and len(result.neighbours.ids) == 60
    dataset.queries_in_gallery = True
    (result,) = gallery.search([query], keep, k=60)
    assert "gallery3" not in result.neighbours.ids and len(result.neighbours.ids) == 59


def test_a_system_that_reads_nothing_still_searches():
    class Blind(FakeSystem):
        def attribute_logits(self, features):
            return None

    gallery = LiveGallery(Blind(), FakeDataset(missing=False))
    (query,) = queries_at(gallery.dataset, "query", [0])
    (result,) = gallery.search([query], parse_manipulation(SPACE, ["size=large"])[None], k=2)
    assert result.reading is None and result.differing[0] == ()


def test_a_system_for_another_task_is_refused():
    class Classifier(FakeSystem):
        tasks = ("attribute",)

    with pytest.raises(ValueError, match="does not answer the task 'manipulation'"):
        LiveGallery(Classifier(), FakeDataset())


def test_images_by_id(gallery):
    images = gallery.images({"gallery7", "gallery2"})
    assert images.keys() == {"gallery2", "gallery7"}
    stored = list(gallery.dataset.encoded_images("gallery").as_numpy_iterator())
    assert images["gallery7"] == stored[7]


def test_facets_show_only_what_has_the_wanted_values():
    dataset = FakeDataset()
    gallery = LiveGallery(FakeSystem(), dataset)
    labels = dataset.labels("gallery")
    manipulation = parse_manipulation(SPACE, ["size=large"])
    queries = queries_at(dataset, "query", [4, 0])
    manipulations = np.stack([manipulation, parse_manipulation(SPACE, ["shape=disc"])])
    results = gallery.search(queries, manipulations, k=60, facets=True)
    # The system reads images without noise, so what has no label is read as 0 there (all zeros).
    for result, attribute in zip(results, (1, 2), strict=True):
        wanted = result.manipulation[attribute]
        passes = [
            name for name, row in zip(gallery.ids, labels, strict=True) if row[attribute] == wanted
        ]
        assert sorted(result.neighbours.ids) == sorted(passes)
        assert (np.diff(result.neighbours.distances) >= 0).all()
    plain = gallery.search(queries, manipulations, k=60)
    for result, found in zip(results, plain, strict=True):
        distance = dict(zip(found.neighbours.ids, found.neighbours.distances, strict=True))
        kept = [distance[name] for name in result.neighbours.ids]
        np.testing.assert_allclose(result.neighbours.distances, kept, atol=1e-3)


def test_the_nearest_are_shown_in_the_order_of_agreement():
    system, dataset = FakeSystem(noise=0.8), FakeDataset()
    gallery = LiveGallery(system, dataset)
    queries = queries_at(dataset, "query", range(5))
    manipulations = np.tile(parse_manipulation(SPACE, ["colour=blue"]), (5, 1))
    plain = gallery.search(queries, manipulations, k=20)
    again = gallery.search(queries, manipulations, k=5, rerank=20)
    read = Representations(
        system, *(extract_features(system, dataset, split) for split in ("query", "gallery"))
    )
    assert read.probabilities is not None
    asked, shown = read.probabilities
    for row, (before, after) in enumerate(zip(plain, again, strict=True)):
        wanted = edit_blocks(SPACE, asked[row, None], manipulations[:1])
        positions = [gallery.ids.index(name) for name in before.neighbours.ids]
        likely = AgreementCandidates(SPACE, shown[positions])
        order = likely.squared_distances(wanted)[0].argsort(kind="stable")[:5]
        assert after.neighbours.ids == [before.neighbours.ids[place] for place in order]
        distance = dict(zip(before.neighbours.ids, before.neighbours.distances, strict=True))
        for name, value in zip(after.neighbours.ids, after.neighbours.distances, strict=True):
            assert value == pytest.approx(distance[name])


def test_without_readings_nothing_is_ranked_again():
    class Blind(FakeSystem):
        def attribute_logits(self, features):
            return None

    gallery = LiveGallery(Blind(), FakeDataset())
    queries = queries_at(gallery.dataset, "query", range(1))
    manipulation = parse_manipulation(SPACE, ["colour=blue"])
    with pytest.raises(ValueError, match="reads no attributes: leave out rerank"):
        gallery.search(queries, manipulation[None], k=5, rerank=10)


def test_facets_that_nothing_has_find_nothing():
    dataset = FakeDataset(missing=False)
    dataset.labels("gallery")[:, 0] = 0
    gallery = LiveGallery(FakeSystem(), dataset)
    manipulation = parse_manipulation(SPACE, ["colour=blue"])
    queries = queries_at(dataset, "query", [1])
    (result,) = gallery.search(queries, manipulation[None], k=5, facets=True)
    assert result.neighbours.ids == [] and result.differing == ()


def test_vectors_that_use_labels_put_what_is_labelled_as_wanted_first():
    dataset = FakeDataset(missing=False)
    gallery = LiveGallery(BlockSystem(noise=0.8), dataset, label_blend=(0.5,) * 3)
    alone = LiveGallery(BlockSystem(noise=0.8), dataset)
    manipulation = parse_manipulation(SPACE, ["colour=blue"])
    queries = queries_at(dataset, "query", range(12))

    def hits(searched):
        found = searched.search(queries, np.stack([manipulation] * 12), k=5)
        return sum(not differing for result in found for differing in result.differing)

    assert hits(gallery) > hits(alone)
    with pytest.raises(ValueError, match="cannot use the labels of a gallery"):
        LiveGallery(FakeSystem(), dataset, label_blend=(0.5,) * 3)


def test_alike_in_some_attributes(gallery):
    (query,) = queries_by_id(gallery.dataset, "query", ["query4"])
    weights = parse_likes(SPACE, ["size", "colour:0.5"])
    assert weights.tolist() == [0.5, 1.0, 0.0]
    (result,) = gallery.search_alike([query], weights, k=60)
    assert result.asked == (1, 0) == result.subject and result.edited == ()
    agrees = gallery.labels == query.labels
    alike = agrees[:, 1] & agrees[:, 0]
    assert 0 < alike.sum() < 60
    for rank, name in enumerate(result.neighbours.ids):
        row = gallery.ids.index(name)
        assert (not result.differing[rank]) == alike[row] == (rank < alike.sum())
        assert result.differing[rank] == tuple(a for a in (0, 1) if not agrees[row, a])
        # The query's blocks have lengths 1, 0.5 and 0, those of the gallery 1.
        cosines = 1.0 * agrees[row, 1] + 0.5 * agrees[row, 0]
        expected = np.sqrt(1.0 + 0.25 + 3.0 - 2.0 * cosines)
        assert result.neighbours.distances[rank] == pytest.approx(expected, abs=1e-3)
    assert "only what was asked for counts" in result.judged_by


@pytest.mark.parametrize(
    ("likes", "problem"),
    [
        (["sise"], "there is no attribute 'sise'.*did you mean size"),
        (["size:0"], "the weight of 'size' must be a number above 0; got '0'"),
        (["size:two"], "must be a number above 0; got 'two'"),
        (["size", "size:2"], "attribute 'size' is named twice"),
    ],
)
def test_likes_that_cannot_be_meant(likes, problem):
    with pytest.raises(ValueError, match=problem):
        parse_likes(SPACE, likes)


def test_alike_in_nothing(gallery):
    (query,) = queries_by_id(gallery.dataset, "query", ["query4"])
    with pytest.raises(ValueError, match="must name an attribute; got none"):
        gallery.search_alike([query], np.zeros(3, np.float32))


def test_a_system_that_edits_nothing_can_be_asked_about_attributes():
    class Reader(FakeSystem):
        tasks = ("attribute",)

    found = LiveGallery(Reader(), FakeDataset(missing=False), task="attribute")
    (query,) = queries_by_id(found.dataset, "query", ["query4"])
    (result,) = found.search_alike([query], np.array([1.0, 0.0, 0.0]), k=1)
    assert result.differing == ((),)
