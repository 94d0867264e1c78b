"""Searches a gallery for a query image with some of its attributes changed, or alike in some.

A query of the data set, or any image file; --set may be given more than once:

  python tools/search.py --workdir=runs/demo/full --data_dir=data --query_id=garments-008001 \\
      --set=neckline=v-neck --output=search.png
  python tools/search.py --workdir=runs/demo/full --data_dir=data --image=shirt.jpg \\
      --set=colour=blue --set=sleeve=long

Where the data set holds vectors that another model computed, a query is one of them or a file:

  python tools/search.py --workdir=runs/shop/flam --data_dir=data --vector=query.npy \\
      --set=colour=blue

Or for images that are alike in some attributes, each with a weight of 1 or the one behind a colon:

  python tools/search.py --workdir=runs/demo/full --data_dir=data --image=shirt.jpg \\
      --like=neckline --like=colour:0.5

Prints the results, and with --output draws them: the query with its predicted attributes, the
edit, where the system looks for the edited attributes, and the results with a tick where every
attribute matches.

Two ways to use the labels that a gallery has: --use_labels puts them into its vectors, and --facets
leaves out what lacks a value of --set (by label, by prediction where there is no label).
"""

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.attributes import HIT_RULES

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
flags.DEFINE_string("vector", "", "Path of a query vector: .npy, or text with a JSON list.")
flags.DEFINE_multi_string(
    "set", [], "An edit, attribute=value, such as neckline=v-neck; repeatable."
)
flags.DEFINE_multi_string(
    "like",
    [],
    "An attribute that results should have alike, such as neckline or, with a weight, neckline:2; "
    "repeatable, in place of --set.",
)
flags.DEFINE_integer("k", 10, "Number of results.", 1, 100)
flags.DEFINE_enum(
    "hit_rule",
    "identical",
    list(HIT_RULES),
    "How results of a --query_id are judged; see tools/evaluate.py.",
)
flags.DEFINE_bool(
    "use_labels",
    False,
    "Use the labels of the gallery in its vectors, with the blend of the run (see "
    "tools/choose_blend.py).",
)
flags.DEFINE_bool(
    "facets",
    False,
    "Show only images that have the values of --set, by label or, without a label, by prediction.",
)
flags.DEFINE_integer(
    "rerank",
    0,
    "Put so many of the nearest images in the order of the probability that they show all wanted "
    "values, before the first --k are shown; 100 is a good number. More of the first results then "
    "match, and fewer look like the query.",
    0,
)
flags.DEFINE_string("output", "", "Picture to write (.png).")
flags.DEFINE_integer("batch_size", 64, "Images per forward pass.", 1)

if __name__ == "__main__":
    command.parse_flags(reads_images=True)  # --help and wrong flags end here

from fashionsearchnet.attributes import KEEP, AttributeSpace, parse_likes, parse_manipulation
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.vectors.vector_files import read_one_vector
from fashionsearchnet.explain.results import search_picture
from fashionsearchnet.explain.search_sheet import draw_search_sheet
from fashionsearchnet.networks.image_input import encode_vector
from fashionsearchnet.search.judgement import Query, SearchResult, describe_difference
from fashionsearchnet.search.live_gallery import LiveGallery
from fashionsearchnet.search.queries import queries_by_id, query_from_file
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.gallery_labels import ChosenBlend
from fashionsearchnet.systems.system import System


def load_query(dataset: Dataset) -> Query:
    """Returns the query that the flags name."""
    if bool(FLAGS.query_id) + bool(FLAGS.image) + bool(FLAGS.vector) != 1:
        raise ValueError(
            "give one query: --image=PATH, or --query_id=ID of the data set (--query_id=? lists "
            "some), or --vector=PATH where it holds vectors."
        )
    vectors = dataset.vector_input
    if FLAGS.vector and vectors is not None:
        return Query(FLAGS.vector, encode_vector(read_one_vector(FLAGS.vector, vectors)))
    if FLAGS.image and vectors is None:
        return query_from_file(FLAGS.image)
    if not FLAGS.query_id:
        holds, flag = ("images", "image") if vectors is None else ("vectors", "vector")
        raise ValueError(f"data set {dataset.name} holds {holds}; give the query by --{flag}.")
    return queries_by_id(dataset, FLAGS.query_split, [FLAGS.query_id])[0]


def print_query(space: AttributeSpace, result: SearchResult) -> None:
    """Prints what is known of the query, and what is wanted."""
    query, reading = result.query, result.reading
    print(f"query {query.name}")
    for attribute, name in enumerate(space.names):
        facts = []
        if reading is not None:
            value = space.value_name(attribute, reading.values[attribute])
            facts.append(f"predicted {value} ({reading.probabilities[attribute]:.0%})")
        if query.labels is not None:
            facts.append(f"label {space.value_name(attribute, query.labels[attribute])}")
        text = f"  {name}: {', '.join(facts)}"
        if attribute in result.asked:
            text += "  <- alike"
        if result.manipulation[attribute] != KEEP:
            text += f"  -> {space.value_name(attribute, result.manipulation[attribute])}"
        print(text)


def print_results(space: AttributeSpace, result: SearchResult) -> None:
    """Prints one line per result."""
    print(f"results, judged by {result.judged_by}:")
    if FLAGS.rerank:
        print(
            f"the nearest {FLAGS.rerank} are in the order of the probability that they show all "
            "that is wanted; the numbers are still distances"
        )
    found = result.neighbours
    rows = zip(found.ids, found.distances, found.labels, result.differing, strict=True)
    for rank, (name, distance, labels, differing) in enumerate(rows, start=1):
        verdict = "; ".join(
            describe_difference(space, a, labels[a], result.target[a]) for a in differing
        )
        verdict = f"differs: {verdict}" if verdict else "match" if space.has_values else ""
        print(f"{rank:4}  {distance:8.3f}  {name}  {verdict}")


def label_blend(system: System) -> tuple[float, ...] | None:
    """Returns the blend of the run; None without --use_labels."""
    if not FLAGS.use_labels:
        return None
    weights = registry.weights_digest(FLAGS.workdir)
    return ChosenBlend.load(FLAGS.workdir, system.space, weights).blend


def main() -> None:
    trained = registry.describe_system(FLAGS.workdir)
    system = registry.load_complete_system(FLAGS.workdir)
    manipulation = parse_manipulation(system.space, FLAGS.set)
    weights = parse_likes(system.space, FLAGS.like)
    others = [name for name in ("set", "facets", "use_labels", "rerank") if FLAGS[name].value]
    if FLAGS.like and others:
        raise ValueError(f"--like is a search of its own: leave out --{', --'.join(others)}.")
    if FLAGS.output and not FLAGS.output.lower().endswith(".png"):
        raise ValueError(f"--output must end in .png; got {FLAGS.output!r}.")
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or trained["dataset"])
    system.space.check_same(dataset.space, FLAGS.workdir, f"data set {dataset.name}")
    dataset.check_seen_by(system.image_input, f"the model of {FLAGS.workdir}")
    if FLAGS.output and dataset.vector_input is not None:
        raise ValueError(f"--output draws images, but {dataset.name} holds vectors; leave it out.")
    query = load_query(dataset)
    gallery = LiveGallery(
        system,
        dataset,
        FLAGS.gallery_split,
        FLAGS.batch_size,
        label_blend(system),
        task="attribute" if FLAGS.like else "manipulation",
    )
    if FLAGS.like:
        (result,) = gallery.search_alike([query], weights, FLAGS.k, FLAGS.hit_rule)
    else:
        (result,) = gallery.search(
            [query], manipulation[None], FLAGS.k, FLAGS.hit_rule, FLAGS.facets, FLAGS.rerank
        )
    print_query(system.space, result)
    print_results(system.space, result)
    if FLAGS.output:
        draw_search_sheet(search_picture(gallery, result), FLAGS.output)
        print(f"written: {FLAGS.output}")


if __name__ == "__main__":
    command.run(main)
