import numpy as np
import pytest
from evaluation_fakes import FakeDataset, FakeSystem, QueriesInGallery, evaluated

from fashionsearchnet.evaluation import InstanceProtocol, reporting
from fashionsearchnet.evaluation.scores import Figure
from fashionsearchnet.systems.features import extract_features

SMALL = InstanceProtocol(top_k=(1, 3, 20), num_resamples=50)


class Items(FakeDataset):
    """Item i % 20 is shown by the gallery images i; two queries show items of no gallery image."""

    def instance_ids(self, split):
        ids = [f"item{i % 20}" for i in range(self.num_examples(split))]
        return ["alone", "alone too", *ids[2:]] if split == "query" else ids


class ItemsInGallery(QueriesInGallery):
    """The queries are gallery images; item i % 20 is shown by the gallery images i."""

    def instance_ids(self, split):
        ids = np.array([f"item{i % 20}" for i in range(60)])
        ids[55] = "alone"
        return list(ids[self.own] if split == "query" else ids)


@pytest.mark.parametrize("dataset", [Items(seed=2), ItemsInGallery(seed=2)])
def test_ranks_equal_a_slow_evaluation(dataset):
    system = FakeSystem(noise=0.6)
    measured = evaluated(system, dataset, SMALL)
    plan, row = measured.plan, measured.rows[-1]
    queries, gallery = (
        extract_features(system, dataset, split)["embedding"] for split in ("query", "gallery")
    )
    instances, candidates = (np.array(dataset.instance_ids(s)) for s in ("query", "gallery"))
    for question, query in enumerate(plan.query):
        order = np.argsort(np.linalg.norm(gallery - queries[query], axis=1), kind="stable")
        if plan.own is not None:
            order = order[order != dataset.own[query]]
        hits = candidates[order] == instances[query]
        assert row.figures["ranks"][question] == 1 + np.argmax(hits)
        assert plan.num_relevant[question] == hits.sum()
    recall = row.values(Figure("recall", 3))
    np.testing.assert_array_equal(recall, row.figures["ranks"] <= 3)
    assert measured.rows[0].num_items == len(gallery) - (plan.own is not None)


def test_queries_whose_item_is_not_in_the_gallery_are_left_out_by_number():
    measured = evaluated(FakeSystem(), Items(), SMALL)
    assert measured.plan.query.tolist() == list(range(2, 12))
    report = reporting.summarize(measured)
    assert report["questions"] == {
        "number": 10, "per_group": {"all": 10}, "unanswerable": 2, "query_items": 10,
        "gallery_items": 20,
    }  # fmt: skip
    assert "2 queries were left out" in reporting.markdown(report, "x.png")
    assert evaluated(FakeSystem(), ItemsInGallery(), SMALL).plan.num_unanswerable == 1


def test_the_report_names_recall_and_one_mean():
    report = reporting.summarize(evaluated(FakeSystem(noise=0.5), Items(), SMALL))
    assert [row["name"] for row in report["rows"]] == ["chance", "predicted attributes", "fake"]
    # Three of sixty gallery images show the item: 1 - 57/60.
    assert report["rows"][0]["recall"]["1"]["queries"] == pytest.approx(0.05)
    text = reporting.markdown(report, "x.png")
    assert "## Recall@20\n\n|  | mean |" in text and "95 % intervals" not in text
    assert "## Recall@K, mean over 10 queries" in text
    for block in [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]:
        assert len({line.count("|") for line in block}) == 1


def test_a_data_set_without_items_is_refused_before_the_images_are_looked_at():
    dataset = FakeDataset()
    dataset.images = None
    with pytest.raises(ValueError, match=r"fakes/tiny does not say which images .* instance ids"):
        evaluated(FakeSystem(), dataset, SMALL)
    dataset.instance_ids = lambda split: [f"{split}{i}" for i in range(dataset.num_examples(split))]
    with pytest.raises(ValueError, match="no image of gallery split 'gallery' shows an item"):
        evaluated(FakeSystem(), dataset, SMALL)
    dataset.instance_ids = lambda split: [""] * dataset.num_examples(split)
    with pytest.raises(ValueError, match="image 0 of split 'query' of fakes/tiny has no instance"):
        evaluated(FakeSystem(), dataset, SMALL)
