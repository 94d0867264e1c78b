"""How every script in tools/ starts, and how it answers a user's mistake.

A script imports this module first. TensorFlow then starts quietly: its C++ code writes a dozen
lines to standard error when it is imported and when it lists its devices, and a newcomer takes
them for errors. They are kept back until `run`, and shown only if the process ends before that.
`--tensorflow_log` shows them all.
"""

import os
import sys
import types
from collections.abc import Callable
from pathlib import Path

from fashionsearchnet.flagfiles import expand_flagfiles

_FLAG = "tensorflow_log"
_GPU_FILES = ("/dev/nvidia0", "/proc/driver/nvidia/version")


class _HeldBack:
    """Keeps what is written to file descriptor 2; Python's own standard error stays open.

    A child process waits for the end of this one: whether it ends by an exception or by an abort in
    C++, the child then prints what was kept back. Only `drop` makes it end silently.
    """

    def __init__(self) -> None:
        self._terminal = os.dup(2)
        self._python_stderr = sys.stderr
        kept = os.memfd_create("stderr")
        wait, self._alive = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            self._print_at_the_end(kept, wait)
        os.close(wait)
        os.dup2(kept, 2)
        os.close(kept)
        # Never closed: a logger may keep this object.
        sys.stderr = os.fdopen(self._terminal, "w", buffering=1, errors="backslashreplace")

    def drop(self) -> None:
        """Sends standard error to where it went before, and forgets what was kept back."""
        sys.stderr.flush()
        os.dup2(self._terminal, 2)
        sys.stderr = self._python_stderr
        os.write(self._alive, b"+")
        os.close(self._alive)
        os.waitpid(self._child, 0)

    def _print_at_the_end(self, kept: int, wait: int) -> None:
        """Runs in the child: prints what was kept back, unless the parent says not to."""
        try:
            os.setsid()  # Ctrl-C is for the parent
            os.close(self._alive)
            for standard in (0, 1, 2):
                os.close(standard)
            if not os.read(wait, 1):
                os.lseek(kept, 0, os.SEEK_SET)
                while block := os.read(kept, 1 << 16):
                    os.write(self._terminal, block)
        finally:
            os._exit(0)


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls `main()`.

    A flagfile may include others by a path relative to itself; see `flagfiles.expand_flagfiles`.

    The library answers bad input with a ValueError or OSError, and a loss that is not finite with a
    FloatingPointError. Its message goes to standard error as one line, and the process exits with
    1. Any other exception is a bug and keeps its trace.
    """
    from absl import app, flags, logging

    problem = _missing_gpu()
    if _held_back:
        _held_back.drop()
    if problem:
        print(problem, file=sys.stderr)
    flags.DEFINE_bool(_FLAG, False, "Show what TensorFlow logs when it starts; not in a flagfile.")

    def guarded(arguments: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)  # TFDS logs every file that it opens
        try:
            if len(arguments) > 1:
                raise ValueError(
                    f"unexpected argument {arguments[1]!r}: everything is a flag, --name=value."
                )
            main()
        except (ValueError, OSError, FloatingPointError) as error:
            _fail(error)
        except KeyboardInterrupt:
            print("\ninterrupted; run the same command again to go on.", file=sys.stderr)
            sys.exit(130)

    try:
        arguments = expand_flagfiles(sys.argv)
    except (ValueError, OSError) as error:
        _fail(error)
    app.run(guarded, argv=arguments)


def _fail(error: Exception) -> None:
    """Prints the message of a user's mistake and ends the process."""
    print(f"{sys.argv[0]}: {error}", file=sys.stderr)
    sys.exit(1)


def _missing_gpu() -> str:
    """Returns a sentence if the machine has a GPU that TensorFlow cannot use, else ''.

    TensorFlow looks for devices here for the first time, and logs what it does not find.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or tensorflow.config.list_physical_devices("GPU"):
        return ""
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1")
    if is_hidden or not any(map(os.path.exists, _GPU_FILES)):
        return ""
    return (
        "This machine has an NVIDIA GPU, but TensorFlow cannot use it and runs on the CPU; "
        f"--{_FLAG} shows why."
    )


def _is_script() -> bool:
    """Returns whether the process is a script that imports this module, and not, say, a test."""
    frame: types.FrameType | None = sys._getframe()
    while frame and (frame.f_globals is globals() or "importlib" in frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") == "__main__"


def _start() -> _HeldBack | None:
    """Prepares the process for the imports of a script."""
    folder = Path(sys.argv[0]).resolve().parent
    if folder.parent.name == "tools":  # a system's own scripts import what all share
        sys.path.append(str(folder.parent))
    if {f"--{_FLAG}", f"--{_FLAG}=true"} & set(sys.argv):
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"  # child processes see it too
    is_quiet = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") >= "2"
    can_hold_back = hasattr(os, "memfd_create") and sys.stderr is not None  # Linux has the former
    return _HeldBack() if is_quiet and can_hold_back else None


# TensorFlow reads its environment when it is imported. oneDNN is off by default on CPUs without
# AVX-512, where it still makes training faster: compare tools/benchmark.py with
# TF_ENABLE_ONEDNN_OPTS=0 and 1.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
_held_back = _start() if _is_script() else None
