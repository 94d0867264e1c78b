"""Compares the measured rows with each other and with the paper's, as JSON can hold it."""

import dataclasses
import functools
import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.evaluation import published, scores
from fashionsearchnet.evaluation.reporting.summary import counts, figures_of
from fashionsearchnet.reproduction.estimate import StepState
from fashionsearchnet.reproduction.hardware import describe_hardware
from fashionsearchnet.reproduction.plan import Plan, Run
from fashionsearchnet.reproduction.progress import Progress, stale_steps
from fashionsearchnet.systems.recipe import Order, Recipe, Row

_CURVE_K = tuple(range(1, 51))  # of reports that do not name the Ks of their curve
_CURE = "Move the folder away and run tools/reproduce.py again."


@dataclasses.dataclass(frozen=True)
class Measured:
    """One evaluated run.

    Attributes:
      run: of the plan.
      report: content of tools/evaluate.py's JSON file.
      outcomes: the figures of every question.
    """

    run: Run
    report: dict[str, Any]
    outcomes: scores.Outcomes


def make_comparison(plan: Plan, progress: Progress, states: Sequence[StepState]) -> dict[str, Any]:
    """Returns the report of the evaluations so far.

    Args:
      plan: of the table.
      progress: with the times and machines of its steps.
      states: of its steps.

    Raises:
      ValueError: if evaluations did not ask the same questions.
    """
    recipe, measured = plan.experiment.recipe, load_measured(plan)
    table = _Table(plan, measured)
    first = measured[0] if measured else None
    return {
        "dataset": plan.experiment.dataset,
        "recipe": _recipe_words(recipe),
        "seed": table.seed,
        "k": recipe.k,
        "epochs_scale": plan.experiment.epochs_scale,
        "missing": [state.step.name for state in states if not state.is_done],
        "stale": [step.name for step in stale_steps(plan.steps)],
        "published": table.published_source(),
        "attributes": list(first.outcomes.group_names) if first else [],
        "baselines": _baselines(table.first, recipe),
        "rows": [table.row(run.row) for run in plan.runs if run.seed == table.seed],
        "gains": table.gains(),
        "beside_predictions": table.beside_predictions(),
        "seeds": table.seeds(),
        "edits": [_edits(plan, n, table.seed) for n in plan.experiment.num_changes if n > 1],
        "localization": {
            one.run.row.title: one.report["localization"]
            for one in table.first.values()
            if one.report["localization"]
        },
        "curve": table.curves(),
        "curve_k": table.curve_k,
        "curve_label": scores.Figure(plan.experiment.protocol().curve_metric).title,
        "run_time": _run_time(plan),
        "sheets": _sheets(plan),
        "protocol": first.report["protocol"] if first else None,
        "notes": list(first.report.get("words", {}).get("notes", ())) if first else [],
        "num_resamples": table.grouping.num_resamples if table.grouping else None,
        "manipulations": counts(first.report) if first else None,
        "versions": first.report["versions"] if first else None,
        "machines": progress.machines(plan.steps) or [describe_hardware()],
        "training_steps": [step.name for step in plan.steps if step.is_training],
        "times": {s.step.name: s.seconds for s in states if s.is_done},
    }


def load_measured(plan: Plan, num_changes: int = 1) -> list[Measured]:
    """Returns the runs that are evaluated with so many edits at once, in the order of the plan.

    Raises:
      ValueError: if they were not all asked the same questions, or a file is damaged.
    """
    found: list[Measured] = []
    for run in plan.runs:
        path = run.report(num_changes)
        if not path.exists():
            continue
        report = files.read_json(path, "the report of an evaluation", _CURE)
        one = Measured(run, report, scores.Outcomes.load(path))
        if found:
            first = found[0]
            this = str(first.run.report(num_changes))
            first.outcomes.check_comparable(one.outcomes, this, str(path))
        found.append(one)
    return found


def claimed_gains(
    rows: Mapping[str, Row], order: Order, keys: Collection[str]
) -> list[tuple[str, str, str]]:
    """Returns the gains that the paper argues for, between the chosen rows.

    Each is the lower row, the higher row, and what the higher one adds. Where rows between the two
    are not chosen, it is all that they add.

    Args:
      rows: of the table.
      order: that the paper argues for.
      keys: of the chosen rows.
    """
    chosen = [key for key in order.keys if key in keys]
    gains = []
    for lower, higher in itertools.pairwise(chosen):
        between = order.keys[order.keys.index(lower) + 1 : order.keys.index(higher) + 1]
        gains.append((lower, higher, ", ".join(rows[key].adds for key in between)))
    above = [key for key in chosen if key != order.keys[0]]
    beside = [(key, above[0], adds) for key, adds in order.beside_first.items() if above]
    return [gain for gain in beside if gain[0] in keys] + gains


def verdict(difference: Mapping[str, Any] | None, mean: str) -> str:
    """Judges a gain by the 95 % interval of its paired difference."""
    if difference is None:
        return "not measured"
    low, high = difference[f"{mean}_interval"]
    if low > 0:
        return "holds"
    return "does not hold" if high < 0 else "too close to call"


class _Table:
    """The measured rows of a table beside the published ones."""

    def __init__(self, plan: Plan, measured: Sequence[Measured]):
        self._plan, self._measured = plan, measured
        self._recipe, self._rows = plan.experiment.recipe, plan.experiment.table
        self._figure = _figure(self._recipe)
        self.seed = plan.runs[0].seed
        self.first = _of_seed(measured, self.seed)
        self.grouping = measured[0].outcomes.grouping() if measured else None
        # A data set may list other questions than the paper's table has.
        is_other = bool(measured) and not measured[0].report["protocol"].get("is_published", True)
        self._own = None if is_other else self._published_table(plan.experiment.dataset)
        self._paper = self._own or self._published_table(self._recipe.orientation)

    def _published_table(self, dataset: str) -> published.PublishedTable | None:
        """Returns the paper's table of a data set, if there is one of this figure."""
        if not self._recipe.paper:
            return None
        return published.table_for(dataset, self._recipe.paper, self._figure)

    def published_source(self) -> dict[str, Any] | None:
        """Returns the source of the paper's figures, and whether they are of this data set."""
        if self._paper is None:
            return None
        return {
            "title": self._paper.title,
            "source": self._paper.source,
            "protocol": self._paper.protocol,
            "is_same_dataset": self._own is not None,
        }

    def row(self, row: Row) -> dict[str, Any]:
        """Returns a row of the table: measured, published, and the difference of the means."""
        one, mean = self.first.get(row.key), self._published_mean(row)
        entry: dict[str, Any] = {
            "key": row.key,
            "title": row.title,
            "measured": self._summary(one) if one else None,
            "published": None,
        }
        if mean is not None:
            aligned = (
                self._own.aligned(row.title, one.outcomes.group_names)
                if (self._own and one)
                else None
            )
            entry["published"] = {"mean": mean, "per_attribute": aligned}
        if self._own and entry["measured"] and mean is not None:
            is_weighted = row.title in self._own.over_queries
            entry["difference"] = entry["measured"]["queries" if is_weighted else "mean"] - mean
        return entry

    def gains(self) -> list[dict[str, Any]]:
        """Returns the gain of each row over its row of comparison, here and in the paper."""
        keys = {run.row.key for run in self._plan.runs}
        seeds = list(dict.fromkeys(run.seed for run in self._plan.runs))
        claimed = claimed_gains(self._rows, self._recipe.order, keys)
        others = [
            (row.compared_with, row.key, row.adds)
            for row in self._rows.values()
            if row.key not in self._recipe.order.keys and {row.compared_with, row.key} <= keys
        ]
        gains = []
        for gain in (*claimed, *others):
            lower, higher = self._rows[gain[0]], self._rows[gain[1]]
            found = {s: self._difference(_of_seed(self._measured, s), *gain[:2]) for s in seeds}
            means = self._published_mean(lower), self._published_mean(higher)
            is_claimed, own = gain in claimed, found[self.seed]
            gains.append(
                {
                    "lower": lower.title,
                    "higher": higher.title,
                    "what": gain[2],
                    "measured": own,
                    "other_seeds": {str(s): d for s, d in found.items() if d and s != self.seed},
                    "paper": None if None in means else means[1] - means[0],  # type: ignore[operator]
                    "verdict": verdict(own, self._recipe.mean) if is_claimed else None,
                }
            )
        return gains

    def beside_predictions(self) -> list[dict[str, Any]]:
        """Returns each row's lead over what its own network reads off the images."""
        entries = []
        for one in self.first.values():
            measured = {row.name: row for row in one.outcomes.rows} if self.grouping else {}
            for name in ("predicted attributes", "predicted agreement"):
                if name in measured and self.grouping:
                    row, other = one.outcomes.row(), measured[name]
                    entries.append(
                        {
                            "title": one.run.row.title,
                            "baseline": name,
                            "predicted": self._summary(one, name),
                            "difference": scores.difference(
                                row, other, self._figure, self.grouping
                            ),
                        }
                    )
        return entries

    def seeds(self) -> list[dict[str, Any]]:
        """Returns the spread over seeds of the rows that were trained with more than one."""
        entries = []
        for key in dict.fromkeys(one.run.row.key for one in self._measured):
            means = {
                str(one.run.seed): self._summary(one)[self._recipe.mean]
                for one in self._measured
                if one.run.row.key == key
            }
            if len(means) > 1:
                values = list(means.values())
                entries.append(
                    {
                        "title": self._rows[key].title,
                        "means": means,
                        "mean": float(np.mean(values)),
                        "standard_deviation": float(np.std(values, ddof=1)),
                        "range": max(values) - min(values),
                    }
                )
        return entries

    @functools.cached_property
    def curve_k(self) -> list[int]:
        """The Ks of the curves."""
        return list(self._measured[0].report.get("curve_k", _CURVE_K)) if self._measured else []

    def curves(self) -> dict[str, list[float]]:
        """Returns the mean over groups of a metric over K for each row."""
        if self.grouping is None:
            return {}
        metric = self._plan.experiment.protocol().curve_metric
        return {
            one.run.row.title: scores.curve(one.outcomes.row(), self.grouping, metric, self.curve_k)
            for one in self.first.values()
        }

    def _published_mean(self, row: Row) -> float | None:
        is_there = self._paper and row.is_published and row.title in self._paper.rows
        return self._paper.rows[row.title][1] if self._paper and is_there else None

    def _summary(self, one: Measured, name: str = "") -> dict[str, Any]:
        return _summary(one, self._figure, self.grouping or one.outcomes.grouping(), name)

    def _difference(
        self, runs: Mapping[str, Measured], lower: str, higher: str
    ) -> dict[str, Any] | None:
        """Returns the paired difference of two rows, or None if one is not measured."""
        if lower not in runs or higher not in runs or self.grouping is None:
            return None
        row, other = (runs[key].outcomes.row() for key in (higher, lower))
        return scores.difference(row, other, self._figure, self.grouping)


def _figure(recipe: Recipe) -> scores.Figure:
    """Returns the figure that a table is about."""
    return scores.Figure(recipe.metric, recipe.k)


def _summary(
    one: Measured, figure: scores.Figure, grouping: scores.Grouping, name: str = ""
) -> dict[str, Any]:
    """Returns the means of a method's figure; of the system for ''."""
    return scores.summarize(one.outcomes.row(name).values(figure), grouping)


def _of_seed(measured: Sequence[Measured], seed: int) -> dict[str, Measured]:
    """Returns the measured runs of one seed by the key of their row."""
    return {one.run.row.key: one for one in measured if one.run.seed == seed}


def _recipe_words(recipe: Recipe) -> dict[str, Any]:
    """Returns the titles of the tables and the figure that they compare."""
    figure = _figure(recipe)
    metric = scores.METRICS[recipe.metric]
    return {
        "name": recipe.name,
        "title": recipe.title,
        "figure": figure.title,
        "short_figure": figure.short,
        "rule": metric.rule,
        "mean": recipe.mean,
        "mean_note": recipe.mean_note,
        "order": recipe.order.text,
        "curve_title": recipe.curve_title,
        "sheets_title": recipe.sheets_title,
    }


def _baselines(first: Mapping[str, Measured], recipe: Recipe) -> dict[str, Any] | None:
    """Returns the rows that any method must beat, in the network of one of the runs."""
    if not first:
        return None
    one = first.get(recipe.baseline_row) or list(first.values())[-1]
    figure = _figure(recipe)
    return {
        "network": one.run.row.title,
        "rows": [
            {"title": row["name"], "measured": figures_of(row, figure), "curve": row["curve"]}
            for row in one.report["rows"]
            if row["name"] in scores.BASELINES
        ],
    }


def _edits(plan: Plan, number: int, seed: int) -> dict[str, Any]:
    """Returns the means of all rows with so many edits at once."""
    recipe, measured = plan.experiment.recipe, load_measured(plan, number)
    runs, figure = _of_seed(measured, seed), _figure(recipe)
    grouping = measured[0].outcomes.grouping() if measured else None
    return {
        "num_changes": number,
        "num_manipulations": len(measured[0].outcomes.query) if measured else None,
        "rows": {
            one.run.row.title: _summary(one, figure, grouping) for one in runs.values() if grouping
        },
        "baselines": _baselines(runs, recipe),
    }


def _run_time(plan: Plan) -> dict[str, Any] | None:
    """Returns the figures of tools/benchmark.py beside the paper's; None without them."""
    path, paper = plan.experiment.runs_dir / "benchmark.json", plan.experiment.recipe.run_time
    if paper is None or not path.exists():
        return None
    cure = "Remove it and run tools/reproduce.py --benchmark again."
    found = files.read_json(path, "the figures of tools/benchmark.py", cure)["figures"]
    return {
        "extraction_images_per_second": found["images"] / found["seconds"],
        "extraction_seconds_per_10000": 1e4 * found["seconds"] / found["images"],
        "regions_ms_per_image": found["regions_ms_per_image"],
        "paper_extraction_seconds_per_10000": paper.extraction_seconds,
        "paper_regions_ms_per_image": paper.regions_ms,
        "source": paper.source,
        "note": paper.note,
    }


def _sheets(plan: Plan) -> list[str]:
    """Returns the file names of the plan's retrieval sheets that are drawn."""
    steps = [step for step in plan.steps if step.script == "explain" and step.is_finished]
    return sorted(name for step in steps for name in step.outputs)
