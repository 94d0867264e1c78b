"""The report from made-up outcomes: measured beside published, the order, what is missing."""

import dataclasses
import json
import shutil

import pytest
from reproduction_fakes import TABLE_1, FakeRunner, execute, plan_of, write_evaluation

from fashionsearchnet.evaluation import published
from fashionsearchnet.reproduction import comparison
from fashionsearchnet.reproduction.comparison import claimed_gains, verdict
from fashionsearchnet.reproduction.execution import write_report
from fashionsearchnet.reproduction.progress import Progress
from fashionsearchnet.systems.recipes import RECIPES

SHARES = {"AMNet": 0.2, "w/o Rank": 0.3, "Rank": 0.5, "Rank-L": 0.5, "Rank-LG": 0.4, "Full": 0.6}
KEYS = ("amnet", "without_rank", "rank", "rank_l", "rank_lg", "full")


def reproduce(plan, **arguments):
    execute(plan, FakeRunner(SHARES, **arguments))
    folder = plan.experiment.report_dir
    return json.loads((folder / "report.json").read_text()), (folder / "report.md").read_text()


@pytest.fixture
def whole(tmp_path):
    return reproduce(plan_of(tmp_path, *KEYS, sheet_rows=("full",)))


def test_measured_stands_beside_published(whole):
    report, text = whole
    rows = {row["title"]: row for row in report["rows"]}
    assert rows["Full"]["measured"]["mean"] == pytest.approx(0.6)
    assert rows["Full"]["published"]["mean"] == 0.483
    assert report["published"]["is_same_dataset"] is False
    assert "difference" not in rows["Full"]
    assert "Shopping100k, paper" in text and "for orientation only" in text
    assert report["missing"] == [] and "Complete" in text


def test_the_order_is_judged_by_paired_intervals(whole):
    report, text = whole
    verdicts = {(s["lower"], s["higher"]): s["verdict"] for s in report["gains"]}
    assert verdicts == {
        ("AMNet", "Rank"): "holds",
        ("w/o Rank", "Rank"): "holds",
        ("Rank", "Rank-L"): "too close to call",
        ("Rank-L", "Rank-LG"): "does not hold",
        ("Rank-LG", "Full"): "holds",
    }
    rises = {s["higher"]: s["paper"] for s in report["gains"]}
    assert rises["Rank-LG"] == pytest.approx(0.473 - 0.326)
    assert "holds: 3; too close to call: 1; does not hold: 1" in text


def test_it_says_how_it_was_measured(whole):
    report, text = whole
    assert "- Every change was tried." in text
    assert "Seed of training 0" in text and "cores" in text and "python 3" in text
    assert {"full", "full/query"} <= set(report["times"])
    assert report["sheets"] == ["sheet_full.png"]
    assert "| chance |" in text and "| predicted attributes |" in text
    lead = {e["title"]: e["difference"] for e in report["beside_predictions"]}
    assert lead["Full"]["mean"] == pytest.approx(0.05, abs=0.01)


def test_a_data_set_of_the_paper_gets_differences(tmp_path):
    plan = plan_of(tmp_path, "rank", "full", dataset="darn/paper")
    report, text = reproduce(plan)
    full = report["rows"][1]
    assert full["difference"] == pytest.approx(0.6 - 0.35)
    assert full["published"]["per_attribute"] == [None, None]  # DARN has no neckline
    assert "DARN, paper" in text and "orientation" not in text


@pytest.mark.parametrize(("over_queries", "key"), [((), "mean"), (("Full",), "queries")])
def test_a_difference_is_of_means_over_the_same(tmp_path, monkeypatch, over_queries, key):
    table_for = published.table_for

    def changed(*arguments):
        table = table_for(*arguments)
        return dataclasses.replace(table, over_queries=frozenset(over_queries)) if table else None

    def summary(*arguments):
        found = summarize(*arguments)
        return found | {"queries": found["mean"] + 0.1}

    summarize = comparison._summary
    monkeypatch.setattr(comparison, "_summary", summary)
    monkeypatch.setattr(published, "table_for", changed)
    report, _ = reproduce(plan_of(tmp_path, "full", dataset="darn/paper"))
    (full,) = report["rows"]
    measured = full["measured"]
    assert full["difference"] == pytest.approx(measured[key] - full["published"]["mean"])


def test_a_partial_report_says_what_is_missing(tmp_path):
    report, text = reproduce(plan_of(tmp_path, *KEYS), fails=["full"])
    assert report["missing"] == ["full", "full/query"]
    assert "**Not complete.** 2 steps are missing: `full`, `full/query`" in text
    assert "| Full | - | - | not measured |" in text
    assert report["gains"][-1]["verdict"] == "not measured"


def test_figures_of_weights_that_are_gone_make_it_incomplete(tmp_path):
    reproduce(plan_of(tmp_path, "rank_l", "full", sheet_rows=("full",)))
    plan = plan_of(tmp_path, "rank_l", "full", epochs_scale=0.5)
    runs_dir = plan.experiment.runs_dir
    shutil.rmtree(runs_dir / "localization")
    shutil.rmtree(runs_dir / "rank_l")
    report, text = reproduce(plan)
    assert report["missing"] == [] and report["stale"] == ["full", "full/query"]
    assert "**Not complete.** 2 steps are stale: `full`, `full/query`. The run that" in text


def test_machines_and_sheets_are_those_of_the_plan(tmp_path):
    reproduce(plan_of(tmp_path, "rank", "full", sheet_rows=("full",)))
    plan = plan_of(tmp_path, "rank")
    progress = Progress(plan.experiment.runs_dir)
    progress.records["full"].machine = "another"
    progress.records["rank"].machine = "this"
    progress.records["localization"].machine = progress.records["rank/query"].machine = ""
    write_report(plan, progress)
    report = json.loads((plan.experiment.report_dir / "report.json").read_text())
    assert report["machines"] == ["this"] and report["sheets"] == []


def test_nothing_measured_is_a_report_too(tmp_path):
    plan = plan_of(tmp_path, "full")
    write_report(plan, Progress(plan.experiment.runs_dir))
    assert "Not complete" in (plan.experiment.report_dir / "report.md").read_text()
    assert not (plan.experiment.report_dir / "curve.png").exists()


def test_seeds_and_several_edits_have_their_tables(tmp_path):
    plan = plan_of(tmp_path, "rank", "rank_l", seeds=(0, 1), num_changes=(1, 2))
    report, text = reproduce(plan)
    assert [entry["title"] for entry in report["seeds"]] == ["Rank", "Rank-L"]
    assert report["seeds"][0]["means"] == {"0": pytest.approx(0.5), "1": pytest.approx(0.5)}
    assert "## Spread over seeds" in text and "with other seeds" in text
    assert "| Rank | 0.500 [" in text and "2 changes" in text


def test_run_time_stands_beside_the_papers(tmp_path):
    plan = plan_of(tmp_path, "full")
    plan.experiment.runs_dir.mkdir()
    figures = {"images": 5000, "seconds": 100.0, "regions_ms_per_image": 0.25}
    benchmark = plan.experiment.runs_dir / "benchmark.json"
    benchmark.write_text(json.dumps({"figures": figures}))
    _, text = reproduce(plan)
    assert "200 s (50 images/s) | 60 s" in text and "0.25 ms | 2 ms" in text


def test_other_manipulations_are_refused(tmp_path):
    plan = plan_of(tmp_path, "rank", "rank_l")
    reproduce(plan)
    write_evaluation(plan.runs[1].report(1), "Rank-L", 0.5, protocol="other")
    with pytest.raises(ValueError, match="different protocols"):
        write_report(plan, Progress(plan.experiment.runs_dir))


def test_a_smoke_test_is_called_one(tmp_path):
    _, text = reproduce(plan_of(tmp_path, "rank", epochs_scale=0.1))
    assert "A smoke test: all epochs times 0.1" in text


def test_verdicts():
    assert verdict(None, "mean") == "not measured"
    assert verdict({"mean_interval": [0.0, 0.1]}, "mean") == "too close to call"
    assert verdict({"queries_interval": [-0.2, -0.1]}, "queries") == "does not hold"


def test_gains_over_rows_that_are_not_chosen():
    rows, order = TABLE_1.table(RECIPES), TABLE_1.order
    chosen = {"amnet", "without_rank", "rank_l", "full", "ours"}
    assert claimed_gains(rows, order, chosen) == [
        ("amnet", "rank_l", "a representation per attribute"),
        ("without_rank", "rank_l", "ranking loss, localization"),
        ("rank_l", "full", "global representation, updatable memory"),
    ]
    assert claimed_gains(rows, order, {"amnet", "ours"}) == []


def test_other_questions_than_the_papers_stand_beside_it_for_orientation_only(tmp_path):
    """Such as the edits that ADDE lists: the protocol says so."""
    plan = plan_of(tmp_path, "full", dataset="darn/paper")
    execute(plan, FakeRunner(SHARES))
    path = plan.runs[0].report(1)
    report = json.loads(path.read_text())
    report["protocol"]["is_published"] = False
    path.write_text(json.dumps(report))
    write_report(plan, Progress(plan.experiment.runs_dir))
    report, text = reproduce(plan)
    assert "difference" not in report["rows"][0] and "for orientation only" in text
