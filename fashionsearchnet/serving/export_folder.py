"""The folder of an export: its versions, and what it says of its model (no TensorFlow)."""

import dataclasses
import functools
import os
import sys
from pathlib import Path
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.networks.image_input import ImageInput, MapGeometry

CURE = "Write one by tools/export.py, or correct the path."
_DAMAGED = "Copy the export again, or export the run again."


@dataclasses.dataclass(frozen=True)
class ExportDescription:
    """What export.json says.

    Attributes:
      system: the key of the system.
      variant: of the system, if it has variants.
      fingerprint: sixteen hex digits; vectors of equal fingerprints can be compared.
      dim: the length of an embedding.
      image_input: what the network wants to see.
      geometry: where the maps' cells lie; None for a system without attention.
      label_blend: the share of the label's prototype in the blocks of a labelled gallery, for each
        attribute; None for a system without blocks, and in exports of version 0.1.
      space: the fingerprint of the attribute space; '' in exports of earlier versions, which have
        no checksums either.
    """

    system: str
    variant: str | None
    fingerprint: str
    dim: int
    image_input: ImageInput
    geometry: MapGeometry | None
    label_blend: tuple[float, ...] | None = None
    space: str = ""

    @classmethod
    def read(cls, path: Path) -> "ExportDescription":
        """Reads an export.json, also one of version 0.1.

        Raises:
          FileNotFoundError: if there is none.
          ValueError: if it lacks an entry.
        """
        content: dict[str, Any] = files.read_json(path, "the description of an export", CURE)
        try:
            image_input = _image_input(content)
            geometry, blend = content["geometry"], content.get("label_blend")
            return cls(
                system=content["system"],
                variant=content["variant"],
                fingerprint=content["fingerprint"],
                dim=content["dim"],
                image_input=image_input,
                geometry=geometry and MapGeometry(**geometry, image_size=image_input.size),
                label_blend=None if blend is None else tuple(map(float, blend)),
                space=content.get("space", ""),
            )
        except KeyError as error:
            raise ValueError(f"{path} lacks the entry {error}. {CURE}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is not the description of an export ({error}). {CURE}") from (
                error
            )


def check_folder(folder: Path) -> None:
    """Compares the files of a version of an export with their checksums.

    For an export of an earlier version, which has none, it says so once on standard error.

    Raises:
      ValueError: naming the file that is missing or damaged, and the cure.
    """
    if files.check_checksums(folder, _DAMAGED):
        return
    if ExportDescription.read(folder / "assets" / "export.json").space:
        raise ValueError(f"{folder / files.CHECKSUMS} is missing. {_DAMAGED}")
    _say_unchecked(folder)


@functools.cache  # once for each folder
def _say_unchecked(folder: Path) -> None:
    print(
        f"{folder} has no checksums: an earlier version wrote it. Damage of its files may go "
        "unnoticed, and every edit of an image needs a forward pass. Another export of the run "
        "has both; an index belongs to one fingerprint and may have to be built again.",
        file=sys.stderr,
    )


def read_space(path: Path, description: ExportDescription | None) -> AttributeSpace:
    """Returns the attribute space of an export, from its file.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: if it is not the one that export.json names, or no attribute space.
    """
    space = AttributeSpace.load(path)
    if description is not None and description.space not in ("", space.fingerprint):
        raise ValueError(
            f"{path} is not the attribute space of the export: attributes or values were renamed "
            f"or moved. {_DAMAGED} To show other names, translate them in your application."
        )
    return space


def find_version(directory: str | os.PathLike[str]) -> Path:
    """Returns the folder of the newest version of an export, or `directory` if it is a version.

    Raises:
      FileNotFoundError: if there is none.
    """
    directory = Path(directory).expanduser()
    if (directory / "saved_model.pb").is_file():
        return directory
    versions = {
        int(path.parent.name): path.parent
        for path in directory.glob("*/saved_model.pb")
        if path.parent.name.isdecimal()
    }
    if not versions:
        raise FileNotFoundError(
            f"{directory} holds no export: neither a saved_model.pb nor a numbered version with "
            f"one. {CURE}"
        )
    return versions[max(versions)]


def _image_input(content: dict[str, Any]) -> ImageInput:
    """Returns the entry `image_input`; version 0.1 wrote two entries instead, and padded."""
    if "image_input" not in content and "image_size" in content:
        return ImageInput(content["image_size"], mean=tuple(content["channel_means"]))
    return ImageInput.of(content["image_input"])
