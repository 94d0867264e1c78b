"""Estimates how long the rest of a plan takes, from the steps that were timed."""

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from fashionsearchnet import files
from fashionsearchnet.reproduction.plan import Plan, Step
from fashionsearchnet.reproduction.progress import Progress


@dataclasses.dataclass(frozen=True)
class StepState:
    """The state of a step.

    Attributes:
      step: of the plan.
      share_done: 0 to 1; 1 if it is finished.
      seconds: that a finished step took, or that the rest of a step will take; None if unknown.
    """

    step: Step
    share_done: float
    seconds: float | None

    @property
    def is_done(self) -> bool:
        """Whether it is finished."""
        return self.share_done == 1.0


def num_images(folder: Path, split: str) -> int | None:
    """Returns the number of images of splits of a prepared data set, such as 'train+validation'.

    None if the data set is not there; also for a slice of a split.
    """
    versions = sorted(folder.glob("*/dataset_info.json"))
    if not versions:
        return None
    content = files.read_json(versions[-1], "a data set's description", "Prepare it again.")
    sizes = {
        entry["name"]: sum(map(int, entry["shardLengths"])) for entry in content.get("splits", [])
    }
    names = split.split("+")
    return sum(sizes[name] for name in names) if sizes.keys() >= set(names) else None


def step_states(plan: Plan, progress: Progress) -> list[StepState]:
    """Returns the state of each step of a plan, with an estimate of the time that is left.

    The time of a training step is its number of images (epochs times training images), divided by
    the images per second of finished steps of the same script. If none is finished, those in the
    metrics.jsonl of a step that was begun count; if there is none either, those of a similar
    script: one that trains on images too, or one that trains on stored features too.
    """
    timer = _Timer(plan, progress)
    states = []
    for step in plan.steps:
        if step.is_finished:
            states.append(StepState(step, 1.0, progress.seconds(step)))
            continue
        work, share, rate = timer.work(step), timer.share_done(step), timer.rate(step)
        left = None if work is None or rate is None else work * (1 - share) / rate
        states.append(StepState(step, share, left))
    return states


def duration(seconds: float | None, *, about: bool = False) -> str:
    """Returns a text such as '45 s', '13 min' or '2 h 05 min'; 'unknown' for None."""
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
    """Returns the rest of a plan, such as '7 steps, ~40 min and 2 steps of unknown length'."""
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
    """Returns the plan for a screen: a line per step, then the sum of what is left."""
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


class _Timer:
    """The speed of the steps of a plan so far."""

    def __init__(self, plan: Plan, progress: Progress):
        self._folder = plan.experiment.data_dir / plan.experiment.dataset
        self._rates = self._measured_rates(plan.steps, progress)
        self._steps = {_kind(step): step for step in plan.steps}

    def work(self, step: Step) -> float | None:
        """Returns the images that a training step takes; 1 for other steps; None if unknown."""
        if not step.is_training:
            return 1.0
        flags = step.flags()
        images = num_images(self._folder, flags.get("train_split", "train"))
        # How many edits the images have is known only when the stage enumerates them.
        countable = "num_epochs" in flags and flags.get("epoch_of", "images") == "images"
        if images is None or not countable:
            return None
        least = float(flags.get("least_steps", 1)) * float(flags.get("batch_size", 64))
        return max(float(flags["num_epochs"]) * images, least)

    def share_done(self, step: Step) -> float:
        """Returns the share of an unfinished training run that its log shows as done."""
        work, lines = self.work(step), _logged(step)
        if not lines or not work:
            return 0.0
        return min(0.99, lines[-1]["step"] * float(step.flags().get("batch_size", 64)) / work)

    def rate(self, step: Step) -> float | None:
        """Returns the work per second of a step's kind, or else of a similar kind."""
        kind = _kind(step)
        if kind in self._rates:
            return self._rates[kind]
        near = [r for k, r in self._rates.items() if _are_similar(self._steps[k], step)]
        return min(near, default=None)

    def _measured_rates(self, steps: Iterable[Step], progress: Progress) -> dict[str, float]:
        """Returns the measured work per second of each kind of step."""
        timed: dict[str, list[tuple[float, float]]] = {}
        logged: dict[str, list[float]] = {}
        for step in steps:
            work, seconds = self.work(step), progress.seconds(step)
            if work and seconds:
                timed.setdefault(_kind(step), []).append((work, seconds))
            speeds = [line["images_per_second"] for line in _logged(step)]
            logged.setdefault(_kind(step), []).extend(speeds)
        rates = {kind: sorted(found)[len(found) // 2] for kind, found in logged.items() if found}
        for kind, pairs in timed.items():
            rates[kind] = sum(work for work, _ in pairs) / sum(seconds for _, seconds in pairs)
        return rates


def _logged(step: Step) -> list[dict[str, float]]:
    """Returns the complete lines of a run's metrics.jsonl."""
    path = step.folder / "metrics.jsonl"
    if not step.is_training or not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue  # the run is writing it, or was killed while it did
        if {"step", "images_per_second"} <= line.keys():
            lines.append(line)
    return lines


def _kind(step: Step) -> str:
    """Steps of one kind take equally long: a script, with the numbers of edits it evaluates."""
    edits = step.flags().get("num_changes", "1") if not step.is_training else "1"
    return step.script if edits == "1" else f"{step.script} {edits}"


def _are_similar(step: Step, other: Step) -> bool:
    """Tells whether the speed of one step is a guess for that of the other."""
    if step.stage and other.stage:
        return step.stage.examples == other.stage.examples
    return step.script == other.script
