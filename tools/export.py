"""Writes a trained system as a SavedModel for TensorFlow Serving and for this package's service.

  python tools/export.py --workdir=runs/demo/full --output=exports/demo

Writes exports/demo/1, the next time exports/demo/2, and so on: TensorFlow Serving, pointed to
exports/demo, takes each new version while it runs. Images go in as JPEG or PNG files; decoding and
preprocessing are inside. A fresh process loads the export and compares it with the trained system
before it gets its number.

Half the size, and the change in Top-20 that it costs, with validation images as queries:

  python tools/export.py --workdir=runs/demo/full --output=exports/demo --precision=float16 \\
      --data_dir=data
"""

import dataclasses
from typing import Any

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.choices import EXPORT_PRECISIONS

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of a finished run.", required=True)
flags.DEFINE_string("output", None, "Folder of the export's versions.", required=True)
flags.DEFINE_integer("version", None, "Number of the version; by default the next free one.", 1)
flags.DEFINE_enum(
    "precision",
    "float32",
    EXPORT_PRECISIONS,
    "Of the stored weights; what is computed stays float32. float16 keeps 11 significant bits of "
    "magnitudes up to 65504, bfloat16 8 bits of any magnitude; both halve the size.",
)
flags.DEFINE_string(
    "data_dir",
    "",
    "Folder of the prepared data sets. If given with a --precision other than float32, both "
    "precisions are evaluated and the difference is stored in export.json.",
)
flags.DEFINE_string(
    "dataset", "", "Data set below --data_dir; by default the one that the run was trained on."
)
flags.DEFINE_string("query_split", "validation", "Split of that evaluation's queries; slices work.")
flags.DEFINE_string("gallery_split", "gallery", "Split of that evaluation's gallery; slices work.")
flags.DEFINE_integer(
    "max_manipulations_per_attribute", 500, "Manipulations of that evaluation, drawn.", 1
)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet import evaluation, files
from fashionsearchnet.data import pipeline
from fashionsearchnet.export import precision
from fashionsearchnet.export import saved_model as export
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.gallery_labels import ChosenBlend
from fashionsearchnet.systems.system import System


def measure_change(system: System) -> dict[str, Any]:
    """Returns the entry of export.json about the reduced precision, and says it."""
    trained = registry.describe_system(FLAGS.workdir)
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or trained["dataset"])
    protocol: evaluation.TaskProtocol = evaluation.PROTOCOLS[system.tasks[0]](
        query_split=FLAGS.query_split, gallery_split=FLAGS.gallery_split
    )
    if isinstance(protocol, evaluation.ManipulationProtocol):
        most = FLAGS.max_manipulations_per_attribute
        protocol = dataclasses.replace(protocol, max_manipulations_per_attribute=most)
    change = precision.measure_change(system, dataset, protocol, FLAGS.precision)
    low, high = change["interval"]
    print(
        f"{change['figure']} on {change['dataset']}: float32 {change['float32']:.3f}, "
        f"{FLAGS.precision} {change['reduced']:.3f}; paired difference "
        f"{change['difference']:+.4f} [{low:+.4f}, {high:+.4f}] over "
        f"{change['questions']:,} questions, {change['changed']:,} of them changed "
        f"(queries {change['query_split']}, gallery {change['gallery_split']})"
    )
    return {"precision_change": change}


def main() -> None:
    system = registry.load_complete_system(FLAGS.workdir)
    weights = registry.weights_digest(FLAGS.workdir)
    blend = ChosenBlend.load(FLAGS.workdir, system.space, weights).blend
    details = {}
    if FLAGS.data_dir and FLAGS.precision != "float32":
        details = measure_change(system)
    folder = export.export_system(
        system,
        FLAGS.output,
        version=FLAGS.version,
        precision=FLAGS.precision,
        label_blend=blend,
        **details,
    )
    cure = "Point to a version of an export."
    made = files.read_json(folder / "assets" / "export.json", "its description", cure)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"written: {folder} ({size / 1e6:.1f} MB), fingerprint {made['fingerprint']}")
    found = files.read_json(folder / export.CHECK_FILE, "what the check found", cure)
    worst = max(found, key=lambda output: found[output])
    print(
        "checked in a fresh process: no output differs from the live model's by more than "
        f"{found[worst]:.1e} of its largest value ({worst})"
    )
    if not (folder / export.WARMUP_FILE).exists():
        print(
            "without warm-up requests: pip install tensorflow-serving-api and export again to "
            "have them."
        )


if __name__ == "__main__":
    command.run(main)
