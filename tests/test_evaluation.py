import dataclasses

import numpy as np
import pytest
from absl import flags
from evaluation_fakes import BOX, SPACE, EditDependentSystem, FakeDataset, FakeSystem, script

from fashionsearchnet import evaluation, protocol
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.evaluation import Settings, evaluate, evaluate_each

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


@pytest.mark.parametrize("num_changes", [1, 2])
def test_ranks_and_ndcg_equal_a_slow_evaluation(num_changes):
    dataset, system = FakeDataset(seed=3), FakeSystem(noise=0.6)
    how = dataclasses.replace(SMALL, num_changes=num_changes)
    measured = evaluate(system, dataset, how, batch_size=64)
    queries, gallery = (
        evaluation.extract_features(system, dataset, s)["embedding"] for s in ("query", "gallery")
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
        match = labels[order] == manipulations.targets[m]
        assert row.ranks[m] == 1 + np.argmax(match.all(axis=1))
        gains = 2 ** match.mean(axis=1) - 1
        discounts = 1 / np.log2(np.arange(2, 62))
        expected = [gains[:k] @ discounts[:k] / discounts[:k].sum() for k in (1, 3, 20)]
        np.testing.assert_allclose(row.ndcg[m], expected, rtol=1e-5)


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
        SMALL, hit_rule="labelled", add_missing=True, max_manipulations_per_attribute=5
    )
    measured = evaluate(FakeSystem(), FakeDataset(), how)
    assert np.bincount(measured.manipulations.group).tolist() == [5, 5, 5]
    everything = evaluate(FakeSystem(), FakeDataset(), dataclasses.replace(SMALL, add_missing=True))
    assert everything.manipulations.num_added > 0


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


def test_another_run_beside():
    dataset = FakeDataset()
    first = evaluate(FakeSystem(noise=0.9, name="blurred"), dataset, SMALL)
    source = [("first.json", first.outcomes)]
    second = evaluate(FakeSystem(), dataset, SMALL, source)
    assert [row.name for row in second.rows][-2:] == ["blurred", "fake"]
    np.testing.assert_array_equal(rows_of(second)["blurred"].ranks, rows_of(first)["blurred"].ranks)
    same = evaluate(FakeSystem(noise=0.9, name="blurred"), dataset, SMALL, source)
    assert [row.name for row in same.rows][-2:] == ["blurred (first.json)", "blurred"]
    with pytest.raises(ValueError, match="different protocols"):
        evaluate(FakeSystem(), dataset, dataclasses.replace(SMALL, num_changes=2), source)
    with pytest.raises(ValueError, match=r"this evaluation and first.json .* different protocols"):
        evaluate(FakeSystem(), FakeDataset(seed=9, num_queries=11), SMALL, source)


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
