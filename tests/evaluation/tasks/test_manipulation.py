import dataclasses

import numpy as np
import pytest
from evaluation_fakes import (
    SPACE,
    EditDependentSystem,
    FakeDataset,
    FakeSystem,
    QueriesInGallery,
    evaluated,
)

from fashionsearchnet.attributes import HIT_RULES, MISSING
from fashionsearchnet.data.dataset import ListedEdits
from fashionsearchnet.evaluation import (
    ManipulationProtocol,
    make_plans,
    metrics,
    reporting,
    shows_what_edits_keep,
)
from fashionsearchnet.evaluation.ranking import Representations
from fashionsearchnet.evaluation.scores import Figure
from fashionsearchnet.evaluation.tasks.manipulation.enumeration import enumerate_manipulations
from fashionsearchnet.evaluation.tasks.manipulation.hits import Gallery, relevance
from fashionsearchnet.systems.features import extract_features, gallery_embeddings

SMALL = ManipulationProtocol(top_k=(1, 3, 20), headline_k=3, num_resamples=50)
TOP_1, TOP_3 = Figure("top_k", 1), Figure("top_k", 3)


def rows_of(measured):
    return {row.name: row for row in measured.rows}


def plan_of(dataset, protocol=SMALL):
    """The questions, without looking at any image."""
    return make_plans(dataset, [protocol])[0]


def test_a_perfect_system_always_hits_and_the_baselines_stand_beside_it():
    measured = evaluated(FakeSystem(), FakeDataset(), SMALL)
    assert [row.name for row in measured.rows] == [
        "chance", "unedited query", "predicted attributes", "predicted agreement", "fake",
    ]  # fmt: skip
    rows = rows_of(measured)
    assert (rows["fake"].figures["ranks"] == 1).all()
    # The unedited query is nearest to images that have its own value, which cannot be hits.
    assert rows["unedited query"].values(TOP_1).mean() < 0.5
    assert 0 < rows["chance"].values(TOP_3).mean() < rows["fake"].values(TOP_3).mean()
    assert (rows["fake"].figures["ndcg"][:, 0] == 1).all()


def test_nothing_is_edited_where_each_image_has_one_label():
    dataset = FakeDataset()
    for labels in dataset._labels.values():
        others = np.arange(labels.shape[1]) != np.arange(len(labels))[:, None] % labels.shape[1]
        labels[others] = MISSING
    with pytest.raises(ValueError, match=r"labels one attribute, .* --task=attribute"):
        plan_of(dataset)


@pytest.mark.parametrize(
    ("labels", "shows"),
    [
        ([[0, 1], [2, -1]], True),
        ([[0, -1], [-1, 1], [-1, -1]], False),
        ([[0], [-1]], True),
        ([[-1, -1]], True),  # whose error says that there is nothing to edit
    ],
)
def test_labels_that_show_what_edits_keep(labels, shows):
    assert shows_what_edits_keep(np.array(labels, np.int32)) is shows


def assert_equals_slow_evaluation(system, dataset, how, own=None):
    """Compares with a sort per manipulation; `own` are the places of the queries in the gallery."""
    measured = evaluated(system, dataset, how, batch_size=64)
    queries, gallery = (
        extract_features(system, dataset, s)["embedding"] for s in ("query", "gallery")
    )
    labels, row = dataset.labels("gallery"), rows_of(measured)["fake"]
    manipulations = measured.plan.manipulations
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
        assert row.figures["ranks"][m] == 1 + np.argmax(match.all(axis=1))
        gains = 2 ** match.mean(axis=1) - 1
        discounts = 1 / np.log2(np.arange(2, len(order) + 2))
        expected = [gains[:k] @ discounts[:k] / discounts[:k].sum() for k in how.top_k]
        np.testing.assert_allclose(row.figures["ndcg"][m], expected, rtol=1e-5)
    return measured


@pytest.mark.parametrize("num_changes", [1, 2])
@pytest.mark.parametrize("hit_rule", list(HIT_RULES))
def test_ranks_and_ndcg_equal_a_slow_evaluation(num_changes, hit_rule):
    how = dataclasses.replace(SMALL, num_changes=num_changes, hit_rule=hit_rule)
    assert_equals_slow_evaluation(FakeSystem(noise=0.6), FakeDataset(seed=3), how)


@pytest.mark.parametrize("hit_rule", list(HIT_RULES))
def test_a_query_in_the_gallery_is_left_out_of_its_own_ranking(hit_rule):
    dataset = QueriesInGallery()
    how = dataclasses.replace(SMALL, hit_rule=hit_rule, add_missing=True, top_k=(1, 3, 59))
    measured = assert_equals_slow_evaluation(FakeSystem(noise=0.6), dataset, how, dataset.own)
    assert measured.localization["size"]["images"] == 60  # the queries count once
    assert "queries in gallery True" in measured.outcomes.protocol
    report = reporting.summarize(measured)
    assert report["protocol"]["queries_in_gallery"]
    assert "the queries among them, each left out" in reporting.markdown(report, "curve.png")
    # Chance: a random order of the gallery without the query.
    plan, chance = measured.plan, measured.rows[0]
    for query, place in enumerate(dataset.own):
        members = np.flatnonzero(plan.query == query)
        rest = Gallery(np.delete(dataset.labels("gallery"), place, axis=0))
        targets = plan.manipulations.targets[members]
        num_relevant = rest.num_relevant(targets, hit_rule)
        rate = metrics.random_hit_rate(num_relevant, len(rest), 3)
        np.testing.assert_allclose(chance.values(TOP_3)[members], rate)
        gain = rest.mean_gain(targets, hit_rule)
        np.testing.assert_allclose(chance.values(Figure("ndcg", 3))[members], gain)


def test_a_query_image_is_kept_in_its_ranking_if_asked_for():
    dataset = QueriesInGallery()
    how = dataclasses.replace(SMALL, keep_query_image=True)
    measured = assert_equals_slow_evaluation(FakeSystem(noise=0.6), dataset, how)
    assert measured.plan.own is None
    assert measured.outcomes.protocol.endswith("query images ranked too")
    notes = reporting.summarize(measured)["words"]["notes"]
    assert "the queries among them, each ranked too" in notes[0]
    with pytest.raises(ValueError, match="keep_query_image is for queries that are gallery images"):
        plan_of(FakeDataset(), how)


class ListingDataset(QueriesInGallery):
    """Lists three edits: a change, one without any change, and one whose target nobody has."""

    def listed_edits(self):
        query = np.array([0, 1, 2], np.int32)
        target = self.labels("query")[query].copy()
        edits = np.full((3, 3), -1, np.int32)
        edits[0, 0] = target[0, 0] = (target[0, 0] + 1) % 3
        # Nobody in the gallery has a colour 7; a data set would be wrong to want it.
        target[2, 0] = 7
        return ListedEdits(query, edits, target, "3 edits listed by a paper")


def test_listed_edits_are_the_plan_of_a_data_set_that_lists_some():
    dataset = ListingDataset()
    assert plan_of(FakeDataset()).protocol.plan == "all"
    everything = dataclasses.replace(SMALL, plan="all")
    assert (
        plan_of(dataset, everything).outcomes().protocol
        == plan_of(QueriesInGallery()).outcomes().protocol
    )
    for keeps in (False, True):
        measured = evaluated(
            FakeSystem(), dataset, dataclasses.replace(SMALL, keep_query_image=keeps)
        )
        assert measured.plan.protocol.plan == "listed"
        assert measured.outcomes.group_names == ("colour", "size", "shape", "no change")
        assert measured.plan.group.tolist() == [0, 3, 3]
        row, chance = rows_of(measured)["fake"], measured.rows[0]
        labels = dataset.labels("gallery")
        for question, target in enumerate(measured.plan.manipulations.targets):
            own = dataset.own[measured.plan.query[question]]
            hits = (labels == target).all(axis=1)
            hits[own] &= keeps
            assert chance.figures["num_relevant"][question] == hits.sum()
            assert (row.figures["ranks"][question] == metrics.NO_HIT) == (not hits.any())
        # A query that nothing changes finds itself, or an image that looks the same.
        assert row.figures["ranks"][1] == 1 if keeps else row.figures["ranks"][1] >= 1
        assert chance.num_items == (60 if keeps else 59)
        report = reporting.summarize(measured)
        assert report["protocol"]["plan"] == "listed"
        assert "Tried: 3 edits listed by a paper." in report["words"]["notes"][1]
        assert "| no change |" in reporting.markdown(report, "x.png")


def test_listed_edits_are_refused_where_there_are_none():
    how = dataclasses.replace(SMALL, plan="listed")
    with pytest.raises(ValueError, match=r"plan 'listed' .* fakes/tiny lists none. Use plan 'all'"):
        plan_of(FakeDataset(), how)
    with pytest.raises(ValueError, match=r"plan 'listed' .* got 'query' and num_changes 2"):
        plan_of(ListingDataset(), dataclasses.replace(how, num_changes=2))


def test_chance_is_what_random_orders_give():
    dataset = FakeDataset(seed=1)
    plan = plan_of(dataset)
    gallery, manipulations, row = plan.gallery, plan.manipulations, plan.chance()
    generator = np.random.default_rng(0)
    hits = gallery.relevant(manipulations.targets, "identical")
    orders = [generator.permutation(60)[:3] for _ in range(3000)]
    simulated = np.mean([hits[:, order].any(axis=1) for order in orders], axis=0)
    np.testing.assert_allclose(row.values(TOP_3), simulated, atol=0.04)
    share = relevance(manipulations.targets[:, None], gallery.labels[None], "identical")
    gain = 2**share - 1
    discounts = 1 / np.log2(np.arange(2, 5))
    drawn = [gain[:, order] @ discounts / discounts.sum() for order in orders]
    np.testing.assert_allclose(row.figures["ndcg"][:, 1], np.mean(drawn, axis=0), atol=0.03)


def test_labelled_rule_and_added_values_and_the_draw_reach_the_manipulations():
    how = dataclasses.replace(
        SMALL, hit_rule="labelled", add_missing=True, max_manipulations_per_attribute=5, seed=7
    )
    measured = evaluated(FakeSystem(), FakeDataset(), how)
    query, gallery = (FakeDataset().labels(split) for split in ("query", "gallery"))
    expected, plain = (
        enumerate_manipulations(
            query, Gallery(gallery), rule, add_missing=adds, max_per_group=5, seed=7
        )
        for rule, adds in (("labelled", True), ("identical", False))
    )
    assert np.bincount(expected.group).tolist() == np.bincount(plain.group).tolist() == [5, 5, 5]
    assert expected.num_added > 0
    for field in ("query", "edits", "targets"):
        found = getattr(measured.plan.manipulations, field)
        np.testing.assert_array_equal(found, getattr(expected, field))


@pytest.mark.parametrize("num_changes", [1, 2, 3])
def test_gallery_that_depends_on_the_edit_is_ranked_per_group(num_changes):
    how = dataclasses.replace(SMALL, num_changes=num_changes)
    measured = evaluated(EditDependentSystem(), FakeDataset(), how)
    manipulations, row = measured.plan.manipulations, rows_of(measured)["fake"]
    labels = FakeDataset().labels("gallery")
    assert len(manipulations.groups) == (3, 3, 1)[num_changes - 1]
    for m in range(len(manipulations)):  # ties are in gallery order: the first with those values...
        edited = list(manipulations.groups[manipulations.group[m]])
        has_values = (labels[:, edited] == manipulations.edits[m, edited]).all(axis=1)
        hits = (labels == manipulations.targets[m]).all(axis=1)
        assert row.figures["ranks"][m] == 1 + has_values[: np.argmax(hits)].sum()


def test_the_protocol_is_checked():
    with pytest.raises(ValueError, match="headline_k must be one of 1, 5; got 20"):
        ManipulationProtocol(top_k=(1, 5))
    with pytest.raises(ValueError, match="top_k must be at least 1; got 0"):
        ManipulationProtocol(top_k=(0, 20))
    with pytest.raises(ValueError, match="num_changes must be at least 1; got 0"):
        ManipulationProtocol(num_changes=0)
    with pytest.raises(ValueError, match="hit_rule must be one of"):
        ManipulationProtocol(hit_rule="exact")
    with pytest.raises(ValueError, match="plan must be one of auto, all, listed"):
        ManipulationProtocol(plan="some")


def representations(system, dataset):
    features = [extract_features(system, dataset, split, 5) for split in ("query", "gallery")]
    return Representations(system, *features)


def test_rows_and_what_they_embed():
    dataset, system = FakeDataset(), FakeSystem()
    found, plan = representations(system, dataset), plan_of(dataset)
    unedited, predicted, agreement, own = plan.methods(found, "fake")
    assert [m.name for m in (unedited, predicted, agreement, own)] == [
        "unedited query", "predicted attributes", "predicted agreement", "fake",
    ]  # fmt: skip
    questions = np.flatnonzero(plan.group == 0)
    embedding = found.queries["embedding"][plan.query[questions]]
    np.testing.assert_array_equal(unedited.embed(questions), embedding)
    wanted = np.eye(3)[plan.edits[questions, 0]]
    np.testing.assert_array_equal(own.embed(questions)[:, :3], wanted)
    np.testing.assert_array_equal(predicted.embed(questions)[:, :3], wanted)
    np.testing.assert_array_equal(own.embed(questions)[:, 3:], embedding[:, 3:])
    assert len(own.index(0)) == len(predicted.index(1)) == 60
    assert own.index(0) is unedited.index(1)  # one index for all edits


def test_the_nearest_are_ranked_again_by_agreement():
    dataset, system = FakeDataset(), FakeSystem(noise=0.8)
    whole = dataclasses.replace(SMALL, rerank=1000)  # more than there are
    rows = rows_of(evaluated(system, dataset, whole))
    assert list(rows)[-2:] == ["fake, nearest 1000 by agreement", "fake"]
    np.testing.assert_array_equal(
        rows["fake, nearest 1000 by agreement"].figures["ranks"],
        rows["predicted agreement"].figures["ranks"],
    )
    some = rows_of(evaluated(system, dataset, dataclasses.replace(SMALL, rerank=3)))
    again, own = some["fake, nearest 3 by agreement"], some["fake"]
    np.testing.assert_array_equal(again.values(TOP_3), own.values(TOP_3))
    far = own.figures["ranks"] > 3
    np.testing.assert_array_equal(again.figures["ranks"][far], own.figures["ranks"][far])
    with pytest.raises(ValueError, match="rerank must be at least 3; got 2"):
        dataclasses.replace(SMALL, rerank=2)


def test_no_logits_no_predicted_attributes():
    class Blind(FakeSystem):
        def attribute_logits(self, features):
            return None

    measured = evaluated(Blind(), FakeDataset(), SMALL)
    assert [row.name for row in measured.rows] == ["chance", "unedited query", "fake"]
    with pytest.raises(ValueError, match=r"rerank must be 0 for .*reads no attributes; got 5"):
        evaluated(Blind(), FakeDataset(), dataclasses.replace(SMALL, rerank=5))


def test_gallery_that_depends_on_the_edit():
    dataset, system = FakeDataset(), EditDependentSystem()
    plan = plan_of(dataset, dataclasses.replace(SMALL, num_changes=2))
    found = representations(system, dataset)
    unedited, *_, own = plan.methods(found, "fake")
    assert own.index(0) is own.index(0)
    assert own.index(0) is not own.index(1)
    for group, edited in enumerate(plan.manipulations.groups):
        mask = np.repeat(np.isin(np.arange(3), edited), SPACE.num_values)
        vectors = found.gallery["embedding"] * mask
        np.testing.assert_array_equal(gallery_embeddings(system, found.gallery, edited), vectors)
        distances = own.index(group).squared_distances(vectors)
        assert (distances.diagonal() <= distances.min(axis=1) + 1e-6).all()
        questions = np.flatnonzero(plan.group == group)
        expected = found.queries["embedding"][plan.query[questions]] * mask
        np.testing.assert_array_equal(unedited.embed(questions), expected)
