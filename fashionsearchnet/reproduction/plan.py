"""The plan of a table: which commands it needs, in which order, and what they share."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from fashionsearchnet.checks import check_choice
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.evaluation import (
    PROTOCOLS,
    ManipulationProtocol,
    TaskProtocol,
    default_draw,
    make_plans,
)
from fashionsearchnet.flagfiles import parse_flags
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.recipe import Recipe, Row, StageRun
from fashionsearchnet.systems.recipes import RECIPES
from fashionsearchnet.training import EditSampler, runs


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The settings that all commands of a plan share.

    Attributes:
      recipe: of the table.
      dataset: below `data_dir`, such as `garments/large`.
      data_dir: folder of the prepared data sets.
      runs_dir: everything is written below it.
      flags_dir: folder of the data set's flagfiles.
      epochs_scale: multiplies the epochs of every stage.
      num_changes: numbers of attributes edited at once, each with a report of its own; only 1 for
        a task without edits.
      training: further flags of every training script.
      first_stage: further flags of those that start from no other run, such as the network's.
      evaluation: further flags of tools/evaluate.py.
      report_name: of the report's folder below `runs_dir`.
    """

    recipe: Recipe
    dataset: str
    data_dir: Path
    runs_dir: Path
    flags_dir: Path
    epochs_scale: float = 1.0
    num_changes: tuple[int, ...] = (1,)
    training: tuple[str, ...] = ()
    first_stage: tuple[str, ...] = ()
    evaluation: tuple[str, ...] = ()
    report_name: str = "report"

    def __post_init__(self) -> None:
        for number in self.num_changes:
            self.protocol(number)

    @property
    def report_dir(self) -> Path:
        """The folder of the report."""
        return self.runs_dir / self.report_name

    @property
    def data(self) -> tuple[str, ...]:
        """The flags that name the data set."""
        return (f"--data_dir={self.data_dir}", f"--dataset={self.dataset}")

    @property
    def is_prepared(self) -> bool:
        """Whether the data set is there."""
        return any((self.data_dir / self.dataset).glob("*/dataset_info.json"))

    @property
    def table(self) -> dict[str, Row]:
        """All rows of the recipe by key."""
        return self.recipe.table(RECIPES)

    def protocol(self, num_changes: int = 1) -> TaskProtocol:
        """Returns the protocol of evaluations with so many edits at once.

        Raises:
          ValueError: if the task has no edits, and more than one is wanted.
        """
        kind = PROTOCOLS[self.recipe.task]
        if kind is ManipulationProtocol:
            most = default_draw(num_changes)
            return ManipulationProtocol(
                num_changes=num_changes, max_manipulations_per_attribute=most
            )
        if num_changes != 1:
            raise ValueError(
                f"num_changes is for the task 'manipulation', but {self.recipe.title} is about "
                f"{self.recipe.task!r}; got {num_changes}. Leave it out."
            )
        return kind()


@dataclasses.dataclass(frozen=True)
class Step:
    """One command of tools/.

    Attributes:
      name: unique among the steps of a plan.
      script: below tools/, without suffix.
      arguments: its flags.
      folder: that it writes into.
      outputs: what it writes, below `folder`; glob patterns.
      needs: names of the steps that must be finished before.
      rows: keys of the rows that it serves.
      stage: what it trains; None for a step that does not train.
    """

    name: str
    script: str
    arguments: tuple[str, ...]
    folder: Path
    outputs: tuple[str, ...]
    needs: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    stage: StageRun | None = None

    @property
    def is_finished(self) -> bool:
        """Whether all its outputs are there."""
        return all(any(self.folder.glob(output)) for output in self.outputs)

    @property
    def has_begun(self) -> bool:
        """Whether its folder holds anything that it wrote."""
        return bool(self.written) or (self.is_training and runs.has_begun(self.folder))

    @property
    def written(self) -> list[Path]:
        """The paths of those of its outputs that are there."""
        return [path for output in self.outputs for path in sorted(self.folder.glob(output))]

    @property
    def is_training(self) -> bool:
        """Whether it is a run with a folder of its own."""
        return self.stage is not None

    def flags(self) -> dict[str, str]:
        """Returns all flags that the command gives, those of its flagfile included."""
        return parse_flags(self.arguments)


@dataclasses.dataclass(frozen=True)
class Run:
    """A row of the table trained with one seed.

    Attributes:
      row: of the table.
      seed: of everything random in its training.
      workdir: of its last stage.
      experiment: that it belongs to.
    """

    row: Row
    seed: int
    workdir: Path
    experiment: Experiment

    def report(self, num_changes: int = 1) -> Path:
        """Returns the path of the report of tools/evaluate.py with so many edits at once."""
        name = self.experiment.protocol(num_changes).report_name
        return self.workdir / "evaluation" / f"{name}.json"


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything to be done.

    Attributes:
      experiment: what the steps have in common.
      runs: that the report compares.
      steps: in their order.
    """

    experiment: Experiment
    runs: tuple[Run, ...]
    steps: tuple[Step, ...]

    def check_dataset(self, dataset: Dataset) -> None:
        """Raises a ValueError if a step would refuse the data set."""
        protocols = [self.experiment.protocol(number) for number in self.experiment.num_changes]
        make_plans(dataset, protocols)
        trained = [(step.stage.examples, step.flags()) for step in self.steps if step.stage]
        uses = {
            (examples, flags.get("train_split", "train"), int(flags.get("num_changes", 1)))
            for examples, flags in trained
        }
        for examples, split, num_changes in sorted(uses):
            labels = dataset.labels(split)
            if examples == "edits":
                EditSampler(labels, num_changes=num_changes)


def available_rows(experiment: Experiment) -> list[str]:
    """Returns the keys of the rows that the flagfiles can make, in the order of the table.

    Left out are rows of systems that have no folder of flagfiles, optional rows without their own,
    and rows that would train what the row that they are compared with trains: the flagfile has
    their flags already.

    Raises:
      FileNotFoundError: if the folder has flagfiles of no system, or one is missing.
    """
    folder = experiment.flags_dir
    rows = {
        key: row
        for key, row in experiment.table.items()
        if (folder / row.system).is_dir()
        and not (row.is_optional and not _flagfile(row.run, folder).is_file())
    }
    if not rows:
        needed = " or ".join(sorted({row.system for row in experiment.table.values()}))
        raise FileNotFoundError(
            f"{folder} has no flagfiles: the folder {needed} does not exist in it. Write flagfiles "
            "like those in flags/garments, or name a folder that has them by --flags_dir."
        )
    return [
        key
        for key, row in rows.items()
        if row.compared_with not in rows
        or _trains(row.run, folder) != _trains(rows[row.compared_with].run, folder)
    ]


def choose_rows(names: Sequence[str], experiment: Experiment, flag: str) -> list[Row]:
    """Returns the rows of these names in the order of the table; all available ones for none.

    Raises:
      ValueError: naming the `flag` and listing the rows, for a name that is none of them; if a
        row's system does not answer the task.
    """
    available = available_rows(experiment)
    for name in names:
        check_choice(flag, name, available)
    rows = [experiment.table[key] for key in available if not names or key in names]
    task = experiment.recipe.task
    for row in rows:
        tasks = registry.SYSTEMS[row.system].tasks
        if task not in tasks:
            raise ValueError(
                f"{flag}: {row.key} cannot be in {experiment.recipe.title}, which is about the "
                f"task {task!r}: its system {row.system} answers {', '.join(tasks)}."
            )
    return rows


def make_plan(
    experiment: Experiment,
    rows: Sequence[Row],
    *,
    seeds: Sequence[int] = (0,),
    seed_rows: Sequence[Row] | None = None,
    sheet_rows: Sequence[str] = (),
    benchmark: bool = False,
) -> Plan:
    """Returns the plan of a table.

    Args:
      experiment: what all commands have in common.
      rows: of the table.
      seeds: the first is that of the table; the others train some rows once more, from the first
        stage on.
      seed_rows: the rows that the further seeds train; None for all.
      sheet_rows: keys of the rows whose retrieval sheets are drawn.
      benchmark: measure the run time.
    """
    planner = _Planner(experiment)
    for seed in seeds:
        for row in rows if seed == seeds[0] or seed_rows is None else seed_rows:
            run = planner.train(row, seed)
            planner.evaluate(run, experiment.num_changes if seed == seeds[0] else (1,))
            if row.key in sheet_rows and seed == seeds[0]:
                planner.draw_sheet(run)
    if benchmark:
        planner.benchmark()
    return Plan(experiment, tuple(planner.runs), tuple(planner.steps.values()))


class _Planner:
    """Collects runs and steps; a step that two rows need is there once."""

    def __init__(self, experiment: Experiment):
        self._experiment = experiment
        self.runs: list[Run] = []
        self.steps: dict[str, Step] = {}
        self._first: tuple[str, ...] = ()
        if experiment.dataset.startswith("garments/") and not experiment.is_prepared:
            folder, outputs = experiment.data_dir / experiment.dataset, ("*/dataset_info.json",)
            data = Step("prepare_data", "prepare_data", experiment.data, folder, outputs)
            self._first = (self._add(data),)

    def train(self, row: Row, seed: int) -> Run:
        """Adds all stages of a row and returns its run."""
        run = Run(row, seed, self._train_stage(row.run, row, seed).folder, self._experiment)
        self.runs.append(run)
        return run

    def _train_stage(self, stage: StageRun, row: Row, seed: int) -> Step:
        """Adds a training stage and those that it starts from, and returns its step."""
        experiment, start = self._experiment, None
        if stage.start:
            start = self._train_stage(stage.start, row, seed)
        name = _in_seed_folder(stage.folder, seed)
        workdir = experiment.runs_dir / name
        flagfile = _flagfile(stage, experiment.flags_dir)
        arguments = [f"--flagfile={flagfile}", *experiment.data, f"--workdir={workdir}"]
        if start:
            arguments.append(f"--init_from={start.folder}")
        arguments += [*stage.flags, f"--seed={seed}", *experiment.training]
        arguments += [] if start else experiment.first_stage
        if experiment.epochs_scale != 1.0:
            arguments += self._scaled_length(arguments, flagfile)
        step = Step(
            name,
            stage.script,
            tuple(arguments),
            workdir,
            ("model.json",),
            (start.name,) if start else self._first,
            (row.key,),
            stage,
        )
        return self.steps[self._add(step)]

    def _scaled_length(self, arguments: Sequence[str], flagfile: Path) -> list[str]:
        """Returns the flags of a scaled number of epochs and steps; no less than scripts take."""
        flags, scale = parse_flags(arguments), self._experiment.epochs_scale
        if "num_epochs" not in flags:
            raise ValueError(
                f"--epochs_scale multiplies --num_epochs, which {flagfile} does not give; add it "
                "there, or leave out --epochs_scale."
            )
        scaled = [f"--num_epochs={max(float(flags['num_epochs']) * scale, 0.001):g}"]
        if "least_steps" in flags:
            scaled.append(f"--least_steps={max(round(float(flags['least_steps']) * scale), 1)}")
        return scaled

    def evaluate(self, run: Run, num_changes: Sequence[int]) -> None:
        """Adds the evaluation of a run: one pass over the images for all numbers of edits."""
        experiment, numbers = self._experiment, ",".join(map(str, num_changes))
        trained = _in_seed_folder(run.row.run.folder, run.seed)
        # Other numbers of edits are another step: what is measured stays valid.
        name = f"{trained}/{run.report().stem}" + ("" if numbers == "1" else f" {numbers}")
        arguments = [f"--workdir={run.workdir}", *experiment.data, f"--row_name={run.row.title}"]
        arguments += [f"--task={experiment.recipe.task}", *experiment.evaluation]
        if numbers != "1":
            arguments.append(f"--num_changes={numbers}")
        reports = [run.report(number) for number in num_changes]
        folder, outputs = reports[0].parent, tuple(report.name for report in reports)
        self._add(
            Step(name, "evaluate", tuple(arguments), folder, outputs, (trained,), (run.row.key,))
        )

    def draw_sheet(self, run: Run) -> None:
        """Adds the retrieval sheet of a run; all sheets show the same random edits."""
        folder, file = self._experiment.report_dir, f"sheet_{run.row.key}.png"
        arguments = (f"--workdir={run.workdir}", *self._experiment.data, "--sheet")
        arguments += ("--num_queries=6", f"--output={folder / file}")
        needs, rows = (_in_seed_folder(run.row.run.folder, run.seed),), (run.row.key,)
        self._add(Step(f"sheet_{run.row.key}", "explain", arguments, folder, (file,), needs, rows))

    def benchmark(self) -> None:
        """Adds the measurement of the run time."""
        folder, file = self._experiment.runs_dir, "benchmark.md"
        arguments = (*self._experiment.data, "--parts=extraction", f"--output={folder / file}")
        outputs = (file, "benchmark.json")
        self._add(Step("benchmark", "benchmark", arguments, folder, outputs, self._first))

    def _add(self, step: Step) -> str:
        """Adds a step, or the rows of one that is there, and returns its name."""
        known = self.steps.get(step.name)
        if known:
            rows = dict.fromkeys((*known.rows, *step.rows))
            step = dataclasses.replace(known, rows=tuple(rows))
        self.steps[step.name] = step
        return step.name


def _flagfile(stage: StageRun, flags_dir: Path) -> Path:
    """Returns the first of the stage's flagfiles that exists, or else the last."""
    paths = [flags_dir / f"{name}.flags" for name in stage.flagfiles]
    return next((path for path in paths if path.is_file()), paths[-1])


def _trains(stage: StageRun, flags_dir: Path) -> tuple[str, StageRun | None, Mapping[str, str]]:
    """Describes a stage; equal only for stages that train the same."""
    flagfile = f"--flagfile={_flagfile(stage, flags_dir)}"
    flags = parse_flags([flagfile, *stage.flags])
    return stage.script, stage.start, {k: v for k, v in flags.items() if k != "workdir"}


def _in_seed_folder(name: str, seed: int) -> str:
    """Returns a folder below `runs_dir`; seeds other than 0 have one of their own."""
    return name if seed == 0 else f"seed_{seed}/{name}"
