"""A trained system as a SavedModel for TensorFlow Serving: encoded images in, vectors out.

`DIR/<version>/` has the signatures of `signatures.py`. Its assets `attribute_space.json` and
`export.json` say what the numbers mean and which model it is; warm-up requests for TensorFlow
Serving are in `assets.extra`.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from fashionsearchnet import files
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.choices import EXPORT_PRECISIONS
from fashionsearchnet.export import check
from fashionsearchnet.export.cases import live_cases, sample_inputs
from fashionsearchnet.export.signatures import ServedSystem
from fashionsearchnet.systems.gallery_labels import DEFAULT_BLEND, check_blend
from fashionsearchnet.systems.system import System

TOLERANCE = 1e-4  # between export and live system, as a share of an output's largest magnitude
CHECK_FILE = "assets.extra/largest_differences.json"  # what the check found; see `check_export`
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_LOCK = ".lock"
_UNFINISHED = ".unfinished-"  # TensorFlow Serving only looks at folders named by a whole number


def export_system(
    system: System,
    directory: str | os.PathLike[str],
    *,
    version: int | None = None,
    precision: str = "float32",
    warmup_images: Sequence[bytes] = (),
    label_blend: float | Sequence[float] = DEFAULT_BLEND,
    **details: Any,
) -> Path:
    """Writes a system as a new version of an export, checked, and returns the version's folder.

    It is written beside, run by a fresh process that knows TensorFlow and NumPy only, and moved
    into place if that agrees with the live system: whoever watches the folder never sees half a
    version, or a bad one.

    Args:
      system: one that answers manipulation and reads attributes, with its weights.
      directory: of all versions of this export.
      version: a number at least 1 that is not taken; by default one more than the highest.
      precision: of the stored weights, see `choices.EXPORT_PRECISIONS`. Inputs, outputs and what is
        computed stay float32.
      warmup_images: encoded images for the check and the warm-up requests; by default generated.
      label_blend: for a gallery that uses labels, see `gallery_labels`: for all attributes, or for
        each. Indexes of the export take it unless told otherwise.
      **details: further entries of export.json.

    Returns:
      `directory/<version>`. Warm-up requests are in it (WARMUP_FILE) if the package
      tensorflow-serving-api is installed.

    Raises:
      ValueError: if the system cannot be exported, the version is taken, or the check fails;
        nothing is left behind then.
      OSError: if the folder cannot be written.
    """
    _check_exportable(system)
    check_choice("precision", precision, EXPORT_PRECISIONS)
    directory = Path(directory).expanduser()
    blend = check_blend(system.space, label_blend) if system.has_blocks else None
    target = directory / str(_choose_version(directory, version))
    served = ServedSystem(system, precision)
    cases = live_cases(served, list(warmup_images) or sample_inputs(system.image_input))
    with _unfinished_folder(directory) as folder, _in_words(directory):
        described = _describe(served, cases) | {"label_blend": blend and list(blend)}
        _write_saved_model(served, folder, described | details)
        _write_warmup_requests(folder, cases)
        files.write_json(folder / CHECK_FILE, check_export(folder, cases))
        files.write_checksums(folder)
        _move_into_place(folder, target)
    return target


def check_export(folder: Path, cases: list[dict[str, Any]]) -> dict[str, float]:
    """Runs a written export in a fresh process and returns the largest differences.

    Of each output of each signature, as a share of the output's largest magnitude.

    Raises:
      ValueError: if it does not run, or differs from `cases` by more than TOLERANCE.
    """
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "cases.json"
        path.write_text(json.dumps(cases), encoding="utf-8")
        # -P: the script's folder, with modules such as files.py, stays off the import path.
        done = subprocess.run(
            [sys.executable, "-P", check.__file__, str(folder), str(path)],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        reason = (done.stderr.strip().split("\n") or [""])[-1][:300]
        raise ValueError(
            f"the export was written but does not run in a fresh process ({reason}); it has been "
            "removed. The system must use nothing but TensorFlow operations and its own weights."
        )
    differences: dict[str, float] = json.loads(done.stdout.strip().split("\n")[-1])
    worst = max(differences, key=lambda name: differences[name])
    if not differences[worst] <= TOLERANCE:
        raise ValueError(
            f"the export was written but {worst} differs from the live system by "
            f"{differences[worst]:.2g} of its largest value, more than {TOLERANCE}; it has been "
            "removed. The system may hold state or randomness outside its weights."
        )
    return differences


def _check_exportable(system: System) -> None:
    """Raises a ValueError that says why a system cannot be exported."""
    system.check_answers("manipulation")
    if system.gallery_depends_on_edit:
        raise ValueError(
            f"{system.title} cannot be exported: the vector of a gallery image depends on which "
            "attributes of the query are edited, so no index could hold it. Export a variant "
            "without that, such as `ours` or `full` of fashionsearchnet_v2."
        )
    features = system.image_features(tf.zeros([1, *system.image_input.shape]))
    if system.attribute_logits(features) is None:
        raise ValueError(
            f"{system.title} cannot be exported: it reads no attribute values, so there are no "
            "probabilities to return."
        )


def _choose_version(directory: Path, version: int | None) -> int:
    """Returns the number of the new version, or raises a ValueError."""
    taken = sorted(int(path.name) for path in directory.glob("*") if path.name.isdecimal())
    if version is None:
        return taken[-1] + 1 if taken else 1
    check_range("version", version, 1)
    if version in taken:
        raise ValueError(
            f"version {version} of {directory} exists; taken: {', '.join(map(str, taken))}. "
            f"Leave the version out for {taken[-1] + 1}."
        )
    return version


def _describe(served: ServedSystem, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the content of export.json."""
    system, geometry = served.system, served.system.map_geometry
    return {
        "system": system.name,
        "title": system.title,
        "variant": system.arguments.get("variant"),
        "fingerprint": fingerprint(served),
        "space": system.space.fingerprint,
        "image_input": system.image_input.to_dict(),
        "dim": len(cases[0]["outputs"]["embedding"][0]),
        "precision": served.precision,
        "geometry": geometry
        and {"first_centre": geometry.first_centre, "cell_stride": geometry.cell_stride},
    }


def fingerprint(served: ServedSystem) -> str:
    """Returns sixteen hex digits of the weights as stored, the arguments and the space."""
    system = served.system
    digest = hashlib.sha256()
    said = [system.name, system.arguments, system.space.to_dict()]
    digest.update(json.dumps(said, sort_keys=True).encode())
    for weight in served.weights:
        digest.update(f"{weight.dtype.name} {weight.shape}".encode())
        digest.update(tf.io.serialize_tensor(weight).numpy())
    return digest.hexdigest()[:16]


def _write_saved_model(served: ServedSystem, folder: Path, description: dict[str, Any]) -> None:
    """Writes signatures, weights and assets."""
    module = tf.Module()
    module.weights = served.weights
    with tempfile.TemporaryDirectory() as temporary:
        served.system.space.save(Path(temporary) / "attribute_space.json")
        files.write_json(Path(temporary) / "export.json", description)
        module.assets = [
            tf.saved_model.Asset(str(Path(temporary) / name))
            for name in ("attribute_space.json", "export.json")
        ]
        tf.saved_model.save(module, str(folder), signatures=served.signatures())


def _write_warmup_requests(folder: Path, cases: list[dict[str, Any]]) -> None:
    """Writes the calls as requests that TensorFlow Serving runs before it takes others.

    Nothing is written where the package tensorflow-serving-api is not installed.
    """
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        return
    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for case in cases:
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = case["signature"]
            for name, value in check.inputs_of(case).items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            record = prediction_log_pb2.PredictionLog(predict_log=log)
            writer.write(record.SerializeToString())


@contextlib.contextmanager
def _unfinished_folder(directory: Path) -> Iterator[Path]:
    """Yields a hidden folder in `directory`, removed afterwards unless it has been moved.

    The process holds a lock beside its folder. Folders without a holder are left from killed
    exports; they are removed first.
    """
    folder = directory / f"{_UNFINISHED}{uuid.uuid4().hex}"
    with contextlib.ExitStack() as held:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for left in {
                path.name.removesuffix(_LOCK) for path in directory.glob(f"{_UNFINISHED}*")
            }:
                with contextlib.suppress(OSError), _hold(directory / left):
                    shutil.rmtree(directory / left, ignore_errors=True)
            held.enter_context(_hold(folder))
            folder.mkdir(0o700)
        except OSError as error:
            raise OSError(
                f"cannot write into {directory} ({error.strerror or error}); choose another folder."
            ) from error
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


@contextlib.contextmanager
def _in_words(directory: Path) -> Iterator[None]:
    """Turns TensorFlow's errors of writing, such as those of a full disk, into an OSError."""
    try:
        yield
    except tf.errors.OpError as error:
        is_full = "no space left" in error.message.lower()
        reason = "no space left on the device" if is_full else error.message
        raise OSError(
            f"cannot write into {directory} ({reason}); nothing is left of this version. Free some "
            "space or choose another folder, then run the same command again."
        ) from error


def _hold(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Returns the lock of an unfinished export."""
    return files.hold_lock(folder.with_name(folder.name + _LOCK), f"writes {folder}")


def _move_into_place(folder: Path, target: Path) -> None:
    """Makes a finished folder the version `target`, all its bytes on the disk before."""
    for path in [*folder.rglob("*"), folder]:
        if not path.is_symlink():
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
    folder.chmod(0o755)
    try:
        folder.rename(target)
    except OSError as error:
        raise OSError(
            f"cannot move the finished export to {target} ({error.strerror or error}); has another "
            "process written this version meanwhile? Run the command again."
        ) from error
