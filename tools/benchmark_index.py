"""Measures the search engines on many vectors, and prints a Markdown table.

  python tools/benchmark_index.py --num_vectors=100000
  python tools/benchmark_index.py --vectors=embeddings.npy

Times exact search and bare FAISS on the same vectors, in turn: machines differ and are noisy, so
read the ratio. For approximate search, prints the share of the exact top K that it finds. A million
vectors of 512 numbers take about 8 GB of memory, 5 GB of disk and, on two cores, a quarter of an
hour.

Without --vectors, the vectors come from a mixture of clusters that differ in size and lie in 32 of
the dimensions, like the embeddings of a trained network: pure noise has no neighbours to find.
"""

from fashionsearchnet import command  # isort: skip  (TensorFlow starts quietly)

import functools
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from absl import flags

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.index import ivf
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item, Neighbours

FLAGS = flags.FLAGS
flags.DEFINE_integer("num_vectors", 1_000_000, "Items of the gallery.", 1_000)
flags.DEFINE_integer("dim", 512, "Length of a vector.", 2)
flags.DEFINE_string(
    "vectors", "", "A .npy file, float32 [items, dim], instead; the last rows become the queries."
)
flags.DEFINE_integer("num_queries", 256, "Queries.", 1)
flags.DEFINE_integer("k", 20, "Results per query.", 1, 1_000)
flags.DEFINE_integer("rounds", 5, "Rounds of timing; medians are reported.", 1)
flags.DEFINE_string("directory", "", "Folder for the indexes; a temporary folder by default.")

_SPACE = AttributeSpace.from_dict({"tenth": [str(v) for v in range(10)], "half": ["no", "yes"]})
_CHUNK = 50_000
_LATENT_DIM = 32
_SINGLE_QUERIES = 20  # searched one by one to time a single query

Search = Callable[[np.ndarray], object]


def load_vectors() -> tuple[np.ndarray, np.ndarray]:
    """Returns the gallery's and the queries' vectors, float32 `[n, dim]`."""
    if not FLAGS.vectors:
        vectors = clustered_vectors(FLAGS.num_vectors + FLAGS.num_queries, FLAGS.dim)
        return vectors[: FLAGS.num_vectors], vectors[FLAGS.num_vectors :]
    vectors = np.load(FLAGS.vectors, mmap_mode="r")
    if vectors.ndim != 2 or vectors.dtype != np.float32 or len(vectors) <= FLAGS.num_queries:
        raise ValueError(
            f"--vectors must hold float32 [items, dim] with more than --num_queries="
            f"{FLAGS.num_queries} rows; {FLAGS.vectors} holds {vectors.dtype} {vectors.shape}."
        )
    return vectors[: -FLAGS.num_queries], np.array(vectors[-FLAGS.num_queries :])


def clustered_vectors(number: int, dim: int) -> np.ndarray:
    """Returns draws from a mixture of about sqrt(number) clusters, float32 `[number, dim]`."""
    rng = np.random.default_rng(0)
    num_clusters = max(2, int(np.sqrt(number)))
    centres = rng.normal(size=(num_clusters, _LATENT_DIM))
    shares = rng.pareto(1.5, num_clusters) + 0.1
    spread = rng.uniform(0.3, 0.8, (num_clusters, 1))
    basis = rng.normal(size=(_LATENT_DIM, dim)).astype(np.float32) / np.sqrt(dim)
    vectors = np.empty((number, dim), np.float32)
    for start in range(0, number, _CHUNK):
        rows = vectors[start : start + _CHUNK]
        cluster = rng.choice(num_clusters, len(rows), p=shares / shares.sum())
        latent = centres[cluster] + spread[cluster] * rng.normal(size=(len(rows), _LATENT_DIM))
        rows[:] = latent.astype(np.float32) @ basis
        rows += rng.normal(0.0, 0.01, rows.shape).astype(np.float32)
    return vectors


def build(folder: Path, engine: str, vectors: np.ndarray) -> tuple[GalleryIndex, list[str]]:
    """Returns a committed index, and in words its seconds and gigabytes."""
    before, start = resident_bytes(), time.perf_counter()
    index = GalleryIndex.create(
        folder, space=_SPACE, fingerprint="benchmark", dim=vectors.shape[1], engine=engine
    )
    values = np.random.default_rng(1).integers(0, _SPACE.num_values, (len(vectors), 2))
    for first in range(0, len(vectors), _CHUNK):
        chunk = np.array(vectors[first : first + _CHUNK])
        items = [Item(f"image {first + i}", values[first + i]) for i in range(len(chunk))]
        index.put(items, chunk)
    index.commit()
    seconds = time.perf_counter() - start
    gc.collect()
    return index, [f"{seconds:.1f}", f"{(resident_bytes() - before) / 1e9:.2f}"]


def resident_bytes() -> int:
    """Returns the memory that this process uses."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def milliseconds(queries: np.ndarray, *searches: Search) -> list[tuple[float, float]]:
    """Returns for each search the median time of one query, and of all queries at once.

    The searches are timed in turn, after a first round that does not count.
    """
    singles: list[list[float]] = [[] for _ in searches]
    batches: list[list[float]] = [[] for _ in searches]
    for round_number in range(FLAGS.rounds + 1):
        for search, single, batch in zip(searches, singles, batches, strict=True):
            taken = [elapsed(search, query[None]) for query in queries[:_SINGLE_QUERIES]]
            whole = elapsed(search, queries)
            if round_number:
                single += taken
                batch.append(whole)
    pairs = zip(singles, batches, strict=True)
    return [(1e3 * statistics.median(one), 1e3 * statistics.median(all_)) for one, all_ in pairs]


def elapsed(search: Search, queries: np.ndarray) -> float:
    """Returns the seconds that a search takes."""
    start = time.perf_counter()
    search(queries)
    return time.perf_counter() - start


def recall(found: list[Neighbours], truth: list[Neighbours]) -> float:
    """Returns the share of the true results that was found, in 0..1."""
    hits = sum(len({*f.ids} & {*t.ids}) for f, t in zip(found, truth, strict=True))
    return hits / sum(len(t.ids) for t in truth)


def print_row(*cells: object) -> None:
    """Prints one line of the table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def measure_exact(
    folder: Path, vectors: np.ndarray, queries: np.ndarray
) -> dict[str, list[Neighbours]]:
    """Prints the rows of bare FAISS and the engine flat; returns the true results by filter."""
    before, start = resident_bytes(), time.perf_counter()
    bare = faiss.IndexFlatL2(vectors.shape[1])
    for first in range(0, len(vectors), _CHUNK):
        bare.add(np.ascontiguousarray(vectors[first : first + _CHUNK]))
    cost = [f"{time.perf_counter() - start:.1f}", f"{(resident_bytes() - before) / 1e9:.2f}"]
    index, flat_cost = build(folder / "flat", "flat", vectors)
    (bare_one, bare_all), (one, all_) = milliseconds(
        queries, lambda q: bare.search(q, FLAGS.k), lambda q: index.search(q, FLAGS.k)
    )
    print_row("bare FAISS IndexFlatL2", *cost, f"{bare_one:.1f}", f"{bare_all:.0f}", "1")
    print_row("flat", *flat_cost, f"{one:.1f}", f"{all_:.0f}", "1")
    ratios = f"{one / bare_one:.2f}", f"{all_ / bare_all:.2f}"
    print_row("flat / bare FAISS", "", "", *ratios, "")
    return {name: index.search(queries, FLAGS.k, f) for name, f in filters().items()}


def filters() -> dict[str, dict[str, list[str]] | None]:
    """Returns the filters to time, by their names in the table."""
    return {
        "": None,
        "filter leaves 1/2": {"half": ["yes"]},
        "filter leaves 1/20": {"half": ["yes"], "tenth": ["3"]},
    }


def measure_approximate(
    folder: Path, vectors: np.ndarray, queries: np.ndarray, truth: dict[str, list[Neighbours]]
) -> None:
    """Prints the rows of the engine ivf: more and fewer probes, and filters."""
    index, cost = build(folder / "ivf", "ivf", vectors)
    engine = index.engine
    assert isinstance(engine, ivf.IvfEngine)
    num_lists = ivf.default_num_lists(len(vectors))
    default = ivf.default_num_probes(num_lists)
    cases = [(probes, "") for probes in (default // 2, default, 2 * default, 4 * default)]
    cases += [(default, name) for name in filters() if name]
    for probes, name in cases:
        engine.num_probes = probes
        search = functools.partial(index.search, k=FLAGS.k, filters=filters()[name])
        ((one, all_),) = milliseconds(queries, search)
        share = recall(search(queries), truth[name])
        label = f"ivf, {probes} of {num_lists} lists" + ", default" * (probes == default)
        label += f", {name}" if name else ""
        print_row(label, *cost, f"{one:.1f}", f"{all_:.0f}", f"{share:.3f}")
        cost = ["", ""]
    start = time.perf_counter()
    GalleryIndex.open(folder / "ivf")
    print_row("ivf, opening", f"{time.perf_counter() - start:.1f}", "", "", "", "")


def main() -> None:
    vectors, queries = load_vectors()
    print(f"{len(vectors):,} vectors of {vectors.shape[1]} numbers, {len(queries)} queries\n")
    columns = "seconds", "memory GB", "ms, 1 query", f"ms, {len(queries)} queries"
    print_row("engine", *columns, f"recall@{FLAGS.k}")
    print_row("---", *["---:"] * 5)
    if FLAGS.directory:
        Path(FLAGS.directory).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FLAGS.directory or None) as name:
        truth = measure_exact(Path(name), vectors, queries)
        gc.collect()
        if len(vectors) < ivf.MIN_ITEMS:
            print(f"\nBelow {ivf.MIN_ITEMS:,} items the engine ivf is flat.")
            return
        measure_approximate(Path(name), vectors, queries, truth)


if __name__ == "__main__":
    command.run(main)
