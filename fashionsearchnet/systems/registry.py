"""The systems by name, and how a run's folder (`workdir`) holds one.

`load_system(workdir)` needs nothing but the folder: `model.json` says which system with which
arguments, `attribute_space.json` its attributes, `model.weights.h5` its weights.
"""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_choice
from fashionsearchnet.networks.backbones import PAPER_TRUNK, Trunk
from fashionsearchnet.systems.agman.model import AGMAN
from fashionsearchnet.systems.amnet.model import AMNet
from fashionsearchnet.systems.asenet.model import ASENet
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.flam.model import FLAM
from fashionsearchnet.systems.system import System

SYSTEMS: dict[str, type[System]] = {
    "agman": AGMAN,
    "amnet": AMNet,
    "asenet": ASENet,
    "fashionsearchnet_v2": FashionSearchNetV2,
    "flam": FLAM,
}

_WEIGHTS = "model.weights.h5"
_ENTRIES = {"system", "stage", "dataset", "arguments"}  # of model.json
_CURE = "Train it first (tools/<system>/train_*.py), or correct the path."


def save_system(
    workdir: str | os.PathLike[str], system: System, stage: str, dataset: str, **details: Any
) -> None:
    """Writes a trained system into its run's folder.

    Args:
      workdir: the folder.
      system: to be saved; its `name` is its key in SYSTEMS.
      stage: the name of the stage that it has been through.
      dataset: that it was trained on.
      **details: further entries of model.json.
    """
    workdir = Path(workdir)
    system.space.save(workdir / "attribute_space.json")
    with files.replace_file(workdir / _WEIGHTS) as temporary:
        system.save_weights(temporary)
    # Last, since its presence says that the stage is complete.
    content = {"system": system.name, "stage": stage, "dataset": dataset, **details}
    files.write_json(workdir / "model.json", content | {"arguments": system.arguments})


def describe_system(workdir: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the content of a run's model.json.

    Raises:
      FileNotFoundError: if the run has not finished (or is none).
      ValueError: if the file is damaged.
    """
    path = Path(workdir).expanduser() / "model.json"
    description = files.read_json(path, "a trained system", _CURE)
    if not isinstance(description, dict) or not description.keys() >= _ENTRIES:
        raise ValueError(f"{path} must hold the entries {', '.join(sorted(_ENTRIES))}. {_CURE}")
    return description


def weights_digest(workdir: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a run's weights: what comes from them can name them by it.

    It may be asked often: a file is read again only if it was changed.

    Raises:
      FileNotFoundError: if there are none.
    """
    path = _weights_file(workdir)
    found = path.stat()
    return _digest_of_version(path, found.st_mtime_ns, found.st_size)


def load_complete_system(workdir: str | os.PathLike[str]) -> System:
    """Returns the system of a run that is the last of its stages, to search with.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: if a file is damaged, the weights do not fit, or stages are missing: what a search
        reads would be untrained in part.
    """
    system = load_system(workdir)
    stage, last = describe_system(workdir)["stage"], system.stages[-1]
    if stage != last:
        raise ValueError(
            f"{workdir} has finished stage {stage!r} only, but {system.title} needs stage "
            f"{last!r}. Train that with --init_from={workdir}, and give its --workdir here."
        )
    return system


def load_system(workdir: str | os.PathLike[str]) -> System:
    """Returns the system that a finished run holds, after any of its stages.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: if a file is damaged or the weights do not fit.
    """
    workdir = Path(workdir).expanduser()
    description = describe_system(workdir)
    space = AttributeSpace.load(workdir / "attribute_space.json")
    build: Any = SYSTEMS[check_choice(f"system of {workdir}", description["system"], SYSTEMS)]
    try:
        system: System = build(space, **_in_groups(description["arguments"]))
    except TypeError as error:
        raise ValueError(
            f"{workdir / 'model.json'} holds arguments that this version does not know ({error}). "
            "Use the version that versions.json beside it names."
        ) from error
    weights = _weights_file(workdir)
    try:
        system.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise ValueError(
            f"{weights} does not fit the model that {workdir / 'model.json'} describes "
            f"({reason}); it is damaged or of another run."
        ) from error
    return system


def _in_groups(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a model.json; version 0.1 had input and trunk not grouped."""
    found = dict(arguments)
    if "image_size" in found:
        found["image_input"] = {"size": found.pop("image_size"), "mean": found.pop("channel_means")}
        names = ("backbone", "width", "first_stride", "normalization")
        found["trunk"] = {name: found.pop(name) for name in names}
        trunk = Trunk.of(found["trunk"])
        if trunk.backbone != PAPER_TRUNK.backbone:  # then every system took the last map
            found["trunk"]["tap"] = trunk.architecture.default_tap
    return found


@functools.cache
def _digest_of_version(path: Path, changed_ns: int, size: int) -> str:
    """Returns the digest of a file as it was last changed."""
    del changed_ns, size
    return files.file_digest(path)


def _weights_file(workdir: str | os.PathLike[str]) -> Path:
    """Returns the path of a run's weights, or raises a FileNotFoundError."""
    path = Path(workdir).expanduser() / _WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. {_CURE}")
    return path
