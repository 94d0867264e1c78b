"""How long what is left will take, from what was measured so far."""

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from fashionsearchnet import files
from fashionsearchnet.reproduction.plan import Plan, Step
from fashionsearchnet.reproduction.progress import Progress

# Scripts that stand in for each other while one has not been timed: those that put all training
# images through the network, and those that train on what is stored.
_ALIKE = (
    ("train_localization", "train_representations", "train_amnet_classification"),
    ("train_global", "train_amnet_manipulation"),
    ("evaluate",),
    ("explain",),
    ("benchmark",),
    ("prepare_data",),
)


@dataclasses.dataclass(frozen=True)
class StepState:
    """Where a step stands.

    Attributes:
      step: of the plan.
      share_done: 0 to 1; 1 if it is finished.
      seconds: that a finished one took, or that one will still take; None if unknown.
    """

    step: Step
    share_done: float
    seconds: float | None

    @property
    def is_done(self) -> bool:
        """Whether it is finished."""
        return self.share_done == 1.0


def num_training_images(folder: Path, split: str = "train") -> int | None:
    """Returns the number of training images of a prepared data set; None if it is not there."""
    versions = sorted(folder.glob("*/dataset_info.json"))
    if not versions:
        return None
    content = files.read_json(versions[-1], "what a data set holds", "Prepare the data set again.")
    for entry in content.get("splits", []):
        if entry["name"] == split:
            return sum(map(int, entry["shardLengths"]))
    return None


def step_states(plan: Plan, progress: Progress) -> list[StepState]:
    """Returns where each step of a plan stands, with an estimate of what is left.

    A training step's time is its images (epochs times the training images) over the images per
    second of finished steps of the same script; where none is finished, over those in the
    metrics.jsonl of one that was begun; where there is none either, of a script that works alike.
    """
    images = num_training_images(plan.settings.data_dir / plan.settings.dataset)
    rates = _rates(plan.steps, progress, images)
    states = []
    for step in plan.steps:
        if step.is_finished:
            states.append(StepState(step, 1.0, progress.seconds(step)))
            continue
        work, share = _work(step, images), _share_done(step, images)
        rate = _rate_of(step, rates)
        left = None if work is None or rate is None else work * (1 - share) / rate
        states.append(StepState(step, share, left))
    return states


def duration(seconds: float | None, *, about: bool = False) -> str:
    """Returns such as '45 s', '13 min' or '2 h 05 min'; 'unknown' for None."""
    if seconds is None:
        return "unknown"
    sign = "~" if about else ""
    if seconds < 90:
        return f"{sign}{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return (
        f"{sign}{minutes} min" if minutes < 90 else f"{sign}{minutes // 60} h {minutes % 60:02} min"
    )


def left_in_words(states: Sequence[StepState]) -> str:
    """Returns how much is left, such as '7 steps, ~40 min and 2 steps of unknown length'."""
    left = [state for state in states if not state.is_done]
    known = [state.seconds for state in left if state.seconds is not None]
    unknown = len(left) - len(known)
    words = [duration(sum(known), about=True)] if known else []
    if unknown:
        words.append(f"{unknown} {_steps(unknown)} of unknown length")
    if not known and unknown:
        return words[0]
    number = f"{len(left)} {_steps(len(left))}"
    return f"{number}, {' and '.join(words)}" if words else number


def plan_table(states: Sequence[StepState]) -> str:
    """Returns the plan for a screen: a line per step, then what is left in all."""
    lines = [("step", "script", "for the rows", "state", "time")]
    for state in states:
        step, rows = state.step, state.step.rows
        served = (
            ", ".join(rows) if len(rows) < 4 else f"{', '.join(rows[:3])} and {len(rows) - 3} more"
        )
        begun = f"begun, {math.floor(100 * state.share_done)} %" if state.share_done else "left"
        word = "done" if state.is_done else begun
        time = duration(state.seconds, about=not state.is_done)
        if state.is_done and state.seconds is None:
            time = "not timed"
        lines.append((step.name, step.script, served or "all", word, time))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    done = sum(state.is_done for state in states)
    total = f"{len(states)} steps: {done} done; left: {left_in_words(states)}."
    return "\n".join([text[0], "-" * len(text[0]), *text[1:], "", total])


def _steps(number: int) -> str:
    return "step" if number == 1 else "steps"


def _work(step: Step, images: int | None) -> float | None:
    """Returns the images that a training step takes; 1 for other steps; None if unknown."""
    if not step.is_training:
        return 1.0
    epochs = step.flags().get("num_epochs")
    return None if epochs is None or images is None else float(epochs) * images


def _share_done(step: Step, images: int | None) -> float:
    """Returns how much of an unfinished training run is behind it, by its log."""
    work, lines = _work(step, images), _logged(step)
    if not lines or not work:
        return 0.0
    return min(0.99, lines[-1]["step"] * float(step.flags().get("batch_size", 64)) / work)


def _logged(step: Step) -> list[dict[str, float]]:
    """Returns the lines of a run's metrics.jsonl that are whole."""
    path = step.folder / "metrics.jsonl"
    if not step.is_training or not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue  # being written, or cut short by a kill
        if {"step", "images_per_second"} <= line.keys():
            lines.append(line)
    return lines


def _rates(steps: Iterable[Step], progress: Progress, images: int | None) -> dict[str, float]:
    """Returns the measured work per second of each kind of step."""
    timed: dict[str, list[tuple[float, float]]] = {}
    logged: dict[str, list[float]] = {}
    for step in steps:
        work, seconds = _work(step, images), progress.seconds(step)
        if work and seconds:
            timed.setdefault(_kind(step), []).append((work, seconds))
        logged.setdefault(_kind(step), []).extend(
            line["images_per_second"] for line in _logged(step)
        )
    rates = {kind: sorted(values)[len(values) // 2] for kind, values in logged.items() if values}
    for kind, pairs in timed.items():
        rates[kind] = sum(work for work, _ in pairs) / sum(seconds for _, seconds in pairs)
    return rates


def _rate_of(step: Step, rates: dict[str, float]) -> float | None:
    """Returns the rate of a step's kind, or of one that works alike."""
    kind = _kind(step)
    if kind in rates:
        return rates[kind]
    family = next(family for family in _ALIKE if step.script in family)
    near = [rate for name, rate in rates.items() if name.split(" ")[0] in family]
    return min(near, default=None)


def _kind(step: Step) -> str:
    """Returns what takes equally long: a script, with how many edits at once it evaluates."""
    edits = step.flags().get("num_changes", "1") if step.script == "evaluate" else "1"
    return step.script if edits == "1" else f"{step.script} {edits}"
