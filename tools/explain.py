"""Draws where a trained system looks, or what it retrieves.

Activation maps: a row per image, a column per attribute, with the value that the system reads with
that attention, its heat map, its box, and the true box where the data set has it.

  python tools/explain.py --workdir=runs/demo/full --data_dir=data --image=shirt.jpg
  python tools/explain.py --workdir=runs/demo/full --data_dir=data --query_id=garments-008001 \\
      --query_id=garments-008002 --attributes=neckline,sleeve --output=maps.png

Retrieval sheet, as Figure 6 of the FashionSearchNet-v2 paper: a row per query, with the edit and
the nearest gallery images. The edits are chosen at random from all changes of one value whose
target exists in the gallery, or given:

  python tools/explain.py --workdir=runs/demo/full --data_dir=data --sheet --num_queries=8
  python tools/explain.py --workdir=runs/demo/full --data_dir=data --sheet \\
      --query_id=garments-008001 --set=neckline=v-neck --query_id=garments-008002 --set=colour=red

Or a retrieval sheet by attribute: a row for each query and each --like, with the images that are
alike in that attribute. The queries are drawn at random, or given:

  python tools/explain.py --workdir=runs/demo/agman --data_dir=data --sheet --like=neckline \\
      --like=sleeve --num_queries=3

With one --query_id, all --set are one edit. With one --set, every --query_id gets it. Otherwise
give as many --set as --query_id: the first --set is for the first --query_id, and so on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.attributes import HIT_RULES

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of a finished run.", required=True)
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string(
    "dataset", "", "Data set below --data_dir; by default the one that the run was trained on."
)
flags.DEFINE_string("query_split", "query", "Split that holds the queries; slices work.")
flags.DEFINE_multi_string(
    "query_id", [], "image_id of an image of --query_split; repeatable; '?' lists some."
)
flags.DEFINE_string(
    "output", "", "Picture to write (.png); by default maps.png or sheet.png in <workdir>/explain."
)
flags.DEFINE_multi_string(
    "image", [], "Maps: path of an image, JPEG, PNG, WebP or BMP; repeatable."
)
flags.DEFINE_list("attributes", [], "Maps: attributes to show, with commas; all by default.")
flags.DEFINE_bool("sheet", False, "Draw a retrieval sheet instead of activation maps.")
flags.DEFINE_multi_string(
    "set", [], "Sheet: an edit of --query_id, attribute=value; repeatable, see above."
)
flags.DEFINE_multi_string(
    "like",
    [],
    "Sheet: an attribute that results should have alike, such as neckline; repeatable, in place of "
    "--set.",
)
flags.DEFINE_integer(
    "num_queries", 8, "Sheet: random edits, one per row; with --like, random queries.", 1, 50
)
flags.DEFINE_integer("seed", 0, "Sheet: of the random edits or queries.", 0)
flags.DEFINE_integer("k", 5, "Sheet: results per query.", 1, 20)
flags.DEFINE_string("gallery_split", "gallery", "Sheet: split to search; slices work.")
flags.DEFINE_enum(
    "hit_rule", "identical", list(HIT_RULES), "Sheet: what matches; see tools/evaluate.py."
)
flags.DEFINE_integer("batch_size", 64, "Sheet: gallery images per forward pass.", 1)

if __name__ == "__main__":
    command.parse_flags(reads_images=True)  # --help and wrong flags end here

import numpy as np

from fashionsearchnet.attributes import (
    MISSING,
    AttributeSpace,
    parse_likes,
    parse_manipulation,
)
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.explain.attention import attention_rows, check_attention
from fashionsearchnet.explain.attention_sheet import draw_attention_sheet
from fashionsearchnet.explain.results import (
    alike_legend,
    alike_rows,
    legend,
    retrieval_rows,
    sample_edits,
)
from fashionsearchnet.explain.retrieval_sheet import draw_retrieval_sheet
from fashionsearchnet.search.judgement import Query
from fashionsearchnet.search.live_gallery import LiveGallery, read_images
from fashionsearchnet.search.queries import queries_at, queries_by_id, query_from_file
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.system import System

_MAP_FLAGS = ("image", "attributes")
_SHEET_FLAGS = (
    *("set", "like", "num_queries", "seed", "k", "gallery_split", "hit_rule", "batch_size"),
)


def check_flags() -> None:
    """Raises a ValueError for flags that do not go together."""
    for name in _MAP_FLAGS if FLAGS.sheet else _SHEET_FLAGS:
        if FLAGS[name].present:
            mode = "activation maps, not to --sheet" if FLAGS.sheet else "--sheet"
            raise ValueError(f"--{name} belongs to {mode}: leave it out, or change the mode.")
    for name in ("set", "hit_rule"):
        if FLAGS.like and FLAGS[name].present:
            raise ValueError(f"--{name} is for edits: leave it out, or leave out --like.")
    if FLAGS.sheet and not FLAGS.like and bool(FLAGS.query_id) != bool(FLAGS.set):
        raise ValueError(
            "--query_id=ID and --set=attribute=value belong together: which image, and what to "
            "change of it. Leave out both for random edits."
        )
    for name in ("num_queries", "seed"):
        if FLAGS.query_id and FLAGS[name].present:
            raise ValueError(
                f"--{name} belongs to random edits or queries: leave it or --query_id out."
            )
    if not FLAGS.sheet and not FLAGS.query_id and not FLAGS.image:
        raise ValueError(
            "give images: --image=PATH, or --query_id=ID of the data set (--query_id=? lists "
            "some); or draw a retrieval sheet by --sheet."
        )
    if FLAGS.output and not FLAGS.output.lower().endswith(".png"):
        raise ValueError(f"--output must end in .png; got {FLAGS.output!r}.")


def open_dataset(system: System, trained: dict[str, Any]) -> Dataset:
    """Returns the data set that the flags name."""
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or trained["dataset"])
    system.space.check_same(dataset.space, FLAGS.workdir, f"data set {dataset.name}")
    return dataset


def given_manipulations(space: AttributeSpace) -> np.ndarray:
    """Returns the edit of each --query_id, int32 `[R, A]`."""
    number, edits = len(FLAGS.query_id), [[edit] for edit in FLAGS.set]
    if number == 1:
        edits = [FLAGS.set]
    elif len(edits) == 1:
        edits *= number
    if len(edits) != number:
        raise ValueError(
            f"{number} --query_id and {len(edits)} --set: give one --set for all, or one for each "
            "in their order."
        )
    return np.stack([parse_manipulation(space, edit) for edit in edits])


def draw_maps(system: System, trained: dict[str, Any], path: Path) -> None:
    """Draws the attention in the images that the flags name."""
    space = system.space
    check_attention(system, FLAGS.workdir)
    attributes = [space.attribute_index(name.strip()) for name in FLAGS.attributes]
    attributes = list(dict.fromkeys(attributes)) or list(range(space.num_attributes))
    queries = [query_from_file(image) for image in FLAGS.image]
    boxes: list[np.ndarray | None] = [None] * len(queries)
    if FLAGS.query_id:
        dataset = open_dataset(system, trained)
        queries += queries_by_id(dataset, FLAGS.query_split, FLAGS.query_id)
        true_boxes = dataset.boxes(FLAGS.query_split, system.image_input)
        ids = dataset.image_ids(FLAGS.query_split)
        boxes += [None if true_boxes is None else true_boxes[ids.index(i)] for i in FLAGS.query_id]
    # After the first of several stages, what searches read is not trained yet.
    is_read = trained["stage"] in system.stages[1:] or len(system.stages) == 1
    readings = read_images(system, queries)[1] if is_read else None
    draw_attention_sheet(
        attention_rows(system, queries, attributes, boxes, readings),
        [space.names[a] for a in attributes],
        path,
        title=f"Where the system looks for each attribute ({system.title})",
        note="Value and probability: what the system reads with each attention. Heat: from nothing "
        "to the strongest place of each map.",
    )


def choose_edits(
    dataset: Dataset, gallery_labels: np.ndarray
) -> tuple[Sequence[Query], np.ndarray, str]:
    """Returns queries, their edits int32 `[R, A]`, and in words how they were chosen."""
    if FLAGS.query_id:
        queries = queries_by_id(dataset, FLAGS.query_split, FLAGS.query_id)
        return queries, given_manipulations(dataset.space), "Queries and edits: chosen by hand."
    sampled = sample_edits(
        dataset.labels(FLAGS.query_split),
        gallery_labels,
        FLAGS.num_queries,
        FLAGS.hit_rule,
        FLAGS.seed,
    )
    queries = queries_at(dataset, FLAGS.query_split, sampled.query.tolist())
    return queries, sampled.manipulation, sampled.in_words


def draw_sheet(system: System, trained: dict[str, Any], path: Path) -> None:
    """Draws the results of the edits that the flags name, or of random ones."""
    dataset = open_dataset(system, trained)
    queries, manipulations, chosen = choose_edits(dataset, dataset.labels(FLAGS.gallery_split))
    gallery = LiveGallery(system, dataset, FLAGS.gallery_split, FLAGS.batch_size)
    results = gallery.search(queries, manipulations, FLAGS.k, FLAGS.hit_rule)
    rows = retrieval_rows(gallery, results, FLAGS.hit_rule)
    draw_retrieval_sheet(
        rows,
        path,
        title=f"{system.title}: the {FLAGS.k} nearest of {len(gallery.ids):,} images",
        note=f"{chosen} {legend(rows, FLAGS.hit_rule)} Data: {dataset.name}, split "
        f"{FLAGS.gallery_split}.",
    )


def choose_queries(dataset: Dataset, attributes: Sequence[int]) -> tuple[list[Query], str]:
    """Returns queries with a label of these attributes, and in words how they were chosen."""
    if FLAGS.query_id:
        return queries_by_id(dataset, FLAGS.query_split, FLAGS.query_id), "chosen by hand"
    labels = dataset.labels(FLAGS.query_split)[:, list(attributes)]
    labelled = np.flatnonzero((labels != MISSING).all(axis=1))
    if not len(labelled):
        raise ValueError(
            f"no image of split {FLAGS.query_split!r} has a label of what --like names; choose "
            "images by --query_id."
        )
    order = np.random.default_rng(FLAGS.seed).permutation(labelled)[: FLAGS.num_queries]
    queries = queries_at(dataset, FLAGS.query_split, sorted(order.tolist()))
    return queries, f"{len(queries)} of {len(labelled):,}, chosen at random (seed {FLAGS.seed})"


def draw_alike_sheet(system: System, trained: dict[str, Any], path: Path) -> None:
    """Draws the images that are alike in each attribute that the flags name."""
    dataset, space = open_dataset(system, trained), system.space
    weights = [parse_likes(space, [like]) for like in FLAGS.like]
    attributes = [int(np.argmax(row)) for row in weights]
    queries, chosen = choose_queries(dataset, attributes)
    gallery = LiveGallery(system, dataset, FLAGS.gallery_split, FLAGS.batch_size, task="attribute")
    found = [gallery.search_alike(queries, row, FLAGS.k) for row in weights]
    results = [results[number] for number in range(len(queries)) for results in found]
    rows = alike_rows(gallery, results)
    draw_retrieval_sheet(
        rows,
        path,
        title=f"{system.title}: the {FLAGS.k} of {len(gallery.ids):,} images most alike in "
        f"{', '.join(space.names[a] for a in attributes)}",
        note=f"Queries: {chosen}. {alike_legend(rows)} Data: {dataset.name}, split "
        f"{FLAGS.gallery_split}.",
    )


def main() -> None:
    check_flags()
    trained = registry.describe_system(FLAGS.workdir)
    load = registry.load_complete_system if FLAGS.sheet else registry.load_system
    system = load(FLAGS.workdir)
    name = "sheet.png" if FLAGS.sheet else "maps.png"
    path = Path(FLAGS.output or Path(FLAGS.workdir) / "explain" / name).expanduser()
    if FLAGS.like:
        draw_alike_sheet(system, trained, path)
    else:
        (draw_sheet if FLAGS.sheet else draw_maps)(system, trained, path)
    print(f"written: {path}")


if __name__ == "__main__":
    command.run(main)
