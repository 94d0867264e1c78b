"""Compares the service with the bare forward pass, and measures what batching brings.

  python tools/benchmark_service.py --export=exports/demo --index=indexes/demo

Starts tools/serve.py twice, with and without batching, and sends the same search by upload again
and again. Times the bare pass of the same image in this process too. Each round measures everything
in turn, so the ratios hold on a noisy machine. Prints a table in Markdown.
"""

from fashionsearchnet import command  # isort: skip  (TensorFlow starts quietly)

import contextlib
import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from absl import flags

from fashionsearchnet.attributes import KEEP
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.serving.limits import Limits
from fashionsearchnet.serving.uploads import prepare_image

FLAGS = flags.FLAGS
flags.DEFINE_string("export", None, "Folder that tools/export.py wrote.", required=True)
flags.DEFINE_string("index", None, "Folder that tools/build_index.py wrote.", required=True)
flags.DEFINE_string("image", "", "Image to send; by default that of the first item.")
flags.DEFINE_integer("clients", 16, "Clients that ask at the same time.", 2, 1000)
flags.DEFINE_integer("requests", 200, "Requests per measurement and round.", 1)
flags.DEFINE_integer("rounds", 3, "Rounds; each measures everything in turn.", 1)

_SERVE = Path(__file__).with_name("serve.py")
_BOUNDARY = "fashionsearchnet-benchmark"


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[tuple[str, float]]:
    """Yields the host and port of a service in a process of its own, and its start-up seconds."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [
            sys.executable,
            str(_SERVE),
            f"--export={FLAGS.export}",
            f"--index={FLAGS.index}",
            "--port=0",
            *arguments,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready: "):
            raise OSError("tools/serve.py did not start; see its message above.")
        yield urlsplit(line.split()[1]).netloc, time.perf_counter() - start
    finally:
        process.terminate()
        process.wait()


def search_body(image: bytes) -> bytes:
    """Returns a multipart form with the image alone."""
    head = (
        f"--{_BOUNDARY}\r\nContent-Type: application/octet-stream\r\n"
        'Content-Disposition: form-data; name="image"; filename="image"\r\n\r\n'
    )
    return head.encode() + image + f"\r\n--{_BOUNDARY}--\r\n".encode()


def ask(address: str, body: bytes, number: int) -> list[float]:
    """Returns the seconds of each of `number` searches, one after the other on one connection."""
    connection = http.client.HTTPConnection(address, timeout=60)
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    seconds = []
    for _ in range(number):
        start = time.perf_counter()
        connection.request("POST", "/v1/search", body, headers)
        response = connection.getresponse()
        answer = response.read()
        seconds.append(time.perf_counter() - start)
        if response.status != 200:
            raise OSError(f"the service answered {response.status}: {answer[:300]!r}")
    connection.close()
    return seconds


def ask_together(address: str, body: bytes, clients: int) -> tuple[list[float], float]:
    """Returns the seconds of each of about FLAGS.requests searches, and the requests per second."""
    seconds: list[float] = []
    failures: list[OSError] = []

    def client() -> None:
        try:
            seconds.extend(ask(address, body, -(-FLAGS.requests // clients)))
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return seconds, len(seconds) / (time.perf_counter() - start)


def passes(encode: Callable[[], object]) -> tuple[list[float], float]:
    """Returns the seconds of each of FLAGS.requests calls, and the calls per second."""
    seconds = []
    for _ in range(FLAGS.requests):
        start = time.perf_counter()
        encode()
        seconds.append(time.perf_counter() - start)
    return seconds, len(seconds) / sum(seconds)


def print_table(measured: dict[str, list[tuple[list[float], float]]], bare: str) -> None:
    """Prints median and 99th percentile over all rounds, and the median rate of the rounds."""

    def median_ms(name: str) -> float:
        return 1e3 * float(np.median(np.concatenate([s for s, _ in measured[name]])))

    print("| | p50 ms | p99 ms | per second | p50 / bare pass |")
    print("|---|---|---|---|---|")
    for name, rounds in measured.items():
        slowest = 1e3 * np.percentile(np.concatenate([s for s, _ in rounds]), 99)
        rate = np.median([rate for _, rate in rounds])
        ratio = median_ms(name) / median_ms(bare)
        print(f"| {name} | {median_ms(name):.1f} | {slowest:.1f} | {rate:.1f} | {ratio:.2f} |")


def main() -> None:
    model, index = ExportedModel(FLAGS.export), GalleryIndex.open(FLAGS.index)
    image = Path(FLAGS.image).read_bytes() if FLAGS.image else index.image(index.ids[0])
    if image is None:
        raise ValueError(f"the index {FLAGS.index} stores no images; give one by --image=PATH.")
    prepared = prepare_image(image, Limits().max_pixels)
    keep = np.full((1, model.space.num_attributes), KEEP, np.int32)
    body, clients = search_body(image), FLAGS.clients
    with serving() as (batching, seconds), serving("--max_batch_size=1") as (alone, _):
        bare = "bare forward pass"
        together = f"{clients} clients"
        measures = {
            bare: lambda: passes(lambda: model.encode_query([prepared], keep)),
            "1 client": lambda: ask_together(batching, body, 1),
            together: lambda: ask_together(batching, body, clients),
            f"{together}, max_batch_size=1": lambda: ask_together(alone, body, clients),
        }
        for measure in measures.values():  # warms up all; not counted
            measure()
        measured: dict[str, list[tuple[list[float], float]]] = {name: [] for name in measures}
        for _ in range(FLAGS.rounds):
            for name, measure in measures.items():
                measured[name].append(measure())
    print_table(measured, bare)
    rates = [np.median([rate for _, rate in measured[name]]) for name in list(measured)[2:]]
    print(f"\nbatching answers {rates[0] / rates[1]:.2f} times as many requests per second;")
    print(f"start-up until the service is ready: {seconds:.1f} s; gallery: {len(index):,} items.")


if __name__ == "__main__":
    command.run(main)
