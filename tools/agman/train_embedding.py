"""Trains the vectors of attributes of AG-MAN, or of one of its ideas on its own, on triplets.

  python tools/agman/train_embedding.py --flagfile=flags/garments/agman/embedding.flags

At its end it writes the memory (class means), so that the run answers edits too. That is ours.
"""

from fashionsearchnet import command  # isort: skip  (TensorFlow starts quietly)

import triplet_flags
from absl import flags

import training_flags
from fashionsearchnet.systems.agman import AGMAN, LOSS_WEIGHTINGS, VARIANTS
from fashionsearchnet.systems.agman.stages import EmbeddingStage

FLAGS = flags.FLAGS
triplet_flags.define(VARIANTS, "agman")
for module in (training_flags, triplet_flags):
    flags.adopt_module_key_flags(module)  # --help shows them too
flags.DEFINE_enum(
    "loss_weighting", "equal", list(LOSS_WEIGHTINGS), command.choices(LOSS_WEIGHTINGS)
)
flags.DEFINE_float(
    "classification_weight", 1.0, "Of the branch that names the attribute; 0 on Zappos50k.", 0.0
)


def main() -> None:
    if training_flags.is_finished():
        return
    dataset, strategy = training_flags.start()
    with strategy.scope():
        model = AGMAN(
            dataset.space,
            loss_weighting=FLAGS.loss_weighting,
            **triplet_flags.model_arguments(dataset),
        )
    training_flags.load_pretrained_weights(model)
    stage = EmbeddingStage(
        model,
        dataset,
        **triplet_flags.stage_arguments(model, dataset),
        classification_weight=FLAGS.classification_weight,
    )
    triplet_flags.train(stage, dataset, strategy)


if __name__ == "__main__":
    command.run(main)
