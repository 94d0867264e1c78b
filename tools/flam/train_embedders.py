"""Trains the attribute-specific embedders of FLAM, or those of Emb-Concat, by triplets (Eq. 1-2).

On the feature of a pretrained trunk as it comes:

  python tools/flam/train_embedders.py --flagfile=flags/catalogue/flam/embedders.flags

On the feature that train_instances.py has trained: add --init_from=<its workdir>. The baseline has
wider embeddings: --variant=emb_concat.
"""

from fashionsearchnet import command  # isort: skip  (TensorFlow starts quietly)

import reader_flags
from absl import flags

import training_flags
from fashionsearchnet.systems.flam import VARIANTS
from fashionsearchnet.systems.flam.vector_stages import EmbedderStage

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
reader_flags.define()
for module in (training_flags, reader_flags):
    flags.adopt_module_key_flags(module)  # --help shows them too
flags.DEFINE_enum(
    "variant",
    "m_os_adv",
    [name for name, variant in VARIANTS.items() if variant.reader == "embedders"],
    "emb_concat is the baseline; all others share their embedders.",
)
flags.DEFINE_integer("reader_dim", 256, "Hidden width of an embedder.", 1)
flags.DEFINE_float("margin", 0.2, "mu of Eq. 1, as a difference of cosines.", 0.0, 2.0)


def main() -> None:
    if training_flags.is_finished():
        return
    dataset, strategy = training_flags.start()
    model = reader_flags.build_model(dataset, strategy, FLAGS.variant)
    stage = EmbedderStage(
        model,
        model.editor,
        reader_flags.features(model, dataset),
        **reader_flags.stage_arguments(),
        margin=FLAGS.margin,
    )
    training_flags.train(stage, dataset, strategy)
    training_flags.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
