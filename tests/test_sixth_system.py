"""A new system stands in one folder: what it needs elsewhere is an entry and a flagfile."""

from pathlib import Path

import keras
import pytest
from fakes import FakeDataset
from sixth_system.model import Classifier
from sixth_system.recipe import RECIPE
from sixth_system.stages import ClassificationStage
from small_networks import network

from fashionsearchnet import evaluation, training
from fashionsearchnet.evaluation.reporting import screen_text, summarize, write_report
from fashionsearchnet.flagfiles import read_flagfile
from fashionsearchnet.reproduction import execution
from fashionsearchnet.reproduction.plan import Experiment, make_plan
from fashionsearchnet.reproduction.progress import Progress
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.recipes import RECIPES
from fashionsearchnet.training import distribution

FLAGS_DIR = Path(__file__).parent / "sixth_system" / "flags"


@pytest.fixture
def registered(monkeypatch):
    """The two entries: all that the library learns of the system."""
    monkeypatch.setitem(registry.SYSTEMS, "classifier", Classifier)
    monkeypatch.setitem(RECIPES, "classifier", RECIPE)


@pytest.fixture
def workdir(registered, tmp_path):
    """A finished run of its only stage, with the settings of its flagfile."""
    keras.utils.set_random_seed(0)
    flags = read_flagfile(FLAGS_DIR / "classifier" / "classification.flags")
    dataset = FakeDataset()
    model = Classifier(dataset.space, **network(width=0.1, normalization="batch"))
    stage = ClassificationStage(model, dataset, global_batch_size=int(flags["batch_size"]))
    steps = int(float(flags["num_epochs"])) * dataset.num_examples("train") // 16
    training.train(
        stage,
        workdir=tmp_path,
        optimizer=training.OptimizerSettings(
            learning_rate=float(flags["learning_rate"]), momentum=float(flags["momentum"])
        ),
        length=training.RunLength(steps),
        strategy=distribution.get_strategy("one_device"),
    )
    registry.save_system(tmp_path, model, stage.name, dataset=dataset.name)
    return tmp_path


def test_it_is_trained_loaded_and_measured(workdir):
    system = registry.load_complete_system(workdir)
    measured = evaluation.evaluate(system, FakeDataset(), evaluation.AttributeProtocol())
    report = summarize(measured)
    assert "Classifier" in screen_text(report)
    means = {row["name"]: row["average_precision"]["mean"] for row in report["rows"]}
    assert means["Classifier"] > means["chance"] + 0.3
    with pytest.raises(ValueError, match="Classifier does not answer the task 'manipulation'"):
        evaluation.evaluate(system, FakeDataset(), evaluation.ManipulationProtocol())


@pytest.fixture
def plan(registered, tmp_path):
    """The plan of its recipe."""
    experiment = Experiment(
        recipe=RECIPE,
        dataset="catalogue/fake",
        data_dir=tmp_path,
        runs_dir=tmp_path / "runs",
        flags_dir=FLAGS_DIR,
    )
    return make_plan(experiment, list(RECIPE.table(RECIPES).values()))


def test_its_recipe_is_a_plan(plan):
    train, evaluate = plan.steps
    assert train.script == "classifier/train_classification"
    assert train.flags()["learning_rate"] == "0.02"
    assert evaluate.script == "evaluate" and evaluate.flags()["task"] == "attribute"


def test_its_table_is_written(plan):
    (run,), dataset = plan.runs, FakeDataset()
    system = Classifier(dataset.space, **network(width=0.1, normalization="batch"))
    measured = evaluation.evaluate(
        system, dataset, evaluation.AttributeProtocol(num_resamples=5), name=run.row.title
    )
    write_report(summarize(measured), measured.outcomes, run.report().parent, run.report().stem)
    execution.write_report(plan, Progress(plan.experiment.runs_dir))
    text = (plan.experiment.report_dir / "report.md").read_text()
    assert "| Classifier | 0." in text and "| chance | 0." in text and "paper" not in text
