"""The flags that say how vectors are read: shared by prepare_data.py and build_index.py."""

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.data.vectors.vector_files import VectorFile
from fashionsearchnet.networks.image_input import METRICS

FLAGS = flags.FLAGS
NAMES = ("features", "ids", "id_column", "vector_column", "metric", "features_model")


def define() -> None:
    """Defines the flags."""
    flags.DEFINE_string(
        "features", "", "Vectors that another model computed: .npy [number, size], or .parquet."
    )
    flags.DEFINE_string(
        "ids",
        "",
        "Ids of the vectors of a .npy, in its order: one in a line, or .npy. By default the file "
        "of the vectors with .ids.txt in place of .npy.",
    )
    flags.DEFINE_string("id_column", "id", "Column of the ids, in --csv and in a .parquet.")
    flags.DEFINE_string("vector_column", "vector", "Column of the vectors of a .parquet.")
    flags.DEFINE_enum(
        "metric", "cosine", list(METRICS), f"How they are compared. {command.choices(METRICS)}"
    )
    flags.DEFINE_string(
        "features_model",
        "",
        "Name of the model that computed the vectors, such as fashionclip-2.0. Vectors of two "
        "names are never compared. By default the digest of the file of --features.",
    )


def vector_file() -> VectorFile:
    """Returns the file that the flags describe."""
    return VectorFile(
        path=FLAGS.features,
        ids=FLAGS.ids,
        id_column=FLAGS.id_column,
        vector_column=FLAGS.vector_column,
        metric=FLAGS.metric,
        features_model=FLAGS.features_model,
    )
