"""What a reproduction has found, as what JSON can hold: every figure with where it stands."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.evaluation import published, scores
from fashionsearchnet.reproduction.estimate import StepState
from fashionsearchnet.reproduction.hardware import describe_hardware
from fashionsearchnet.reproduction.measured import Measured, load_measured, of_seed
from fashionsearchnet.reproduction.plan import Plan
from fashionsearchnet.reproduction.progress import Progress
from fashionsearchnet.reproduction.provenance import stale_steps
from fashionsearchnet.reproduction.rows import ROWS

K = 20  # of Table 1
CURVE_K = tuple(range(1, 51))  # of Figure 5
ORIENTATION = "shopping100k"  # stands beside data sets that have no published figures


def make_report(plan: Plan, progress: Progress, states: Sequence[StepState]) -> dict[str, Any]:
    """Returns the report of what is measured so far.

    Args:
      plan: of the reproduction.
      progress: with the times and machines of its steps.
      states: of its steps.

    Raises:
      ValueError: if evaluations were not all made on the same manipulations.
    """
    measured = load_measured(plan, 1)
    seed = plan.runs[0].seed
    first = of_seed(measured, seed)
    grouping = measured[0].outcomes.grouping() if measured else None
    table = published.table_for(plan.settings.dataset)
    paper = table or published.table_for(ORIENTATION)
    return {
        "dataset": plan.settings.dataset,
        "seed": seed,
        "k": K,
        "epochs_scale": plan.settings.epochs_scale,
        "missing": [state.step.name for state in states if not state.is_done],
        "stale": [step.name for step in stale_steps(plan.steps)],
        "published": _published(table, paper),
        "attributes": list(measured[0].outcomes.group_names) if measured else [],
        "baselines": _baselines(first),
        "rows": [
            _row(run.row.key, first, table, paper, grouping)
            for run in plan.runs
            if run.seed == seed
        ],
        "gains": _gains(measured, plan, seed, paper, grouping),
        "beside_predicted_attributes": _beside_predicted(first, grouping),
        "seeds": _seeds(measured, grouping),
        "edits": [_edits(plan, number, seed) for number in plan.settings.num_changes if number > 1],
        "localization": {
            one.run.row.title: one.report["localization"]
            for one in first.values()
            if one.report["localization"]
        },
        "curve": _curves(first, grouping),
        "run_time": _run_time(plan),
        "sheets": _sheets(plan),
        "protocol": measured[0].report["protocol"] if measured else None,
        "num_resamples": grouping.num_resamples if grouping else None,
        "manipulations": measured[0].report["manipulations"] if measured else None,
        "versions": measured[0].report["versions"] if measured else None,
        "machines": _machines(plan, progress) or [describe_hardware()],
        "training_steps": [step.name for step in plan.steps if step.is_training],
        "times": {s.step.name: s.seconds for s in states if s.is_done},
    }


def _published(
    table: published.PublishedTable | None, paper: published.PublishedTable | None
) -> dict[str, Any] | None:
    """Returns where the paper's figures are from, and whether they are of this data set."""
    if paper is None:
        return None
    return {
        "title": paper.title,
        "source": paper.source,
        "protocol": paper.protocol,
        "is_same_dataset": table is not None,
    }


def _row(
    key: str,
    first: Mapping[str, Measured],
    table: published.PublishedTable | None,
    paper: published.PublishedTable | None,
    grouping: scores.Grouping | None,
) -> dict[str, Any]:
    """Returns a line of the table: measured, published, and the difference of the means."""
    title = ROWS[key].title
    entry: dict[str, Any] = {"key": key, "title": title, "measured": None, "published": None}
    if paper and title in paper.rows:
        entry["published"] = {
            "mean": paper.rows[title][1],
            "per_attribute": table.aligned(title, first[key].outcomes.group_names)
            if table and key in first
            else None,
        }
    if key in first and grouping is not None:
        entry["measured"] = scores.summarize(first[key].outcomes.row().success(K), grouping)
    if table and entry["measured"] and entry["published"]:
        entry["difference"] = entry["measured"]["mean"] - entry["published"]["mean"]
    return entry


def _baselines(first: Mapping[str, Measured]) -> dict[str, Any] | None:
    """Returns the rows that any method must beat, in the network of `full` or the last one."""
    if not first:
        return None
    one = first.get("full") or list(first.values())[-1]
    rows = [row for row in one.report["rows"] if row["name"] in scores.BASELINES]
    return {
        "network": one.run.row.title,
        "rows": [
            {"title": row["name"], "measured": row["top_k"][str(K)], "curve": row["curve"]}
            for row in rows
        ],
    }


def _gains(
    measured: Sequence[Measured],
    plan: Plan,
    seed: int,
    paper: published.PublishedTable | None,
    grouping: scores.Grouping | None,
) -> list[dict[str, Any]]:
    """Returns what each row adds to the one that it is compared with, here and in the paper."""
    keys = {run.row.key for run in plan.runs}
    seeds = list(dict.fromkeys(run.seed for run in plan.runs))
    gains = []
    claimed = claimed_gains(keys)
    for lower, higher, what in (*claimed, *_other_gains(keys)):
        found = {s: _difference(of_seed(measured, s), lower, higher, grouping) for s in seeds}
        is_claimed = (lower, higher, what) in claimed
        titles = ROWS[lower].title, ROWS[higher].title
        means = [paper.rows[title][1] for title in titles if paper and title in paper.rows]
        gains.append(
            {
                "lower": titles[0],
                "higher": titles[1],
                "what": what,
                "measured": found[seed],
                "other_seeds": {str(s): d for s, d in found.items() if d and s != seed},
                "paper": means[1] - means[0] if len(means) == 2 else None,
                "verdict": verdict(found[seed]) if is_claimed else None,
            }
        )
    return gains


def claimed_gains(keys: Collection[str]) -> list[tuple[str, str, str]]:
    """Returns the gains that the paper argues for, between those of its rows that are chosen.

    Each is the lower row, the higher row, and what the higher one adds; where rows between the two
    are not chosen, all that they add. AMNet stands beside w/o Rank.
    """
    order = _claimed_order()
    chosen = [key for key in order if key in keys]
    gains = [
        (lower, higher, ", ".join(ROWS[key].adds for key in _between(order, lower, higher)))
        for lower, higher in itertools.pairwise(chosen)
    ]
    above = [key for key in chosen if key != "without_rank"]
    if "amnet" in keys and above:
        gains.insert(0, ("amnet", above[0], "a representation per attribute"))
    return gains


def _other_gains(keys: Collection[str]) -> list[tuple[str, str, str]]:
    """Returns the gains between chosen rows whose sign the paper leaves open, and ours."""
    order = _claimed_order()
    others = [row for row in ROWS.values() if row.compared_with and row.key not in order]
    return [
        (row.compared_with, row.key, row.adds)
        for row in others
        if {row.compared_with, row.key} <= set(keys)
    ]


def _claimed_order() -> list[str]:
    """Returns the order of Table 1 that the paper argues for: the way up to `full`."""
    order = ["full"]
    while below := ROWS[order[0]].compared_with:
        order.insert(0, below)
    return order


def _between(order: Sequence[str], lower: str, higher: str) -> Sequence[str]:
    """Returns what comes after `lower`, up to and with `higher`."""
    return order[order.index(lower) + 1 : order.index(higher) + 1]


def verdict(difference: Mapping[str, Any] | None) -> str:
    """Returns whether a gain is there, by the 95 % interval of its paired difference."""
    if difference is None:
        return "not measured"
    low, high = difference["mean_interval"]
    if low > 0:
        return "holds"
    return "does not hold" if high < 0 else "too close to call"


def _difference(
    runs: Mapping[str, Measured], lower: str, higher: str, grouping: scores.Grouping | None
) -> dict[str, Any] | None:
    """Returns the paired difference of two rows, or None if one is not measured."""
    if lower not in runs or higher not in runs or grouping is None:
        return None
    row, other = (runs[key].outcomes.row() for key in (higher, lower))
    return scores.top_k_difference(row, other, K, grouping)


def _beside_predicted(
    first: Mapping[str, Measured], grouping: scores.Grouping | None
) -> list[dict[str, Any]]:
    """Returns each row's lead over the softmax outputs of its own network."""
    entries = []
    for one in first.values():
        names = [row.name for row in one.outcomes.rows]
        if grouping is None or "predicted attributes" not in names:
            continue
        row, other = one.outcomes.row(), one.outcomes.row("predicted attributes")
        entries.append(
            {
                "title": one.run.row.title,
                "predicted_attributes": scores.summarize(other.success(K), grouping),
                "difference": scores.top_k_difference(row, other, K, grouping),
            }
        )
    return entries


def _seeds(measured: Sequence[Measured], grouping: scores.Grouping | None) -> list[dict[str, Any]]:
    """Returns the spread over seeds of the rows that were trained with more than one."""
    entries = []
    for key in dict.fromkeys(one.run.row.key for one in measured):
        means = {
            str(one.run.seed): scores.summarize(one.outcomes.row().success(K), grouping)["mean"]
            for one in measured
            if one.run.row.key == key and grouping is not None
        }
        if len(means) > 1:
            values = list(means.values())
            entries.append(
                {
                    "title": ROWS[key].title,
                    "means": means,
                    "mean": float(np.mean(values)),
                    "standard_deviation": float(np.std(values, ddof=1)),
                    "range": max(values) - min(values),
                }
            )
    return entries


def _edits(plan: Plan, number: int, seed: int) -> dict[str, Any]:
    """Returns the means of all rows with so many edits at once."""
    measured = load_measured(plan, number)
    runs = of_seed(measured, seed)
    grouping = measured[0].outcomes.grouping() if measured else None
    return {
        "num_changes": number,
        "num_manipulations": len(measured[0].outcomes.query) if measured else None,
        "rows": {
            one.run.row.title: scores.summarize(one.outcomes.row().success(K), grouping)
            for one in runs.values()
            if grouping is not None
        },
        "baselines": _baselines(runs),
    }


def _curves(
    first: Mapping[str, Measured], grouping: scores.Grouping | None
) -> dict[str, list[float]]:
    """Returns the mean over attributes of Top-K over K for each row."""
    if grouping is None:
        return {}
    return {
        one.run.row.title: scores.curve(one.outcomes.row(), grouping, CURVE_K)
        for one in first.values()
    }


def _run_time(plan: Plan) -> dict[str, Any] | None:
    """Returns what tools/benchmark.py measured, or None if it was not asked."""
    path = plan.settings.runs_dir / "benchmark.json"
    if not path.exists():
        return None
    cure = "Remove it and run tools/reproduce.py --benchmark again."
    found = files.read_json(path, "the figures of tools/benchmark.py", cure)["figures"]
    return {
        "extraction_images_per_second": found["images"] / found["seconds"],
        "extraction_seconds_per_10000": 1e4 * found["seconds"] / found["images"],
        "regions_ms_per_image": found["regions_ms_per_image"],
        "paper_extraction_seconds_per_10000": 60.0,
        "paper_regions_ms_per_image": 2.0,
    }


def _sheets(plan: Plan) -> list[str]:
    """Returns the file names of the plan's retrieval sheets that are drawn."""
    steps = [step for step in plan.steps if step.script == "explain" and step.is_finished]
    return sorted(name for step in steps for name in step.outputs)


def _machines(plan: Plan, progress: Progress) -> list[str]:
    """Returns the machines that steps of the plan ran on."""
    records = [progress.records.get(step.name) for step in plan.steps]
    return sorted({record.machine for record in records if record and record.machine})
