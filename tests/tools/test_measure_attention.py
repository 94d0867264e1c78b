"""tools/measure_attention.py: a table of where systems look, and nothing measured in vain."""

import pytest
from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import FakeDataset, FakeSystem, script

from fashionsearchnet.data import pipeline
from fashionsearchnet.evaluation import localization
from fashionsearchnet.networks.image_input import MapGeometry
from fashionsearchnet.systems import registry


class Looking(FakeSystem):
    """A system whose cells lie somewhere."""

    map_geometry = MapGeometry(1.0, 2.0, 4)


class Blind(FakeSystem):
    """A system without attention."""

    has_attention = False


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs the script on some runs; returns the lines that it prints."""
    systems = {"first": Looking(name="one"), "other": Looking(name="two"), "blind": Blind()}
    scores = {
        "one": {"sleeve": {"mass_in_box": 0.5, "center_in_box": 0.25, "cells_in_box": 0.1}},
        "two": {"sleeve": {"mass_in_box": 0.75, "center_in_box": 1.0, "cells_in_box": 0.2}},
    }
    measured = []

    def measure(system, dataset, split):
        measured.append(system.title)
        return scores[system.title]

    monkeypatch.setattr(registry, "describe_system", lambda run: {"dataset": "fakes/tiny"})
    monkeypatch.setattr(registry, "load_system", systems.__getitem__)
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: FakeDataset())
    monkeypatch.setattr(localization, "attention_scores", measure)

    def run(*runs):
        with script("measure_attention") as tool, flagsaver.flagsaver():
            flags.FLAGS(["measure_attention.py", *(f"--run={name}" for name in runs)])
            tool.main()
        return capsys.readouterr().out.splitlines()

    return run, measured


def test_chance_is_that_of_the_cells_of_each_system(call):
    run, _ = call
    assert run("first")[2:] == [
        "| the same everywhere | 0.100 / - |",
        "| one (first) | 0.500 / 0.250 |",
    ]
    assert run("first", "other")[2:] == [
        "| the same everywhere | 0.100 / - |",
        "| the same everywhere on the maps of two (other) | 0.200 / - |",
        "| one (first) | 0.500 / 0.250 |",
        "| two (other) | 0.750 / 1.000 |",
    ]


def test_all_runs_are_checked_before_the_first_is_measured(call):
    run, measured = call
    with pytest.raises(ValueError, match=r"fake has no attention maps, .*Take a run of"):
        run("first", "blind")
    assert measured == []
