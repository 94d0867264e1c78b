"""tools/matrix.py on fake systems: one table of every task, and nothing measured twice."""

import json

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import FakeDataset, FakeSystem, script

from fashionsearchnet import evaluation
from fashionsearchnet.data import pipeline
from fashionsearchnet.systems import registry


def write_weights(folder, run, content):
    """Writes what stands for the weights of a run."""
    (folder / run).mkdir(exist_ok=True)
    (folder / run / "model.weights.h5").write_text(content)


def load(found, path):
    """Returns the system of a run, or refuses as the registry does."""
    name = str(path).rsplit("/", 1)[-1]
    if name not in found:
        raise FileNotFoundError(f"{path}/model.json does not exist")
    return found[name]


def never(*_, **__):
    raise AssertionError("measured")


class Reader(FakeSystem):
    """A system that answers one task only."""

    tasks = ("attribute",)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the script on two runs, and returns the table with its rows."""
    found = {"first": FakeSystem(), "second": Reader(noise=1.0, name="reader")}
    for name in found:
        write_weights(tmp_path, name, "as trained")
    monkeypatch.setattr(registry, "describe_system", lambda path: {"dataset": "fakes/tiny"})
    monkeypatch.setattr(registry, "load_complete_system", lambda path: load(found, path))
    dataset = FakeDataset(missing=False)
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: dataset)

    def call(*arguments, num_labels=3):
        for labels in dataset._labels.values():
            labels[:, num_labels:] = -1
        runs = [f"--run={tmp_path / name}" for name in found]
        with script("matrix") as tool, flagsaver.flagsaver():
            flags.FLAGS(["matrix.py", *runs, f"--output={tmp_path / 'matrix'}", *arguments])
            tool.main()
        rows = json.loads((tmp_path / "matrix.json").read_text())
        return {row["name"]: row for row in rows}, (tmp_path / "matrix.md").read_text()

    return call


def test_a_table_of_two_systems(run, monkeypatch, tmp_path):
    rows, text = run()
    assert list(rows) == [
        *("fake", "fake: predicted attributes", "fake: predicted agreement"),
        *("reader", "reader: predicted attributes", "reader: predicted agreement"),
    ]
    agreement = rows["fake: predicted agreement"]
    assert set(agreement["figures"]) == {"manipulation", "attribute"}
    assert agreement["numbers"]["attribute"] == agreement["numbers"]["manipulation"] + 6
    assert set(rows["fake"]["figures"]) == {"manipulation", "attribute"}  # no items are known
    assert set(rows["reader"]["figures"]) == {"attribute"}
    assert rows["fake"]["figures"]["attribute"]["mean"] == pytest.approx(1.0)
    total = FakeSystem().space.total_values
    assert rows["fake"]["numbers"]["manipulation"] == total
    assert rows["fake"]["numbers"]["attribute"] == total
    assert rows["fake"]["speed"] > 0 and rows["fake: predicted attributes"]["speed"] is None
    header = text.splitlines()[0]
    assert "manipulation Top-20" in header and "numbers per image" in header
    assert (tmp_path / "first" / "evaluation" / "query.json").is_file()

    monkeypatch.setattr(evaluation, "evaluate_each", never)
    again, _ = run()
    assert again["reader"]["figures"] == rows["reader"]["figures"]


def test_the_runs_share_stored_outputs_of_a_trunk(run, monkeypatch, tmp_path):
    measure, folders = evaluation.evaluate_each, []

    def spied(*arguments, **more):
        folders.append(more["trunk_outputs"])
        return measure(*arguments, **more)

    monkeypatch.setattr(evaluation, "evaluate_each", spied)
    run(f"--trunk_outputs={tmp_path}")
    assert folders == [str(tmp_path)] * 2


def test_a_run_that_was_trained_again_is_measured_again(run, tmp_path):
    run()
    path = tmp_path / "second" / "evaluation" / "query_attribute.json"
    report = json.loads(path.read_text())
    assert len(report["system"]["weights"]) == 64
    path.write_text(json.dumps(report | {"rows": []}))  # shows when it is read
    write_weights(tmp_path, "second", "trained again")
    rows, _ = run()
    assert "reader" in rows
    weights = json.loads(path.read_text())["system"]["weights"]
    assert weights != report["system"]["weights"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--run=nowhere"], FileNotFoundError, "nowhere/model.json does not exist"),
        (["--trunk=resnet"], ValueError, r"--trunk must be one of alexnet, .*mean resnet50"),
    ],
)
def test_nothing_is_measured_before_all_is_checked(run, monkeypatch, arguments, error, message):
    monkeypatch.setattr(evaluation, "evaluate_each", never)
    with pytest.raises(error, match=message):
        run(*arguments)


def test_queries_that_a_run_was_trained_on_are_refused(run, tmp_path):
    (tmp_path / "second" / "training_images.json").write_text('["query3", "other"]')
    with pytest.raises(ValueError, match=r"1 of the 12 queries .* were trained on by .*second"):
        run()
    assert "reader" in run("--allow_trained_queries")[0]


def test_nothing_is_edited_where_each_image_has_one_label(run):
    """As in FashionAI: nobody knows what an edit must keep."""
    rows, text = run(num_labels=1)
    assert set(rows["fake"]["figures"]) == {"attribute"} and "manipulation" not in text


def test_a_dot_in_the_name_of_the_table_stays(run, tmp_path):
    (tmp_path / "matrix.md").write_text("another table")
    with pytest.raises(FileNotFoundError):  # the fixture reads the other name
        run(f"--output={tmp_path / 'matrix.v2'}")
    assert (tmp_path / "matrix.v2.md").is_file() and (tmp_path / "matrix.v2.json").is_file()
    assert (tmp_path / "matrix.md").read_text() == "another table"


def test_a_vector_for_all_attributes_counts_once(run):
    with script("matrix") as tool:
        shared = FakeSystem()
        shared.attribute_embedding = lambda features, attribute: features["embedding"]
        features = {"embedding": np.ones((1, 7), np.float32)}
        assert tool.features_of_attributes(shared, features).shape == (1, 7)
