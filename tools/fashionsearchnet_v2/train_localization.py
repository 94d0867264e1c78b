"""Stage 1 of FashionSearchNet-v2: trains the attribute activation maps by classification.

  python tools/fashionsearchnet_v2/train_localization.py \\
      --flagfile=flags/garments/fashionsearchnet_v2/localization.flags
"""

from fashionsearchnet import command  # isort: skip  (TensorFlow starts quietly)

from absl import flags

import training_flags
from fashionsearchnet.systems.fashionsearchnet_v2 import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.stages import LocalizationStage

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
training_flags.define_augmentation()
training_flags.define_network()
training_flags.define_trunk_training()
flags.adopt_module_key_flags(training_flags)  # --help shows them too


def main() -> None:
    if training_flags.is_finished():
        return
    dataset, strategy = training_flags.start()
    with strategy.scope():
        model = FashionSearchNetV2(dataset.space, **training_flags.network_arguments(dataset))
    training_flags.load_pretrained_weights(model)
    stage = LocalizationStage(
        model,
        dataset,
        **training_flags.image_stage_arguments(),
        outputs=training_flags.stored_outputs(model, dataset),
        trunk_rate_multiplier=FLAGS.trunk_rate_multiplier,
    )
    training_flags.train(stage, dataset, strategy)
    training_flags.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
