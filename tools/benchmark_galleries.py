"""Measures how to keep a gallery whose vectors depend on the edit, and prints a Markdown table.

  python tools/benchmark_galleries.py --workdir=runs/my_shop/full_edit_weights --data_dir=data \\
      --beside=runs/my_shop/ours

With one set of lambda per manipulated attribute an image has another vector for every attribute
that may be edited. Either the local representations are stored and the vectors are made for each
search, or every attribute has an index of its own. A system whose one index serves all edits
(--beside) is timed in the same rounds.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "workdir", None, "Run of a variant with lambda per edit and Eq. 7.", required=True
)
flags.DEFINE_string("beside", "", "Run whose one index serves all edits, such as of ours.")
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string("query_split", "query[:5%]", "Split of the queries; slices work.")
flags.DEFINE_string("gallery_split", "gallery", "Split of the gallery; slices work.")
flags.DEFINE_integer("k", 20, "Results per query.", 1)
flags.DEFINE_integer("rounds", 5, "Rounds of timing; medians are reported.", 1)
flags.DEFINE_integer("seed", 0, "Of the edits.", 0)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import numpy as np

from fashionsearchnet.attributes import KEEP
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.index.exact import ExactIndex
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.features import (
    FeatureArrays,
    edited_embedding,
    extract_features,
    gallery_embeddings,
)
from fashionsearchnet.systems.system import System

Search = Callable[[int, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to keep a gallery.

    Attributes:
      name: in the table.
      search: from a query's position and its edit int32 `[1, A]` to the K nearest positions.
      seconds: to prepare, given the features of the gallery.
      numbers: float32 numbers kept of an image.
    """

    name: str
    search: Search
    seconds: float
    numbers: int


class Galleries:
    """The features of a system's queries and gallery, and how to search them."""

    def __init__(self, system: System, dataset: Dataset):
        self._system = system
        self.queries, self.items = (
            _embedding_only(extract_features(system, dataset, split))
            for split in (FLAGS.query_split, FLAGS.gallery_split)
        )
        self._embed_query = edited_embedding(system.query_embedding, self.queries)
        self._number, self._num_attributes, dim = self.items["embedding"].shape
        self._stored_numbers = self._num_attributes * dim

    def stored(self) -> Way:
        """The gallery's vectors are made from its local representations for each search."""
        embed_items = edited_embedding(self._system.gallery_embedding, self.items)
        everything = np.arange(self._number)

        def search(query: int, edit: np.ndarray) -> np.ndarray:
            vectors = embed_items(everything, np.repeat(edit, self._number, axis=0))
            return self._nearest(ExactIndex(vectors), query, edit)

        return Way("stored local representations", search, 0.0, self._stored_numbers)

    def indexed(self) -> Way:
        """There is an index for each attribute."""
        start = time.perf_counter()
        indexes = [self._index((attribute,)) for attribute in range(self._num_attributes)]
        seconds = time.perf_counter() - start

        def search(query: int, edit: np.ndarray) -> np.ndarray:
            return self._nearest(indexes[int(np.argmax(edit != KEEP))], query, edit)

        return Way("an index per attribute", search, seconds, len(indexes) * indexes[0].dim)

    def single(self, name: str) -> Way:
        """One index serves all edits."""
        start = time.perf_counter()
        index = self._index(())
        seconds = time.perf_counter() - start
        return Way(name, lambda q, edit: self._nearest(index, q, edit), seconds, index.dim)

    def _index(self, edited: tuple[int, ...]) -> ExactIndex:
        return ExactIndex(gallery_embeddings(self._system, self.items, edited))

    def _nearest(self, index: ExactIndex, query: int, edit: np.ndarray) -> np.ndarray:
        return index.search(self._embed_query(np.array([query]), edit), FLAGS.k)[1][0]


def _embedding_only(features: FeatureArrays) -> FeatureArrays:
    return {"embedding": features["embedding"]}


def random_edits(num_values: tuple[int, ...], number: int) -> np.ndarray:
    """Returns `number` edits of one attribute each, int32 `[number, A]`."""
    rng = np.random.default_rng(FLAGS.seed)
    edits = np.full((number, len(num_values)), KEEP, np.int32)
    for row, attribute in enumerate(rng.integers(len(num_values), size=number)):
        edits[row, attribute] = rng.integers(num_values[attribute])
    return edits


def measure(ways: list[Way], edits: np.ndarray) -> tuple[list[float], list[np.ndarray]]:
    """Returns each way's median milliseconds per search, and the positions that it found.

    The ways take turns, so that other work of the machine slows all of them. The first round does
    not count.
    """
    taken: list[list[float]] = [[] for _ in ways]
    found: list[np.ndarray] = []
    for round_number in range(FLAGS.rounds + 1):
        found = []
        for way, times in zip(ways, taken, strict=True):
            positions = []
            for query, edit in enumerate(edits):
                start = time.perf_counter()
                positions.append(way.search(query, edit[None]))
                if round_number:
                    times.append(time.perf_counter() - start)
            found.append(np.stack(positions))
    return [1e3 * statistics.median(times) for times in taken], found


def main() -> None:
    system = registry.load_complete_system(FLAGS.workdir)
    if not system.gallery_depends_on_edit:
        raise ValueError(
            f"--workdir={FLAGS.workdir}: the gallery of this system does not depend on the edit, "
            "so there is nothing to choose; take a run of --variant=full_edit_weights."
        )
    trained = registry.describe_system(FLAGS.workdir)
    dataset = pipeline.open_dataset(FLAGS.data_dir, trained["dataset"])
    galleries = Galleries(system, dataset)
    ways = [galleries.stored(), galleries.indexed()]
    if FLAGS.beside:
        other = registry.load_complete_system(FLAGS.beside)
        if other.gallery_depends_on_edit:
            raise ValueError(f"--beside={FLAGS.beside}: this gallery depends on the edit, too.")
        ways.append(Galleries(other, dataset).single("one index for all edits (--beside)"))
    edits = random_edits(system.space.num_values, len(galleries.queries["embedding"]))
    milliseconds, found = measure(ways, edits)
    print(
        f"{dataset.num_examples(FLAGS.gallery_split):,} images, {len(edits)} edits of one value\n"
    )
    print("| gallery | numbers per image | seconds to prepare | ms per search |")
    print("|---|---:|---:|---:|")
    for way, time_taken in zip(ways, milliseconds, strict=True):
        print(f"| {way.name} | {way.numbers:,} | {way.seconds:.1f} | {time_taken:.1f} |")
    same = float((found[0] == found[1]).mean())
    print(f"\nThe first two give the same result in {same:.2%} of all places.")


if __name__ == "__main__":
    command.run(main)
