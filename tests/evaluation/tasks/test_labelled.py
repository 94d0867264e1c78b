"""Manipulation with a gallery that knows its labels."""

import dataclasses

import numpy as np
import pytest
from evaluation_fakes import (
    SPACE,
    BlockSystem,
    EditDependentSystem,
    FakeDataset,
    FakeSystem,
    QueriesInGallery,
    evaluated,
)

from fashionsearchnet.evaluation import (
    LabelledGalleryProtocol,
    ManipulationProtocol,
    label_blend,
    make_plans,
    reporting,
)
from fashionsearchnet.evaluation.scores import Figure
from fashionsearchnet.evaluation.tasks.manipulation.labelled import known_labels_of

SMALL = LabelledGalleryProtocol(top_k=(1, 3, 20), headline_k=3, num_resamples=50)
PLAIN = ManipulationProtocol(top_k=(1, 3, 20), headline_k=3, num_resamples=50)
TOP_1, TOP_3 = Figure("top_k", 1), Figure("top_k", 3)
NAME = "labels used"


def rows_of(measured):
    return {row.name: row for row in measured.rows}


def test_known_labels_are_nested_and_of_the_right_share(rng):
    labels = rng.integers(-1, SPACE.num_values, (5000, 3)).astype(np.int32)
    there = labels >= 0
    before = np.zeros_like(there)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        known = known_labels_of(labels, SPACE, share, 0.0, seed=3)
        is_shown = known >= 0
        assert (is_shown | ~before).all() and (known == labels)[is_shown].all()
        assert not is_shown[~there].any()
        assert abs(is_shown[there].mean() - share) < 0.02
        before = is_shown
    wrong_before = np.zeros_like(there)
    for share in (0.05, 0.1, 0.2):
        known = known_labels_of(labels, SPACE, 1.0, share, seed=3)
        assert ((known >= 0) == there).all() and (known < SPACE.num_values).all()
        wrong = known != labels
        assert (wrong | ~wrong_before).all() and abs(wrong[there].mean() - share) < 0.02
        wrong_before = wrong
    np.testing.assert_array_equal(known, known_labels_of(labels, SPACE, 1.0, 0.2, seed=3))
    assert (known != known_labels_of(labels, SPACE, 1.0, 0.2, seed=4)).any()


def test_the_rows_and_that_those_without_labels_are_the_same_as_ever():
    system, dataset = BlockSystem(noise=0.8), FakeDataset()
    generic = tuple(np.random.default_rng(s).normal(size=(n, 5)) for s, n in enumerate((12, 60)))
    measured = evaluated(system, dataset, SMALL, name=NAME, generic=generic)
    assert [row.name for row in measured.rows] == [
        *("chance", "unedited query", "predicted attributes"),
        *("predicted agreement", "generic vectors, filtered"),
        *("predicted attributes, unedited and filtered", "predicted attributes, labels used"),
        "predicted agreement, labels used",
        *("unedited query of fake, filtered", "fake, images alone", "fake, filtered"),
        *("fake, labels used and filtered", NAME),
    ]
    found, plain = rows_of(measured), rows_of(evaluated(system, dataset, PLAIN))
    same = {"unedited query": "unedited query", "predicted attributes": "predicted attributes"}
    for name, other in {**same, "fake": "fake, images alone"}.items():
        np.testing.assert_array_equal(plain[name].figures["ranks"], found[other].figures["ranks"])
    top = {name: row.values(TOP_3).mean() for name, row in found.items()}
    assert top[NAME] > top["fake, images alone"] and top["fake, filtered"] > top["unedited query"]
    assert top["predicted attributes, labels used"] > top["predicted attributes"]


@pytest.mark.parametrize("shares", [(0.5, 0.0), (1.0, 0.1), (0.0, 0.0)])
def test_a_filter_lets_through_what_has_the_wanted_value(shares):
    """Against a sort per manipulation of the images that pass."""
    system, dataset = BlockSystem(noise=0.8), QueriesInGallery()
    how = dataclasses.replace(SMALL, known_labels=shares[0], wrong_labels=shares[1])
    generic = tuple(np.random.default_rng(s).normal(size=(n, 5)) for s, n in enumerate((12, 60)))
    measured = evaluated(system, dataset, how, name=NAME, generic=generic)
    plan, row = measured.plan, rows_of(measured)["generic vectors, filtered"]
    labels = dataset.labels("gallery")
    for m in range(len(plan)):
        (attribute,) = np.flatnonzero(plan.edits[m] >= 0)
        passes = plan.known[:, attribute] == plan.edits[m, attribute]
        query = plan.query[m]
        distances = ((generic[1] - generic[0][query]) ** 2).sum(axis=1)
        order = [i for i in np.argsort(distances) if passes[i] and i != dataset.own[query]]
        hits = [
            r for r, i in enumerate(order) if (labels[i] == plan.manipulations.targets[m]).all()
        ]
        assert (row.values(TOP_3)[m] == 1.0) == bool(hits and hits[0] < 3)
        if hits:
            assert row.figures["ranks"][m] == hits[0] + 1


def test_nothing_known_is_the_image_and_what_it_reads_and_blend_0_the_image():
    system, dataset = BlockSystem(noise=0.8), FakeDataset()
    how = dataclasses.replace(SMALL, label_blend=(0.0,))
    found = rows_of(evaluated(system, dataset, how, name=NAME))
    np.testing.assert_array_equal(
        found[NAME].figures["ranks"], found["fake, images alone"].figures["ranks"]
    )
    how = dataclasses.replace(SMALL, known_labels=0.0)
    found = rows_of(evaluated(system, dataset, how, name=NAME))
    one = found["predicted attributes, labels used"]
    np.testing.assert_array_equal(
        one.figures["ranks"], found["predicted attributes"].figures["ranks"]
    )


def test_a_system_without_blocks_is_filtered():
    for kind in (FakeSystem, EditDependentSystem):
        measured = evaluated(kind(noise=0.8), FakeDataset(), SMALL, name="fake, filtered by label")
        names = [row.name for row in measured.rows]
        assert names[-2:] == ["fake, images alone", "fake, filtered by label"]
        found = rows_of(measured)
        assert found[names[-1]].values(TOP_3).mean() >= found[names[-2]].values(TOP_3).mean()


def test_reports_say_what_was_known_and_have_their_own_names():
    how = dataclasses.replace(SMALL, known_labels=0.5, wrong_labels=0.05, num_changes=2)
    assert how.report_name == "query_2_changes_labels_50_known_5_wrong"
    assert SMALL.report_name == "query_labels_100_known"
    measured = evaluated(BlockSystem(), FakeDataset(), how, name=NAME)
    report = reporting.summarize(measured)
    assert report["protocol"]["known_labels"] == 0.5 and report["protocol"]["wrong_labels"] == 0.05
    known, counts = measured.plan.known, report["manipulations"]
    assert counts["num_known_labels"] == (known >= 0).sum() > counts["num_wrong_labels"] > 0
    text = reporting.markdown(report, "curve.png")
    assert "50% of the gallery's labels known" in text and "Not comparable with the papers" in text
    plain = evaluated(BlockSystem(), FakeDataset(), dataclasses.replace(PLAIN, num_changes=2))
    with pytest.raises(ValueError, match="different protocols"):
        measured.outcomes.check_comparable(plain.outcomes, "this", "that")


def test_what_cannot_be_known_is_refused():
    with pytest.raises(ValueError, match="known_labels must be between 0"):
        dataclasses.replace(SMALL, known_labels=1.5)
    with pytest.raises(ValueError, match="wrong_labels must be between 0"):
        dataclasses.replace(SMALL, wrong_labels=-0.1)
    dataset = FakeDataset()
    with pytest.raises(ValueError, match="label_blend must be one number, or one for each"):
        evaluated(BlockSystem(), dataset, dataclasses.replace(SMALL, label_blend=(0.1, 0.2)))
    dataset.labels("gallery")[:] = -1
    with pytest.raises(ValueError, match="no image of 'gallery' of fakes/tiny has a label"):
        make_plans(dataset, [SMALL])


def test_a_blend_is_chosen_that_is_nowhere_worse_than_the_images_alone():
    system, dataset = BlockSystem(noise=0.8), FakeDataset(num_queries=40, num_gallery=200)
    choice = label_blend.choose_blend(system, dataset, SMALL, grid=(0.0, 0.3, 0.6, 1.0))
    found = choice.figures[choice.blend]
    assert choice.blend > 0.0 and len(found) == len(label_blend.CONDITIONS)
    fit = [each for each in choice.figures.values() if min(each) >= choice.alone]
    assert found in fit and np.mean(found) == max(np.mean(figures) for figures in fit)
    assert set(choice.figures[0.0]) == {choice.alone}
    stored = choice.chosen(SPACE, "ab", SMALL)
    assert set(stored.blend) == {choice.blend}
    assert stored.chosen_on["images_alone"] == choice.alone
    how = dataclasses.replace(SMALL, label_blend=stored.blend)
    measured = rows_of(evaluated(system, dataset, how, name=NAME))[NAME]
    grouping = evaluated(system, dataset, how, name=NAME).outcomes.grouping()
    assert grouping.num_groups == 3 and 0 < measured.values(TOP_1).mean() <= 1
    with pytest.raises(ValueError, match="cannot use the labels of a gallery"):
        label_blend.choose_blend(FakeSystem(), dataset, SMALL)


def test_the_same_measurement_may_be_repeated_and_another_blend_may_not(tmp_path):
    measured = evaluated(BlockSystem(noise=0.8), FakeDataset(), SMALL, name=NAME)
    name = SMALL.report_name
    reporting.write_report(reporting.summarize(measured), measured.outcomes, tmp_path, name)
    reporting.check_replaceable(tmp_path, name, measured.plan)
    other = dataclasses.replace(measured.plan.protocol, label_blend=(0.1, 0.5, 0.5))
    plan = dataclasses.replace(measured.plan, protocol=other)
    with pytest.raises(ValueError, match=r"label_blend is 0\.5,0\.5,0\.5 there, 0\.1,0\.5"):
        reporting.check_replaceable(tmp_path, name, plan)
