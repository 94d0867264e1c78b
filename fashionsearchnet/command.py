"""Starts every script in tools/, and answers a user's mistakes.

A script has four parts: its flags, `parse_flags()`, the imports of what does the work, and
`run(main)`. TensorFlow takes seconds to import, and `--help` and wrong flags are answered before.

TensorFlow starts quietly: its C++ code writes several lines to standard error when it is imported
and when it lists its devices, and a newcomer takes them for errors. They are shown only if it does
not start. `--tensorflow_log` shows them always.
"""

import contextlib
import functools
import gc
import importlib.abc
import importlib.util
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from absl import app, flags, logging

from fashionsearchnet.flagfiles import expand_flagfiles

_FLAG = "tensorflow_log"
_GPU_FILES = ("/dev/nvidia0", "/proc/driver/nvidia/version")


def parse_flags(*, reads_images: bool = False) -> None:
    """Parses the flags, or answers `--help` or a wrong flag and ends the process.

    A script calls it after it has defined its flags, and before it imports anything that needs
    TensorFlow. A flagfile may include others by a path relative to itself; see
    `flagfiles.expand_flagfiles`.

    Args:
      reads_images: whether the script reads image files of unknown origin. It names the damaged
        ones itself, so the lines of the decoders about them are hidden.
    """
    flags.DEFINE_bool(_FLAG, False, "Show what TensorFlow logs when it starts.")
    app.define_help_flags()
    try:
        arguments = app.parse_flags_with_usage(expand_flagfiles(sys.argv))
        if len(arguments) > 1:
            raise ValueError(
                f"unexpected argument {arguments[1]!r}: everything is a flag, --name=value."
            )
    except (ValueError, OSError) as error:
        _fail(error)
    if reads_images:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    prepare_tensorflow(show_log=bool(flags.FLAGS[_FLAG].value))


def run(main: Callable[[], None]) -> None:
    """Calls `main()`, after `parse_flags()`.

    The library answers bad input with a ValueError or OSError, and a loss that is not finite with a
    FloatingPointError. Its message goes to standard error as one line, and the process exits with
    1. Any other exception is a bug and keeps its trace.
    """

    def guarded(_: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)  # TFDS logs every file that it opens
        try:
            main()
        except (ValueError, OSError, FloatingPointError) as error:
            _fail(error)
        except KeyboardInterrupt:
            print("\ninterrupted; run the same command again to go on.", file=sys.stderr)
            sys.exit(130)

    app.run(guarded, argv=sys.argv[:1], flags_parser=list)  # the flags are parsed


def choices(words: Mapping[str, str]) -> str:
    """Returns the values of a flag with what they mean, for its help."""
    return "; ".join(f"{name}: {meaning}" for name, meaning in words.items()) + "."


def _fail(error: Exception) -> None:
    """Prints the message of a user's mistake and ends the process."""
    if isinstance(error, BrokenPipeError):  # the reader of the output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes standard output at its end
        sys.exit(1)
    message = str(error)
    if isinstance(error, OSError) and error.strerror:  # without "[Errno 28]"
        named = [str(name) for name in (error.filename, error.filename2) if name is not None]
        message = ": ".join([" and ".join(named), error.strerror] if named else [error.strerror])
    print(f"{sys.argv[0]}: {message}", file=sys.stderr)
    sys.exit(1)


class _HeldBack:
    """A context that holds back file descriptor 2; Python's `sys.stderr` stays open.

    It prints the held-back text if the context ends with an exception. If the process dies in it,
    such as by an abort in C++, a child process prints the text.
    """

    def __enter__(self) -> None:
        self._terminal, self._kept = os.dup(2), os.memfd_create("stderr")
        wait, self._alive = os.pipe()
        with warnings.catch_warnings():
            # The child only waits and copies, so that other threads cannot block it.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child = os.fork()
        if self._child == 0:
            self._wait_for_death(wait)
        os.close(wait)
        os.dup2(self._kept, 2)
        self._python_stderr = sys.stderr
        # Not closed at the end: a logger may keep this object.
        sys.stderr = os.fdopen(self._terminal, "w", buffering=1, errors="backslashreplace")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        sys.stderr.flush()
        os.dup2(self._terminal, 2)
        sys.stderr = self._python_stderr
        os.write(self._alive, b"+")
        os.close(self._alive)
        os.waitpid(self._child, 0)
        if kind:
            self._print(2)
        os.close(self._kept)

    def _wait_for_death(self, wait: int) -> None:
        """Runs in the child: prints the held-back text, unless the parent writes a sign of life."""
        try:
            os.setsid()  # Ctrl-C is for the parent
            os.close(self._alive)
            for standard in (0, 1, 2):
                os.close(standard)
            if not os.read(wait, 1):
                self._print(self._terminal)
        finally:
            os._exit(0)

    def _print(self, descriptor: int) -> None:
        os.lseek(self._kept, 0, os.SEEK_SET)
        while block := os.read(self._kept, 1 << 16):
            os.write(descriptor, block)


class _TensorFlowFinder(importlib.abc.MetaPathFinder):
    """Sets TensorFlow up when it is imported for the first time."""

    def __init__(self, is_quiet: bool):
        self._is_quiet = is_quiet

    def find_spec(self, name, path=None, target=None):
        """Returns the module's spec with an `exec_module` that sets it up; None for others."""
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader:
            execute = functools.partial(_import, spec.loader.exec_module, self._is_quiet)
            spec.loader.exec_module = execute  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Python never searches the objects that the block makes for garbage.

    TensorFlow makes 400,000 objects that stay. The search took a fifth of the time of its import,
    and 0.3 seconds in every full collection after it.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _import(
    execute: Callable[[types.ModuleType], None], is_quiet: bool, module: types.ModuleType
) -> None:
    """Imports TensorFlow and lists its devices; says so if it does not find the machine's GPU."""
    with _HeldBack() if is_quiet else contextlib.nullcontext():
        with _without_garbage_collection():
            execute(module)
        has_gpu = bool(module.config.list_physical_devices("GPU"))
    # By default a GPU would shorten the factors of float32 products, and boxes would move.
    module.config.experimental.enable_tensor_float_32_execution(False)
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1")
    if is_quiet and not has_gpu and not is_hidden and any(map(os.path.exists, _GPU_FILES)):
        print(
            "This machine has an NVIDIA GPU, but TensorFlow cannot use it and runs on the CPU; "
            f"--{_FLAG} shows why.",
            file=sys.stderr,
        )


def prepare_tensorflow(*, show_log: bool = False) -> None:
    """Sets the environment that TensorFlow reads when it is imported, and makes it start quietly.

    Args:
      show_log: whether it shows its log instead, in child processes too.
    """
    # oneDNN is off by default on CPUs without AVX-512, where it still makes training faster:
    # compare tools/benchmark.py with TF_ENABLE_ONEDNN_OPTS=0 and 1.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Else a process takes all of a GPU's memory, and others, such as a search, get none.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if show_log:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
    is_quiet = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") >= "2"
    can_hold_back = hasattr(os, "memfd_create") and sys.stderr is not None  # Linux has the former
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _TensorFlowFinder(is_quiet and can_hold_back))


def _find_shared_modules() -> None:
    """Lets the scripts in a system's folder of tools/ import what all scripts share."""
    folder = Path(sys.argv[0]).resolve().parent
    if folder.parent.name == "tools":
        sys.path.append(str(folder.parent))


_find_shared_modules()
