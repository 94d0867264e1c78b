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


class Reader(FakeSystem):
    """A system that answers one task only."""

    tasks = ("attribute",)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the script on two runs, and returns the table with its rows."""
    found = {"first": FakeSystem(), "second": Reader(noise=1.0, name="reader")}
    monkeypatch.setattr(registry, "describe_system", lambda path: {"dataset": "fakes/tiny"})
    monkeypatch.setattr(
        registry, "load_complete_system", lambda path: found[str(path).rsplit("/", 1)[-1]]
    )
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: FakeDataset(missing=False))

    def call(*arguments):
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

    def never(*_, **__):
        raise AssertionError("measured twice")

    monkeypatch.setattr(evaluation, "evaluate_each", never)
    again, _ = run()
    assert again["reader"]["figures"] == rows["reader"]["figures"]


def test_a_vector_for_all_attributes_counts_once(run):
    with script("matrix") as tool:
        shared = FakeSystem()
        shared.attribute_embedding = lambda features, attribute: features["embedding"]
        features = {"embedding": np.ones((1, 7), np.float32)}
        assert tool.features_of_attributes(shared, features).shape == (1, 7)
