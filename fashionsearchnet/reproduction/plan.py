"""Which commands a table needs, in which order, and what they share."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fashionsearchnet.evaluation.reporting import report_name
from fashionsearchnet.reproduction.rows import Row, second_stage_of
from fashionsearchnet.systems.fashionsearchnet_v2.variants import VARIANTS
from fashionsearchnet.training import runs
from fashionsearchnet.training.flagfiles import parse_flags

TRAINING = (
    "train_localization",
    "train_representations",
    "train_global",
    "train_amnet_classification",
    "train_amnet_manipulation",
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What all commands have in common.

    Attributes:
      dataset: below `data_dir`, such as `garments/large`.
      data_dir: of the prepared data sets.
      runs_dir: everything is written below it.
      flags_dir: of the data set's flagfiles.
      epochs_scale: multiplies every stage's epochs.
      num_changes: numbers of attributes edited at once, each with a report of its own.
      training: further flags of every training script.
      evaluation: further flags of tools/evaluate.py.
    """

    dataset: str
    data_dir: Path
    runs_dir: Path
    flags_dir: Path
    epochs_scale: float = 1.0
    num_changes: tuple[int, ...] = (1,)
    training: tuple[str, ...] = ()
    evaluation: tuple[str, ...] = ()

    @property
    def report_dir(self) -> Path:
        """Where the report goes."""
        return self.runs_dir / "report"

    @property
    def data(self) -> tuple[str, ...]:
        """The flags that say which data set."""
        return (f"--data_dir={self.data_dir}", f"--dataset={self.dataset}")


@dataclasses.dataclass(frozen=True)
class Step:
    """One command of tools/.

    Attributes:
      name: unique among the steps of a plan.
      script: in tools/, without suffix.
      arguments: its flags.
      folder: that it writes into.
      outputs: what it writes, below `folder`; glob patterns.
      needs: names of the steps that must be finished before.
      rows: keys of the rows that it serves.
    """

    name: str
    script: str
    arguments: tuple[str, ...]
    folder: Path
    outputs: tuple[str, ...]
    needs: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()

    @property
    def is_finished(self) -> bool:
        """Whether all its outputs are there."""
        return all(any(self.folder.glob(output)) for output in self.outputs)

    @property
    def has_begun(self) -> bool:
        """Whether its folder holds anything that it made."""
        return bool(self.written) or (self.is_training and runs.has_begun(self.folder))

    @property
    def written(self) -> list[Path]:
        """The paths of those of its outputs that are there."""
        return [path for output in self.outputs for path in sorted(self.folder.glob(output))]

    @property
    def is_training(self) -> bool:
        """Whether it is a run with a folder of its own."""
        return self.script in TRAINING

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
    """

    row: Row
    seed: int
    workdir: Path

    def report(self, num_changes: int) -> Path:
        """Returns where tools/evaluate.py writes the report of so many edits at once."""
        return self.workdir / "evaluation" / f"{report_name('query', num_changes)}.json"


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything to be done: `steps` in their order, and the `runs` that the report compares."""

    settings: Settings
    runs: tuple[Run, ...]
    steps: tuple[Step, ...]


def make_plan(
    settings: Settings,
    rows: Sequence[Row],
    *,
    seeds: Sequence[int] = (0,),
    seed_rows: Sequence[Row] | None = None,
    sheet_rows: Sequence[str] = (),
    benchmark: bool = False,
) -> Plan:
    """Returns the plan of a table.

    Args:
      settings: what all commands have in common.
      rows: of the table.
      seeds: the first is that of the table; the others train some rows once more, from the first
        stage on.
      seed_rows: the rows that the further seeds train; None for all.
      sheet_rows: keys of the rows whose retrieval sheets are drawn.
      benchmark: measure the run time.
    """
    planner = _Planner(settings)
    for seed in seeds:
        for row in rows if seed == seeds[0] or seed_rows is None else seed_rows:
            run = planner.train(row, seed)
            planner.evaluate(run, settings.num_changes if seed == seeds[0] else (1,))
            if row.key in sheet_rows and seed == seeds[0]:
                planner.draw_sheet(run)
    if benchmark:
        planner.benchmark()
    return Plan(settings, tuple(planner.runs), tuple(planner.steps.values()))


class _Planner:
    """Collects runs and steps; a step that two rows need is there once."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self.runs: list[Run] = []
        self.steps: dict[str, Step] = {}
        self._first: tuple[str, ...] = ()
        folder = settings.data_dir / settings.dataset
        if settings.dataset.startswith("garments/") and not any(folder.glob("*/dataset_info.json")):
            data = Step(
                "prepare_data", "prepare_data", settings.data, folder, ("*/dataset_info.json",)
            )
            self._first = (self._add(data),)

    def train(self, row: Row, seed: int) -> Run:
        """Adds all stages of a row and returns its run."""
        if not row.variant:
            first = self._stage("amnet_classification", row, seed)
            last = self._stage("amnet_manipulation", row, seed, first, folder=row.key)
        else:
            folder, variant = second_stage_of(row)
            first = self._stage("localization", row, seed)
            last = self._stage(
                "representations", row, seed, first, f"--variant={variant}", folder=folder
            )
            if VARIANTS[row.variant].global_ranking:
                extra = (f"--variant={row.variant}", *row.overrides)
                last = self._stage("global", row, seed, last, *extra, folder=row.key)
        run = Run(row, seed, last.folder)
        self.runs.append(run)
        return run

    def _stage(
        self,
        stage: str,
        row: Row,
        seed: int,
        start: Step | None = None,
        *extra: str,
        folder: str = "",
    ) -> Step:
        """Adds a training stage from its flagfile; a variant's third stage may have its own."""
        settings = self._settings
        name = _in_seed_folder(folder or stage, seed)
        flagfile = settings.flags_dir / f"{stage}.flags"
        own = settings.flags_dir / f"{row.variant}.flags"
        if stage == "global" and own.is_file():
            flagfile = own
        workdir = settings.runs_dir / name
        arguments = [f"--flagfile={flagfile}", *settings.data, f"--workdir={workdir}"]
        if start:
            arguments.append(f"--init_from={start.folder}")
        arguments += [*extra, f"--seed={seed}", *settings.training]
        if settings.epochs_scale != 1.0:
            arguments.append(f"--num_epochs={self._epochs(arguments, flagfile):g}")
        needs = (start.name,) if start else self._first
        step = Step(
            name, f"train_{stage}", tuple(arguments), workdir, ("model.json",), needs, (row.key,)
        )
        return self.steps[self._add(step)]

    def _epochs(self, arguments: Sequence[str], flagfile: Path) -> float:
        """Returns the scaled number of epochs; no less than the scripts take."""
        flags = parse_flags(arguments)
        if "num_epochs" not in flags:
            raise ValueError(
                f"--epochs_scale multiplies --num_epochs, which {flagfile} does not give; add it "
                "there, or leave out --epochs_scale."
            )
        return max(float(flags["num_epochs"]) * self._settings.epochs_scale, 0.001)

    def evaluate(self, run: Run, num_changes: Sequence[int]) -> None:
        """Adds the evaluation of a run: one pass over the images for all numbers of edits."""
        trained = _in_seed_folder(run.workdir.name, run.seed)
        numbers = ",".join(map(str, num_changes))
        # Those of other numbers are other steps: what is measured stays valid.
        name = f"{trained}/query" + ("" if numbers == "1" else f" {numbers}")
        arguments = [f"--workdir={run.workdir}", *self._settings.data]
        arguments += [f"--row_name={run.row.title}", *self._settings.evaluation]
        if numbers != "1":
            arguments.append(f"--num_changes={numbers}")
        reports = tuple(run.report(number) for number in num_changes)
        folder, outputs = reports[0].parent, tuple(report.name for report in reports)
        self._add(
            Step(name, "evaluate", tuple(arguments), folder, outputs, (trained,), (run.row.key,))
        )

    def draw_sheet(self, run: Run) -> None:
        """Adds the retrieval sheet of a run; all sheets show the same random edits."""
        folder, file = self._settings.report_dir, f"sheet_{run.row.key}.png"
        arguments = (f"--workdir={run.workdir}", *self._settings.data, "--sheet")
        arguments += ("--num_queries=6", f"--output={folder / file}")
        needs = (_in_seed_folder(run.workdir.name, run.seed),)
        self._add(
            Step(
                f"sheet_{run.row.key}", "explain", arguments, folder, (file,), needs, (run.row.key,)
            )
        )

    def benchmark(self) -> None:
        """Adds the measurement of the run time."""
        folder = self._settings.runs_dir
        arguments = (*self._settings.data, f"--output={folder / 'benchmark.json'}")
        self._add(
            Step("benchmark", "benchmark", arguments, folder, ("benchmark.json",), self._first)
        )

    def _add(self, step: Step) -> str:
        """Takes in a step, or the rows of one that is there, and returns its name."""
        known = self.steps.get(step.name)
        if known:
            rows = dict.fromkeys((*known.rows, *step.rows))
            step = dataclasses.replace(known, rows=tuple(rows))
        self.steps[step.name] = step
        return step.name


def _in_seed_folder(name: str, seed: int) -> str:
    """Returns a folder below `runs_dir`; seeds other than 0 have one of their own."""
    return name if seed == 0 else f"seed_{seed}/{name}"
