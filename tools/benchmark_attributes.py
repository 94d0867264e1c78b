"""Measures what vectors of 1, 10 and 100 attributes cost, beside the trunk alone, in one run.

  python tools/benchmark_attributes.py

A system must see an image once, however many attributes it has. Each table cell is the time of all
vectors of a batch over that of the trunk alone. Both are timed in turn, and the fastest round
counts: other programs can only slow a round down. The trunk is EfficientNet-Lite0 with random
weights; times do not depend on them.
"""

import time
from collections.abc import Callable
from typing import Any

from absl import flags

from fashionsearchnet import command

_VALUES = 5  # of each attribute

FLAGS = flags.FLAGS
flags.DEFINE_list("numbers", ["1", "10", "100"], "Numbers of attributes.")
flags.DEFINE_string("backbone", "efficientnet_lite0", "Which trunk.")
flags.DEFINE_integer("image_size", 96, "Side of the square input in pixels.", 25)
flags.DEFINE_integer("hidden_dim", 256, "Width of what cells and attributes are compared by.", 1)
flags.DEFINE_integer("batch_size", 32, "Images of a batch.", 1)
flags.DEFINE_integer("rounds", 15, "Rounds of timing; the fastest counts.", 1)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import whole_numbers
from fashionsearchnet.evaluation.reporting import tables
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.systems.agman.model import AGMAN
from fashionsearchnet.systems.asenet.model import ASENet
from fashionsearchnet.systems.convolutional import ConvolutionalSystem
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2

_SYSTEMS: dict[str, Callable[..., ConvolutionalSystem]] = {
    "CSN": lambda *a, **k: ASENet(*a, variant="csn", embedding_dim=256, **k),
    "ASENet V1": lambda *a, **k: ASENet(
        *a, variant="asenet_v1", embedding_dim=256, hidden_dim=FLAGS.hidden_dim, **k
    ),
    "ASENet_V2": lambda *a, **k: ASENet(*a, hidden_dim=FLAGS.hidden_dim, **k),
    "AG-MAN": lambda *a, **k: AGMAN(*a, hidden_dim=FLAGS.hidden_dim, **k),
    "Ours, pooled features": lambda *a, **k: FashionSearchNetV2(
        *a, variant="ours_pooled", hidden_dims=(512,), block_dim=32, **k
    ),
}


def space_of(number: int) -> AttributeSpace:
    """Returns so many attributes."""
    values = [str(value) for value in range(_VALUES)]
    return AttributeSpace.from_dict({f"attribute {a}": values for a in range(number)})


def calls(build: Callable[..., ConvolutionalSystem], number: int) -> list[Callable[[], Any]]:
    """Returns what runs the trunk alone, and what makes the vectors of all attributes."""
    network = {"image_input": ImageInput(FLAGS.image_size), "trunk": {"backbone": FLAGS.backbone}}
    system = build(space_of(number), **network)
    images = tf.random.stateless_normal([FLAGS.batch_size, *system.image_input.shape], [0, 0])
    trunk = tf.function(lambda: system.trunk(images, training=False))
    vectors = tf.function(lambda: system.alike_embedding(system.image_features(images)))
    return [trunk, vectors]


def ratio(both: list[Callable[[], Any]]) -> float:
    """Returns the time of the second call over that of the first, timed in turn."""
    times: list[list[float]] = [[], []]
    for _ in range(FLAGS.rounds + 1):  # the first round compiles
        for call, found in zip(both, times, strict=True):
            start = time.perf_counter()
            tf.nest.map_structure(lambda tensor: tensor.numpy(), call())
            found.append(time.perf_counter() - start)
    trunk, vectors = (min(found[1:]) for found in times)
    return vectors / trunk


def main() -> None:
    numbers = whole_numbers("numbers", FLAGS.numbers, 1)
    rows = [
        [name, *(f"{ratio(calls(build, number)):.2f}" for number in numbers)]
        for name, build in _SYSTEMS.items()
    ]
    header = ["time of all vectors / trunk alone", *(f"{n} attributes" for n in numbers)]
    print(tables.markdown_table(header, rows))


if __name__ == "__main__":
    command.run(main)
