"""Draws where a trained system looks, or what it retrieves.

Activation maps: a row per image, a column per attribute, with the value that the attention's own
classifier reads, the heat that speaks for it, its box, and the true box where the data set has it.

  python tools/explain.py --workdir=runs/demo/full --data_dir=data --image=shirt.jpg
  python tools/explain.py --workdir=runs/demo/full --data_dir=data --query_id=garments-008001 \\
      --query_id=garments-008002 --attributes=neckline,sleeve --output=maps.png

Retrieval sheet, as Figure 6 of the FashionSearchNet-v2 paper: a row per query, with the edit and
the nearest gallery images. The edits are drawn at random from those that tools/evaluate.py tries,
or given:

  python tools/explain.py --workdir=runs/demo/full --data_dir=data --sheet --num_queries=8
  python tools/explain.py --workdir=runs/demo/full --data_dir=data --sheet \\
      --query_id=garments-008001 --set=neckline=v-neck --query_id=garments-008002 --set=colour=red

With one --query_id every --set is part of one edit; one --set alone goes to every --query_id; else
there must be as many of both, and they belong together in their order.
"""

from fashionsearchnet import command  # isort: skip  (sets TensorFlow's environment)

from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from fashionsearchnet import explain, systems
from fashionsearchnet.attributes import AttributeSpace, parse_manipulation
from fashionsearchnet.data import pipeline
from fashionsearchnet.evaluation import protocol
from fashionsearchnet.evaluation.methods import system_name
from fashionsearchnet.explain import attention, retrieval
from fashionsearchnet.search import search
from fashionsearchnet.systems.features import extract_features

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
flags.DEFINE_integer("num_queries", 8, "Sheet: random edits to draw, one per row.", 1, 50)
flags.DEFINE_integer("seed", 0, "Sheet: of the random edits.", 0)
flags.DEFINE_integer("k", 5, "Sheet: results per query.", 1, 20)
flags.DEFINE_string("gallery_split", "gallery", "Sheet: split to search; slices work.")
flags.DEFINE_enum(
    "hit_rule", "identical", list(protocol.HIT_RULES), "Sheet: what matches; see tools/evaluate.py."
)
flags.DEFINE_integer("batch_size", 64, "Sheet: gallery images per forward pass.", 1)

_MAP_FLAGS = ("image", "attributes")
_SHEET_FLAGS = ("set", "num_queries", "seed", "k", "gallery_split", "hit_rule", "batch_size")


def check_flags() -> None:
    """Raises a ValueError for flags that do not go together."""
    for name in _MAP_FLAGS if FLAGS.sheet else _SHEET_FLAGS:
        if FLAGS[name].present:
            mode = "activation maps, not to --sheet" if FLAGS.sheet else "--sheet"
            raise ValueError(f"--{name} belongs to {mode}: leave it out, or change the mode.")
    if FLAGS.sheet and bool(FLAGS.query_id) != bool(FLAGS.set):
        raise ValueError(
            "--query_id=ID and --set=attribute=value belong together: which image, and what to "
            "change of it. Leave out both to draw edits at random."
        )
    for name in ("num_queries", "seed"):
        if FLAGS.query_id and FLAGS[name].present:
            raise ValueError(
                f"--{name} is about edits drawn at random; leave out it or --query_id."
            )
    if not FLAGS.sheet and not FLAGS.query_id and not FLAGS.image:
        raise ValueError(
            "give images: --image=PATH, or --query_id=ID of the data set (--query_id=? lists "
            "some); or draw a retrieval sheet by --sheet."
        )
    if FLAGS.output and not FLAGS.output.lower().endswith(".png"):
        raise ValueError(f"--output must end in .png; got {FLAGS.output!r}.")


def open_dataset(system: Any, trained: dict) -> pipeline.Dataset:
    """Returns the data set that the flags name."""
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or trained["dataset"])
    system.space.check_same(dataset.space, FLAGS.workdir, f"data set {dataset.name}")
    return dataset


def given_queries(dataset: pipeline.Dataset) -> list[search.Query]:
    """Returns the images that --query_id names."""
    return [search.query_from_dataset(dataset, FLAGS.query_split, i) for i in FLAGS.query_id]


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


def draw_maps(system: Any, trained: dict, path: Path) -> None:
    """Draws the attention in the images that the flags name."""
    space = system.space
    attention.check_attention(system, FLAGS.workdir)
    attributes = [space.attribute_index(name.strip()) for name in FLAGS.attributes]
    attributes = list(dict.fromkeys(attributes)) or list(range(space.num_attributes))
    queries = [search.query_from_file(image) for image in FLAGS.image]
    boxes: list[np.ndarray | None] = [None] * len(queries)
    if FLAGS.query_id:
        dataset = open_dataset(system, trained)
        queries += given_queries(dataset)
        true_boxes = dataset.boxes(FLAGS.query_split, system.image_size)
        ids = dataset.image_ids(FLAGS.query_split)
        boxes += [None if true_boxes is None else true_boxes[ids.index(i)] for i in FLAGS.query_id]
    # After the first stage alone, what searches would read is not trained yet.
    has_heads = trained["stage"] != "localization"
    logits = retrieval.image_features(system, queries)["logits"] if has_heads else None
    explain.draw_attention_sheet(
        attention.attention_rows(system, queries, attributes, boxes, logits),
        [space.names[a] for a in attributes],
        path,
        title=f"Where the system looks for each attribute ({system_name(system)})",
        note="Value and probability: of the attention's own classifier. Heat: what speaks for that "
        "value, from nothing to the strongest place of each map.",
    )


def choose_edits(
    dataset: pipeline.Dataset, gallery_labels: np.ndarray
) -> tuple[list[search.Query], np.ndarray, str]:
    """Returns queries, their edits int32 `[R, A]`, and in words how they were chosen."""
    if FLAGS.query_id:
        edits = given_manipulations(dataset.space)
        return given_queries(dataset), edits, "Queries and edits: chosen by hand."
    drawn = retrieval.draw_manipulations(
        np.asarray(dataset.labels(FLAGS.query_split)),
        gallery_labels,
        FLAGS.num_queries,
        FLAGS.hit_rule,
        FLAGS.seed,
    )
    queries = retrieval.stored_queries(dataset, FLAGS.query_split, drawn.query)
    return queries, drawn.manipulation, drawn.in_words


def draw_sheet(system: Any, trained: dict, path: Path) -> None:
    """Draws the results of the edits that the flags name, or of random ones."""
    dataset = open_dataset(system, trained)
    gallery_labels = np.asarray(dataset.labels(FLAGS.gallery_split))
    queries, manipulations, chosen = choose_edits(dataset, gallery_labels)
    rows = retrieval.retrieval_rows(
        system,
        dataset,
        queries,
        manipulations,
        retrieval.image_features(system, queries),
        extract_features(system, dataset, FLAGS.gallery_split, FLAGS.batch_size),
        gallery_split=FLAGS.gallery_split,
        k=FLAGS.k,
        hit_rule=FLAGS.hit_rule,
    )
    explain.draw_retrieval_sheet(
        rows,
        path,
        title=f"{system_name(system)}: the {FLAGS.k} nearest of {len(gallery_labels):,} images",
        note=f"{chosen} {retrieval.legend(rows, FLAGS.hit_rule)} Data: {dataset.name}, split "
        f"{FLAGS.gallery_split}.",
    )


def main() -> None:
    check_flags()
    trained = systems.describe_system(FLAGS.workdir)
    load = systems.load_complete_system if FLAGS.sheet else systems.load_system
    system = load(FLAGS.workdir)
    name = "sheet.png" if FLAGS.sheet else "maps.png"
    path = Path(FLAGS.output or Path(FLAGS.workdir) / "explain" / name).expanduser()
    (draw_sheet if FLAGS.sheet else draw_maps)(system, trained, path)
    print(f"written: {path}")


if __name__ == "__main__":
    command.run(main)
