"""tools/explain.py on a fake system: which pictures it writes, and how it answers mistakes."""

import cv2
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import FakeDataset, FakeSystem, script

from fashionsearchnet.data import pipeline
from fashionsearchnet.systems import registry

TRAINED = {"dataset": "fakes/tiny", "stage": "only"}  # of a run's model.json


class Blind(FakeSystem):
    """A system that cannot say where it looks."""

    has_attention = False


class Located(FakeSystem):
    """A system after the first of two stages: what searches read is not trained yet."""

    stages = ("localization", "global")

    def image_features(self, images):
        raise AssertionError

    def attention(self, images):
        return FakeSystem().attention(images)


@pytest.fixture(scope="module")
def tool():
    with script("explain") as module:
        yield module


@pytest.fixture
def run(tool, monkeypatch, tmp_path):
    """Runs the script with these arguments; returns the picture that it writes into the run."""
    monkeypatch.setattr(registry, "describe_system", lambda path: TRAINED)
    for load in ("load_system", "load_complete_system"):
        monkeypatch.setattr(registry, load, lambda path: FakeSystem())
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: FakeDataset())

    def call(*arguments):
        with flagsaver.flagsaver():
            flags.FLAGS(["explain.py", f"--workdir={tmp_path}", *arguments])
            tool.main()
        name = "sheet.png" if "--sheet" in arguments else "maps.png"
        picture = cv2.imread(str(tmp_path / "explain" / name))
        assert picture is not None
        return picture

    return call


def test_maps_of_the_data_set_and_of_files(run, tmp_path):
    cv2.imwrite(str(tmp_path / "shirt.png"), np.full((16, 20, 3), 100, np.uint8))
    queries = ("--query_id=query3", "--query_id=query5", f"--image={tmp_path / 'shirt.png'}")
    everything, one = run(*queries), run(queries[0], "--attributes=shape")
    assert everything.shape[0] > one.shape[0] and everything.shape[1] > one.shape[1]


def test_maps_after_the_first_stage_alone(run, monkeypatch):
    after_the_first = {**TRAINED, "stage": "localization"}
    monkeypatch.setattr(registry, "describe_system", lambda path: after_the_first)
    monkeypatch.setattr(registry, "load_system", lambda path: Located())
    run("--query_id=query3")


def test_sheets_of_random_and_of_given_edits(run, tmp_path, capsys):
    drawn = run("--sheet", "--num_queries=4", "--k=2", "--seed=1")
    given = run("--sheet", "--query_id=query1", "--set=shape=disc", "--set=size=large", "--k=2")
    assert drawn.shape[1] == given.shape[1] and drawn.shape[0] > 2 * given.shape[0]
    output = tmp_path / "elsewhere.PNG"
    two = ("--sheet", "--k=1", "--query_id=query1", "--query_id=query2", "--set=shape=disc")
    run(*two, f"--output={output}")
    same_edit = cv2.imread(str(output))
    assert same_edit is not None
    assert run(*two, "--set=size=large").shape[1] == same_edit.shape[1] < given.shape[1]
    assert f"written: {output}" in capsys.readouterr().out


def test_sheets_by_attribute(run):
    one = run("--sheet", "--like=shape", "--num_queries=1", "--k=2")
    two = run("--sheet", "--like=shape", "--like=size", "--num_queries=1", "--k=2")
    given = ("--sheet", "--like=shape", "--query_id=query1", "--query_id=query2", "--k=2")
    assert one.shape[1] == two.shape[1] and one.shape[0] < two.shape[0]
    assert run(*given).shape == two.shape


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--sheet", "--like=color"), "no attribute 'color'.*: colour, size"),
        (("--sheet", "--like=size", "--set=size=large"), "--set is for edits: leave it out"),
        (("--like=size", "--query_id=query3"), "--like belongs to --sheet"),
        ((), "give images: --image=PATH, or --query_id=ID"),
        (("--image=none.jpg",), "none.jpg cannot be the query image: unreadable file"),
        (("--query_id=qery3",), r"no image 'qery3' .did you mean query3"),
        (("--query_id=query3", "--attributes=color"), r"no attribute 'color'.*: colour, size"),
        (("--query_id=query3", "--set=size=large"), "--set belongs to --sheet"),
        (("--query_id=query3", "--k=3"), "--k belongs to --sheet"),
        (("--query_id=query3", "--output=maps.jpg"), "--output must end in .png; got 'maps.jpg'"),
        (("--sheet", "--image=shirt.jpg"), "--image belongs to activation maps, not to --sheet"),
        (("--sheet", "--attributes=size"), "--attributes belongs to activation maps"),
        (("--sheet", "--set=size=large"), "--query_id=ID and --set=attribute=value belong toget"),
        (("--sheet", "--query_id=query3"), "--query_id=ID and --set=attribute=value belong toget"),
        (("--sheet", "--query_id=query3", "--set=size=big"), "no value 'big'.*: small, large"),
        (
            ("--sheet", "--query_id=query3", "--set=size=large", "--seed=1"),
            "--seed belongs to random edits",
        ),
        (
            ("--sheet", *["--query_id=query3"] * 3, *["--set=size=large"] * 2),
            "3 --query_id and 2 --set: give one --set for all, or one for each",
        ),
    ],
)
def test_mistakes_are_named(run, arguments, problem):
    with pytest.raises(ValueError, match=problem):
        run(*arguments)


def test_a_system_without_attention_is_named(run, monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "load_system", lambda path: Blind(name="flat"))
    with pytest.raises(ValueError, match=rf"{tmp_path.name} holds a system \(flat\) that has no"):
        run("--query_id=query3")
