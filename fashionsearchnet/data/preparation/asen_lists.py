"""The lists that ASEN publishes of FashionAI, DARN and DeepFashion, with their splits.

[Ma20] Z. Ma et al., "Fine-Grained Fashion Similarity Learning by Attribute-Specific Embedding
Network", AAAI 2020. ASENet_V2, AG-MAN and RPF use the same lists. A folder `data` holds `meta.json`
and a folder per data set, with `filenames_{train,valid,test}.txt` (paths of the images relative to
it), `label_train.txt` (`<line of the image, from 0> <attribute> <value> [<attribute> <value> ...]`)
and `{query,candidate}_{valid,test}.txt` (`<line> <attribute> <value>`). The lines of an image
together are its labels. In DeepFashion, a line of `label_train.txt` may name several values of an
attribute. `meta.json` has for each data set ATTRIBUTES (names in the order of their numbers),
ATTRIBUTES_NUM (how many values each has) and, for FashionAI, ATTRIBUTES_VALUES (their names). Names
that are not published are numbers.
"""

import collections
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.preparation import source_files
from fashionsearchnet.data.preparation.records import Record
from fashionsearchnet.data.preparation.source import Source

MARKER = "filenames_train.txt"
META = "meta.json"
_LABEL_FILES = {
    "train": ("label_train.txt",),
    "valid": ("query_valid.txt", "candidate_valid.txt"),
    "test": ("query_test.txt", "candidate_test.txt"),
}
FILES = tuple(
    name for split, labels in _LABEL_FILES.items() for name in (f"filenames_{split}.txt", *labels)
)
_NO_EFFECT = (
    "ASEN's splits: validation is its images to validate, the queries first; query and gallery are "
    "its queries and candidates to test. num_queries, num_gallery, num_validation and split_seed "
    "have no effect"
)


def numbered_space(num_values: Mapping[str, int]) -> AttributeSpace:
    """Returns attributes whose values have numbers for names, such as `value_03`."""
    return AttributeSpace.from_dict(
        {name: [f"value_{v:02}" for v in range(num)] for name, num in num_values.items()}
    )


def read_space(path: Path, name: str, num_values: Mapping[str, int]) -> AttributeSpace:
    """Returns the attributes of a data set as meta.json names them.

    Args:
      path: of meta.json.
      name: of the data set in it.
      num_values: the published numbers of values, in the order of the attributes.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it says something else than was published.
    """
    try:
        meta = json.loads(source_files.read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); get the file again.") from error
    own = meta.get(name) if isinstance(meta, dict) else None
    if not isinstance(own, dict) or not isinstance(own.get("ATTRIBUTES"), list):
        known = ", ".join(meta) if isinstance(meta, dict) else "something else"
        raise ValueError(f"{path} must describe {name} with its ATTRIBUTES; it has {known}.")
    names, numbers = [str(name) for name in own["ATTRIBUTES"]], own.get("ATTRIBUTES_NUM")
    found = [numbers.get(name) if isinstance(numbers, dict) else None for name in names]
    published = list(num_values.values())
    if found != published:
        raise ValueError(
            f"{path}: ATTRIBUTES_NUM of {name} must be {published}, in the order of ATTRIBUTES; "
            f"got {found} for {names}. Is that another data set?"
        )
    values = own.get("ATTRIBUTES_VALUES")
    if values is None:
        return numbered_space(dict(zip(names, found, strict=True)))
    named = zip(names, found, strict=True)
    return AttributeSpace.from_dict({a: _value_names(path, a, values, n) for a, n in named})


def _value_names(path: Path, attribute: str, values: Any, number: int) -> list[str]:
    """Returns the names of an attribute's values, a list in the order of their numbers."""
    found = values.get(attribute) if isinstance(values, dict) else None
    if not isinstance(found, list) or len(found) != number:
        raise ValueError(
            f"{path}: ATTRIBUTES_VALUES must list {number} names for {attribute}; got {found!r}."
        )
    return [str(name) for name in found]


def read(
    folder: Path, space: AttributeSpace, *, several_values: bool = False
) -> tuple[list[Record], list[str]]:
    """Returns one record per image of all three lists, in their order, and what a user should know.

    Args:
      folder: with FILES.
      space: the attributes, in the order of their numbers in the files.
      several_values: whether a line of `label_train.txt` may name several values of an attribute.
        The published training counts each of them. Here an image has one, the one that the fewest
        images have: training draws values uniformly, so a rare value needs its images most.

    Raises:
      OSError: if a file is missing.
      ValueError: naming file and line, for an image, attribute or value that does not exist, an
        image that occurs twice, or two values of one attribute of an image.
    """
    records: list[Record] = []
    lists: dict[str, Path] = {}
    notes: list[str] = []
    for split, label_files in _LABEL_FILES.items():
        images = _read_names(folder / f"filenames_{split}.txt", lists)
        labels: dict[tuple[int, int], list[int]] = {}
        for name in label_files:
            may_be_several = several_values and split == "train"
            _read_labels(folder / name, len(images), labels, space, may_be_several)
        notes += _keep_rarest(labels)
        cells = [[""] * space.num_attributes for _ in images]
        for (image, attribute), (value,) in labels.items():
            cells[image][attribute] = space.values[attribute][value]
        records += [
            Record(line, image, tuple(values))
            for line, (image, values) in enumerate(zip(images, cells, strict=True), 1)
        ]
    return records, notes


def _read_names(path: Path, lists: dict[str, Path]) -> list[str]:
    """Returns the images of a list, and notes in `lists` which list names each."""
    images = source_files.read_lines(path)
    if "" in images:
        raise ValueError(
            f"{path} line {images.index('') + 1} is blank, where the name of an image should be; "
            "get the file again."
        )
    source_files.check_unique(path, images)
    again = next((image for image in images if image in lists), None)
    if again is not None:
        raise ValueError(f"{path} and {lists[again]} both have the image {again!r}.")
    lists |= dict.fromkeys(images, path)
    return images


def _keep_rarest(labels: dict[tuple[int, int], list[int]]) -> list[str]:
    """Leaves one value of each image and attribute, the rarest; returns a note if that loses some.

    Of values that equally many images have, the first of the file is kept.
    """
    counts = collections.Counter(
        (attribute, value) for (_, attribute), values in labels.items() for value in values
    )
    several = {key: values for key, values in labels.items() if len(values) > 1}
    for (image, attribute), values in several.items():
        rarest = min(values, key=lambda value, a=attribute: counts[a, value])  # type: ignore[misc]
        labels[image, attribute] = [rarest]
    if not several:
        return []
    lost = sum(len(values) - 1 for values in several.values())
    images = len({image for image, _ in several})
    return [
        f"{images:,} images to train on have several values of an attribute; the one that the "
        f"fewest images have counts, and {lost:,} labels are left out"
    ]


def read_with_splits(
    folder: Path,
    space: AttributeSpace,
    what: str,
    *,
    several_values: bool = False,
    max_lost: float = 0.0,
) -> Source:
    """Returns what the lists say, with their splits.

    Args:
      folder: with FILES and the images.
      space: see `read`.
      what: whose lists they should be, for messages.
      several_values: see `read`.
      max_lost: the share of images that may be missing.

    Raises:
      OSError: if a folder or file is missing.
      ValueError: see `read`; also if an image is a query and a candidate, or neither.
    """
    source_files.check_folder(folder, FILES, f"ASEN's lists of {what}")
    records, notes = read(folder, space, several_values=several_values)
    splits = {"train": source_files.read_lines(folder / "filenames_train.txt")}
    for name in ("valid", "test"):
        images = source_files.read_lines(folder / f"filenames_{name}.txt")
        queries, candidates = (
            _listed(folder / f"{kind}_{name}.txt", images) for kind in ("query", "candidate")
        )
        _check_either(folder, name, set(images), set(queries), set(candidates))
        if name == "valid":
            splits["validation"] = [*queries, *candidates]
        else:
            splits |= {"query": queries, "gallery": candidates}
    return Source(
        space=space,
        records=records,
        images_dir=folder,
        max_lost=max_lost,
        fixed_splits=splits,
        notes=(_NO_EFFECT, *notes),
    )


def _check_either(
    folder: Path, name: str, images: set[str], queries: set[str], candidates: set[str]
) -> None:
    """Raises a ValueError unless each image is either a query or a candidate."""
    for wrong, lists in (
        (queries & candidates, "both"),
        (images - queries - candidates, "neither"),
    ):
        if wrong:
            raise ValueError(
                f"{folder}: each image of filenames_{name}.txt must be in query_{name}.txt or in "
                f"candidate_{name}.txt; {len(wrong)} are in {lists}, such as {min(wrong)!r}. "
                "Remove its lines from one list, or label it in one."
            )


def _listed(path: Path, images: Sequence[str]) -> list[str]:
    """Returns the images that a file labels, in its order."""
    lines = source_files.read_lines(path)
    return list(dict.fromkeys(images[int(line.split()[0])] for line in lines))


def _read_labels(
    path: Path,
    num_images: int,
    labels: dict[tuple[int, int], list[int]],
    space: AttributeSpace,
    several_values: bool,
) -> None:
    """Adds the labels of a file to `labels`, the values by the numbers of image and attribute."""
    for line, text in enumerate(source_files.read_lines(path), 1):
        cells = text.split()
        if len(cells) < 3 or len(cells) % 2 == 0:
            raise ValueError(
                f"{path} line {line} must be the number of an image and pairs of attribute and "
                f"value; got {text[:40]!r}."
            )
        image = source_files.parse_integer(path, line, cells[0], 0, num_images - 1, "the image")
        own: dict[int, list[int]] = {}
        for first, second in zip(cells[1::2], cells[2::2], strict=True):
            top = space.num_attributes - 1
            attribute = source_files.parse_integer(path, line, first, 0, top, "the attribute")
            name, values = space.names[attribute], space.values[attribute]
            number = source_files.parse_integer(
                path, line, second, 0, len(values) - 1, f"{name}'s value"
            )
            if number not in own.setdefault(attribute, []):
                own[attribute].append(number)
        for attribute, found in own.items():
            before = labels.setdefault((image, attribute), found)
            if before != found or (len(found) > 1 and not several_values):
                raise ValueError(
                    f"{path} line {line}: {space.names[attribute]} of image {image} is "
                    f"{' and '.join(map(str, dict.fromkeys([*before, *found])))}; an image has one "
                    "value of each. Remove the wrong one."
                )
