"""Trains the attribute-specific embedders of FLAM, or those of Emb-Concat, by triplets (Eq. 1-2).

On the feature of a pretrained trunk as it comes:

  python tools/flam/train_embedders.py --flagfile=flags/catalogue/flam/embedders.flags

On the feature that train_instances.py has trained: add --init_from=<its workdir>. The baseline has
wider embeddings: --variant=emb_concat.
"""

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.systems.flam.variants import VARIANTS

import reader_flags
import training_flags

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

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.systems.flam.vector_stages import EmbedderStage

import reader_setup
import training_setup


def main() -> None:
    if training_setup.is_finished():
        return
    dataset, strategy = training_setup.start()
    model = reader_setup.build_model(dataset, strategy, FLAGS.variant)
    stage = EmbedderStage(
        model,
        model.editor,
        reader_setup.features(model, dataset),
        **reader_setup.stage_arguments(),
        margin=FLAGS.margin,
    )
    training_setup.train(stage, dataset, strategy)
    training_setup.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
