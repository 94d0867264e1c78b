import dataclasses
import json

import cv2
import numpy as np
import pytest
from absl import flags
from evaluation_fakes import FakeDataset, FakeSystem, script

from fashionsearchnet.evaluation import (
    AttributeProtocol,
    InstanceProtocol,
    ManipulationProtocol,
    evaluate,
    reporting,
    scores,
)

PROTOCOL = ManipulationProtocol(top_k=(1, 3, 20), headline_k=20, num_resamples=50, seed=5)


def write_report(measured, folder, name):
    report = reporting.summarize(measured)
    return reporting.write_report(report, measured.outcomes, folder, name)


@pytest.fixture(scope="module")
def measured():
    return evaluate(FakeSystem(noise=0.5), FakeDataset(), PROTOCOL)


def test_report_files_hold_what_was_measured(measured, tmp_path):
    paths = write_report(measured, tmp_path / "evaluation", "query")
    report = json.loads(paths["json"].read_text())
    assert report == reporting.summarize(measured)
    assert sorted(p.name for p in (tmp_path / "evaluation").iterdir()) == [
        "query.json", "query.md", "query.npz", "query.png",
    ]  # fmt: skip
    row = report["rows"][-1]
    own = measured.rows[-1]
    assert row["name"] == report["system"]["name"] == "fake"
    assert row["top_k"]["3"]["queries"] == pytest.approx(
        own.values(scores.Figure("top_k", 3)).mean()
    )
    assert row["curve"][2] == pytest.approx(row["top_k"]["3"]["mean"])
    assert row["ndcg"]["1"]["queries"] == pytest.approx(own.figures["ndcg"][:, 0].mean())
    assert len(row["curve"]) == 20
    assert report["manipulations"]["number"] == len(measured.plan)
    assert report["protocol"]["seed"] == 5
    assert report["versions"]["numpy"] == np.__version__
    assert report["published"] == []
    assert [d["other"] for d in report["differences"]] == list(scores.BASELINES[:4])
    top_20 = scores.Figure("top_k", 20)
    difference = own.values(top_20) - measured.rows[0].values(top_20)
    assert report["differences"][0]["queries"] == pytest.approx(difference.mean())
    np.testing.assert_array_equal(
        scores.Outcomes.load(paths["json"]).row("fake").figures["ranks"], own.figures["ranks"]
    )
    picture = cv2.imread(str(paths["png"]))
    assert picture is not None
    assert picture.shape[0] > 300 and picture.std() > 5


def test_a_kill_while_a_report_is_rewritten_leaves_no_figures_of_the_former_one(
    measured, tmp_path, monkeypatch
):
    paths = write_report(measured, tmp_path, "query")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(reporting.curve, "draw_curves", killed)
    with pytest.raises(KeyboardInterrupt):
        write_report(measured, tmp_path, "query")
    assert paths["npz"].exists() and not paths["json"].exists()


def test_a_report_of_another_evaluation_is_not_replaced(measured, tmp_path):
    def check(dataset=measured.plan.dataset, protocol=PROTOCOL, **changes):
        protocol = dataclasses.replace(protocol, **changes)
        plan = dataclasses.replace(measured.plan, dataset=dataset, protocol=protocol)
        reporting.check_replaceable(tmp_path, "query", plan)

    check(hit_rule="labelled")  # there is none yet
    reporting.write_report(reporting.summarize(measured), measured.outcomes, tmp_path, "query")
    check()
    check(num_resamples=7)
    for changes, message in (
        ({"hit_rule": "labelled"}, "hit_rule is identical there, labelled now"),
        ({"plan": "listed"}, "plan is all there, listed now"),
        ({"seed": 6}, "seed is 5 there, 6 now"),
        ({"dataset": "fakes/large"}, "dataset is fakes/tiny there, fakes/large now"),
    ):
        with pytest.raises(ValueError, match=rf"query\.json .*{message}.* another --name"):
            check(**changes)
    with pytest.raises(ValueError, match=r"--task is manipulation there, attribute now"):
        check(protocol=AttributeProtocol(seed=5))


def test_markdown_states_the_protocol_and_has_even_tables(measured):
    text = reporting.markdown(reporting.summarize(measured), "query.png")
    for expected in (
        "# fake on fakes/tiny",
        "12 queries (query), 60 gallery images (gallery)",
        "hit rule identical",
        "| chance |",
        "| predicted attributes |",
        "![Top-K accuracy over K](query.png)",
        "Seed 5; 50 bootstrap resamples.",
        "log2(rank + 1)",
        "none of them a query",
        "noise=0.5",
        "## Localisation",
    ):
        assert expected in text
    blocks = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert len(blocks) == 6
    for block in blocks:
        assert len({line.count("|") for line in block}) == 1


def test_screen_has_one_aligned_line_per_row(measured):
    text = reporting.screen_text(reporting.summarize(measured))
    lines = [line for line in text.splitlines() if line.startswith(("chance", "unedited", "fake "))]
    assert len(lines) >= 9
    first_table = [line for line in lines[:3]]
    assert len({len(line) for line in first_table}) == 1


def on(dataset, measured, **changes):
    """The same evaluation under the name of another data set, or with another protocol."""
    protocol = dataclasses.replace(measured.plan.protocol, **changes)
    plan = dataclasses.replace(measured.plan, dataset=dataset, protocol=protocol)
    return dataclasses.replace(measured, plan=plan)


def test_published_rows_stand_beside_ours(measured):
    report = reporting.summarize(on("celeba/1.0.0", measured))
    assert [row["name"] for row in report["published"][0]["rows"]][-1] == "Full w/ FF"
    text = reporting.markdown(report, "x.png")
    assert "published: Rank-LG" in text and "arXiv:2111.14145" in text
    # The paper has K = 20 only.
    assert reporting.summarize(on("celeba/1.0.0", measured, headline_k=3))["published"] == []


def test_published_means_stand_below_what_they_are_over(measured):
    report = reporting.summarize(measured)
    rows = [
        {"name": "weighted", "per_group": [0.25, 0.75, 0.5], "mean": 0.6, "over_queries": True},
        {"name": "alone", "per_group": [None] * 3, "mean": 0.3, "over_queries": True},
        {"name": "plain", "per_group": [0.1, 0.2, 0.3], "mean": 0.2, "over_queries": False},
        {"name": "of an older report", "per_group": [0.1, 0.2, 0.3], "mean": 0.2},
    ]
    report["published"] = [{"source": "a paper", "protocol": "theirs.", "rows": rows}]
    text = reporting.markdown(report, "x.png")
    assert "| published: weighted | 0.250 | 0.750 | 0.500 | 0.500 | 0.600 |" in text
    assert "| published: alone | - | - | - |  | 0.300 |" in text
    assert "| published: plain | 0.100 | 0.200 | 0.300 | 0.200 |  |" in text
    assert "| published: of an older report | 0.100 | 0.200 | 0.300 | 0.200 |  |" in text


def test_an_attribute_without_manipulations_is_a_dash(measured):
    kept = np.flatnonzero(measured.plan.group != 1)
    query, group = measured.plan.query[kept], measured.plan.group[kept]
    plan = dataclasses.replace(measured.plan, query=query, group=group)
    own = measured.rows[-1]
    row = dataclasses.replace(own, figures={k: v[kept] for k, v in own.figures.items()})
    outcomes = dataclasses.replace(measured.outcomes, query=query, group=group, rows=(row,))
    cut = dataclasses.replace(measured, plan=plan, rows=(row,), outcomes=outcomes)
    report = reporting.summarize(cut)
    assert report["rows"][0]["top_k"]["20"]["per_group"][1] is None
    json.dumps(report, allow_nan=False)
    assert " | - | " in reporting.markdown(report, "x.png")


@pytest.fixture(scope="module")
def measured_pairs():
    how = dataclasses.replace(PROTOCOL, num_changes=2, max_manipulations_per_attribute=9)
    return evaluate(FakeSystem(noise=0.5), FakeDataset(), how)


def test_several_changes_have_a_column_per_set_of_attributes(measured_pairs):
    report = reporting.summarize(measured_pairs)
    assert report["groups"] == ["colour + size", "colour + shape", "size + shape"]
    assert report["manipulations"]["per_group"]["size + shape"] <= 9
    own = measured_pairs.rows[-1].values(scores.Figure("top_k", 20))
    means = [own[measured_pairs.plan.group == g].mean() for g in range(3)]
    assert report["rows"][-1]["top_k"]["20"]["per_group"] == pytest.approx(means)
    assert report["rows"][-1]["top_k"]["20"]["mean"] == pytest.approx(np.mean(means))
    text = reporting.markdown(report, "x.png")
    for expected in (
        "# fake on fakes/tiny, 2 attributes changed at once",
        "manipulations of 2 attributes at once (",
        "## Top-20 accuracy per set of 2 attributes",
        "|  | colour + size | colour + shape | size + shape | plain mean | query-weighted mean |",
        "plain mean / query-weighted mean over 3 sets of 2 attributes",
        "95 % intervals",
        "Every replacement of exactly 2 values of a query by others",
        "At most 9 of each were drawn.",
        "the sets of attributes that change together, each counting the same",
        "the edited blocks set to one-hot",
    ):
        assert expected in text
    # The paper changes one at a time.
    assert reporting.summarize(on("celeba/1.0.0", measured_pairs))["published"] == []


def test_many_sets_of_attributes_have_no_columns_but_are_in_the_report(measured_pairs, monkeypatch):
    monkeypatch.setattr(reporting.summary, "_MAX_COLUMNS", 2)
    report = reporting.summarize(measured_pairs)
    assert len(report["rows"][0]["top_k"]["20"]["per_group"]) == 3
    text = reporting.markdown(report, "x.png")
    assert "|  | plain mean | query-weighted mean |" in text and "95 % intervals" not in text
    assert (
        "in 3 of the 3 sets of 2 attributes. At most" in text
        and "The .json file has each set." in text
    )
    assert "colour + size" not in text + reporting.screen_text(report)
    for block in [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]:
        assert len({line.count("|") for line in block}) == 1


def test_single_changes_always_have_a_column_per_attribute(measured, monkeypatch):
    monkeypatch.setattr(reporting.summary, "_MAX_COLUMNS", 2)
    assert reporting.summary.columns(reporting.summarize(measured)) == ["colour", "size", "shape"]


@pytest.mark.parametrize("max_columns", [12, 2])
def test_runs_are_compared_by_sets_of_attributes(
    measured_pairs, max_columns, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(reporting.summary, "_MAX_COLUMNS", max_columns)
    paths = write_report(measured_pairs, tmp_path, "query_2_changes")
    with script("compare") as tool:
        report = f"--report={paths['md']}"
        flags.FLAGS(["compare.py", report, report, "--label=first", "--label=second"])
        tool.main()
    text = capsys.readouterr().out
    header = "| Top-20 | colour + size | colour + shape | size + shape | plain mean |"
    assert (header in text) == (max_columns == 12)
    assert "| chance |" in text and "| second - first | +0.000 [+0.000, +0.000] |" in text
    for block in [part.splitlines() for part in text.split("\n\n")]:
        assert len({line.count("|") for line in block if line}) <= 1


def test_a_single_group_has_a_mean_over_its_manipulations():
    how = ManipulationProtocol(num_changes=3, num_resamples=20)
    measured = evaluate(FakeSystem(), FakeDataset(), how)
    text = reporting.markdown(reporting.summarize(measured), "x.png")
    assert f"## Top-K accuracy, mean over {len(measured.plan)} manipulations" in text


def test_a_k_is_refused_where_the_figure_has_none(tmp_path):
    measured = evaluate(FakeSystem(), FakeDataset(), AttributeProtocol(num_resamples=20))
    reporting.write_report(reporting.summarize(measured), measured.outcomes, tmp_path, "a")
    with pytest.raises(ValueError, match="--k is for figures at a K; the reports are of MAP"):
        compare("--k=5", f"--report={tmp_path / 'a.json'}")


def compare(*arguments):
    """Runs tools/compare.py."""
    with script("compare") as tool:
        flags.FLAGS(["compare.py", *arguments])
        tool.main()


def test_a_label_without_a_report_is_refused(measured, tmp_path):
    report = f"--report={write_report(measured, tmp_path, 'query')['md']}"
    with pytest.raises(ValueError, match=r"--label names .* there are 2 labels for 1 reports"):
        compare(report, "--label=first", "--label=second")


def test_reports_with_other_top_k_are_compared_at_a_k_that_both_have(measured, tmp_path, capsys):
    how = dataclasses.replace(PROTOCOL, top_k=(3, 10), headline_k=10)
    other = evaluate(FakeSystem(noise=0.9, name="blurred"), FakeDataset(), how)
    pairs = ((measured, "query"), (other, "other"))
    both = [f"--report={write_report(one, tmp_path, name)['md']}" for one, name in pairs]
    compare(*both, "--k=3")
    assert "| blurred - fake | -0." in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"--k must be .* 'blurred' has 3, 10, not 20"):
        compare(*both)


class Items(FakeDataset):
    """Six items, each in two query images."""

    def instance_ids(self, split):
        return [f"item{i % 6}" for i in range(self.num_examples(split))]


@pytest.mark.parametrize(
    ("protocol", "header"),
    [
        (AttributeProtocol(num_resamples=20), "| MAP | colour | size | shape | plain mean |"),
        (InstanceProtocol(num_resamples=20), "| Recall@20 | mean |"),
    ],
)
def test_runs_of_every_task_are_compared(protocol, header, tmp_path, capsys):
    for noise, name in ((0.5, "first"), (0.9, "second")):
        measured = evaluate(FakeSystem(noise, name), Items(), protocol)
        write_report(measured, tmp_path, name)
    compare(*(f"--report={tmp_path / name}.json" for name in ("first", "second")))
    text = capsys.readouterr().out
    assert header in text and "| chance |" in text and "| second - first | " in text
    for block in [part.splitlines() for part in text.split("\n\n")]:
        assert len({line.count("|") for line in block if line}) <= 1


def test_reports_of_before_there_were_tasks_are_compared(measured, tmp_path, capsys):
    paths = write_report(measured, tmp_path, "query")
    report = json.loads(paths["json"].read_text())
    for key in ("task", "words", "metrics", "headline", "curve_k", "curve_metric"):
        del report[key]
    paths["json"].write_text(json.dumps({**report, "headline_k": 20}))
    compare(f"--report={paths['json']}")
    assert "| Top-20 | colour | size | shape | plain mean |" in capsys.readouterr().out
