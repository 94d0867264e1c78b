"""Stage 1 of FashionSearchNet-v2: trains the attribute activation maps by classification.

  python tools/fashionsearchnet_v2/train_localization.py \\
      --flagfile=flags/garments/fashionsearchnet_v2/localization.flags
"""

from absl import flags

from fashionsearchnet import command

import training_flags

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
training_flags.define_augmentation()
training_flags.define_network()
training_flags.define_trunk_training()
flags.adopt_module_key_flags(training_flags)  # --help shows them too

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.stages import LocalizationStage

import training_setup


def main() -> None:
    if training_setup.is_finished():
        return
    dataset, strategy = training_setup.start()
    with strategy.scope():
        model = FashionSearchNetV2(dataset.space, **training_setup.network_arguments(dataset))
    training_setup.load_pretrained_weights(model)
    stage = LocalizationStage(
        model,
        dataset,
        **training_setup.image_stage_arguments(),
        outputs=training_setup.stored_outputs(model, dataset),
        trunk_rate_multiplier=FLAGS.trunk_rate_multiplier,
    )
    training_setup.train(stage, dataset, strategy)
    training_setup.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
