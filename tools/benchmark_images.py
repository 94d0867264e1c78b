"""Compares extraction from JPEG files with the bare trunk, for each way to compute pixels.

  python tools/benchmark_images.py --images_dir=photos --backbone=efficientnet_lite0

Extraction reads, decodes and resizes the files, and runs the trunk; the bare trunk runs on images
that are there. Each round measures all in turn, and the fastest round counts: other programs can
only slow a round down. No measurement finds images that were loaded before it began. Prints a
Markdown table, with how far each way is from `exact` in steps of 255.

A trunk that keeps all cores busy shares them with loading. The column "cores shared" says what that
leaves of its speed, by the time that cores spend on each: trunk / (trunk + loading). The last line
gives a bound for every reader: the time that libjpeg takes to decode at 1/8. There it does little
more than undo the entropy coding.
"""

import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_string("images_dir", None, "Folder of JPEG files.", required=True)
flags.DEFINE_string("backbone", "efficientnet_lite0", "Which trunk; its weights are random.")
flags.DEFINE_integer("image_size", 224, "Side of the square input in pixels.", 25)
flags.DEFINE_integer("batch_size", 32, "Images of a batch.", 1)
flags.DEFINE_integer("batches", 8, "Batches of a measurement.", 1)
flags.DEFINE_integer("rounds", 5, "Rounds of timing; the fastest counts.", 1)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import numpy as np
import tensorflow as tf

from fashionsearchnet.data.image_cache import fitted_pixels
from fashionsearchnet.data.preprocess import Images, as_input, decode_for, load_image
from fashionsearchnet.evaluation.reporting import tables
from fashionsearchnet.networks.backbones import Trunk, build_backbone
from fashionsearchnet.networks.image_input import PIXELS, ImageInput

_BARE, _LEAST = "bare trunk", "decoding at 1/8"
_HEADER = (
    *("pixels", "images/s", "over the bare trunk", "ms", "ms, decoding", "ms, loading"),
    *("cores shared", "mean difference", "99.9 %"),
)


def batches_of(paths: list[str], read: Callable[[tf.Tensor], Images]) -> tf.data.Dataset:
    """Returns FLAGS.batches batches of what `read` makes of the files, as a data set gives them."""
    loaded = (
        tf.data.Dataset.from_tensor_slices(paths)
        .repeat()
        .take(FLAGS.batches * FLAGS.batch_size)
        .map(lambda path: read(tf.io.read_file(path)), num_parallel_calls=tf.data.AUTOTUNE)
    )
    return loaded.batch(FLAGS.batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def going_through(batches: tf.data.Dataset) -> Callable[[], None]:
    """Returns a function that loads all batches."""

    def load() -> None:
        for _ in batches:
            pass

    return load


def extraction(trunk: Callable, batches: tf.data.Dataset, seen: ImageInput) -> Callable[[], None]:
    """Returns a function that extracts all batches."""
    run = tf.function(
        lambda images: trunk(as_input(images, seen), training=False),
        input_signature=[batches.element_spec],
        autograph=False,
    )

    def extract() -> None:
        for images in batches:
            run(images).numpy()

    return extract


def differences(paths: list[str], seen: ImageInput, other: ImageInput) -> tuple[float, float]:
    """Returns mean and 99.9th percentile of the differences of two ways, in steps of 255."""
    found = []
    for path in paths[:50]:
        data = tf.io.read_file(path)
        found.append(np.abs(load_image(data, seen).numpy() - load_image(data, other)).ravel())
    return float(np.mean(np.concatenate(found))), float(np.percentile(np.concatenate(found), 99.9))


def decoded_size(data: tf.Tensor, seen: ImageInput) -> tf.Tensor:
    """Returns the height and width that an image is decoded at."""
    return tf.shape(decode_for(data, seen)[0])[:2]


def read_least(data: tf.Tensor) -> tf.Tensor:
    """Returns an image decoded at an eighth of its size, uint8 `[h / 8, w / 8, 3]`."""
    return tf.io.decode_jpeg(data, channels=3, ratio=8)


def measured(
    measures: Mapping[str, Callable[[], None]],
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns the seconds of the fastest round of each, and the least seconds of CPU."""
    seconds, cpu_seconds = dict.fromkeys(measures, np.inf), dict.fromkeys(measures, np.inf)
    for _ in range(FLAGS.rounds + 1):  # the first warms up, and is never the fastest
        for name, measure in measures.items():
            start, cpu = time.perf_counter(), time.process_time()
            measure()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
            cpu_seconds[name] = min(cpu_seconds[name], time.process_time() - cpu)
    return seconds, cpu_seconds


def main() -> None:
    paths = sorted(str(path) for path in Path(FLAGS.images_dir).glob("*.jp*g"))
    if not paths:
        raise ValueError(f"--images_dir={FLAGS.images_dir} must hold JPEG files; it has none.")
    size = FLAGS.image_size
    trunk = build_backbone(Trunk(FLAGS.backbone), size).network
    inputs = {pixels: ImageInput(size, pixels=pixels) for pixels in PIXELS}
    fixed = tf.random.normal([FLAGS.batch_size, size, size, 3])
    still = tf.data.Dataset.from_tensors(fixed).repeat(FLAGS.batches)
    measures = {
        _BARE: extraction(trunk, still, inputs["exact"]),
        _LEAST: going_through(batches_of(paths, lambda data: tf.shape(read_least(data)))),
    }
    for pixels, seen in inputs.items():
        batches = batches_of(paths, functools.partial(load_image, image_input=seen))
        if pixels != "exact":
            batches = batches_of(paths, functools.partial(fitted_pixels, image_input=seen))
        decoded = batches_of(paths, functools.partial(decoded_size, seen=seen))
        measures[f"decoding, {pixels}"] = going_through(decoded)
        measures[f"loading, {pixels}"] = going_through(batches)
        measures[pixels] = extraction(trunk, batches, seen)
    seconds, cpu_seconds = measured(measures)
    number = FLAGS.batches * FLAGS.batch_size
    cpu_ms = {name: 1e3 * found / number for name, found in cpu_seconds.items()}
    trunk_ms = cpu_ms[_BARE]
    rows = [[_BARE, f"{number / seconds[_BARE]:.0f}", "1.00", f"{trunk_ms:.2f}", *[""] * 5]]
    for pixels, seen in inputs.items():
        whole, loading = seconds[pixels], cpu_ms[f"loading, {pixels}"]
        rates = [f"{number / whole:.0f}", f"{seconds[_BARE] / whole:.2f}", f"{cpu_ms[pixels]:.2f}"]
        parts = [f"{cpu_ms[f'decoding, {pixels}']:.2f}", f"{loading:.2f}"]
        apart = [f"{x:.2f}" for x in differences(paths, inputs["exact"], seen)]
        rows.append([pixels, *rates, *parts, f"{trunk_ms / (trunk_ms + loading):.2f}", *apart])
    print(tables.markdown_table(_HEADER, rows))
    print("\nms: of CPU for an image; decoding and loading alone, without the trunk.")
    least = cpu_ms[_LEAST]
    share = trunk_ms / (trunk_ms + least)
    print(f"{_LEAST}: {least:.2f} ms; it would leave {share:.2f} of the trunk's speed.")


if __name__ == "__main__":
    command.run(main)
