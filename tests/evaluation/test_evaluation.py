import dataclasses
import hashlib
import json

import numpy as np
import pytest
from absl import flags
from evaluation_fakes import BOX, SPACE, EditDependentSystem, FakeDataset, FakeSystem, script

from fashionsearchnet import evaluation, systems
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data import pipeline
from fashionsearchnet.evaluation import Settings, evaluate, evaluate_each, protocol, reporting
from fashionsearchnet.systems.features import extract_features

SMALL = Settings(top_k=(1, 3, 20), headline_k=3, num_resamples=50)


def rows_of(measured):
    return {row.name: row for row in measured.rows}


def test_a_perfect_system_always_hits_and_the_baselines_stand_beside_it():
    measured = evaluate(FakeSystem(), FakeDataset(), SMALL)
    assert [row.name for row in measured.rows] == [
        "chance", "unedited query", "predicted attributes", "fake",
    ]  # fmt: skip
    rows = rows_of(measured)
    assert (rows["fake"].ranks == 1).all()
    # The unedited query is nearest to images that have its own value, which cannot be hits.
    assert rows["unedited query"].success(1).mean() < 0.5
    assert 0 < rows["chance"].success(3).mean() < rows["fake"].success(3).mean()
    assert (rows["fake"].ndcg[:, 0] == 1).all()
    assert (measured.num_queries, measured.num_gallery) == (12, 60)


def assert_equals_slow_evaluation(system, dataset, how, own=None):
    """Compares with a sort per manipulation; `own` are the places of the queries in the gallery."""
    measured = evaluate(system, dataset, how, batch_size=64)
    queries, gallery = (
        extract_features(system, dataset, s)["embedding"] for s in ("query", "gallery")
    )
    labels, row = dataset.labels("gallery"), rows_of(measured)["fake"]
    manipulations = measured.manipulations
    assert len(manipulations) > 20
    for m in range(len(manipulations)):
        query = queries[manipulations.query[m]].copy()
        for attribute in np.flatnonzero(manipulations.edits[m] >= 0):
            start, size = SPACE.offsets[attribute], SPACE.num_values[attribute]
            query[start : start + size] = np.eye(size)[manipulations.edits[m, attribute]]
        order = np.argsort(np.linalg.norm(gallery - query, axis=1), kind="stable")
        if own is not None:
            order = order[order != own[manipulations.query[m]]]
        target = manipulations.targets[m]
        counted = target >= (0 if how.hit_rule == "labelled" else -1)
        match = labels[order][:, counted] == target[counted]
        assert row.ranks[m] == 1 + np.argmax(match.all(axis=1))
        gains = 2 ** match.mean(axis=1) - 1
        discounts = 1 / np.log2(np.arange(2, len(order) + 2))
        expected = [gains[:k] @ discounts[:k] / discounts[:k].sum() for k in how.top_k]
        np.testing.assert_allclose(row.ndcg[m], expected, rtol=1e-5)
    return measured


@pytest.mark.parametrize("num_changes", [1, 2])
@pytest.mark.parametrize("hit_rule", list(protocol.HIT_RULES))
def test_ranks_and_ndcg_equal_a_slow_evaluation(num_changes, hit_rule):
    how = dataclasses.replace(SMALL, num_changes=num_changes, hit_rule=hit_rule)
    assert_equals_slow_evaluation(FakeSystem(noise=0.6), FakeDataset(seed=3), how)


class QueriesInGallery(FakeDataset):
    """The queries are every fifth gallery image, as ADDE's splits have it."""

    own = np.arange(55, -1, -5)

    def labels(self, split):
        labels = super().labels("gallery")
        return labels[self.own] if split == "query" else labels

    def image_ids(self, split):
        names = [f"image{i}" for i in range(60)]
        return [names[i] for i in self.own] if split == "query" else names


@pytest.mark.parametrize("hit_rule", list(protocol.HIT_RULES))
def test_a_query_in_the_gallery_is_left_out_of_its_own_ranking(hit_rule):
    dataset = QueriesInGallery()
    how = dataclasses.replace(
        SMALL, hit_rule=hit_rule, add_missing=True, queries_in_gallery=True, top_k=(1, 3, 59)
    )
    measured = assert_equals_slow_evaluation(FakeSystem(noise=0.6), dataset, how, dataset.own)
    assert measured.localization["size"]["images"] == 60  # the queries count once
    assert "queries in gallery True" in measured.outcomes.protocol
    report = reporting.summarize(measured)
    assert report["protocol"]["queries_in_gallery"]
    assert "the queries among them, each left out" in reporting.markdown(report, "curve.png")
    # Chance: a random order of the gallery without the query.
    manipulations, chance = measured.manipulations, measured.rows[0]
    for query, place in enumerate(dataset.own):
        members = np.flatnonzero(manipulations.query == query)
        rest = protocol.Gallery(np.delete(dataset.labels("gallery"), place, axis=0))
        cut = dataclasses.replace(manipulations, targets=manipulations.targets[members])
        expected = evaluation.chance_row(cut, rest, how)
        np.testing.assert_allclose(chance.success(3)[members], expected.success(3))
        np.testing.assert_allclose(chance.ndcg[members], expected.ndcg)


def test_queries_in_the_gallery_must_be_announced_and_be_there():
    with pytest.raises(ValueError, match=r"12 images are both .* set queries_in_gallery"):
        evaluate(FakeSystem(), QueriesInGallery(), SMALL)
    how = dataclasses.replace(SMALL, queries_in_gallery=True)
    with pytest.raises(ValueError, match=r"needs every query in the gallery, but 12 images"):
        evaluate(FakeSystem(), FakeDataset(), how)


def test_chance_is_what_random_orders_give():
    dataset = FakeDataset(seed=1)
    gallery = protocol.Gallery(dataset.labels("gallery"))
    manipulations = protocol.enumerate_manipulations(dataset.labels("query"), gallery)
    row = evaluation.chance_row(manipulations, gallery, SMALL)
    generator = np.random.default_rng(0)
    hits = gallery.relevant(manipulations.targets, "identical")
    orders = [generator.permutation(60)[:3] for _ in range(3000)]
    simulated = np.mean([hits[:, order].any(axis=1) for order in orders], axis=0)
    np.testing.assert_allclose(row.success(3), simulated, atol=0.04)
    share = protocol.relevance(manipulations.targets[:, None], gallery.labels[None], "identical")
    gain = 2**share - 1
    discounts = 1 / np.log2(np.arange(2, 5))
    drawn = [gain[:, order] @ discounts / discounts.sum() for order in orders]
    np.testing.assert_allclose(row.ndcg[:, 1], np.mean(drawn, axis=0), atol=0.03)


def test_labelled_rule_and_added_values_and_the_draw_reach_the_manipulations():
    how = dataclasses.replace(
        SMALL, hit_rule="labelled", add_missing=True, max_manipulations_per_attribute=5, seed=7
    )
    measured = evaluate(FakeSystem(), FakeDataset(), how)
    query, gallery = (FakeDataset().labels(split) for split in ("query", "gallery"))
    expected, plain = (
        protocol.enumerate_manipulations(
            query, protocol.Gallery(gallery), rule, add_missing=adds, max_per_group=5, seed=7
        )
        for rule, adds in (("labelled", True), ("identical", False))
    )
    assert np.bincount(expected.group).tolist() == np.bincount(plain.group).tolist() == [5, 5, 5]
    assert expected.num_added > 0
    for field in ("query", "edits", "targets"):
        found = getattr(measured.manipulations, field)
        np.testing.assert_array_equal(found, getattr(expected, field))


@pytest.mark.parametrize("num_changes", [1, 2, 3])
def test_gallery_that_depends_on_the_edit_is_ranked_per_group(num_changes):
    how = dataclasses.replace(SMALL, num_changes=num_changes)
    measured = evaluate(EditDependentSystem(), FakeDataset(), how)
    manipulations, row = measured.manipulations, rows_of(measured)["fake"]
    labels = FakeDataset().labels("gallery")
    assert len(manipulations.groups) == (3, 3, 1)[num_changes - 1]
    for m in range(len(manipulations)):  # ties are in gallery order: the first with those values...
        edited = list(manipulations.groups[manipulations.group[m]])
        has_values = (labels[:, edited] == manipulations.edits[m, edited]).all(axis=1)
        hits = (labels == manipulations.targets[m]).all(axis=1)
        assert row.ranks[m] == 1 + has_values[: np.argmax(hits)].sum()


def test_numbers_of_changes_share_one_pass_over_the_images():
    dataset, passes = FakeDataset(), []
    plain = dataset.images

    def counted(split, *rest, **more):
        passes.append(split)
        return plain(split, *rest, **more)

    dataset.images = counted
    how = [SMALL, dataclasses.replace(SMALL, num_changes=2)]
    together = list(evaluate_each(FakeSystem(noise=0.6), dataset, how))
    assert passes == ["query", "gallery"]
    for measured, settings in zip(together, how, strict=True):
        alone = evaluate(FakeSystem(noise=0.6), FakeDataset(), settings)
        assert measured.outcomes.protocol == alone.outcomes.protocol
        ranks = rows_of(measured)["fake"].ranks
        np.testing.assert_array_equal(ranks, rows_of(alone)["fake"].ranks)


def test_what_cannot_be_measured_is_said_before_the_images_are_looked_at():
    dataset = FakeDataset()
    dataset.images = None
    with pytest.raises(ValueError, match="num_changes must be between 1 and 3; got 4"):
        list(
            evaluate_each(FakeSystem(), dataset, [SMALL, dataclasses.replace(SMALL, num_changes=4)])
        )


def test_settings_on_different_splits_are_refused():
    how = [SMALL, dataclasses.replace(SMALL, query_split="query[:5]")]
    with pytest.raises(ValueError, match="all settings must have the same query_split"):
        list(evaluate_each(FakeSystem(), FakeDataset(), how))


def test_reports_name_the_weights_that_were_measured():
    with_weights = evaluate(FakeSystem(), FakeDataset(), SMALL, weights="c0ffee")
    assert reporting.summarize(with_weights)["system"]["weights"] == "c0ffee"
    assert "weights" not in evaluate(FakeSystem(), FakeDataset(), SMALL).system


def test_another_run_beside():
    dataset = FakeDataset()
    first = evaluate(FakeSystem(noise=0.9, name="blurred"), dataset, SMALL)
    source = [("first.json", first.outcomes)]
    second = evaluate(FakeSystem(), dataset, SMALL, source)
    assert [row.name for row in second.rows][-2:] == ["blurred", "fake"]
    np.testing.assert_array_equal(rows_of(second)["blurred"].ranks, rows_of(first)["blurred"].ranks)
    same = evaluate(FakeSystem(noise=0.9, name="blurred"), dataset, SMALL, source)
    assert [row.name for row in same.rows][-2:] == ["blurred (first.json)", "blurred"]


def test_a_run_beside_may_have_more_top_k_but_not_lack_any():
    dataset = FakeDataset()
    first = evaluate(FakeSystem(noise=0.9, name="blurred"), dataset, SMALL)
    source = [("first.json", first.outcomes)]
    how = dataclasses.replace(SMALL, top_k=(3, 20))
    row = rows_of(evaluate(FakeSystem(), dataset, how, source))["blurred"]
    np.testing.assert_array_equal(row.ndcg, rows_of(first)["blurred"].ndcg[:, 1:])
    dataset.images = None  # said before the images are looked at
    with pytest.raises(ValueError, match=r"first.json has no NDCG for top_k 5; .* top_k 1, 3, 20"):
        evaluate(FakeSystem(), dataset, dataclasses.replace(SMALL, top_k=(1, 3, 5)), source)


def test_a_run_beside_that_cannot_be_compared_is_refused_before_the_images_are_looked_at():
    first = evaluate(FakeSystem(noise=0.9, name="blurred"), FakeDataset(), SMALL)
    source = [("first.json", first.outcomes)]
    relabelled = FakeDataset()
    relabelled.labels("gallery")[7, 0] += 1
    relabelled.labels("gallery")[7, 0] %= 3
    for dataset, how in (
        (FakeDataset(), dataclasses.replace(SMALL, num_changes=2)),
        (FakeDataset(seed=9, num_queries=11), SMALL),
        (relabelled, SMALL),
    ):
        dataset.images = None
        with pytest.raises(ValueError, match=r"and first.json .* different protocols"):
            evaluate(FakeSystem(), dataset, how, source)


def test_splits_that_overlap_are_refused():
    with pytest.raises(ValueError, match=r"12 images are both in query split 'query' .* slices"):
        evaluate(FakeSystem(), FakeDataset(), dataclasses.replace(SMALL, gallery_split="query"))


def test_another_attribute_space_is_refused():
    dataset = FakeDataset()
    dataset.space = AttributeSpace.from_dict({"colour": ["red", "green"]})
    with pytest.raises(ValueError, match="the system and data set fakes/tiny have different"):
        evaluate(FakeSystem(), dataset, SMALL)


def test_broken_embeddings_are_refused_instead_of_scoring_perfectly():
    with pytest.raises(ValueError, match="NaN or infinity"):
        evaluate(FakeSystem(noise=float("nan")), FakeDataset(), SMALL)


def test_one_name_is_not_given_to_two_reports():
    with script("evaluate") as tool:
        flags.FLAGS(["evaluate.py", "--workdir=run", "--num_changes=1,2", "--name=both"])
        with pytest.raises(ValueError, match="--name and --beside are for one report"):
            tool.main()


def test_the_script_summarizes_once_and_names_the_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(systems, "describe_system", lambda _: {"dataset": "fakes/tiny"})
    monkeypatch.setattr(systems, "load_complete_system", lambda _: FakeSystem())
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: FakeDataset())
    summarized, summarize = [], reporting.summarize

    def counted(measured):
        summarized.append(measured)
        return summarize(measured)

    monkeypatch.setattr(reporting, "summarize", counted)
    (tmp_path / "model.weights.h5").write_bytes(b"weights")
    with script("evaluate") as tool:
        flags.FLAGS(["evaluate.py", f"--workdir={tmp_path}"])
        tool.main()
    assert len(summarized) == 1
    written = json.loads((tmp_path / "evaluation" / "query.json").read_text())
    assert written["system"]["weights"] == hashlib.sha256(b"weights").hexdigest()


def test_settings_are_checked():
    with pytest.raises(ValueError, match="headline_k must be one of 1, 5; got 20"):
        Settings(top_k=(1, 5))
    with pytest.raises(ValueError, match="top_k must be at least 1; got 0"):
        Settings(top_k=(0, 20))
    with pytest.raises(ValueError, match="num_changes must be at least 1; got 0"):
        Settings(num_changes=0)
    with pytest.raises(ValueError, match="hit_rule must be one of"):
        Settings(hit_rule="exact")


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
    scored = evaluation.score_boxes(SPACE, boxes, truth)["shape"]
    assert scored["images"] == 1
    assert (scored["iou"], scored["area"], scored["center_in_box"]) == (0.5, 0.125, 1.0)


def test_no_boxes_no_localization():
    dataset = FakeDataset()
    dataset.has_boxes = False
    assert evaluate(FakeSystem(), dataset, SMALL).localization is None


@pytest.mark.parametrize(
    ("arguments", "name", "num_changes", "most"),
    [
        ([], "query", 1, None),
        (["--num_changes=2"], "query_2_changes", 2, 500),
        (["--num_changes=3", "--max_manipulations_per_attribute=7"], "query_3_changes", 3, 7),
        (["--num_changes=2", "--name=pairs"], "pairs", 2, 500),
    ],
)
def test_the_script_draws_where_several_attributes_change(arguments, name, num_changes, most):
    with script("evaluate") as tool:
        flags.FLAGS(["evaluate.py", "--workdir=run", *arguments])
        (number,) = map(int, flags.FLAGS.num_changes)
        how = tool.settings(number)
        assert tool.report_name(number) == name
    assert (how.num_changes, how.max_manipulations_per_attribute) == (num_changes, most)
