"""A data set that is only a number, and a runner that makes up results instead of training."""

import json
from pathlib import Path

import numpy as np

from fashionsearchnet import files, scores
from fashionsearchnet.reproduction.plan import Plan, Settings, Step, make_plan
from fashionsearchnet.reproduction.rows import choose_rows

ROOT = Path(__file__).parents[2]
NAMES = ("colour", "neckline")
NUM_IMAGES = 1000


def make_settings(folder: Path, **changes) -> Settings:
    """Settings of rendered garments that are 'prepared' below `folder`."""
    info = folder / "data/garments/large/1.0.0/dataset_info.json"
    splits = [{"name": "train", "shardLengths": [str(NUM_IMAGES)]}]
    files.write_json(info, {"splits": splits})
    return Settings(
        **{
            "dataset": "garments/large",
            "data_dir": folder / "data",
            "runs_dir": folder / "runs",
            "flags_dir": ROOT / "flags/garments",
            **changes,
        }
    )


def plan_of(
    folder: Path, *names: str, seeds=(0,), seed_rows=None, sheet_rows=(), **changes
) -> Plan:
    """The plan of these rows."""
    settings = make_settings(folder, **changes)
    rows = choose_rows(names, settings.flags_dir, "--variants")
    return make_plan(settings, rows, seeds=seeds, seed_rows=seed_rows, sheet_rows=sheet_rows)


def hits(share: float, number: int, seed: int = 0) -> np.ndarray:
    """Ranks of which this share is a hit at 20, int32; a larger share has all hits of a smaller."""
    order = np.random.default_rng(seed).permutation(number)
    return np.where(order < share * number, 1 + order % 20, 1000).astype(np.int32)


def write_evaluation(path: Path, title: str, share: float, protocol: str = "p") -> None:
    """What tools/evaluate.py would write for a row of so many hits."""
    query = np.repeat(np.arange(200), 2)
    ranks, predicted = hits(share, len(query)), hits(0.55, len(query))
    blank = np.zeros((len(query), 1), np.float32)
    edits = np.full((len(query), len(NAMES)), -1, np.int32)
    outcomes = scores.Outcomes(
        protocol=protocol,
        query=query,
        group=np.arange(len(query)) % 2,
        edits=edits,
        group_names=NAMES,
        top_k=(20,),
        rows=(
            scores.MeasuredRow(title, ranks, blank),
            scores.MeasuredRow("predicted attributes", predicted, blank),
        ),
    )
    grouping = outcomes.grouping(20)
    found = {
        "chance": scores.summarize(np.full(len(query), 0.01), grouping),
        "predicted attributes": scores.summarize(predicted <= 20, grouping),
    }
    rows = [{"name": n, "top_k": {"20": f}, "curve": [0.01] * 50} for n, f in found.items()]
    report = {
        "rows": rows,
        "localization": None,
        "versions": {"python": "3"},
        "protocol": {
            "query_split": "query",
            "gallery_split": "gallery",
            "num_queries": 200,
            "num_gallery": 900,
            "hit_rule": "identical",
            "hit_rule_in_words": "all agree",
            "distance": "Euclidean",
            "max_manipulations_per_attribute": None,
        },
        "manipulations": {"number": len(query)},
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
            title = step.flags()["row_name"]
            for output in step.outputs:
                write_evaluation(step.folder / output, title, self.shares.get(title, 0.5))
        else:
            files.write_text(step.folder / step.outputs[0], "a picture")
        return 0


def write_run(step: Step, finished: bool = True, num_steps: int = 10) -> None:
    """A run's folder as the training scripts leave it."""
    lines = "".join(f"--{name}={value}\n" for name, value in step.flags().items())
    files.write_text(step.folder / "flags.txt", lines)
    line = {"step": num_steps, "images_per_second": 50.0}
    files.write_text(step.folder / "metrics.jsonl", json.dumps(line) + "\n")
    name = "model.json" if finished else "checkpoints/ckpt-10.index"
    files.write_text(step.folder / name, "{}")
