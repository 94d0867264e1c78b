"""Trains the vectors of attributes of AG-MAN, or of one of its ideas on its own.

  python tools/agman/train_embedding.py --flagfile=flags/garments/agman/embedding.flags

It learns from triplets, as published, or with --learns_from=values, ours, from all labels of an
image. At its end it writes the memory (class means), ours too, so that the run answers edits.
"""

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.systems.agman.variants import LOSS_WEIGHTINGS, VARIANTS

import training_flags
import triplet_flags

triplet_flags.define(VARIANTS, "agman")
for module in (training_flags, triplet_flags):
    flags.adopt_module_key_flags(module)  # --help shows them too
flags.DEFINE_enum(
    "loss_weighting", "equal", list(LOSS_WEIGHTINGS), command.choices(LOSS_WEIGHTINGS)
)
flags.DEFINE_float(
    "classification_weight", 1.0, "Of the branch that names the attribute; 0 on Zappos50k.", 0.0
)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.systems.agman.model import AGMAN
from fashionsearchnet.systems.agman.stages import EmbeddingStage

import triplet_setup


def main() -> None:
    triplet_setup.train_embedding(
        AGMAN,
        EmbeddingStage,
        of_model=["loss_weighting"],
        of_stage=["classification_weight"],
    )


if __name__ == "__main__":
    command.run(main)
