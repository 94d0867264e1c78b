"""Trains the vectors of attributes of ASENet_V2, or of another variant, on triplets.

  python tools/asenet/train_embedding.py --flagfile=flags/garments/asenet/embedding.flags

At its end it writes the memory (class means), so that the run answers edits too. That is ours.
"""

from fashionsearchnet import command  # isort: skip  (TensorFlow starts quietly)

import triplet_flags
from absl import flags

import training_flags
from fashionsearchnet.systems.asenet import VARIANTS, ASENet
from fashionsearchnet.systems.triplet_stage import TripletStage

FLAGS = flags.FLAGS
triplet_flags.define(VARIANTS, "asenet_v2")
for module in (training_flags, triplet_flags):
    flags.adopt_module_key_flags(module)  # --help shows them too
flags.DEFINE_integer("embedding_dim", 1024, "Of the last FC layer; ASENet_V2 has none.", 1)


def main() -> None:
    if training_flags.is_finished():
        return
    dataset, strategy = training_flags.start()
    with strategy.scope():
        model = ASENet(
            dataset.space,
            embedding_dim=FLAGS.embedding_dim,
            **triplet_flags.model_arguments(dataset),
        )
    training_flags.load_pretrained_weights(model)
    stage = TripletStage(model, dataset, **triplet_flags.stage_arguments(model, dataset))
    triplet_flags.train(stage, dataset, strategy)


if __name__ == "__main__":
    command.run(main)
