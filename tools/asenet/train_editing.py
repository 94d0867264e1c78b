"""Trains how the vectors of a run of ASENet rank edited images; ours, not in a paper.

python tools/asenet/train_editing.py --flagfile=flags/garments/asenet/editing.flags
"""

from fashionsearchnet import command  # isort: skip  (TensorFlow starts quietly)

import triplet_flags
from absl import flags

import training_flags
from fashionsearchnet.systems.asenet import ASENet

triplet_flags.define_editing()
for module in (training_flags, triplet_flags):
    flags.adopt_module_key_flags(module)  # --help shows them too


def main() -> None:
    triplet_flags.train_editing(ASENet, "asenet/train_embedding")


if __name__ == "__main__":
    command.run(main)
