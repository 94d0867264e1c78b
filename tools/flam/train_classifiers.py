"""Trains the classifiers of Cls-Concat, a baseline of FLAM, on features.

python tools/flam/train_classifiers.py --flagfile=flags/catalogue/flam/classifiers.flags
"""

from fashionsearchnet import command  # isort: skip  (TensorFlow starts quietly)

import reader_flags
from absl import flags

import training_flags
from fashionsearchnet.systems.flam.vector_stages import ClassifierStage

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
reader_flags.define()
for module in (training_flags, reader_flags):
    flags.adopt_module_key_flags(module)  # --help shows them too


def main() -> None:
    if training_flags.is_finished():
        return
    dataset, strategy = training_flags.start()
    model = reader_flags.build_model(dataset, strategy, "cls_concat")
    stage = ClassifierStage(
        model,
        model.editor,
        reader_flags.features(model, dataset),
        **reader_flags.stage_arguments(),
    )
    training_flags.train(stage, dataset, strategy)
    stage.fill_memory()
    training_flags.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
