"""Asks a model behind TensorFlow Serving for the attributes of an image, or for vectors.

One image, as it is or with attributes changed; --set may be given more than once:

  python tools/query_tensorflow_serving.py --target=localhost:8500 --export=exports/demo \\
      --image=photo.jpg --set=neckline=v-neck

prints the predicted attributes, the first numbers of the vector, and the time of both. A folder:

  python tools/query_tensorflow_serving.py --target=localhost:8501 --protocol=rest \\
      --export=exports/demo --images_dir=photos --output=vectors.npy

writes float32 [images, dim] and the paths of the images below the folder, one per line, to
vectors.ids.txt: tools/prepare_data.py --features reads both. The script takes every file whose
content is an image, whatever its name. A line on standard error names each file that it leaves out.
docs/tensorflow_serving.md says how to start the server.
"""

import itertools
import time
from pathlib import Path

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.serving.tensorflow_serving import client

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "target",
    "localhost:8500",
    "host:port of the server: by default 8500 for gRPC, 8501 for REST; for REST a URL as well.",
)
flags.DEFINE_enum("protocol", "grpc", client.PROTOCOLS, "How to talk to it.")
flags.DEFINE_string(
    "export",
    None,
    "Folder of the export that the server serves (its newest version), or of one version, or a "
    "copy of its assets/attribute_space.json, which has the attributes' names.",
    required=True,
)
flags.DEFINE_string("model_name", "fashionsearchnet", "Name of the model in models.config.")
flags.DEFINE_string(
    "version_label", "", "Label of the version in models.config; by default that of --export."
)
flags.DEFINE_string("image", "", "Path of an image: JPEG, PNG, WebP or BMP.")
flags.DEFINE_multi_string(
    "set", [], "An edit, attribute=value, such as neckline=v-neck; repeatable."
)
flags.DEFINE_string("images_dir", "", "Folder of images to encode, instead of --image.")
flags.DEFINE_string("output", "", "File for the vectors of --images_dir (.npy).")
flags.DEFINE_integer(
    "batch_size", 32, "Images per request; at most max_batch_size in batching.config.", 1
)
flags.DEFINE_float("timeout", 30.0, "Seconds that one request may take.", 0.001)

if __name__ == "__main__":
    command.parse_flags(reads_images=True)  # --help and wrong flags end here

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.attributes import KEEP, parse_manipulation
from fashionsearchnet.data.catalogue import additions
from fashionsearchnet.data.image_headers import ImageProblem
from fashionsearchnet.search.queries import image_from_file

IMAGES_AT_ONCE = 256  # held in memory


def query_image(model: client.ServedModel) -> None:
    """Prints what the model reads off --image, and the vector of the edited image."""
    manipulation = parse_manipulation(model.space, FLAGS.set)
    image = read_image(FLAGS.image)
    start = time.perf_counter()
    prediction = model.predict([image])
    predicted = time.perf_counter()
    vectors, _ = model.encode_query([image], manipulation[None])
    encoded = time.perf_counter()
    for attribute, name in enumerate(model.space.names):
        value = prediction.values[0, attribute]
        probability = prediction.probabilities[0, model.space.offsets[attribute] + value]
        text = f"  {name}: {model.space.value_name(attribute, value)} ({probability:.0%})"
        if manipulation[attribute] != KEEP:
            text += f"  -> {model.space.value_name(attribute, manipulation[attribute])}"
        print(text)
    numbers = " ".join(f"{number:.4f}" for number in vectors[0, :6])
    print(f"vector of {model.dim}: {numbers}{' ...' if model.dim > 6 else ''}")
    print(
        f"predict {1e3 * (predicted - start):.0f} ms, encode {1e3 * (encoded - predicted):.0f} ms"
    )


def read_image(path: str | Path) -> bytes:
    """Returns a JPEG or PNG that the model decodes, from any of the formats known."""
    try:
        return image_from_file(path)
    except ImageProblem as problem:
        raise ValueError(f"{path} cannot be sent: {problem}.") from problem


def encode_folder(model: client.ServedModel) -> None:
    """Writes the vectors of the images in --images_dir to --output."""
    if not FLAGS.output.endswith(".npy"):
        raise ValueError(f"--output must be a file ending in .npy; got {FLAGS.output!r}.")
    start = time.perf_counter()
    report = additions.Report()
    found, total = additions.from_folder(
        Path(FLAGS.images_dir).expanduser(), model.space.num_attributes, report
    )
    vectors, ids = [], list[str]()
    while part := list(itertools.islice(found, IMAGES_AT_ONCE)):
        vectors.append(model.encode_gallery([image.image for image in part])[0])
        ids += [image.id for image in part]
        print(f"{len(ids):,} of {total:,} files", flush=True)
    if not ids:
        raise ValueError(f"--images_dir={FLAGS.images_dir} has no usable image, see above.")
    with files.replace_file(FLAGS.output) as temporary:
        np.save(temporary, np.concatenate(vectors))
    names = Path(FLAGS.output).with_suffix(".ids.txt")
    files.write_text(names, "".join(f"{name}\n" for name in ids))
    rate = len(ids) / (time.perf_counter() - start)
    print(
        f"{FLAGS.output}, {names}: {rate:.1f} images per second, reading included"
        + (f". Left out {report.num_left_out:,}, see above." if report.num_left_out else "")
    )


def main() -> None:
    if bool(FLAGS.image) == bool(FLAGS.images_dir):
        raise ValueError("give either --image=PATH or --images_dir=FOLDER.")
    if FLAGS.images_dir and FLAGS.set:
        raise ValueError("--set belongs to --image: a folder is encoded as a gallery, unedited.")
    model = client.ServedModel(
        FLAGS.target,
        FLAGS.export,
        name=FLAGS.model_name,
        protocol=FLAGS.protocol,
        label=FLAGS.version_label or None,
        batch_size=FLAGS.batch_size,
        timeout=FLAGS.timeout,
    )
    print(
        f"{FLAGS.model_name} version {model.version}, fingerprint {model.fingerprint or 'unknown'}"
    )
    if FLAGS.image:
        query_image(model)
    else:
        encode_folder(model)
    model.close()


if __name__ == "__main__":
    command.run(main)
