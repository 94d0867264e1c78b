"""Saves the trunk of a finished run as a weights file, to start other systems from.

A trunk that has learned on a catalogue serves every system there. Train it once, save it, and
give the file to any training script, frozen or not:

  python tools/fashionsearchnet_v2/train_representations.py --workdir=runs/my_shop/finetuned \\
      --flagfile=flags/catalogue/pretrained/fashionsearchnet_v2/finetuned_representations.flags
  python tools/save_trunk.py --workdir=runs/my_shop/finetuned --output=trunk.weights.h5
  python tools/agman/train_embedding.py --workdir=runs/my_shop/agman \\
      --flagfile=flags/catalogue/pretrained/agman/embedding.flags \\
      --pretrained_weights=trunk.weights.h5
"""

import dataclasses
from pathlib import Path

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of a finished run.", required=True)
flags.DEFINE_string("output", None, "File to write, *.weights.h5.", required=True)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet import files
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.convolutional import ConvolutionalSystem
from fashionsearchnet.systems.system import System


def checked_trunk(system: System) -> ConvolutionalSystem:
    """Returns the system of the run, if another one can stand on its trunk.

    Raises:
      ValueError: if no flags would make another run see the images as this one does, or if it
        has no trained weights for a part of the network.
    """
    where = f"--workdir={FLAGS.workdir}"
    if not isinstance(system, ConvolutionalSystem) or not system.backbone.network.variables:
        raise ValueError(f"{where} reads vectors of another model, so it has no trunk to save.")
    backbone, seen = system.backbone, system.image_input
    published = backbone.trunk.architecture.image_input(seen.size)
    # The fit and the pixels are flags of their own.
    if seen != dataclasses.replace(published, fit=seen.fit, pixels=seen.pixels):
        raise ValueError(
            f"{where} sees images less the means of its own data set, which its trunk's weights do "
            "not say to another run. Save the trunk of a run with --image_input=pretrained."
        )
    stored = {id(variable) for variable in system.variables}
    missing = [each.path for each in backbone.network.variables if id(each) not in stored]
    if missing:
        raise ValueError(
            f"{where} uses {backbone.trunk.backbone} up to a lower map, and stores no weights "
            f"above it (such as {missing[0]}). Save that of a run that uses the whole network, "
            "such as one of a variant on pooled features."
        )
    return system


def flags_of(system: ConvolutionalSystem, path: Path) -> list[str]:
    """Returns the flags by which another run starts from the saved trunk and sees the same."""
    trunk, seen = system.backbone.trunk, system.image_input
    given = {"backbone": trunk.backbone, "pretrained_weights": path, "image_size": seen.size}
    names = ("width", "first_stride", "normalization")  # of AlexNet
    given |= {name: getattr(trunk, name) for name in names if trunk.backbone == "alexnet"}
    return [
        *(f"--{name}={value}" for name, value in given.items()),
        *(f"--image_{name}={getattr(seen, name)}" for name in ("fit", "pixels")),
    ]


def main() -> None:
    path = Path(FLAGS.output).expanduser()
    if not path.name.endswith(".weights.h5"):
        raise ValueError(f"--output must end in .weights.h5; got {FLAGS.output}.")
    system = checked_trunk(registry.load_system(FLAGS.workdir))
    with files.replace_file(path) as temporary:
        system.backbone.network.save_weights(temporary)
    print(f"written: {path} ({path.stat().st_size / 1e6:.1f} MB); start from it with")
    print("  " + " ".join(flags_of(system, path)))


if __name__ == "__main__":
    command.run(main)
