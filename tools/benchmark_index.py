"""Measures the index with every engine and storage on many vectors; prints Markdown tables.

  python tools/benchmark_index.py
  python tools/benchmark_index.py --num_vectors=100000 --block_dims=32
  python tools/benchmark_index.py --vectors=indexes/my_shop,indexes/my_compact_shop

The vectors have --num_blocks blocks, one of each attribute, and --block_dims says how long a block
is. Each length gives a table. Every index is built in one process and opened in another, which
measures what a service would need: memory, and time to search. Recall compares with the exact
search of the vectors in float32. Times are the fastest of several, since other programs may run;
machines differ, so read ratios within a run. With the default flags, a run takes up to 13 GB of
memory, 15 GB of disk and, on two cores, an hour.

A second table compares two ways to search by one attribute ("like this in its neckline"): an index
of all blocks, of which a search compares one, and an index for each attribute.

Without --vectors, vectors come from a mixture, like those of a trained network: pure noise has no
neighbours to find. Each attribute has 16 values, some frequent and some rare. The block of an image
is the point of its value and a deviation, in 16 dimensions whose spreads fall from 1 to 1/4; a
random matrix puts them into the block, and noise of .01 is added. All lengths have the same points.
"""

import dataclasses
import functools
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_integer("num_vectors", 1_000_000, "Items of the gallery.", 1_000)
flags.DEFINE_integer("num_blocks", 4, "Blocks of a vector.", 2)
flags.DEFINE_list("block_dims", ["32", "256"], "Lengths of a block; a table for each.")
flags.DEFINE_list(
    "vectors",
    [],
    "Instead: .npy files, float32 [items, dim], or folders of indexes with the engine flat; a "
    "table for each. Random rows become the queries.",
)
flags.DEFINE_integer("num_queries", 128, "Queries.", 1)
flags.DEFINE_integer("k", 20, "Results per query.", 1, 1_000)
flags.DEFINE_integer("rounds", 3, "Rounds of timing; the fastest counts.", 1)
flags.DEFINE_integer("threads", 2, "Threads of FAISS.", 1)
flags.DEFINE_string("directory", "", "Folder for the indexes; a temporary folder by default.")

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import faiss
import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.benchmarks.processes import apart
from fashionsearchnet.index import ivf
from fashionsearchnet.index.engine_table import ENGINES
from fashionsearchnet.index.flat import FlatEngine
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item

_FILTERS: dict[str, dict[str, list[str]] | None] = {
    "all": None,
    "1/2": {"half": ["yes"]},
    "1/20": {"half": ["yes"], "tenth": ["3"]},
}
_CASES = [(e, s) for e in ("flat", "ivf") for s in ENGINES[e].storages]
_CHUNK = 50_000
_NUM_VALUES = 16
_LATENT_DIM = 16  # of a block
_SINGLE_QUERIES = 10  # searched one by one to time a single query

Search = Callable[[np.ndarray], object]


@dataclasses.dataclass(frozen=True)
class Source:
    """A file of vectors, float32 `[number, dim]`; the last `num_queries` are the queries."""

    path: Path
    num_queries: int
    num_blocks: int

    def vectors(self, blocks: int) -> np.ndarray:
        """Returns the first blocks of all vectors."""
        vectors = np.load(self.path, mmap_mode="r")
        return vectors[:, : blocks * vectors.shape[1] // self.num_blocks]

    def queries(self, blocks: int) -> np.ndarray:
        """Returns the first blocks of the queries."""
        return np.ascontiguousarray(self.vectors(blocks)[-self.num_queries :])


@dataclasses.dataclass(frozen=True)
class Timing:
    """The settings of a measurement, for another process: see the flags of these names."""

    k: int
    rounds: int
    threads: int


@dataclasses.dataclass(frozen=True)
class Opened:
    """What an opened index needs.

    Attributes:
      seconds: to open it, checksums included.
      memory: bytes of the process's own memory that it takes, searches included.
      mapped: bytes of its files that are mapped into memory; the system may drop them.
      times: least milliseconds of one query for each filter; without a filter, of all queries,
        too. For the engine flat, "faiss" is the FAISS index alone.
      found: ids for each filter and query.
    """

    seconds: float
    memory: int
    mapped: int
    times: dict[str, list[float]]
    found: dict[str, list[set[str]]]


def write_clusters(path: Path, number: int, num_blocks: int, block_dim: int) -> None:
    """Writes float32 `[number, num_blocks * block_dim]`; see the head of this file."""
    points = np.random.default_rng(0)  # the same for every length
    rest = np.random.default_rng(1)
    shape = (num_blocks, _NUM_VALUES)
    centres = points.normal(size=(*shape, _LATENT_DIM)) * 1.5
    shares = points.pareto(1.5, shape) + 0.1
    spreads = np.geomspace(1.0, 0.25, _LATENT_DIM)
    bases = rest.normal(size=(num_blocks, _LATENT_DIM, block_dim)) / np.sqrt(block_dim)
    vectors = np.lib.format.open_memmap(path, "w+", np.float32, (number, num_blocks * block_dim))
    for start in range(0, number, _CHUNK):
        rows = vectors[start : start + _CHUNK]
        blocks = rows.reshape(len(rows), num_blocks, block_dim)
        for block in range(num_blocks):
            share = shares[block] / shares[block].sum()
            value = points.choice(_NUM_VALUES, len(rows), p=share)
            deviation = spreads * points.normal(size=(len(rows), _LATENT_DIM))
            blocks[:, block] = (centres[block, value] + deviation) @ bases[block]
        rows += rest.normal(0.0, 0.01, rows.shape).astype(np.float32)
    vectors.flush()


def write_given(source: Source, given: str) -> None:
    """Writes the vectors of --vectors in random order."""
    if Path(given).expanduser().is_dir():
        engine = GalleryIndex.open(given).engine
        if not isinstance(engine, FlatEngine):
            raise ValueError(f"--vectors={given} must be an index with --engine=flat.")
        vectors = engine.vectors.get(np.arange(len(engine)))
    else:
        vectors = np.load(given, mmap_mode="r")
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        raise ValueError(
            f"--vectors={given} must hold float32 [items, dim]; it holds {vectors.dtype} "
            f"{vectors.shape}."
        )
    if vectors.shape[1] % source.num_blocks or len(vectors) <= 2 * source.num_queries:
        raise ValueError(
            f"--vectors={given} must hold over {2 * source.num_queries} vectors of --num_blocks="
            f"{source.num_blocks} equal blocks; it holds {vectors.shape}."
        )
    np.save(source.path, vectors[np.random.default_rng(0).permutation(len(vectors))])


def make_space(num_blocks: int) -> AttributeSpace:
    """Returns as many attributes as blocks; the first two serve the filters."""
    values = {"tenth": [str(value) for value in range(10)], "half": ["no", "yes"]}
    values |= {f"block {number}": ["no", "yes"] for number in range(2, num_blocks)}
    return AttributeSpace.from_dict(values)


def build(folder: Path, engine: str, storage: str, source: Source, blocks: int) -> float:
    """Builds an index of the first blocks of all vectors but the queries; returns the seconds."""
    space, vectors = make_space(source.num_blocks), source.vectors(blocks)[: -source.num_queries]
    start = time.perf_counter()
    index = GalleryIndex.create(
        folder,
        space=space,
        fingerprint="benchmark",
        dim=vectors.shape[1],
        engine=engine,
        storage=storage,
    )
    values = np.random.default_rng(1).integers(
        0, space.num_values, (len(vectors), space.num_attributes)
    )
    for first in range(0, len(vectors), _CHUNK):
        chunk = np.array(vectors[first : first + _CHUNK])
        items = [Item(f"image {first + i}", values[first + i]) for i in range(len(chunk))]
        index.put(items, chunk)
    index.commit()
    return time.perf_counter() - start


def open_and_search(folder: Path, source: Source, timing: Timing) -> Opened:
    """Opens an index and searches it."""
    faiss.omp_set_num_threads(timing.threads)
    queries = source.queries(source.num_blocks)
    memory, mapped = resident_bytes()
    start = time.perf_counter()
    index = GalleryIndex.open(folder)
    seconds = time.perf_counter() - start
    searches: dict[str, Search] = {
        name: functools.partial(index.search, k=timing.k, filters=allowed)
        for name, allowed in _FILTERS.items()
    }
    found = {
        name: [set(one.ids) for one in index.search(queries, timing.k, allowed)]
        for name, allowed in _FILTERS.items()
    }
    after = resident_bytes()
    if isinstance(index.engine, FlatEngine):
        bare = index.engine.vectors.index
        searches["faiss"] = lambda q: bare.search(q, timing.k)
    times = milliseconds(queries, timing.rounds, searches)
    return Opened(seconds, after[0] - memory, after[1] - mapped, times, found)


def resident_bytes() -> tuple[int, int]:
    """Returns this process's own memory, and what it holds of files."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in status if line.startswith("Rss")}
    return 1024 * int(sizes["RssAnon"]), 1024 * int(sizes["RssFile"])


def milliseconds(
    queries: np.ndarray, rounds: int, searches: dict[str, Search]
) -> dict[str, list[float]]:
    """Returns for each search the least time of one query, and of all queries at once.

    Searches with a filter are timed for one query only. All are timed in turn, after a first round
    that does not count.
    """
    singles: dict[str, list[float]] = {name: [] for name in searches}
    batches: dict[str, list[float]] = {name: [] for name in searches if not _FILTERS.get(name)}
    for round_number in range(rounds + 1):
        for name, search in searches.items():
            taken = [elapsed(search, query[None]) for query in queries[:_SINGLE_QUERIES]]
            whole = [elapsed(search, queries)] if name in batches else []
            if round_number:
                singles[name] += taken
                batches.setdefault(name, []).extend(whole)
    return {
        name: [1e3 * min(times) for times in (singles[name], batches[name]) if times]
        for name in searches
    }


def elapsed(search: Search, queries: np.ndarray) -> float:
    """Returns the seconds that a search takes."""
    start = time.perf_counter()
    search(queries)
    return time.perf_counter() - start


def recall(found: list[set[str]], truth: list[set[str]]) -> float:
    """Returns the share of the true results that was found, in 0..1."""
    hits = sum(len(f & t) for f, t in zip(found, truth, strict=True))
    return hits / sum(len(t) for t in truth)


def print_row(*cells: object) -> None:
    """Prints one line of a table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def measure(folder: Path, source: Source) -> None:
    """Prints the tables of the vectors in a file."""
    number, dim = np.load(source.path, mmap_mode="r").shape
    number -= source.num_queries
    print(f"\n{number:,} vectors of {dim} numbers, {source.num_queries} queries\n")
    columns = "seconds to build", "MB on disk", "MB of memory", "MB mapped", "seconds to open"
    filtered = [f"{name} allowed: ms, recall" for name in _FILTERS if name != "all"]
    times = "ms, 1 query", f"ms, {source.num_queries} queries"
    print_row("engine", "storage", *columns, *times, f"recall@{FLAGS.k}", *filtered)
    print_row("---", "---", *["---:"] * (len(columns) + 3 + len(filtered)))
    timing = Timing(FLAGS.k, FLAGS.rounds, FLAGS.threads)
    truth: dict[str, list[set[str]]] = {}
    for engine, storage in _CASES:
        if engine == "ivf" and number < ivf.MIN_ITEMS:
            print(f"\nBelow {ivf.MIN_ITEMS:,} items the engine ivf is flat.")
            break
        index = folder / f"{engine}_{storage}"
        seconds = apart(build, index, engine, storage, source, source.num_blocks)
        size = sum(file.stat().st_size for file in index.rglob("*") if file.is_file())
        opened = apart(open_and_search, index, source, timing)
        shutil.rmtree(index)
        truth = truth or opened.found
        print_case(engine, storage, seconds, size, opened, truth)
    measure_blocks(folder, source, timing)


def measure_blocks(folder: Path, source: Source, timing: Timing) -> None:
    """Prints the table of both ways to search by one block."""
    blocks = source.num_blocks
    print(f"\nSearch by one of {blocks} blocks, exact:\n")
    times = "ms, 1 query", f"ms, {source.num_queries} queries"
    print_row("", "storage", "MB of memory", *times)
    print_row("---", "---", *["---:"] * 3)
    for storage in FlatEngine.storages:
        found = []
        for way, used in (("one index of all blocks", blocks), ("an index for each block", 1)):
            index = folder / f"{used}_blocks"
            apart(build, index, "flat", storage, source, used)
            opened = apart(search_block, index, source, used, timing)
            shutil.rmtree(index)
            found.append(opened.found["block"])
            memory = opened.memory * (blocks if used == 1 else 1)
            one, all_ = opened.times["block"]
            print_row(way, storage, f"{memory / 1e6:,.0f}", f"{one:.1f}", f"{all_:.0f}")
        print_row("the same results", storage, "", "", f"{recall(*found):.2%}")


def search_block(folder: Path, source: Source, used: int, timing: Timing) -> Opened:
    """Opens an index of the first blocks, and searches it by the first of them."""
    faiss.omp_set_num_threads(timing.threads)
    queries = source.queries(used)
    memory, mapped = resident_bytes()
    start = time.perf_counter()
    index = GalleryIndex.open(folder)
    seconds = time.perf_counter() - start
    like = None if used == 1 else {index.space.names[0]: 1.0}
    search = functools.partial(index.search, k=timing.k, like=like)
    found = {"block": [set(one.ids) for one in search(queries)]}
    after = resident_bytes()
    times = milliseconds(queries, timing.rounds, {"block": search})
    return Opened(seconds, after[0] - memory, after[1] - mapped, times, found)


def print_case(
    engine: str,
    storage: str,
    seconds: float,
    size: int,
    opened: Opened,
    truth: dict[str, list[set[str]]],
) -> None:
    """Prints the row of an index, and for flat that of its FAISS index alone."""
    shares = {name: recall(opened.found[name], truth[name]) for name in _FILTERS}
    megabytes = [f"{value / 1e6:,.0f}" for value in (size, opened.memory, opened.mapped)]
    filtered = [f"{opened.times[n][0]:.1f}, {shares[n]:.3f}" for n in _FILTERS if n != "all"]
    one, all_ = opened.times["all"]
    costs = f"{seconds:.0f}", *megabytes, f"{opened.seconds:.1f}", f"{one:.1f}", f"{all_:.0f}"
    print_row(engine, storage, *costs, f"{shares['all']:.3f}", *filtered)
    if "faiss" in opened.times:
        bare, bare_all = opened.times["faiss"]
        empty = [""] * (1 + len(filtered))
        print_row("FAISS alone", storage, *[""] * 5, f"{bare:.1f}", f"{bare_all:.0f}", *empty)


def main() -> None:
    if FLAGS.directory:
        Path(FLAGS.directory).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FLAGS.directory or None) as name:
        source = Source(Path(name) / "vectors.npy", FLAGS.num_queries, FLAGS.num_blocks)
        if FLAGS.vectors:
            for given in FLAGS.vectors:
                apart(write_given, source, given)
                measure(Path(name), source)
            return
        for block_dim in map(int, FLAGS.block_dims):
            number = FLAGS.num_vectors + FLAGS.num_queries
            apart(write_clusters, source.path, number, FLAGS.num_blocks, block_dim)
            measure(Path(name), source)


if __name__ == "__main__":
    command.run(main)
