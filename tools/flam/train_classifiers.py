"""Trains the classifiers of Cls-Concat, a baseline of FLAM, on features.

python tools/flam/train_classifiers.py --flagfile=flags/catalogue/flam/classifiers.flags
"""

from absl import flags

from fashionsearchnet import command

import reader_flags
import training_flags

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
reader_flags.define()
for module in (training_flags, reader_flags):
    flags.adopt_module_key_flags(module)  # --help shows them too

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.systems.flam.vector_stages import ClassifierStage

import reader_setup
import training_setup


def main() -> None:
    if training_setup.is_finished():
        return
    dataset, strategy = training_setup.start()
    model = reader_setup.build_model(dataset, strategy, "cls_concat")
    stage = ClassifierStage(
        model,
        model.editor,
        reader_setup.features(model, dataset),
        **reader_setup.stage_arguments(),
    )
    training_setup.train(stage, dataset, strategy)
    stage.fill_memory()
    training_setup.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
