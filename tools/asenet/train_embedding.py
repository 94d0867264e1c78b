"""Trains the vectors of attributes of ASENet_V2, or of another variant.

  python tools/asenet/train_embedding.py --flagfile=flags/garments/asenet/embedding.flags

It learns from triplets, as published, or with --learns_from=values, ours, from all labels of an
image. At its end it writes the memory (class means), ours too, so that the run answers edits.
"""

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.systems.asenet.variants import VARIANTS

import training_flags
import triplet_flags

triplet_flags.define(VARIANTS, "asenet_v2")
for module in (training_flags, triplet_flags):
    flags.adopt_module_key_flags(module)  # --help shows them too
flags.DEFINE_integer("embedding_dim", 1024, "Of the last FC layer; ASENet_V2 has none.", 1)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.systems.asenet.model import ASENet
from fashionsearchnet.systems.triplet_stage import TripletStage

import triplet_setup


def main() -> None:
    triplet_setup.train_embedding(ASENet, TripletStage, of_model=["embedding_dim"])


if __name__ == "__main__":
    command.run(main)
