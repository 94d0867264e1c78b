"""Prepares a data set: rendered clothes, your own catalogue, or a data set of the paper.

Rendered clothes need no download:

  python tools/prepare_data.py --dataset=garments/small --data_dir=data

`garments/instances` shows each garment several times, for the search of an item.

Your own catalogue is a CSV file and a folder of images. Name the columns of files and attributes:

  python tools/prepare_data.py --dataset=catalogue --data_dir=data --name=my_shop \\
      --csv=labels.csv --images_dir=images --image_column=image \\
      --attributes=gender,category,colour

You can keep the options in a file: `--flagfile=flags/catalogue/prepare.flags`.

Vectors that another model computed are a data set too. Each has an id, and a CSV has labels for
some of the ids:

  python tools/prepare_data.py --dataset=vectors/my_shop --data_dir=data --features=vectors.npy \\
      --ids=ids.txt --csv=labels.csv --id_column=id --attributes=gender,category,colour

A data set of the paper is read from the folder of its extracted files (docs/datasets.md):

  python tools/prepare_data.py --dataset=celeba --source_dir=downloads/CelebA --data_dir=data

The result is <data_dir>/celeba/paper; --dataset=celeba/small names it celeba/small.

Every row of a catalogue is used or reported. Blank cells are missing values. Values with fewer than
--min_count images are dropped with their rows. Files that are missing, damaged, too small or too
large are dropped. Identical files become one; a label on which their rows disagree becomes missing.
The summary is printed and stored with the data set (preparation_report.json); dropped.csv lists
each unused row with its reason.
"""

import importlib
from typing import Any

from absl import flags

from fashionsearchnet import command

import table_flags
import vector_flags

_ITEMS = ("deepfashion_inshop", "deepfashion_consumer2shop")  # their splits are published
# Theirs too, the validation included.
_FINE_GRAINED = ("fashionai", "deepfashion_attributes", "zappos50k")
_DRAWN = ("shopping100k", "darn", "imaterialist", "celeba")  # splits, unless a flag takes others
_BY_LISTS = ("fashionai",)  # splits are those of ASEN's lists; those of the original rows are drawn
_PUBLISHED = (*_DRAWN, *_ITEMS, *_FINE_GRAINED)
_OF_IMAGES = ("images_dir", "image_column")  # of the flags of tables
_DATASETS = (
    "garments/tiny",
    "garments/small",
    "garments/large",
    "garments/large_framed",
    "garments/instances",
    "garments/instances_tiny",
    "catalogue",
    "vectors",
    *_PUBLISHED,
)

_DATASET = flags.DEFINE_string(
    "dataset", None, f"The data set: {', '.join(_DATASETS)}.", required=True
)
_SOURCE_DIR = flags.DEFINE_string(
    "source_dir",
    "",
    "Folder of the extracted files of a published data set; docs/datasets.md lists them.",
)
_SHOPPING100K_SPLITS = flags.DEFINE_string(
    "shopping100k_splits",
    "",
    "Folder splits/Shopping100k of ADDE: take its splits, in place of splits by seed. The data "
    "set becomes shopping100k/adde.",
)
_ASEN_SPLITS = flags.DEFINE_bool(
    "asen_splits",
    False,
    "DARN in ASEN's lists: take their splits, in place of splits by seed. The data set becomes "
    "darn/asen.",
)
_NUM_IMAGES = flags.DEFINE_integer(
    "num_images",
    250_000,
    "Images of iMaterialist to take, drawn by --split_seed, at least 1. The paper has 250,000.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", "data", "Folder of all prepared data sets; created if needed."
)
_NAME = flags.DEFINE_string(
    "name", "", "Name of the catalogue, stored as <data_dir>/catalogue/<name>."
)
_ATTRIBUTES = flags.DEFINE_list(
    "attributes",
    [],
    "Columns to take as attributes, such as gender,category,colour; of a published data set, the "
    "attributes to keep, by default all.",
)
_TOP_VALUES = flags.DEFINE_integer(
    "top_values",
    0,
    "Values of each attribute to keep, the most frequent ones, at least 2; others are missing. 0 "
    "for all.",
    0,
)
_DENSE_SPLITS = flags.DEFINE_bool(
    "dense_splits",
    False,
    "The images of query, gallery and validation have a label of every attribute; those that lack "
    "one are trained on.",
)
_MIN_COUNT = flags.DEFINE_integer(
    "min_count", 20, "Values with fewer images are dropped with their rows; 1 keeps all."
)
_NUM_QUERIES = flags.DEFINE_integer(
    "num_queries", 2_000, "Images of the query split, at least 1. The paper has 2,000."
)
_NUM_GALLERY = flags.DEFINE_integer(
    "num_gallery", 18_000, "Images of the gallery split, at least 1. The paper has 18,000."
)
_NUM_VALIDATION = flags.DEFINE_integer(
    "num_validation",
    2_000,
    "Images cut from the training images for the validation split, at least 1.",
)
_SPLIT_SEED = flags.DEFINE_integer("split_seed", 0, "Seed of the splits, 0 to 4294967295.")
_FOLD_CASE = flags.DEFINE_bool(
    "fold_case", False, "Values that differ in case only, such as Red and red, are one."
)
_MIN_SIDE = flags.DEFINE_integer(
    "min_side", 16, "Images with a shorter side, in pixels, are dropped; at least 1."
)
_MAX_SIDE = flags.DEFINE_integer(
    "max_side", 512, "Images with a longer side, in pixels, are scaled down to it."
)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels", 50_000_000, "Images with more pixels are dropped before they are decoded."
)
_MAX_DROPPED = flags.DEFINE_float(
    "max_dropped",
    1 / 3,
    "Share of the rows that may be unusable, for any reason, and of the images an --update may "
    "lose, 0 to 1; more is refused before anything is replaced.",
)
_SPLIT_BY = flags.DEFINE_enum(
    "split_by",
    None,
    ["id", "seed"],
    "What splits depend on: id, the default of a catalogue, keeps every image in its split when "
    "images are added; seed draws them at random.",
)
_UPDATE = flags.DEFINE_bool(
    "update",
    False,
    "Bring the data set of this name up to date with the CSV: images that have not changed are not "
    "decoded again; attributes, values and splits stay, so the models trained on it stay too.",
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace a data set of the same name once the new one is complete."
)

table_flags.define()
vector_flags.define()
for module in (table_flags, vector_flags):
    flags.adopt_module_key_flags(module)  # --help shows them too
_OF_TABLES = tuple(name for name in table_flags.NAMES if name not in _OF_IMAGES)

# The data sets to which flags apply; the others refuse them.
_APPLIES_TO = (
    (_PUBLISHED, ("source_dir",)),
    (("shopping100k",), ("shopping100k_splits",)),
    (("darn",), ("asen_splits",)),
    (("imaterialist",), ("num_images",)),
    (("catalogue", "vectors"), ("name", "min_count", "fold_case", *_OF_TABLES)),
    (("catalogue", "vectors", *_PUBLISHED), ("attributes",)),
    (("catalogue", "vectors", *_PUBLISHED), ("top_values",)),
    (("catalogue", "vectors", *_DRAWN), ("dense_splits",)),
    (("catalogue", "vectors", *_DRAWN, *_BY_LISTS), ("num_queries", "num_gallery")),
    (("catalogue",), ("max_dropped", "split_by", "update", *_OF_IMAGES)),
    (("vectors",), vector_flags.NAMES),
    (("catalogue", "vectors", *_DRAWN, *_ITEMS, *_BY_LISTS), ("num_validation", "split_seed")),
    (("catalogue", "vectors", *_PUBLISHED), ("overwrite",)),
    (("catalogue", *_PUBLISHED), ("min_side", "max_side", "max_pixels")),
)

if __name__ == "__main__":
    command.parse_flags(reads_images=True)  # --help and wrong flags end here

from fashionsearchnet.checks import check_choice


def main() -> None:
    """Prepares the data set that the flags describe."""
    dataset, _, name = _DATASET.value.partition("/")
    if dataset not in (*_PUBLISHED, "catalogue", "vectors"):
        check_choice("--dataset", _DATASET.value, _DATASETS)
    _check_flags(dataset)
    if dataset in _PUBLISHED:
        _prepare_published(dataset, name)
    elif dataset == "catalogue":
        _prepare_catalogue(name)
    elif dataset == "vectors":
        _prepare_vectors(name)
    else:
        _prepare_garments(name)


def _check_flags(dataset: str) -> None:
    """Raises a ValueError for flags that do not apply to the data set or contradict each other."""
    if _UPDATE.value and _OVERWRITE.value:
        raise ValueError(
            "--update keeps splits and values of the data set, --overwrite makes new values: give "
            "one of them."
        )
    for datasets, names in _APPLIES_TO:
        given = [name for name in names if flags.FLAGS[name].present]
        if given and dataset not in datasets:
            raise ValueError(
                f"--{given[0]} goes with --dataset={' or '.join(datasets)}, not with "
                f"--dataset={_DATASET.value}; leave it out."
            )


def _prepare_garments(config: str) -> None:
    import tensorflow_datasets as tfds

    from fashionsearchnet.data.garments import builder as garments

    tfds.disable_progress_bar()  # the preparation has its own
    builder = garments.prepare(_DATA_DIR.value, config)
    for split, info in builder.info.splits.items():
        print(f"{split:<12}{info.num_examples:>9,}")
    print(f"garments/{config} is in {builder.data_dir}")


def _own_name(kind: str, config: str, *needed: str) -> str:
    """Returns `config` or, if that is blank, --name; raises a ValueError for a flag that lacks."""
    if config and _NAME.present and config != _NAME.value:
        raise ValueError(
            f"--dataset={_DATASET.value} and --name={_NAME.value} are two names; leave one out."
        )
    if not config and not _NAME.value:
        raise ValueError(f"--dataset={kind} needs --name, or read --dataset={kind}/NAME.")
    for name in needed:
        if not flags.FLAGS[name].value:
            raise ValueError(f"--dataset={kind} needs --{name}; see --help.")
    return config or _NAME.value


def _prepare_vectors(config: str) -> None:
    """Prepares vectors called `config` or, if that is blank, --name."""
    name = _own_name("vectors", config, "features", "csv", "attributes")
    from fashionsearchnet.data.catalogue.table import TableColumns
    from fashionsearchnet.data.vectors import preparation

    columns = TableColumns(
        image=flags.FLAGS.id_column,
        attributes=tuple(_ATTRIBUTES.value),
        group=flags.FLAGS.group_column,
        shown=tuple(flags.FLAGS.show_columns),
    )
    options = preparation.VectorOptions(
        name=name,
        file=vector_flags.vector_file(),
        csv=flags.FLAGS.csv,
        columns=columns,
        format=table_flags.table_format(_FOLD_CASE.value),
        min_count=_MIN_COUNT.value,
        num_queries=_NUM_QUERIES.value,
        num_gallery=_NUM_GALLERY.value,
        num_validation=_NUM_VALIDATION.value,
        split_seed=_SPLIT_SEED.value,
        top_values=_TOP_VALUES.value,
        dense_splits=_DENSE_SPLITS.value,
    )
    dataset, report = preparation.prepare(options, _DATA_DIR.value, _OVERWRITE.value)
    print(preparation.report_text(report))
    print(f"{dataset.name} holds vectors of features {dataset.vector_input.features!r}.")
    print(f"Its splits are below {_DATA_DIR.value}; the report is {preparation.REPORT} there.")


def _prepare_catalogue(config: str) -> None:
    """Prepares a catalogue called `config` or, if that is blank, --name."""
    name = _own_name("catalogue", config, "csv", "images_dir", "attributes")
    _prepare_source(
        "catalogue",
        name=name,
        csv=flags.FLAGS.csv,
        attributes=tuple(_ATTRIBUTES.value),
        min_count=_MIN_COUNT.value,
        fold_case=_FOLD_CASE.value,
        max_dropped=_MAX_DROPPED.value,
        split_by=_SPLIT_BY.value or "id",
        **table_flags.options(),
    )


def _prepare_published(name: str, config: str) -> None:
    if not _SOURCE_DIR.value:
        raise ValueError(f"--dataset={name} needs --source_dir; see docs/datasets.md.")
    only_here: dict[str, dict[str, Any]] = {
        "shopping100k": {"splits_dir": _SHOPPING100K_SPLITS.value},
        "darn": {"asen_splits": _ASEN_SPLITS.value},
        "imaterialist": {"num_images": _NUM_IMAGES.value},
    }
    by_default = "adde" if _SHOPPING100K_SPLITS.value else "asen" if _ASEN_SPLITS.value else "paper"
    config = config or by_default
    options = {"source_dir": _SOURCE_DIR.value, "attributes": tuple(_ATTRIBUTES.value)}
    _prepare_source(name, name=config, **options, **only_here.get(name, {}))


def _prepare_source(kind: str, **options: Any) -> None:
    """Prepares images that exist; `options` are those of this kind of source."""
    # TensorFlow takes seconds to import: wrong flags are refused before.
    import tensorflow_datasets as tfds

    from fashionsearchnet.data.image_files import ImageLimits
    from fashionsearchnet.data.preparation import reader, summary

    tfds.disable_progress_bar()  # the preparation has its own
    source: reader.Reader = importlib.import_module(f"fashionsearchnet.data.{kind}.reader").READER
    chosen = source.options_class(
        num_queries=_NUM_QUERIES.value,
        num_gallery=_NUM_GALLERY.value,
        num_validation=_NUM_VALIDATION.value,
        split_seed=_SPLIT_SEED.value,
        limits=ImageLimits(_MIN_SIDE.value, _MAX_PIXELS.value, _MAX_SIDE.value),
        top_values=_TOP_VALUES.value,
        dense_splits=_DENSE_SPLITS.value,
        **options,
    )
    is_new = _OVERWRITE.value or _UPDATE.value
    builder = None if is_new else source.open_existing(chosen, _DATA_DIR.value)
    if builder is not None:
        print("The data set was prepared before, with the same options.")
    else:
        builder = reader.prepare(
            source, chosen, _DATA_DIR.value, _OVERWRITE.value, update=_UPDATE.value
        )
        print(summary.to_text(summary.read(builder.data_dir)))
    print(f"{kind}/{chosen.name} is in {builder.data_dir}")
    print(f"The summary is in {summary.SUMMARY_FILE} there, unused rows in {summary.DROPPED_FILE}.")


if __name__ == "__main__":
    command.run(main)
