"""Searches a gallery for a query image with some of its attributes changed.

A query of the data set, or any image file; --set may be given more than once:

  python tools/search.py --workdir=runs/demo/full --data_dir=data --query_id=garments-008001 \\
      --set=neckline=v-neck --output=search.png
  python tools/search.py --workdir=runs/demo/full --data_dir=data --image=shirt.jpg \\
      --set=colour=blue --set=sleeve=long

Prints the results, and with --output draws them: the query with its predicted attributes, the
edit, where the system looks for the edited attributes, and the results with a tick where every
attribute matches.
"""

from fashionsearchnet import command  # isort: skip  (sets TensorFlow's environment)

import numpy as np
from absl import flags

from fashionsearchnet import explain, systems
from fashionsearchnet.attributes import parse_manipulation
from fashionsearchnet.data import pipeline
from fashionsearchnet.evaluation import protocol
from fashionsearchnet.explain.attention import map_geometry
from fashionsearchnet.search import search
from fashionsearchnet.systems.features import extract_features

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of a finished run.", required=True)
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string(
    "dataset", "", "Data set below --data_dir; by default the one that the run was trained on."
)
flags.DEFINE_string("gallery_split", "gallery", "Split to search; slices work.")
flags.DEFINE_string("query_split", "query", "Split that holds --query_id.")
flags.DEFINE_string("query_id", "", "image_id of a query of the data set; '?' lists some.")
flags.DEFINE_string("image", "", "Path of a query image: JPEG, PNG, WebP or BMP.")
flags.DEFINE_multi_string(
    "set", [], "An edit, attribute=value, such as neckline=v-neck; repeatable."
)
flags.DEFINE_integer("k", 10, "Number of results.", 1, 100)
flags.DEFINE_enum(
    "hit_rule",
    "identical",
    list(protocol.HIT_RULES),
    "How results of a --query_id are judged; see tools/evaluate.py.",
)
flags.DEFINE_string("output", "", "Picture to write (.png).")
flags.DEFINE_integer("batch_size", 64, "Images per forward pass.", 1)


def load_query(dataset: pipeline.Dataset) -> search.Query:
    """Returns the query that the flags name."""
    if bool(FLAGS.query_id) == bool(FLAGS.image):
        raise ValueError(
            "give one query: --image=PATH, or --query_id=ID of the data set (--query_id=? lists "
            "some)."
        )
    if FLAGS.image:
        return search.query_from_file(FLAGS.image)
    return search.query_from_dataset(dataset, FLAGS.query_split, FLAGS.query_id)


def print_query(system, query: search.Query, results: search.Results, manipulation) -> None:
    """Prints what is known of the query, and what is wanted."""
    print(f"query {query.name}")
    for attribute, name in enumerate(system.space.names):
        predicted = system.space.value_name(attribute, results.predicted[attribute])
        text = f"  {name}: predicted {predicted} ({results.confidence[attribute]:.0%})"
        if query.labels is not None:
            text += f", label {system.space.value_name(attribute, query.labels[attribute])}"
        if manipulation[attribute] >= 0:
            text += f"  -> {system.space.value_name(attribute, manipulation[attribute])}"
        print(text)


def print_results(system, ids, labels, results: search.Results) -> None:
    """Prints one line per result."""
    print(f"results, judged by {results.judged_by}:")
    for rank, position in enumerate(results.positions, start=1):
        differing = results.differing[rank - 1]
        verdict = "match" if not differing else "differs: "
        verdict += "; ".join(
            describe_difference(system.space, a, labels[position, a], results.target[a])
            for a in differing
        )
        print(f"{rank:4}  {results.distances[rank - 1]:8.3f}  {ids[position]}  {verdict}")


def describe_difference(space, attribute: int, value: int, wanted: int) -> str:
    """Returns such as 'colour red, not blue'."""
    name = space.names[attribute]
    return f"{name} {space.value_name(attribute, value)}, not {space.value_name(attribute, wanted)}"


def build_sheet(system, dataset, query, manipulation, results, labels, ids) -> explain.SearchSheet:
    """Returns what the picture shows."""
    space = system.space
    edited = np.flatnonzero(manipulation >= 0)
    image = search.decode(query.data)
    images = search.stored_images(dataset, FLAGS.gallery_split, results.positions)
    panels = []
    for rank, (position, data) in enumerate(zip(results.positions, images, strict=True)):
        lines = tuple(
            describe_difference(space, a, labels[position, a], results.target[a])
            for a in results.differing[rank]
        )
        title = f"{rank + 1}: {ids[position]}"
        panels.append(explain.Panel(search.decode(data), title, lines, matches=not lines))
    attributes = []
    for a, name in enumerate(space.names):
        has = f"{space.value_name(a, results.predicted[a])} ({results.confidence[a]:.0%})"
        is_misread = query.labels is not None and query.labels[a] != results.predicted[a]
        if is_misread and a not in edited:
            has += f" [label: {space.value_name(a, query.labels[a])}]"
        wanted = space.value_name(a, manipulation[a]) if a in edited else ""
        attributes.append((name, has, wanted))
    wishes = ", ".join(f"{space.names[a]} = {space.value_name(a, manipulation[a])}" for a in edited)
    return explain.SearchSheet(
        title=f"This one, but with {wishes}" if wishes else "Like this one",
        query=explain.Panel(image, "query"),
        attributes=tuple(attributes),
        attention=tuple(attention_panels(system, query, image, edited)),
        results=tuple(panels),
        note=f"Attributes of the query: as predicted. Results judged by {results.judged_by}.",
    )


def attention_panels(system, query, image, edited) -> list[explain.Panel]:
    """Returns where the system looks for the edited attributes; none if it cannot tell."""
    if not hasattr(system, "attention"):
        return []
    found = system.attention(search.model_input(system, query.data))
    maps, boxes = (np.asarray(found[key])[0] for key in ("maps", "boxes"))
    geometry = map_geometry(system)
    return [
        explain.attention_panel(
            image,
            maps[a],
            boxes[a],
            f"attention: {system.space.names[a]}",
            geometry,
            system.channel_means,
        )
        for a in edited[:3]
    ]


def main() -> None:
    trained = systems.describe_system(FLAGS.workdir)
    system = systems.load_complete_system(FLAGS.workdir)
    manipulation = parse_manipulation(system.space, FLAGS.set)
    if FLAGS.output and not FLAGS.output.lower().endswith(".png"):
        raise ValueError(f"--output must end in .png; got {FLAGS.output!r}.")
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or trained["dataset"])
    system.space.check_same(dataset.space, FLAGS.workdir, f"data set {dataset.name}")
    query = load_query(dataset)
    features = extract_features(system, dataset, FLAGS.gallery_split, FLAGS.batch_size)
    labels = np.asarray(dataset.labels(FLAGS.gallery_split))
    ids = dataset.image_ids(FLAGS.gallery_split)
    results = search.search(
        system, query, manipulation, features, labels, k=FLAGS.k, hit_rule=FLAGS.hit_rule
    )
    print_query(system, query, results, manipulation)
    print_results(system, ids, labels, results)
    if FLAGS.output:
        sheet = build_sheet(system, dataset, query, manipulation, results, labels, ids)
        explain.draw_search_sheet(sheet, FLAGS.output)
        print(f"written: {FLAGS.output}")


if __name__ == "__main__":
    command.run(main)
