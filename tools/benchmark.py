"""Checks that a device computes what the CPU does, and measures each part beside its bare trunk.

  python tools/benchmark.py --device=gpu --data_dir=data --output=benchmark.md
  python tools/benchmark.py --device=cpu --data_dir=data --batch_size=16 --image_size=80

Machines differ and are noisy, so read the ratios: both sides of a ratio are timed in turn, several
rounds each, and the medians are compared. The network is the paper's (AlexNet at full width with
its response normalisation, 227 px) with 12 attributes of as many values as Shopping100k has. The
data set brings the images, and the labels and items of the other systems.

All takes at most six minutes; see --minutes. docs/gpu.md explains the table.
"""

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_enum("device", None, ["cpu", "gpu"], "By default the GPU if there is one.")
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string("dataset", "garments/instances", "Data set that knows items, for FLAM.")
flags.DEFINE_integer("image_size", 227, "Side of the square input in pixels.", 25)
flags.DEFINE_float("width", 1.0, "Multiplies the number of filters.", 0.05, 4.0)
flags.DEFINE_integer("first_stride", 4, "Stride of conv1.", 1, 4)
flags.DEFINE_integer("batch_size", 64, "Images per step.", 4)
flags.DEFINE_list(
    "arithmetic",
    None,
    "Columns to measure: values of --precision of the training scripts, with +xla for steps that "
    "XLA compiles, with +deterministic. By default float32 on a CPU, and on a GPU "
    "float32,tensor_float_32,mixed_bfloat16,mixed_bfloat16+xla,float32+deterministic.",
)
flags.DEFINE_list(
    "parts",
    [],
    "Of extraction, stage1, stage2, stage3, flam_items, flam_manipulator, agman; all by default.",
)
flags.DEFINE_float("minutes", 5.5, "Time for everything; what does not fit is left out.", 0.01)
flags.DEFINE_integer("num_images", 10_000, "Images of the extraction from files; 0: none.", 0)
flags.DEFINE_string("output", "", "Markdown file (.md) to write the tables to, and a .json beside.")

if __name__ in ("__main__", "__mp_main__"):  # the process of a column has the same flags
    command.parse_flags()  # --help and wrong flags end here

import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fashionsearchnet import files
from fashionsearchnet.benchmarks import device_checks, parts, timing
from fashionsearchnet.benchmarks.processes import apart
from fashionsearchnet.checks import check_choice
from fashionsearchnet.choices import PRECISIONS
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.preprocess import as_input
from fashionsearchnet.evaluation.reporting.tables import markdown_table
from fashionsearchnet.networks import kernels
from fashionsearchnet.networks.backbones import Trunk
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.systems import regions
from fashionsearchnet.training import distribution, runs
from fashionsearchnet.training.arithmetic import set_arithmetic

_ON_GPU = (
    *("float32", "tensor_float_32", "mixed_bfloat16", "mixed_bfloat16+xla"),
    "float32+deterministic",
)
_XLA, _DETERMINISTIC = "xla", "deterministic"
_TIMED_SHARE = 0.6  # of the time that is left; the rest goes into compiling
_PRODUCT_SIZES = {"cpu": 1024, "gpu": 8192}
_HEADER = (
    *("part", "arithmetic", "a second", "bare trunk", "ratio", "trunk's share of operations"),
    *("trunk, TFLOP/s", "of the peak", "peak memory, MB"),
)


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """A column of --arithmetic: a precision, and how steps are executed."""

    text: str
    precision: str
    jit_compile: bool
    deterministic: bool

    @classmethod
    def of(cls, text: str) -> "Arithmetic":
        """Returns what a text such as mixed_bfloat16+xla means."""
        precision, *options = text.split("+")
        check_choice("--arithmetic", precision, PRECISIONS)
        for option in options:
            check_choice("--arithmetic, behind a +,", option, (_XLA, _DETERMINISTIC))
        return cls(text, precision, _XLA in options, _DETERMINISTIC in options)


def arithmetics(device: str) -> list[Arithmetic]:
    """Returns the columns that the flags ask for."""
    by_default = _ON_GPU if device == "gpu" else ("float32",)
    return [Arithmetic.of(text) for text in FLAGS.arithmetic or by_default]


def part_names() -> list[str]:
    """Returns the parts that the flags ask for."""
    return [check_choice("--parts", name, parts.PARTS) for name in FLAGS.parts or parts.PARTS]


def device_of_flags() -> str:
    """Returns 'cpu' or 'gpu'; a GPU is hidden for 'cpu'."""
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    if FLAGS.device == "gpu" and not has_gpu:
        raise ValueError(
            "--device=gpu, but TensorFlow finds no GPU. --tensorflow_log shows why; docs/gpu.md "
            "says how to install it. Use --device=cpu to measure the CPU."
        )
    if FLAGS.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    return FLAGS.device or ("gpu" if has_gpu else "cpu")


def setting_of_flags(dataset: Dataset, jit_compile: bool) -> parts.Setting:
    """Returns what all parts are measured with."""
    network: dict[str, Any] = {
        "image_input": ImageInput(FLAGS.image_size),
        "trunk": Trunk(width=FLAGS.width, first_stride=FLAGS.first_stride),
    }
    return parts.Setting(dataset, network, FLAGS.batch_size, jit_compile)


def measure_part(part: parts.Part, peak: float, seconds: float) -> dict[str, Any]:
    """Returns the figures of a part: rates of it and of its trunk, and their ratio."""
    memory = timing.PeakMemory()
    memory.start()
    calls = [part.call] if part.bare is None else [part.call, part.bare]
    taken = timing.in_turns(calls, seconds=seconds)
    figures: dict[str, Any] = {
        "part": part.name,
        "unit": part.unit,
        "per_second": part.number / taken[0],
        "peak_megabytes": memory.megabytes(),
    }
    if part.bare is not None:
        rate = part.trunk_operations / taken[1]
        figures |= {
            "trunk_per_second": part.number / taken[1],
            "over_trunk": taken[1] / taken[0],
            "trunk_share": part.trunk_operations / part.operations,
            "trunk_operations_per_second": rate,
            "of_peak": rate / peak,
        }
    return figures


def measure_column(device: str, column: Arithmetic, end: float) -> list[dict[str, Any]]:
    """Returns the figures of each part in one arithmetic, and prints them.

    It needs a process of its own: TensorFlow keeps the algorithm of a convolution that it has
    chosen once, whether or not the next column shortens products or must be deterministic.

    Args:
      device: 'cpu' or 'gpu'.
      column: the arithmetic.
      end: parts that would begin later, by `time.monotonic`, are left out.
    """
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset)
    set_arithmetic(column.precision, deterministic=column.deterministic)
    dtype = keras.mixed_precision.dtype_policy().compute_dtype
    peak = timing.product_peak(dtype, _PRODUCT_SIZES[device], seconds=0.3)
    found: list[dict[str, Any]] = []
    for name in (names := part_names()):
        share = (end - time.monotonic()) / (len(names) - len(found))
        figures: dict[str, Any] = {"part": name, "missing": "no time left"}
        if share > 0:
            try:
                part = parts.PARTS[name](setting_of_flags(dataset, column.jit_compile))
                figures = measure_part(part, peak, _TIMED_SHARE * share) | {"peak": peak}
            except tf.errors.OpError as error:  # the others still count
                figures["missing"] = f"failed: {error.message.splitlines()[0][:200]}"
        found.append({"arithmetic": column.text, **figures})
        print(" | ".join(row(found[-1])), flush=True)
    return found


def check_resume_apart(device: str, column: Arithmetic) -> str:
    """Returns what a resumed run shows in an arithmetic; for a process of its own."""
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    set_arithmetic(column.precision, deterministic=column.deterministic)
    return device_checks.check_resume(f"/{device.upper()}:0")


def measure_all(device: str, columns: Sequence[Arithmetic], end: float) -> list[dict[str, Any]]:
    """Returns the figures of each part in each arithmetic; each gets an even share of the time."""
    found = []
    for number, column in enumerate(columns):
        now = time.monotonic()
        share = (end - now) / (len(columns) - number)
        missing = "no time left"
        if share > 0:
            try:
                found += apart(measure_column, device, column, now + share)
                continue
            except BrokenExecutor:
                missing = "failed: its process died"
        found += [
            {"part": name, "arithmetic": column.text, "missing": missing} for name in part_names()
        ]
    return found


def row(figures: dict[str, Any]) -> list[str]:
    """Returns a row of the table."""
    if "missing" in figures:
        return [figures["part"], figures["arithmetic"], figures["missing"], *[""] * 6]
    rate = f"{figures['per_second']:,.1f} {figures['unit']}"
    memory = figures["peak_megabytes"]
    cells = [figures["part"], figures["arithmetic"], rate]
    if "over_trunk" in figures:
        cells += [
            f"{figures['trunk_per_second']:,.1f}",
            f"{figures['over_trunk']:.3f}",
            f"{figures['trunk_share']:.3f}",
            f"{figures['trunk_operations_per_second'] / 1e12:.2f}",
            f"{figures['of_peak']:.0%}",
        ]
    else:
        cells += ["-"] * 5
    return [*cells, "-" if memory is None else f"{memory:,.0f}"]


def measure_regions() -> dict[str, float]:
    """The region step beside OpenCV's loop, on maps of a few smooth blobs like trained ones."""
    maps = device_checks.smooth_maps(FLAGS.batch_size, len(parts.NUM_VALUES))
    images = tf.constant(maps)
    step = tf.function(lambda: tf.reduce_sum(regions.attention_boxes(images, 0.2)), autograph=False)

    def loop() -> tf.Tensor:
        return tf.constant(device_checks.opencv_boxes(maps, 0.2).sum())

    graph_seconds, loop_seconds = timing.in_turns([step, loop], seconds=1.0)
    return {
        "regions_ms_per_image": 1e3 * graph_seconds / FLAGS.batch_size,
        "opencv_ms_per_image": 1e3 * loop_seconds / FLAGS.batch_size,
    }


def measure_pipeline(dataset: Dataset) -> dict[str, float]:
    """The training pipeline alone, images per second."""
    batches = iter(
        dataset.training_examples(
            "train",
            ImageInput(FLAGS.image_size),
            global_batch_size=FLAGS.batch_size,
            seed=0,
            flip=True,
        )
    )
    next(batches)
    start = time.perf_counter()
    for _ in range(10):
        next(batches)
    return {"pipeline_images_per_second": 10 * FLAGS.batch_size / (time.perf_counter() - start)}


def measure_many(dataset: Dataset, end: float) -> dict[str, float]:
    """Extraction of many images from the data set, with decoding; the paper: 60 s per 10,000.

    A split with fewer images is gone through repeatedly. A first batch, which traces the graph and
    starts the pipeline, is not timed. It ends with the last batch before `end`.
    """
    model = setting_of_flags(dataset, False).fashionsearchnet()
    images = dataset.images("gallery", model.image_input, batch_size=FLAGS.batch_size)
    batches = iter(distribution.prefetched(images.repeat().map(kernels.wide)))
    encode = tf.function(
        lambda images: model.encode_gallery(as_input(images, model.image_input)),
        reduce_retracing=True,
        autograph=False,
    )
    encode(next(batches)).numpy()
    done, start = 0, time.monotonic()
    while done < FLAGS.num_images and (time.monotonic() < end or not done):
        done += len(encode(next(batches)).numpy())
    return {"images": done, "seconds": time.monotonic() - start}


def write(found: list[dict[str, Any]], checks: list[list[str]], figures: dict[str, float]) -> None:
    """Writes the tables to --output, and all figures beside it."""
    path = Path(FLAGS.output).expanduser()
    more = [[name, f"{value:,.2f}"] for name, value in figures.items()]
    tables = [
        markdown_table(_HEADER, [row(one) for one in found]),
        markdown_table(["check", "found"], checks),
        markdown_table(["figure", "value"], more),
    ]
    files.write_text(path, "\n\n".join(tables) + "\n")
    devices = [
        tf.config.experimental.get_device_details(device).get("device_name", device.name)
        for device in tf.config.get_visible_devices()
    ]
    facts = {"devices": devices, "versions": runs.versions()}
    content = {"parts": found, "checks": dict(checks), "figures": figures, **facts}
    files.write_json(path.with_suffix(".json"), content)
    print(f"written: {path}, {path.with_suffix('.json')}")


def main() -> None:
    end = time.monotonic() + 60 * FLAGS.minutes
    if FLAGS.output and not FLAGS.output.endswith(".md"):
        raise ValueError(f"--output must end in .md; got {FLAGS.output!r}.")
    device = device_of_flags()
    columns = arithmetics(device)
    part_names()
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset)
    checks = []
    for name, text in device_checks.check_all(f"/{device.upper()}:0", dataset):
        print(f"{name}: {text}", flush=True)
        checks.append([name, text])
    figures = measure_regions() | measure_pipeline(dataset)
    if FLAGS.num_images:
        quarter = time.monotonic() + (end - time.monotonic()) / 4
        figures |= measure_many(dataset, quarter)
    for name, value in figures.items():
        print(f"{name}: {value:,.2f}", flush=True)
    for column in columns:
        if column.deterministic:
            text = apart(check_resume_apart, device, column)
            print(f"a resumed run in {column.text}: {text}", flush=True)
            checks.append([f"a resumed run in {column.text}", text])
    found = measure_all(device, columns, end)
    if FLAGS.output:
        write(found, checks, figures)


if __name__ == "__main__":
    command.run(main)
