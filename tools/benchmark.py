"""Measures the speed of each part beside the work that it cannot avoid, both in one run.

  python tools/benchmark.py --data_dir=data --dataset=garments/large

Machines differ and are noisy, so read the ratios: both sides of a ratio are timed in turn, several
rounds each, and the medians are compared. The network is the paper's (AlexNet at full width with
its response normalisation, 227 px) with 12 attributes of as many values as Shopping100k has;
--width and --image_size make it smaller.
"""

import statistics
import time
from collections.abc import Callable

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string("dataset", "garments/large", "Data set that feeds the input pipeline.")
flags.DEFINE_integer("image_size", 227, "Side of the square input in pixels.", 25)
flags.DEFINE_float("width", 1.0, "Multiplies the number of filters.", 0.05, 4.0)
flags.DEFINE_integer("first_stride", 4, "Stride of conv1.", 1, 4)
flags.DEFINE_integer("batch_size", 64, "Images per step.", 2)
flags.DEFINE_integer("rounds", 5, "Rounds of timing; medians are reported.", 1)
flags.DEFINE_integer("num_images", 10_000, "Images of the extraction; 0 leaves it out.", 0)
flags.DEFINE_string("output", None, "JSON file to write the figures to.")

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import cv2
import numpy as np
import tensorflow as tf

from fashionsearchnet import files, training
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.networks.backbones import Trunk
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.systems import regions
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.stages import RepresentationStage
from fashionsearchnet.training import runs

# Values per attribute of Shopping100k, in its own order.
_NUM_VALUES = (16, 17, 19, 14, 10, 15, 2, 11, 16, 7, 9, 15)


def seconds_of(*functions: Callable[[], object]) -> list[float]:
    """Returns the median seconds of each function, timed in turn after one warm-up call."""
    taken: list[list[float]] = [[] for _ in functions]
    for round_number in range(FLAGS.rounds + 1):
        for function, seconds in zip(functions, taken, strict=True):
            start = time.perf_counter()
            function()
            if round_number:
                seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in taken]


def build_model() -> FashionSearchNetV2:
    """Returns the paper's network with 12 attributes."""
    names = {f"attribute{a}": [f"{v}" for v in range(n)] for a, n in enumerate(_NUM_VALUES)}
    return FashionSearchNetV2(
        AttributeSpace.from_dict(names),
        image_input=ImageInput(FLAGS.image_size),
        trunk=Trunk(width=FLAGS.width, first_stride=FLAGS.first_stride),
    )


def gallery_encoder(model: FashionSearchNetV2) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the graph from images to their global representations, for batches of any size."""
    size = model.image_input.size
    signature = tf.TensorSpec([None, size, size, 3], tf.float32)
    return tf.function(model.encode_gallery, input_signature=[signature])


def measure_extraction(model: FashionSearchNetV2) -> dict[str, float]:
    """(a) Everything from image to global representation, beside the bare conv1-conv7."""
    images = tf.random.normal([FLAGS.batch_size, FLAGS.image_size, FLAGS.image_size, 3], stddev=50)
    bare = tf.function(lambda x: model.localize(x)["conv7"])
    full = gallery_encoder(model)
    bare_seconds, full_seconds = seconds_of(
        lambda: bare(images).numpy(), lambda: full(images).numpy()
    )
    return {
        "trunk_images_per_second": FLAGS.batch_size / bare_seconds,
        "extraction_images_per_second": FLAGS.batch_size / full_seconds,
        "extraction_over_trunk": bare_seconds / full_seconds,
    }


def opencv_boxes(maps: np.ndarray, threshold: float) -> np.ndarray:
    """The plain version of the region step: a loop over OpenCV's connected components."""
    boxes = np.zeros((*maps.shape[:2], 4), np.int32)
    for index in np.ndindex(maps.shape[:2]):
        one = maps[index]
        mask = (one > np.float32(threshold) * one.max()).astype(np.uint8)
        _, labels, found, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        areas = found[1:, cv2.CC_STAT_AREA]
        largest = 1 + np.flatnonzero(areas == areas.max())
        best = (
            max(largest, key=lambda r: one[labels == r].sum()) if len(largest) > 1 else largest[0]
        )
        left, top, width, height, _ = found[best]
        boxes[index] = top, left, top + height - 1, left + width - 1
    return boxes


def measure_regions() -> dict[str, float]:
    """(b) The region step beside OpenCV's loop, on maps of a few smooth blobs like trained ones."""
    rng = np.random.default_rng(0)
    shape = (FLAGS.batch_size, len(_NUM_VALUES), 13, 13)
    noise = rng.random(shape).astype(np.float32).reshape(-1, 13, 13)
    maps = np.stack([cv2.GaussianBlur(one, (0, 0), 1.5) for one in noise]).reshape(shape)
    maps -= maps.mean()
    step = tf.function(lambda m: regions.attention_boxes(m, 0.2))
    same = (step(maps).numpy() == opencv_boxes(maps, 0.2)).all(axis=-1).mean()
    graph_seconds, loop_seconds = seconds_of(
        lambda: step(maps).numpy(), lambda: opencv_boxes(maps, 0.2)
    )
    return {
        "regions_ms_per_image": 1e3 * graph_seconds / FLAGS.batch_size,
        "opencv_ms_per_image": 1e3 * loop_seconds / FLAGS.batch_size,
        "regions_over_opencv": graph_seconds / loop_seconds,
        "same_boxes": float(same),
    }


def measure_training(dataset: Dataset, model: FashionSearchNetV2) -> dict[str, float]:
    """(c) A step of stage 2 beside forward and backward of the bare trunk."""
    rng = np.random.default_rng(0)
    shape = (FLAGS.batch_size, FLAGS.image_size, FLAGS.image_size, 3)
    labels = np.stack([rng.integers(n, size=FLAGS.batch_size) for n in _NUM_VALUES], axis=1)
    batch = {
        "image": tf.random.normal(shape, stddev=50),
        "attributes": tf.constant(labels, tf.int32),
    }
    stage = RepresentationStage(model, dataset, FLAGS.batch_size)
    trunk = [*model.trunk.trainable_variables, *model.conv5.trainable_variables]
    trunk += model.attention_maps.conv6.trainable_variables
    trunk += model.attention_maps.conv7.trainable_variables

    def step(loss_of: Callable[[], tf.Tensor], variables):
        # At a rate of zero the steps cost the same and no loss can blow up.
        settings = training.OptimizerSettings(learning_rate=0.0, momentum=0.9)
        optimizer = settings.build(1, variables)

        @tf.function
        def run() -> tf.Tensor:
            with tf.GradientTape() as tape:
                loss = loss_of()
            optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
            return loss

        return run

    bare = step(
        lambda: tf.reduce_mean(tf.square(model.localize(batch["image"], training=True)["conv7"])),
        trunk,
    )
    (update,) = stage.updates()
    full = step(lambda: update.loss(batch, tf.constant([0, 1]))[0], list(update.variables))
    bare_seconds, full_seconds = seconds_of(lambda: bare().numpy(), lambda: full().numpy())
    return {
        "trunk_training_images_per_second": FLAGS.batch_size / bare_seconds,
        "stage2_images_per_second": FLAGS.batch_size / full_seconds,
        "stage2_over_trunk": bare_seconds / full_seconds,
    }


def measure_pipeline(dataset: Dataset, model: FashionSearchNetV2) -> dict[str, float]:
    """(d) The training pipeline alone, images per second."""
    batches = iter(
        dataset.training_examples(
            "train",
            model.image_input,
            global_batch_size=FLAGS.batch_size,
            seed=0,
            flip=True,
        )
    )
    (seconds,) = seconds_of(lambda: [next(batches) for _ in range(10)])
    return {"pipeline_images_per_second": 10 * FLAGS.batch_size / seconds}


def measure_many(dataset: Dataset, model: FashionSearchNetV2) -> dict[str, float]:
    """(e) Extraction of many images from the data set, with decoding; the paper: 60 s per 10,000.

    A split with fewer images is gone through repeatedly. A first batch, which traces the graph and
    starts the pipeline, is not timed.
    """
    encode = gallery_encoder(model)
    images = dataset.images("gallery", model.image_input, batch_size=FLAGS.batch_size)
    batches = iter(images.repeat())
    encode(next(batches)).numpy()
    done, start = 0, time.perf_counter()
    while done < FLAGS.num_images:
        done += len(encode(next(batches)).numpy())
    return {"images": done, "seconds": time.perf_counter() - start}


def compare_parts(figures: dict[str, float]) -> dict[str, float]:
    """Returns the ratios between parts that were timed one after the other.

    `many_over_extraction`, (e) beside (a), is below 1, because (e) decodes images too. If it is
    above 1, the machine had other work during (a). Only ratios whose sides took turns hold then.
    """
    ratios = {
        "pipeline_over_stage2": figures["pipeline_images_per_second"]
        / figures["stage2_images_per_second"]
    }
    if "images" in figures:
        many = figures["images"] / figures["seconds"]
        ratios["many_over_extraction"] = many / figures["extraction_images_per_second"]
    return ratios


def main() -> None:
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset)
    model = build_model()
    figures: dict[str, float] = {}
    for measure in (
        lambda: measure_extraction(model),
        measure_regions,
        lambda: measure_training(dataset, model),
        lambda: measure_pipeline(dataset, model),
        lambda: measure_many(dataset, model) if FLAGS.num_images else {},
        lambda: compare_parts(figures),
    ):
        for name, value in measure().items():
            print(f"{name:<36}{value:>12,.3f}", flush=True)
            figures[name] = value
    if FLAGS.output:
        devices = [device.name for device in tf.config.list_physical_devices()]
        files.write_json(
            FLAGS.output, {"figures": figures, "devices": devices, "versions": runs.versions()}
        )


if __name__ == "__main__":
    command.run(main)
