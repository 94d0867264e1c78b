"""Serves searches over HTTP, with a page, from an export and an index of its vectors.

  python tools/serve.py --export=exports/demo --index=indexes/demo

Then open the address that it prints. /openapi.json describes the API. The service has no passwords
and no encryption: only this machine can reach it. To offer it to others, put a proxy with both in
front of it, or set --host. Ctrl-C or SIGTERM stops it after the requests under way.

The service follows its index: what tools/build_index.py commits is found within two seconds, or
after SIGHUP at once, and no request is dropped. /readyz and /metrics say which state it serves.
"""

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.serving.limits import Limits

FLAGS = flags.FLAGS
_DEFAULTS = Limits()
flags.DEFINE_string("export", None, "Folder that tools/export.py wrote.", required=True)
flags.DEFINE_string("index", None, "Folder that tools/build_index.py wrote.", required=True)
flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 means all addresses.")
flags.DEFINE_integer("port", 8000, "Port to listen on; 0 takes any free one.", 0, 65535)
flags.DEFINE_float(
    "max_upload_mb", _DEFAULTS.max_upload_bytes / 1e6, "Megabytes of an upload.", 0.001, 1000
)
flags.DEFINE_float(
    "max_megapixels",
    _DEFAULTS.max_pixels / 1e6,
    "Million pixels of an uploaded image; decoding takes 3 to 10 bytes of memory for each.",
    0.001,
    1000,
)
flags.DEFINE_integer("max_k", _DEFAULTS.max_k, "Results of one search.", 1)
flags.DEFINE_integer(
    "max_batch_size",
    _DEFAULTS.max_batch_size,
    "Most requests in one forward pass; 1 gives each request its own.",
    1,
)
flags.DEFINE_float(
    "max_wait_ms", _DEFAULTS.max_wait_ms, "Milliseconds that a request waits for others.", 0
)
flags.DEFINE_integer(
    "max_queue", _DEFAULTS.max_queue, "Requests that wait for the model; more get 503.", 1
)
flags.DEFINE_integer(
    "max_requests",
    _DEFAULTS.max_requests,
    "Requests under way that need the model, uploads included; more get 503.",
    1,
)
flags.DEFINE_integer(
    "max_connections",
    _DEFAULTS.max_connections,
    "Connections at a time; the one that is idle longest makes room for another.",
    1,
)
flags.DEFINE_float(
    "header_seconds", _DEFAULTS.header_seconds, "Time for the head of a request to arrive.", 0.1
)
flags.DEFINE_float(
    "index_poll_seconds",
    _DEFAULTS.index_poll_seconds,
    "How often the service looks whether the index has changed; SIGHUP makes it look at once.",
    0.05,
)
flags.DEFINE_float(
    "cache_mb",
    _DEFAULTS.cache_mb,
    "Megabytes for what the network found in recent images: another edit of one needs no pass.",
    0,
)
flags.DEFINE_list(
    "allowed_hosts",
    [],
    "Hosts for which the service answers, without port, such as search.example.com or "
    "*.example.com; by default any. /healthz and /readyz answer always.",
)

if __name__ == "__main__":
    command.parse_flags(reads_images=True)  # --help and wrong flags end here

from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.serving import server
from fashionsearchnet.serving.app import create_app
from fashionsearchnet.serving.exported import ExportedModel


def main() -> None:
    server.ignore_hangup()
    limits = Limits(
        max_upload_bytes=round(FLAGS.max_upload_mb * 1e6),
        max_pixels=round(FLAGS.max_megapixels * 1e6),
        max_k=FLAGS.max_k,
        max_batch_size=FLAGS.max_batch_size,
        max_wait_ms=FLAGS.max_wait_ms,
        max_queue=FLAGS.max_queue,
        max_requests=FLAGS.max_requests,
        max_connections=FLAGS.max_connections,
        header_seconds=FLAGS.header_seconds,
        index_poll_seconds=FLAGS.index_poll_seconds,
        cache_mb=FLAGS.cache_mb,
    )
    bound = server.listen(FLAGS.host, FLAGS.port)
    index = GalleryIndex.open(FLAGS.index)
    app = create_app(ExportedModel(FLAGS.export), index, limits, FLAGS.allowed_hosts)
    server.run(app, bound, lambda url: print(f"ready: {url} ({len(index):,} items)", flush=True))


if __name__ == "__main__":
    command.run(main)
