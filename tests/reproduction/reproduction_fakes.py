"""A data set that is only a number, and a runner that makes up results instead of training."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.evaluation import default_draw, scores
from fashionsearchnet.reproduction.execution import run_plan
from fashionsearchnet.reproduction.plan import Experiment, Plan, Step, choose_rows, make_plan
from fashionsearchnet.reproduction.progress import Progress
from fashionsearchnet.systems.recipes import RECIPES

ROOT = Path(__file__).parents[2]
NAMES = ("colour", "neckline")
NUM_IMAGES = 1000
TABLE_1 = RECIPES["fashionsearchnet_v2"]


def make_experiment(folder: Path, **changes) -> Experiment:
    """An experiment on rendered garments that are 'prepared' below `folder`."""
    write_dataset(folder / "data/garments/large")
    return Experiment(
        **{
            "recipe": TABLE_1,
            "dataset": "garments/large",
            "data_dir": folder / "data",
            "runs_dir": folder / "runs",
            "flags_dir": ROOT / "flags/garments",
            **changes,
        }
    )


def write_dataset(folder: Path) -> None:
    """The description of a prepared data set."""
    sizes = {"train": NUM_IMAGES, "validation": NUM_IMAGES // 4}
    splits = [{"name": name, "shardLengths": [str(size)]} for name, size in sizes.items()]
    files.write_json(folder / "1.0.0/dataset_info.json", {"splits": splits})


def plan_of(
    folder: Path, *names: str, seeds=(0,), seed_rows=None, sheet_rows=(), **changes
) -> Plan:
    """The plan of these rows."""
    experiment = make_experiment(folder, **changes)
    rows = choose_rows(names, experiment, "--variants")
    return make_plan(experiment, rows, seeds=seeds, seed_rows=seed_rows, sheet_rows=sheet_rows)


def execute(plan: Plan, runner: Callable[[Step], int], progress: Progress | None = None):
    """The names of the steps that failed."""
    progress = progress or Progress(plan.experiment.runs_dir)
    return run_plan(plan, progress, runner, check=lambda: None)


def hits(share: float, number: int, seed: int = 0) -> np.ndarray:
    """Ranks of which this share is a hit at 20, int32; a larger share has all hits of a smaller."""
    order = np.random.default_rng(seed).permutation(number)
    return np.where(order < share * number, 1 + order % 20, 1000).astype(np.int32)


def write_evaluation(
    path: Path,
    title: str,
    share: float,
    protocol: str = "p",
    num_changes: int = 1,
    most: int | None = None,
) -> None:
    """What tools/evaluate.py would write for a row of so many hits."""
    query = np.repeat(np.arange(200), 2)
    ranks, predicted = hits(share, len(query)), hits(0.55, len(query))
    edits = np.full((len(query), len(NAMES)), -1, np.int32)
    outcomes = scores.Outcomes(
        task="manipulation",
        protocol=protocol,
        query=query,
        group=np.arange(len(query)) % 2,
        edits=edits,
        group_names=NAMES,
        rows=(
            scores.MethodScores(title, {"ranks": ranks}),
            scores.MethodScores("predicted attributes", {"ranks": predicted}),
        ),
    )
    grouping = outcomes.grouping(20)
    found = {
        "chance": scores.summarize(np.full(len(query), 0.01), grouping),
        "predicted attributes": scores.summarize(predicted <= 20, grouping),
    }
    rows = [{"name": n, "top_k": {"20": f}, "curve": [0.01] * 50} for n, f in found.items()]
    report = {
        "dataset": "garments/large/1.0.0",
        "system": {"weights": digest_of(path.parents[1])},
        "rows": rows,
        "localization": None,
        "versions": {"python": "3"},
        "protocol": {
            "query_split": "query",
            "gallery_split": "gallery",
            "num_queries": 200,
            "num_gallery": 900,
            "hit_rule": "identical",
            "distance": "Euclidean",
            "num_changes": num_changes,
            "max_manipulations_per_attribute": most or default_draw(num_changes),
        },
        "manipulations": {"number": len(query)},
        "words": {"notes": ["Every change was tried."]},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    outcomes.save(path.with_suffix(".npz"))
    files.write_json(path, report)


class FakeRunner:
    """Writes what a step's command would; `shares` holds the hits of the rows by title."""

    def __init__(self, shares=None, fails=()):
        self.shares, self.fails, self.ran = dict(shares or {}), set(fails), []

    def __call__(self, step: Step) -> int:
        self.ran.append(step.name)
        if step.name in self.fails:
            return 1
        if step.is_training:
            write_run(step)
        elif step.script == "evaluate":
            evaluate(step, self.shares)
        elif step.script == "prepare_data":
            write_dataset(step.folder)
        else:
            files.write_text(step.folder / step.outputs[0], "a picture")
        return 0


def evaluate(step: Step, shares: dict[str, float]) -> None:
    """Writes all reports of an evaluation."""
    flags = step.flags()
    title, most = flags["row_name"], flags.get("max_manipulations_per_attribute")
    numbers = map(int, flags.get("num_changes", "1").split(","))
    for number, output in zip(numbers, step.outputs, strict=True):
        write_evaluation(
            step.folder / output,
            title,
            shares.get(title, 0.5),
            num_changes=number,
            most=int(most) if most else None,
        )


def write_run(step: Step, finished: bool = True, num_steps: int = 10) -> None:
    """A run's folder as the training scripts leave it; the weights follow from flags and start."""
    flags = step.flags()
    lines = "".join(f"--{name}={value}\n" for name, value in flags.items())
    files.write_text(step.folder / "flags.txt", lines)
    line = {"step": num_steps, "images_per_second": 50.0}
    files.write_text(step.folder / "metrics.jsonl", json.dumps(line) + "\n")
    if not finished:
        files.write_text(step.folder / "checkpoints/ckpt-10.index", "")
        return
    start = digest_of(Path(flags["init_from"])) if "init_from" in flags else None
    settings = {name: value for name, value in flags.items() if name != "init_from"}
    files.write_text(step.folder / "model.weights.h5", f"{settings} {start}")
    files.write_json(step.folder / "model.json", {"starts_from": start} if start else {})


def digest_of(run: Path) -> str:
    """The digest of a run's weights."""
    return files.file_digest(run / "model.weights.h5")
