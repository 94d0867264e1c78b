"""What every script in tools/ shares: how it starts, and how a user's mistake is told."""

import os
import sys
from collections.abc import Callable

# Set before TensorFlow is imported. oneDNN is off by default on CPUs without AVX-512, where it
# still makes training faster: see tools/benchmark.py with TF_ENABLE_ONEDNN_OPTS=0 and 1.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls `main()`.

    A ValueError or OSError is the library's answer to bad input, a FloatingPointError to a loss
    that blew up: the message goes to standard error as one line, and the process exits with 1.
    Anything else is a bug and keeps its trace.
    """
    from absl import app, flags, logging

    def guarded(arguments: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)  # TFDS tells much about the files it opens
        try:
            if len(arguments) > 1:
                raise ValueError(
                    f"unexpected argument {arguments[1]!r}: everything is a flag, --name=value."
                )
            main()
        except (ValueError, OSError, FloatingPointError) as error:
            print(f"{sys.argv[0]}: {error}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("\ninterrupted; run the same command again to go on.", file=sys.stderr)
            sys.exit(130)

    app.run(guarded)
