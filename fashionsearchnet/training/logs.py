"""The log of a run: metrics.jsonl and TensorBoard, and the end of a run that diverges."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from fashionsearchnet import files


def diverged(what: str) -> FloatingPointError:
    """Returns the error of a run whose numbers grew out of bounds."""
    return FloatingPointError(
        f"{what}. Lower the learning rate, switch batch normalisation on or set "
        "gradient_clip_norm, and train again: in the same --workdir if it has no checkpoints/ yet, "
        "else in another one, since a run with a checkpoint keeps its settings."
    )


class MetricsLog:
    """Writes the means of the logged numbers between two lines."""

    def __init__(self, workdir: Path, stage_name: str, first_step: int, enabled: bool):
        """Opens the log; drops lines after `first_step`, which the run logs again.

        A process with `enabled` False writes nothing and only checks the numbers.
        """
        self._path, self._stage, self._enabled = workdir / "metrics.jsonl", stage_name, enabled
        if enabled:
            _drop_lines_after(self._path, first_step)
            self._writer = tf.summary.create_file_writer(str(workdir / "tensorboard"))
        self._start_line()

    def _start_line(self) -> None:
        self._sums: dict[str, tf.Tensor] = {}
        self._count, self._images, self._start = 0, 0, time.perf_counter()

    def add(self, logged: Mapping[str, tf.Tensor], steps: int, images: int) -> None:
        """Takes in the sums of the scalars of some steps without waiting for the device."""
        for name, value in logged.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += steps
        self._images += images

    def check_finite(self, number: int) -> None:
        """Raises a FloatingPointError if a number since the last line is not finite."""
        bad = [n for n, v in self._sums.items() if not math.isfinite(float(v))]
        if bad:
            first = number - self._count + 1
            raise diverged(f"{', '.join(bad)} became infinite or NaN in steps {first} to {number}")

    def flush(self, number: int) -> dict[str, str]:
        """Writes a line for the steps up to `number` and returns it for the progress bar."""
        self.check_finite(number)
        seconds = time.perf_counter() - self._start
        line = {name: float(value) / self._count for name, value in self._sums.items()}
        line["images_per_second"] = self._images / seconds
        self._start_line()
        if self._enabled:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": number, "stage": self._stage, **line}) + "\n")
            with self._writer.as_default(step=number):
                for name, value in line.items():
                    tf.summary.scalar(f"{self._stage}/{name}", value)
        return {name: f"{value:.3g}" for name, value in line.items()}


def _drop_lines_after(path: Path, step: int) -> None:
    """Removes the lines that a killed run logged after its last checkpoint."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (json.JSONDecodeError, KeyError):
            continue  # the line that the kill cut short
    files.write_text(path, "".join(line + "\n" for line in kept))
