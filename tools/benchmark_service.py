"""Compares the service with the bare forward pass, and shows where the time of a request goes.

  python tools/benchmark_service.py --export=exports/demo --index=indexes/demo

Starts tools/serve.py three times: without its memory for recent images, the same without batching,
and as it is. Sends searches by upload again and again, and times the bare pass of the same image in
this process too. Each round measures everything in turn, so the ratios hold on a noisy machine.
Prints three tables in Markdown: requests, the stages of one, and passes of several images.

Some rows show what a pass and the rest of a request cost each other. Before each edit of a known
photo this process runs a pass, or copies memory on two cores: that leaves their caches to other
data, as a pass does. It also times bare passes, each after 4 ms of Python.

--busy starts programs that compute all the time, to see what a shared machine does to each row. In
the environment, TF_NUM_INTRAOP_THREADS=1 makes TensorFlow compute an operation on one core.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_string("export", None, "Folder that tools/export.py wrote.", required=True)
flags.DEFINE_string("index", None, "Folder that tools/build_index.py wrote.", required=True)
flags.DEFINE_string("image", "", "Image to send; by default that of the first item.")
flags.DEFINE_integer("clients", 16, "Clients that ask at the same time.", 2, 1000)
flags.DEFINE_integer("requests", 200, "Requests per measurement and round.", 1)
flags.DEFINE_integer("busy", 0, "Other programs that compute all the time meanwhile.", 0)
flags.DEFINE_integer("rounds", 3, "Rounds; each measures everything in turn.", 1)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import numpy as np

from fashionsearchnet.attributes import KEEP
from fashionsearchnet.benchmarks.http_client import Client, search_form
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.serving.limits import Limits
from fashionsearchnet.serving.uploads import prepare_image

_SERVE = Path(__file__).with_name("serve.py")
BARE, NEW, AGAIN = "bare forward pass", "1 client", "1 client, another edit of the photo"
AFTER_PYTHON = f"{BARE}, after 4 ms of Python"
AFTER_PASS, AFTER_COPY = f"{AGAIN}, after a pass elsewhere", f"{AGAIN}, after 4 ms of copies"
_SECONDS_BEFORE = 4e-3  # about what a pass takes, and what a request takes beside it
_COPIED = 1 << 23  # bytes that each core reads and writes: several times its second-level cache
_BATCHES = (1, 4, 16)  # images of a pass
_STAGES = ("upload", "prepare", "pass", "edit", "index")  # of the header Server-Timing


@dataclasses.dataclass(frozen=True)
class Service:
    """A service in a process of its own.

    Attributes:
      address: host and port.
      pid: of the process.
      start_seconds: until it was ready.
    """

    address: str
    pid: int
    start_seconds: float

    def peak_megabytes(self) -> float:
        """Returns the most memory that the process had so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def cpu_seconds(self) -> float:
        """Returns the time that cores have spent on the process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Measured:
    """What one kind of request took.

    Attributes:
      seconds: of each request, in all rounds.
      rates: requests per second, of each round.
      cpu_seconds: of the process that does the work, in all rounds.
      stages: the milliseconds of each stage of each request, by the name of the stage.
    """

    seconds: list[float] = dataclasses.field(default_factory=list)
    rates: list[float] = dataclasses.field(default_factory=list)
    cpu_seconds: float = 0.0
    stages: list[dict[str, float]] = dataclasses.field(default_factory=list)

    @property
    def median_ms(self) -> float:
        """The median of the requests."""
        return 1e3 * float(np.median(self.seconds))


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[Service]:
    """Yields a service that is ready."""
    start = time.perf_counter()
    command = [sys.executable, str(_SERVE), f"--export={FLAGS.export}", f"--index={FLAGS.index}"]
    process = subprocess.Popen(
        [*command, "--port=0", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready: "):
            raise OSError("tools/serve.py did not start; see its message above.")
        address = urlsplit(line.split()[1]).netloc
        yield Service(address, process.pid, time.perf_counter() - start)
    finally:
        process.terminate()
        process.wait()


def ask(
    address: str,
    method: str,
    path: str,
    bodies: Sequence[bytes],
    number: int,
    into: Measured,
    before: Callable[[], object] | None = None,
) -> None:
    """Sends `number` requests with these bodies in turn, one after the other on one connection.

    It calls `before` before each of them.
    """
    with contextlib.closing(Client(address)) as client:
        requests = [client.request(method, path, body) for body in bodies]
        for request in itertools.islice(itertools.cycle(requests), number):
            if before:
                before()
            start = time.perf_counter()
            stages = client.ask(request)
            into.seconds.append(time.perf_counter() - start)
            into.stages.append(stages)


def one_by_one(
    service: Service,
    method: str,
    path: str,
    bodies: Sequence[bytes],
    into: Measured,
    before: Callable[[], object] | None = None,
) -> None:
    """Sends FLAGS.requests requests of one client, each after a call of `before`, uncounted."""
    cpu = service.cpu_seconds()
    ask(service.address, method, path, bodies, FLAGS.requests, into, before)
    into.rates.append(FLAGS.requests / sum(into.seconds[-FLAGS.requests :]))
    into.cpu_seconds += service.cpu_seconds() - cpu


def together(service: Service, bodies: Sequence[bytes], clients: int, into: Measured) -> None:
    """Sends about FLAGS.requests searches from several clients at a time."""
    failures: list[OSError] = []
    number = -(-FLAGS.requests // clients)

    def client() -> None:
        try:
            ask(service.address, "POST", "/v1/search", bodies, number, into)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start, cpu = time.perf_counter(), service.cpu_seconds()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    into.rates.append(number * clients / (time.perf_counter() - start))
    into.cpu_seconds += service.cpu_seconds() - cpu


def passes(
    encode: Callable[[], object],
    into: Measured,
    number: int,
    before: Callable[[], object] | None = None,
) -> None:
    """Calls the model `number` times, each time after a call of `before`, uncounted."""
    seconds = []
    for _ in range(number):
        if before:
            before()
        start, cpu = time.perf_counter(), time.process_time()
        encode()
        seconds.append(time.perf_counter() - start)
        into.cpu_seconds += time.process_time() - cpu
    into.seconds += seconds
    into.rates.append(len(seconds) / sum(seconds))


def run_python() -> None:
    """Makes and reads JSON for some milliseconds."""
    content = {str(number): [number] for number in range(50)}
    end = time.perf_counter() + _SECONDS_BEFORE
    while time.perf_counter() < end:
        json.loads(json.dumps(content))


class Copies:
    """Copies memory on two cores for some milliseconds."""

    def __init__(self) -> None:
        self._pairs = [np.ones((2, _COPIED // 2), np.uint8) for _ in range(2)]
        self._threads = ThreadPoolExecutor(2)

    def __call__(self) -> None:
        """Copies; NumPy lets the other thread run meanwhile."""
        list(self._threads.map(_copy, self._pairs))


def _copy(pair: np.ndarray) -> None:
    end = time.perf_counter() + _SECONDS_BEFORE
    while time.perf_counter() < end:
        np.copyto(pair[1], pair[0])


@contextlib.contextmanager
def busy(number: int) -> Iterator[None]:
    """Keeps so many other programs computing while the block runs."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def print_times(measured: dict[str, Measured], bare: str) -> None:
    """Prints median and 99th percentile over all rounds, and the median rate of the rounds."""
    print("| | p50 ms | p99 ms | per second | p50 / bare pass | ms of CPU | cores |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, found in measured.items():
        slowest = 1e3 * np.percentile(found.seconds, 99)
        ratio = found.median_ms / measured[bare].median_ms
        cpu = found.cpu_seconds / len(found.seconds)
        wall = len(found.rates) / np.sum(1 / np.array(found.rates))  # requests a second, overall
        print(
            f"| {name} | {found.median_ms:.1f} | {slowest:.1f} | {np.median(found.rates):.1f} | "
            f"{ratio:.2f} | {1e3 * cpu:.1f} | {cpu * wall:.2f} |"
        )
    print("\nCPU: of the service for one request, and how many cores it had on average.")


def print_stages(measured: dict[str, Measured], names: Sequence[str]) -> None:
    """Prints the mean milliseconds of each stage of a request, over its middle half."""
    print("\n| ms of a request of one client | " + " | ".join((*_STAGES, "answer", "HTTP")) + " |")
    print("|---|" + "---:|" * (len(_STAGES) + 2))
    for name in names:
        found = measured[name]
        order = np.argsort(found.seconds)
        middle = order[len(order) // 4 : -(len(order) // 4) or None]
        stages = [found.stages[position] for position in middle]
        times = [float(np.mean([one.get(stage, 0.0) for one in stages])) for stage in _STAGES]
        total = float(np.mean([one["total"] for one in stages]))
        outside = 1e3 * float(np.mean([found.seconds[p] for p in middle])) - total
        cells = [*times, total - sum(times), outside]
        print(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    print(
        "\nprepare: decode and normalise the upload; pass: wait for a forward pass, and the pass; "
        "edit: the vector\nof the edited image; answer: checks, judgement and JSON; HTTP: of "
        "the server, and the sockets of both sides."
    )


def print_batches(measured: dict[int, Measured]) -> None:
    """Prints what a pass of several images takes, by their number."""
    print("\n| images of a pass | p50 ms | p99 ms | ms per image | ms of CPU per image |")
    print("|---:|---:|---:|---:|---:|")
    for number, found in measured.items():
        slowest = 1e3 * np.percentile(found.seconds, 99)
        cpu = 1e3 * found.cpu_seconds / (number * len(found.seconds))
        print(
            f"| {number} | {found.median_ms:.1f} | {slowest:.1f} | "
            f"{found.median_ms / number:.2f} | {cpu:.2f} |"
        )


def measure_all(
    image: bytes, model: ExportedModel, services: Sequence[Service]
) -> tuple[dict[str, Measured], dict[int, Measured]]:
    """Returns what requests take, by their kind, and what passes take, by their images.

    Args:
      image: to send.
      model: runs the bare passes, in this process.
      services: one without memory, one that also runs each image alone, and one as it is.
    """
    first, alone, remembers = services
    prepared = prepare_image(image, Limits().max_pixels)
    keep = np.full((max(_BATCHES), model.space.num_attributes), KEEP, np.int32)
    pairs = [f"{name}={v}" for name, values in model.space.to_dict().items() for v in values]
    edits, clients = [search_form(image, pair) for pair in pairs], FLAGS.clients

    def one_pass() -> object:
        return model.encode_query([prepared], keep[:1])

    def encode(number: int, into: Measured, before: Callable[[], object] | None = None) -> None:
        images, calls = [prepared] * number, max(FLAGS.requests // number, 5)
        passes(lambda: model.encode_query(images, keep[:number]), into, calls, before)

    def edit(
        service: Service, before: Callable[[], object] | None = None
    ) -> Callable[[Measured], None]:
        return lambda into: one_by_one(service, "POST", "/v1/search", edits, into, before)

    measures: dict[str, Callable[[Measured], None]] = {
        BARE: lambda into: encode(1, into),
        AFTER_PYTHON: lambda into: encode(1, into, run_python),
        "empty request (/healthz)": lambda into: one_by_one(first, "GET", "/healthz", [b""], into),
        NEW: edit(first),
        AGAIN: edit(remembers),
        AFTER_PASS: edit(remembers, one_pass),
        AFTER_COPY: edit(remembers, Copies()),
        f"{clients} clients": lambda into: together(first, edits, clients, into),
        f"{clients} clients, max_batch_size=1": lambda i: together(alone, edits, clients, i),
    }
    for measure in measures.values():  # warms up all; not counted
        measure(Measured())
    measured = {name: Measured() for name in measures}
    batches = {number: Measured() for number in _BATCHES}
    for _ in range(FLAGS.rounds):
        for name, measure in measures.items():
            measure(measured[name])
        for number, found in batches.items():
            encode(number, found)
    return measured, batches


def main() -> None:
    model, index = ExportedModel(FLAGS.export), GalleryIndex.open(FLAGS.index)
    image = Path(FLAGS.image).read_bytes() if FLAGS.image else index.image(index.ids[0])
    if image is None:
        raise ValueError(f"the index {FLAGS.index} stores no images; give one by --image=PATH.")
    with (
        serving("--cache_mb=0") as first,
        serving("--cache_mb=0", "--max_batch_size=1") as alone,
        serving() as remembers,
        busy(FLAGS.busy),
    ):
        measured, batches = measure_all(image, model, [first, alone, remembers])
        memory = remembers.peak_megabytes()
    print_times(measured, BARE)
    print_stages(measured, [NEW, AGAIN, AFTER_PASS, AFTER_COPY])
    print_batches(batches)
    batched, apart = (np.median(measured[name].rates) for name in list(measured)[-2:])
    print(f"\nbatching answers {batched / apart:.2f} times as many requests per second;")
    print(f"start-up until the service is ready: {first.start_seconds:.1f} s; gallery:", end=" ")
    print(f"{len(index):,} items of {index.dim} numbers; peak memory: {memory:.0f} MB.")


if __name__ == "__main__":
    command.run(main)
