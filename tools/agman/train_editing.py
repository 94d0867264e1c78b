"""Trains how the vectors of a run of AG-MAN rank edited images; ours, not in a paper.

python tools/agman/train_editing.py --flagfile=flags/garments/agman/editing.flags
"""

from absl import flags

from fashionsearchnet import command

import training_flags
import triplet_flags

triplet_flags.define_editing()
for module in (training_flags, triplet_flags):
    flags.adopt_module_key_flags(module)  # --help shows them too

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.systems.agman.model import AGMAN

import triplet_setup


def main() -> None:
    triplet_setup.train_editing(AGMAN, "agman/train_embedding")


if __name__ == "__main__":
    command.run(main)
