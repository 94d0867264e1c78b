import dataclasses

import numpy as np
import pytest
from evaluation_fakes import FakeDataset, FakeSystem, QueriesInGallery

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.evaluation import (
    AttributeProtocol,
    InstanceProtocol,
    ManipulationProtocol,
    evaluate,
    evaluate_each,
    make_plans,
    reporting,
)

SMALL = ManipulationProtocol(top_k=(1, 3, 20), headline_k=3, num_resamples=50)


def rows_of(measured):
    return {row.name: row for row in measured.rows}


def test_tasks_and_numbers_of_changes_share_one_pass_over_the_images():
    dataset, passes = FakeDataset(), []
    plain = dataset.images

    def counted(split, *rest, **more):
        passes.append(split)
        return plain(split, *rest, **more)

    dataset.images = counted
    how = [SMALL, dataclasses.replace(SMALL, num_changes=2), AttributeProtocol(num_resamples=20)]
    together = list(evaluate_each(FakeSystem(noise=0.6), dataset, make_plans(dataset, how)))
    assert passes == ["query", "gallery"]
    for measured, protocol in zip(together, how, strict=True):
        alone = evaluate(FakeSystem(noise=0.6), FakeDataset(), protocol)
        assert measured.outcomes.protocol == alone.outcomes.protocol
        figures, expected = (rows_of(one)["fake"].figures for one in (measured, alone))
        for name, values in figures.items():
            np.testing.assert_array_equal(values, expected[name])


def test_what_cannot_be_measured_is_said_before_the_images_are_looked_at():
    dataset = FakeDataset()
    dataset.images = None
    with pytest.raises(ValueError, match="num_changes must be between 1 and 3; got 4"):
        make_plans(dataset, [SMALL, dataclasses.replace(SMALL, num_changes=4)])


def test_protocols_on_different_splits_are_refused():
    how = [SMALL, dataclasses.replace(SMALL, query_split="query[:5]")]
    with pytest.raises(ValueError, match="all protocols must have the same query_split"):
        make_plans(FakeDataset(), how)


def test_reports_name_the_weights_that_were_measured():
    with_weights = evaluate(FakeSystem(), FakeDataset(), SMALL, weights="c0ffee")
    assert reporting.summarize(with_weights)["system"]["weights"] == "c0ffee"
    assert "weights" not in evaluate(FakeSystem(), FakeDataset(), SMALL).system


def test_another_run_beside():
    dataset = FakeDataset()
    first = evaluate(FakeSystem(noise=0.9, name="blurred"), dataset, SMALL)
    source = [("first.json", first.outcomes)]
    second = evaluate(FakeSystem(), dataset, SMALL, beside=source)
    assert [row.name for row in second.rows][-2:] == ["blurred", "fake"]
    np.testing.assert_array_equal(
        rows_of(second)["blurred"].figures["ranks"], rows_of(first)["blurred"].figures["ranks"]
    )
    same = evaluate(FakeSystem(noise=0.9, name="blurred"), dataset, SMALL, beside=source)
    assert [row.name for row in same.rows][-2:] == ["blurred (first.json)", "blurred"]


def test_a_run_beside_may_have_more_top_k_but_not_lack_any():
    dataset = FakeDataset()
    first = evaluate(FakeSystem(noise=0.9, name="blurred"), dataset, SMALL)
    source = [("first.json", first.outcomes)]
    how = dataclasses.replace(SMALL, top_k=(3, 20))
    row = rows_of(evaluate(FakeSystem(), dataset, how, beside=source))["blurred"]
    np.testing.assert_array_equal(
        row.figures["ndcg"], rows_of(first)["blurred"].figures["ndcg"][:, 1:]
    )
    dataset.images = None  # said before the images are looked at
    with pytest.raises(ValueError, match=r"first.json has no figures for top_k 5; .* 1, 3, 20"):
        evaluate(FakeSystem(), dataset, dataclasses.replace(SMALL, top_k=(1, 3, 5)), beside=source)


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
            evaluate(FakeSystem(), dataset, how, beside=source)


def test_splits_that_overlap_are_refused():
    with pytest.raises(
        ValueError,
        match=r"12 of the 12 images of query split 'query' are in gallery split 'query' .* slices",
    ):
        evaluate(FakeSystem(), FakeDataset(), dataclasses.replace(SMALL, gallery_split="query"))


def test_queries_in_the_gallery_are_the_data_sets_to_announce():
    dataset = QueriesInGallery()
    dataset.queries_in_gallery = False
    with pytest.raises(ValueError, match=r"12 of the 12 images .* in fakes/tiny none may be"):
        evaluate(FakeSystem(), dataset, SMALL)
    dataset.queries_in_gallery = True
    plain = dataset.image_ids
    dataset.image_ids = lambda split: (
        ["new", *plain(split)[1:]] if split == "query" else plain(split)
    )
    with pytest.raises(ValueError, match=r"11 of the 12 images .* either all queries or none"):
        evaluate(FakeSystem(), dataset, SMALL)


@pytest.mark.parametrize("protocol", [AttributeProtocol(), InstanceProtocol(), SMALL])
@pytest.mark.parametrize("split", ["query", "gallery"])
def test_an_empty_split_is_refused_by_name(protocol, split):
    dataset = FakeDataset(**{f"num_{'queries' if split == 'query' else split}": 0})
    with pytest.raises(ValueError, match=f"split '{split}' of fakes/tiny has no images"):
        evaluate(FakeSystem(), dataset, protocol)


def test_a_row_is_not_named_like_a_baseline():
    with pytest.raises(ValueError, match="the name of a baseline; got 'chance'"):
        evaluate(FakeSystem(), FakeDataset(), SMALL, name="chance")


def test_another_attribute_space_is_refused():
    system = FakeSystem()
    system.space = AttributeSpace.from_dict({"colour": ["red", "green"]})
    with pytest.raises(ValueError, match="the system and data set fakes/tiny have different"):
        evaluate(system, FakeDataset(), SMALL)


def test_broken_embeddings_are_refused_instead_of_scoring_perfectly():
    with pytest.raises(ValueError, match="NaN or infinity"):
        evaluate(FakeSystem(noise=float("nan")), FakeDataset(), SMALL)


def test_a_task_that_the_system_does_not_answer_is_refused():
    class Manipulator(FakeSystem):
        tasks = ("manipulation",)

    with pytest.raises(ValueError, match=r"does not answer .*; it answers manipulation\."):
        evaluate(Manipulator(), FakeDataset(), AttributeProtocol())


def test_a_run_of_another_task_beside_is_refused():
    first = evaluate(FakeSystem(), FakeDataset(), AttributeProtocol(num_resamples=20))
    with pytest.raises(ValueError, match=r"task 'manipulation', first\.json of task 'attribute'"):
        evaluate(FakeSystem(), FakeDataset(), SMALL, beside=[("first.json", first.outcomes)])


@pytest.mark.parametrize("protocol", [AttributeProtocol(num_resamples=20), SMALL])
def test_a_split_can_be_queries_and_gallery_at_once(protocol):
    how = dataclasses.replace(protocol, query_split="gallery")
    measured = evaluate(FakeSystem(noise=0.5), QueriesInGallery(), how)
    assert measured.plan.own is not None and set(measured.plan.query) <= set(range(60))
    assert measured.localization is not None
    assert measured.localization["size"]["images"] == 60  # each image counts once


@pytest.mark.parametrize("protocol", [AttributeProtocol(num_resamples=20), SMALL])
def test_vectors_whose_distances_overflow_are_refused(protocol):
    class Long(FakeSystem):
        def image_features(self, images):
            found = super().image_features(images)
            return found | {"embedding": found["embedding"] * 1e25}

    with pytest.raises(ValueError, match=r"the vectors of '.*' are so long that their distances"):
        evaluate(Long(), FakeDataset(), protocol)
