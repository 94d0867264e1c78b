"""tools/search.py on a fake system: what it prints and draws."""

import cv2
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import MEANS, BlockSystem, FakeDataset, FakeSystem, script

from fashionsearchnet.data import pipeline
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.gallery_labels import ChosenBlend


@pytest.fixture(scope="module")
def tool():
    with script("search") as module:
        yield module


@pytest.fixture
def run(tool, monkeypatch):
    """Runs the script with these arguments."""
    monkeypatch.setattr(registry, "describe_system", lambda path: {"dataset": "fakes/tiny"})
    monkeypatch.setattr(registry, "load_complete_system", lambda path: FakeSystem())
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: FakeDataset(missing=False))

    def call(*arguments):
        with flagsaver.flagsaver():
            flags.FLAGS(["search.py", "--workdir=run", *arguments])
            tool.main()

    return call


def test_a_query_of_the_data_set(run, tmp_path, capsys):
    output = tmp_path / "search.png"
    edits = ("--set=colour=blue", "--set=size=large")
    run("--query_id=query4", *edits, "--k=3", f"--output={output}")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "query query4"
    assert printed[1].startswith("  colour: predicted ") and printed[1].endswith("  -> blue")
    assert printed[4].startswith("results, judged by the labels of the query")
    assert [line.split()[0] for line in printed[5:8]] == ["1", "2", "3"]
    assert printed[5].endswith("  match")
    picture = cv2.imread(str(output))
    assert picture is not None and picture.shape[1] > 800


def test_an_image_file(run, tmp_path, capsys):
    path = tmp_path / "shirt.png"
    cv2.imwrite(str(path), np.full((16, 20, 3), round(MEANS[0]), np.uint8))
    run(f"--image={path}", "--k=1")
    assert "judged by the attributes predicted" in capsys.readouterr().out


def test_reranked_results_say_what_their_order_is(run, capsys):
    run("--query_id=query4", "--set=colour=blue", "--k=3", "--rerank=20")
    assert "the nearest 20 are in the order of the probability" in capsys.readouterr().out


def test_alike_in_some_attributes(run, tmp_path, capsys):
    output = tmp_path / "search.png"
    run("--query_id=query4", "--like=size", "--like=colour:0.5", "--k=3", f"--output={output}")
    printed = capsys.readouterr().out.splitlines()
    assert [line.endswith("  <- alike") for line in printed[1:4]] == [True, True, False]
    assert printed[5].endswith("  match") and output.exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "give one query: --image=PATH, or --query_id=ID"),
        (("--query_id=query1", "--image=a.png"), "give one query"),
        (("--query_id=qery1",), "did you mean query1"),
        (("--query_id=query1", "--set=size"), "an edit must read attribute=value"),
        (("--query_id=query1", "--like=sise"), "there is no attribute 'sise'"),
        (("--query_id=query1", "--like=size", "--set=size=large"), "--like is a search of its own"),
        (("--query_id=query1", "--output=a.jpg"), "--output must end in .png; got 'a.jpg'"),
    ],
)
def test_mistakes_are_named(run, arguments, problem):
    with pytest.raises(ValueError, match=problem):
        run(*arguments)


def test_labels_and_facets(run, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "weights_digest", lambda path: "ab")
    monkeypatch.setattr(registry, "load_complete_system", lambda path: BlockSystem(noise=2.0))
    common = ("--query_id=query4", "--set=colour=blue", "--k=40", f"--workdir={tmp_path}")
    ChosenBlend((1.0,) * 3, "ab").save(tmp_path)

    def matches(*arguments):
        run(*common, *arguments)
        lines = capsys.readouterr().out.splitlines()[5:]
        assert not arguments or "--facets" not in arguments or not any("blue" in x for x in lines)
        return [line.endswith("match") for line in lines]

    plain, labelled, filtered = matches(), matches("--use_labels"), matches("--facets")
    assert len(plain) == len(labelled) == 40 > len(filtered)
    assert sum(labelled) == sum(filtered) > sum(plain)
    assert labelled == sorted(labelled, reverse=True) != plain
    monkeypatch.setattr(registry, "load_complete_system", lambda path: FakeSystem())
    with pytest.raises(ValueError, match="fake cannot use the labels of a gallery"):
        run(*common, "--use_labels")
