"""The learning curve: its commands, and what it makes of their reports."""

import json

import pytest
from reproduction_fakes import ROOT, make_experiment

from fashionsearchnet import files
from fashionsearchnet.reproduction.learning_curve import make_point, write_learning_curve


@pytest.fixture
def experiment(tmp_path):
    return make_experiment(tmp_path, flags_dir=ROOT / "flags/garments/pretrained")


def measured(experiment, num_images: int, title: str, mean: float, facets: float | None = None):
    """A point with its report."""
    point = make_point(experiment, "ours_pooled", num_images, title, ["--seed=1"])
    found = {
        "predicted attributes": mean - 0.2,
        "Ours, pooled features, images alone": mean - 0.1,
        "Ours, pooled features, labels used": mean,
    }
    found |= {} if facets is None else {"generic vectors, filtered": facets}
    rows = [
        {"name": name, "top_k": {"20": {"mean": m, "mean_interval": [m - 0.01, m + 0.01]}}}
        for name, m in found.items()
    ]
    files.write_json(point.report, {"rows": rows})
    return point


def test_a_point_trains_on_the_first_images_and_measures_labels(experiment):
    point = make_point(experiment, "ours_pooled", 250, "pretrained", ["--seed=1"])
    scripts = [step.script.split("/")[-1] for step in point.steps]
    assert scripts == ["train_representations", "train_global", "evaluate"]
    for step in point.steps[:2]:
        assert step.flags()["train_split"] == "train[:250]"
        assert step.folder.parent == experiment.runs_dir / "250"
    flags = point.steps[2].flags()
    assert (flags["gallery_labels"], flags["seed"]) == ("1", "1")
    assert flags["workdir"] == str(point.steps[1].folder)
    assert point.report.name == "query_labels_100_known.json"


def test_a_row_that_the_flagfiles_cannot_make_is_refused(experiment):
    with pytest.raises(ValueError, match="row must be one of without_rank"):
        make_point(experiment, "amnet", 250, "pretrained", [])


def test_curves_of_several_calls_stand_together(experiment, tmp_path):
    write_learning_curve([measured(experiment, 500, "pretrained", 0.8, facets=0.73)], tmp_path)
    others = [
        measured(experiment, 2000, "pretrained", 0.9),
        measured(experiment, 500, "from scratch", 0.6),
    ]
    paths = write_learning_curve(others, tmp_path)
    assert [path.suffix for path in paths] == [".md", ".json", ".svg"]
    table = paths[0].read_text()
    assert "| pretrained | 500 photos | 2,000 photos |" in table
    line = "| system, labels used | 0.800 [0.790, 0.810] | 0.900 [0.890, 0.910] |"
    assert line in table
    assert "| generic vectors, filtered | 0.730 [0.720, 0.740] | - |" in table
    entries = json.loads(paths[1].read_text())
    assert [(each["title"], each["num_images"]) for each in entries] == [
        ("from scratch", 500),
        ("pretrained", 500),
        ("pretrained", 2000),
    ]
    assert "</svg>" in paths[2].read_text()


def test_a_damaged_report_is_named(experiment, tmp_path):
    point = measured(experiment, 500, "pretrained", 0.8)
    point.report.write_text("{")
    with pytest.raises(ValueError, match=r"query_labels_100_known\.json.*run the same command"):
        write_learning_curve([point], tmp_path)
