"""Builds the index of a gallery, adds images to it, replaces some, or removes some.

The gallery of a prepared data set, with the labels it has:

  python tools/build_index.py --export=exports/demo --data_dir=data --dataset=garments/small \\
      --split=gallery --index=indexes/demo

All images of a folder and its subfolders, whatever their names; an image's id is its path below the
folder. They have no labels, so filters by attribute judge them by the model's reading.

  python tools/build_index.py --export=exports/demo --images_dir=photos --index=indexes/demo

With --csv the images that a table names, with its labels and columns. Its columns of attributes
have the names of the model's attributes. A daily table of new and changed items is enough:

  python tools/build_index.py --export=exports/demo --images_dir=photos --csv=today.csv \\
      --show_columns=title,price --index=indexes/demo

  python tools/build_index.py --index=indexes/demo --remove=000123 --remove=000124

Items that the shop no longer has stay until they are removed: by their ids, or all at once as the
index is brought up to date with a data set or a file of vectors:

  python tools/build_index.py --export=exports/shop --dataset=catalogue/shop --split=all \\
      --index=indexes/shop --remove_absent

Vectors that another model computed, for an export of a system that edits them; with --csv they have
labels and columns:

  python tools/build_index.py --export=exports/shop --features=today.npy --ids=today.txt \\
      --features_model=fashionclip-2.0 --index=indexes/shop

A gallery that uses its labels: each block of an item's vector is a blend of what its image shows
and the prototype of its label. An image whose label changes later is not encoded again.

  python tools/build_index.py --export=exports/demo --data_dir=data --dataset=garments/small \\
      --split=gallery --index=indexes/labelled --use_labels

Titles, prices, links and product ids that a data set was prepared with travel into the index.

Run the command again after a stop, and it goes on: it skips images that the index has, and replaces
an image whose content or labels have changed. A changed title or price needs no network. A commit
is one step: after a kill the index is as the last commit left it. An index takes vectors of one
export only.
"""

from collections.abc import Iterator
from pathlib import Path

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.index.engine_table import ENGINES, STORAGES

import table_flags
import vector_flags

FLAGS = flags.FLAGS
flags.DEFINE_string("index", None, "Folder of the index; created if there is none.", required=True)
flags.DEFINE_string("export", "", "Folder of an export (tools/export.py).")
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string("dataset", "", "Data set below --data_dir whose --split is added.")
flags.DEFINE_string("split", "gallery", "Split to add; slices such as gallery[:20%] work.")
flags.DEFINE_multi_string("remove", [], "Id of an item to remove; repeatable.")
flags.DEFINE_bool(
    "remove_absent",
    False,
    "Also remove the items of the index that the --split of --dataset, or --features, does not "
    "have; at most a third of them.",
)
flags.DEFINE_enum(
    "engine",
    None,
    list(ENGINES),
    "What searches a new index: flat is exact and in memory; ivf is approximate, for a million "
    "items; milvus is a server. By default flat.",
)
flags.DEFINE_enum(
    "storage",
    None,
    list(STORAGES),
    "How a new index stores vectors: float32; float16, rounded and half as large (flat, ivf); pq, "
    "codes in memory and float16 vectors on disk (ivf). By default float32.",
)
flags.DEFINE_string(
    "milvus", None, "URI of the server for --engine=milvus, such as http://localhost:19530."
)
flags.DEFINE_bool(
    "use_labels",
    None,
    "Whether the vectors of a new index use the labels of --dataset, where there are some; by "
    "default not. An index keeps what it was built with.",
)
flags.DEFINE_list(
    "label_blend",
    None,
    "With --use_labels: the share of the label in each block, from 0 to 1; one number, or one for "
    "each attribute. By default that of the export, see tools/choose_blend.py.",
)
flags.DEFINE_integer("batch_size", 64, "Images encoded at a time.", 1)
flags.DEFINE_integer(
    "commit_every",
    2000,
    "New images between two commits; more where commits would take over a tenth of the time.",
    1,
)
table_flags.define()
vector_flags.define()
for module in (table_flags, vector_flags):
    flags.adopt_module_key_flags(module)  # --help shows them too

_OF_TABLES = tuple(name for name in table_flags.NAMES if name != "images_dir")

if __name__ == "__main__":
    command.parse_flags(reads_images=True)  # --help and wrong flags end here

import numpy as np

from fashionsearchnet.attributes import MISSING, AttributeSpace
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.catalogue import additions
from fashionsearchnet.data.catalogue.reader import CatalogueOptions
from fashionsearchnet.data.catalogue.table import TableColumns
from fashionsearchnet.data.vectors.labels import Said, read_labels
from fashionsearchnet.data.vectors.vector_files import read_vectors
from fashionsearchnet.index import building
from fashionsearchnet.index.building import Found
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item
from fashionsearchnet.index.ivf import check_trainable
from fashionsearchnet.index.states import States
from fashionsearchnet.networks.image_input import (
    ImageInput,
    VectorInput,
    check_input,
    encode_vector,
)
from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.serving.gallery_encoder import GalleryEncoder
from fashionsearchnet.systems.gallery_labels import check_blend


def open_index() -> GalleryIndex:
    """Returns the existing index."""
    index = GalleryIndex.open(FLAGS.index, address=FLAGS.milvus)
    for flag, kept in (("engine", index.engine_name), ("storage", index.storage)):
        if FLAGS[flag].value not in (None, kept):
            raise ValueError(
                f"the index {FLAGS.index} has the {flag} {kept}, not --{flag}="
                f"{FLAGS[flag].value}. Leave the flag out, or build another index."
            )
    return index


def open_or_create(model: ExportedModel, total: int) -> GalleryIndex:
    """Returns the index of a model, a new one for `total` items if there is none."""
    if States(Path(FLAGS.index).expanduser()).exist():
        index = open_index()
        index.check_model(model.fingerprint, model.space)
        check_label_flags(index)
        return index
    check_trainable(total, FLAGS.storage or "float32")
    return GalleryIndex.create(
        FLAGS.index,
        space=model.space,
        fingerprint=model.fingerprint,
        dim=model.dim,
        engine=FLAGS.engine or "flat",
        storage=FLAGS.storage,
        address=FLAGS.milvus,
        label_blend=new_blend(model),
    )


def new_blend(model: ExportedModel) -> tuple[float, ...] | None:
    """Returns the blend of a new index; None without --use_labels."""
    if not FLAGS.use_labels:
        if FLAGS.label_blend:
            raise ValueError("--label_blend is for an index with --use_labels; add that flag.")
        return None
    model.check_uses_labels()
    return asked_blend(model.space) or model.description.label_blend


def asked_blend(space: AttributeSpace) -> tuple[float, ...] | None:
    """Returns the blend that --label_blend asks for."""
    if not FLAGS.label_blend:
        return None
    try:
        return check_blend(space, [float(share) for share in FLAGS.label_blend])
    except ValueError as error:
        raise ValueError(f"--label_blend={','.join(FLAGS.label_blend)}: {error}") from error


def check_label_flags(index: GalleryIndex) -> None:
    """Raises a ValueError if the flags ask for another use of labels than the index makes."""
    blend = index.label_blend
    if FLAGS.use_labels not in (None, blend is not None):
        does, flag = ("uses", "--nouse_labels") if blend else ("does not use", "--use_labels")
        raise ValueError(
            f"the index {FLAGS.index} {does} labels, unlike {flag}. Leave the flag out, or build "
            "another index."
        )
    asked = asked_blend(index.space)
    if asked not in (None, blend):
        made = "without labels" if blend is None else f"with label_blend {blend}"
        raise ValueError(
            f"the index {FLAGS.index} was built {made}, not with {asked}: distances between both "
            "kinds of vectors mean little. Leave --label_blend out, or build another index."
        )


def check_labels(labels: np.ndarray) -> None:
    """Raises a ValueError if an index should use labels where there is none."""
    if FLAGS.use_labels and (labels == MISSING).all():
        raise ValueError(
            f"--use_labels needs labels, but no image of {FLAGS.dataset or FLAGS.images_dir} has "
            "one. Leave the flag out; for images with a CSV of labels use tools/prepare_data.py "
            "and --dataset."
        )


def describe_labels(index: GalleryIndex) -> str:
    """Returns in words which part labels have in the vectors."""
    if index.label_blend is None:
        return "The vectors do not use labels."
    blend = zip(index.space.names, index.label_blend, strict=True)
    shares = ", ".join(f"{name} {share:g}" for name, share in blend)
    known = (index.values != MISSING).mean() if len(index) else 0.0
    return f"The vectors use labels, {known:.0%} of them known; share of the label: {shares}."


def dataset_items(model: ExportedModel) -> Found:
    """Returns the images of --dataset with labels, columns and products."""
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset)
    dataset.space.check_same(model.space, f"data set {dataset.name}", "the export")
    dataset.check_seen_by(model.description.image_input, f"the export {FLAGS.export}")
    ids, labels = dataset.image_ids(FLAGS.split), dataset.labels(FLAGS.split)
    check_labels(labels)
    columns = dataset.columns(FLAGS.split) or [{}] * len(ids)
    products = dataset.instance_ids(FLAGS.split) or [""] * len(ids)
    images = dataset.encoded_images(FLAGS.split).as_numpy_iterator()
    rows = zip(ids, labels, images, columns, products, strict=True)
    items = (Item(*row) for row in rows)
    return Found(items, len(ids), f"{FLAGS.split} of {dataset.name}", frozenset(ids))


def folder_items(space: AttributeSpace, seen: ImageInput, report: additions.Report) -> Found:
    """Returns the images of --images_dir, with the labels of --csv if given.

    What cannot be used is left out, with a line on standard error.
    """
    folder = Path(FLAGS.images_dir).expanduser()
    if isinstance(seen, VectorInput):
        raise ValueError(
            f"the export {FLAGS.export} takes vectors, but --images_dir={folder} is for images. "
            "Give the vectors by --features=FILE, or an export that sees images."
        )
    if FLAGS.csv:
        options = CatalogueOptions(
            name="additions", csv=FLAGS.csv, attributes=space.names, **table_flags.options()
        )
        table = Path(FLAGS.csv).expanduser()
        found, total = additions.from_table(
            table, folder, options.columns, options.format, space, report
        )
    else:
        table_flags.check_unused(_OF_TABLES, "goes with --csv; leave it out, or name the table.")
        check_labels(np.full(space.num_attributes, MISSING, np.int32))
        found, total = additions.from_folder(folder, space.num_attributes, report)
    items = (Item(a.id, a.values, a.image, a.columns, a.group) for a in found)
    return Found(items, total, FLAGS.images_dir)


def vector_items(model: ExportedModel, report: additions.Report) -> Found:
    """Returns the vectors of --features, with the labels of --csv if given."""
    found = read_vectors(vector_flags.vector_file())
    check_input(
        model.description.image_input,
        found.vector_input,
        f"--features={FLAGS.features}",
        f"the export {FLAGS.export}",
    )
    known = labels_of_csv(model.space, report) if FLAGS.csv else {}
    for name in sorted(known.keys() - set(found.ids)):
        report(f"left out id {name} of {FLAGS.csv}: it has no vector in {FLAGS.features}")
    nothing = Said(np.full(model.space.num_attributes, MISSING, np.int32))

    def items() -> Iterator[Item]:
        for name, vector in zip(found.ids, found.vectors, strict=True):
            said = known.get(name, nothing)
            yield Item(name, said.values, encode_vector(vector), said.columns, said.group)

    return Found(items(), len(found.ids), FLAGS.features, frozenset(found.ids))


def labels_of_csv(space: AttributeSpace, report: additions.Report) -> dict[str, Said]:
    """Returns what --csv says of vectors, by id."""
    columns = TableColumns(
        image=FLAGS.id_column,
        attributes=space.names,
        group=FLAGS.group_column,
        shown=tuple(FLAGS.show_columns),
    )
    table = Path(FLAGS.csv).expanduser()
    return read_labels(table, columns, table_flags.table_format(), space, report)


def check_task() -> None:
    """Raises a ValueError unless the flags ask for one thing, and others go with it."""
    if not FLAGS.images_dir:
        names = ("image_column",) if FLAGS.features else table_flags.NAMES
        table_flags.check_unused(names, "goes with --images_dir; leave it out.")
    if not FLAGS.features:
        table_flags.check_unused(vector_flags.NAMES, "goes with --features; leave it out.")
    sources = (FLAGS.dataset, FLAGS.images_dir, FLAGS.features, FLAGS.remove)
    if sum(map(bool, sources)) != 1:
        raise ValueError(
            "say what to do, one thing at a time: --dataset=NAME, --images_dir=DIR or "
            "--features=FILE to add, or --remove=ID."
        )
    if FLAGS.remove_absent and not (FLAGS.dataset or FLAGS.features):
        raise ValueError(
            "--remove_absent goes with --dataset or --features, which have all items of a shop; a "
            "folder or a table may be a part. Leave it out, or name the items by --remove=ID."
        )


def describe_absent(absent: list[str], found: Found) -> str:
    """Returns a sentence on the items that a source does not have, '' for none."""
    if not absent:
        return ""
    if FLAGS.remove_absent:
        return f" Removed {len(absent):,} that are not in {found.name}."
    return (
        f" {len(absent):,} items of the index are not in {found.name}; --remove_absent removes "
        "them."
    )


def main() -> None:
    check_task()
    if FLAGS.remove:
        index = open_index()
        index.remove(FLAGS.remove)
        index.commit()
        print(f"{FLAGS.index}: removed {len(set(FLAGS.remove)):,}; {len(index):,} items.")
        return
    if not FLAGS.export:
        raise ValueError("--export=DIR is needed to encode images; tools/export.py writes one.")
    model, report = ExportedModel(FLAGS.export), additions.Report()
    if FLAGS.dataset:
        found = dataset_items(model)
    elif FLAGS.features:
        found = vector_items(model, report)
    else:
        found = folder_items(model.space, model.description.image_input, report)
    index = open_or_create(model, found.total)
    absent = found.absent_in(index)
    if FLAGS.remove_absent:
        building.check_few(index, absent, found)
    counts = building.add_images(
        index,
        GalleryEncoder(model, index.label_blend),
        found.items,
        total=found.total,
        absent=absent if FLAGS.remove_absent else (),
        batch_size=FLAGS.batch_size,
        commit_every=FLAGS.commit_every,
    )
    others = f"relabelled {counts.relabelled:,}, " if index.label_blend else ""
    others += f"given other columns {counts.described:,}, " if counts.described else ""
    print(
        f"{FLAGS.index}: added {counts.added:,}, replaced {counts.replaced:,}, {others}already "
        f"there {counts.skipped:,}; {len(index):,} items.{describe_absent(absent, found)} "
        f"{describe_labels(index)}"
        + (f" Left out {report.num_left_out:,}, see above." if report.num_left_out else "")
    )


if __name__ == "__main__":
    command.run(main)
