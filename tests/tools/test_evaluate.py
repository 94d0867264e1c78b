import hashlib
import json

import pytest
from absl import flags
from evaluation_fakes import BlockSystem, FakeDataset, FakeSystem, script

from fashionsearchnet.data import pipeline
from fashionsearchnet.evaluation import reporting
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.gallery_labels import ChosenBlend


def answering(*tasks):
    """A system that answers these tasks only."""
    system = FakeSystem()
    system.tasks = tasks
    return system


def test_one_name_is_not_given_to_two_reports():
    with script("evaluate") as tool:
        flags.FLAGS(["evaluate.py", "--workdir=run", "--num_changes=1,2", "--name=both"])
        with pytest.raises(ValueError, match="--name and --beside are for one report"):
            tool.main()


@pytest.mark.parametrize(
    ("flag", "tasks"),
    [("--num_changes=2", "manipulation"), ("--headline_k=5", "manipulation or instance")],
)
def test_flags_of_another_task_are_refused(flag, tasks):
    with script("evaluate") as tool:
        flags.FLAGS(["evaluate.py", "--workdir=run", "--task=attribute", flag])
        with pytest.raises(ValueError, match=f"is for task {tasks}; got task attribute"):
            tool.protocols(FakeSystem())
        flags.FLAGS(["evaluate.py", "--workdir=run", "--task=instance"])
        with pytest.raises(ValueError, match=r"does not answer .*; it answers manipulation\."):
            tool.protocols(answering("manipulation"))


def test_a_plan_that_a_data_set_lacks_is_refused_before_a_report_is_looked_at(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(registry, "describe_system", lambda _: {"dataset": "fakes/tiny"})
    monkeypatch.setattr(registry, "load_complete_system", lambda _: FakeSystem())
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: FakeDataset())
    (tmp_path / "model.weights.h5").write_bytes(b"weights")
    with script("evaluate") as tool:
        flags.FLAGS(["evaluate.py", f"--workdir={tmp_path}"])
        tool.main()
        flags.FLAGS(["evaluate.py", f"--workdir={tmp_path}", "--plan=listed"])
        with pytest.raises(ValueError, match="fakes/tiny lists none"):
            tool.main()


def test_the_script_summarizes_once_and_names_the_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "describe_system", lambda _: {"dataset": "fakes/tiny"})
    monkeypatch.setattr(registry, "load_complete_system", lambda _: FakeSystem())
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: FakeDataset())
    summarized, summarize = [], reporting.summarize

    def counted(measured):
        summarized.append(measured)
        return summarize(measured)

    monkeypatch.setattr(reporting, "summarize", counted)
    (tmp_path / "model.weights.h5").write_bytes(b"weights")
    with script("evaluate") as tool:
        flags.FLAGS(["evaluate.py", f"--workdir={tmp_path}"])
        tool.main()
    assert len(summarized) == 1
    written = json.loads((tmp_path / "evaluation" / "query.json").read_text())
    assert written["system"]["weights"] == hashlib.sha256(b"weights").hexdigest()


@pytest.mark.parametrize(
    ("arguments", "name", "num_changes", "most"),
    [
        ([], "query", 1, None),
        (["--num_changes=2"], "query_2_changes", 2, 500),
        (["--num_changes=3", "--max_manipulations_per_attribute=7"], "query_3_changes", 3, 7),
        (["--num_changes=2", "--name=pairs"], "pairs", 2, 500),
    ],
)
def test_the_script_draws_where_several_attributes_change(arguments, name, num_changes, most):
    with script("evaluate") as tool:
        flags.FLAGS(["evaluate.py", "--workdir=run", *arguments])
        (how,) = tool.protocols(FakeSystem())
        assert tool.report_name(how) == name
    assert (how.num_changes, how.max_manipulations_per_attribute) == (num_changes, most)


@pytest.mark.parametrize(
    ("arguments", "answered", "task", "name"),
    [
        ([], ["manipulation", "attribute"], "manipulation", "query"),
        ([], ["attribute"], "attribute", "query_attribute"),
        (["--task=attribute"], ["manipulation", "attribute"], "attribute", "query_attribute"),
        (["--task=instance", "--headline_k=5"], ["instance"], "instance", "query_instance"),
        (["--task=attribute", "--query_split=validation[:30%]"], ["attribute"], "attribute", None),
    ],
)
def test_the_script_measures_the_first_task_or_the_one_asked_for(arguments, answered, task, name):
    with script("evaluate") as tool:
        flags.FLAGS(["evaluate.py", "--workdir=run", *arguments])
        (how,) = tool.protocols(answering(*answered))
        assert tool.report_name(how) == (name or "validation__30___attribute")
    assert how.task == task


def test_the_script_writes_a_report_of_each_task(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registry, "describe_system", lambda _: {"dataset": "fakes/tiny"})
    monkeypatch.setattr(registry, "load_complete_system", lambda _: FakeSystem(noise=0.5))
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: FakeDataset())
    (tmp_path / "model.weights.h5").write_bytes(b"weights")
    with script("evaluate") as tool:
        flags.FLAGS(["evaluate.py", f"--workdir={tmp_path}", "--task=attribute"])
        tool.main()
        assert (tmp_path / "evaluation" / "query_attribute.json").exists()
        other = ["--name=query_attribute", "--task=manipulation"]
        flags.FLAGS(["evaluate.py", f"--workdir={tmp_path}", *other])
        with pytest.raises(ValueError, match="--task is attribute there, manipulation now"):
            tool.main()
        flags.FLAGS(["evaluate.py", f"--workdir={tmp_path}", "--name=", "--task=instance"])
        with pytest.raises(ValueError, match="it has no instance ids"):
            tool.main()
    assert "MAP" in capsys.readouterr().out


def test_each_share_of_known_labels_has_a_report(tmp_path, monkeypatch, capsys):
    systems_by_name = {"blocks": BlockSystem(noise=0.8), "plain": FakeSystem(noise=0.8)}
    monkeypatch.setattr(registry, "describe_system", lambda _: {"dataset": "fakes/tiny"})
    monkeypatch.setattr(
        registry, "load_complete_system", lambda path: systems_by_name[path.rpartition("/")[2]]
    )
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: FakeDataset())
    for name in systems_by_name:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.weights.h5").write_bytes(b"weights")
    ChosenBlend((0.2, 0.4, 0.6), hashlib.sha256(b"weights").hexdigest()).save(tmp_path / "blocks")

    def run(name, *arguments):
        with script("evaluate") as tool:
            flags.FLAGS(["evaluate.py", f"--workdir={tmp_path / name}", *arguments])
            tool.main()

    run("blocks", "--gallery_labels=0,0.5", "--wrong_labels=0,0.1")
    reports = tmp_path / "blocks" / "evaluation"
    assert sorted(path.stem for path in reports.glob("*.json")) == [
        *("query_labels_0_known", "query_labels_0_known_10_wrong"),
        *("query_labels_50_known", "query_labels_50_known_10_wrong"),
    ]
    report = json.loads((reports / "query_labels_50_known.json").read_text())
    assert report["rows"][-1]["name"] == "fake, labels used"
    assert report["protocol"]["label_blend"] == [0.2, 0.4, 0.6]
    run("plain", "--gallery_labels=1")
    report = (tmp_path / "plain" / "evaluation" / "query_labels_100_known.json").read_text()
    assert json.loads(report)["rows"][-1]["name"] == "fake, filtered by label"
    assert "100% of the gallery's labels known" in capsys.readouterr().out
    with pytest.raises(ValueError, match="report of another evaluation: --label_blend is"):
        run("blocks", "--gallery_labels=0.5", "--label_blend=0.7")


def test_which_flags_of_labels_are_refused():
    for arguments, problem in (
        (["--wrong_labels=0.1"], "--wrong_labels is for --gallery_labels"),
        (["--gallery_labels=x"], "--gallery_labels must be numbers from 0 to 1; got 'x'"),
        (["--gallery_labels=2"], "known_labels must be between 0"),
        (["--task=attribute", "--gallery_labels=1"], "--gallery_labels is for task manipulation"),
    ):
        with script("evaluate") as tool, pytest.raises(ValueError, match=problem):
            flags.FLAGS(["evaluate.py", "--workdir=run", *arguments])
            tool.protocols(FakeSystem())
    with script("evaluate") as tool, pytest.raises(ValueError, match="are for one report"):
        flags.FLAGS(["evaluate.py", "--workdir=run", "--gallery_labels=0,1", "--name=both"])
        tool.main()
