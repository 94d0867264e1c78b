"""iMaterialist (Fashion 2018): photos of a shop, the paper's 8 attributes with 147 values.

[Guo19] S. Guo et al., "The iMaterialist Fashion Attribute Dataset", arXiv:1906.05750. Read from
`train.json` (`{"images": [{"imageId", "url"}], "annotations": [{"imageId", "labelId": [...]}]}`,
ids as text or numbers; the authors' page spells the names `image_id` and `label_id`) and the
authors' `iMat_fashion_2018_label_map_228.csv`. The data set is published as addresses: the images,
in `train/<imageId>.jpg` (or .png, .webp), are for the user to fetch; missing ones are left out.
groups.json says how categories are grouped and which labels are noise, and which choices are the
paper's and which are ours.
"""

import csv
import dataclasses
import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tqdm

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_range
from fashionsearchnet.data.preparation import source_files
from fashionsearchnet.data.preparation.options import PAPER_SPLITS, SourceOptions
from fashionsearchnet.data.preparation.reader import Reader
from fashionsearchnet.data.preparation.records import Drop, Record
from fashionsearchnet.data.preparation.source import Source
from fashionsearchnet.data.preparation.storing import PreparedBuilder
from fashionsearchnet.files import read_packaged_json

_LABELS, _LABEL_MAP, _IMAGES = "train.json", "iMat_fashion_2018_label_map_228.csv", "train/"
_NUM_LABELS = 228
_DELAY = 5  # seconds after which a bar is shown

Meaning = tuple[str, str]  # attribute and value


@dataclasses.dataclass(frozen=True, kw_only=True)
class IMaterialistOptions(SourceOptions):
    """Options of the preparation of iMaterialist.

    Attributes:
      num_images: how many images without noisy labels to take, drawn by seed.
    """

    num_images: int = 250_000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("num_images", self.num_images, 1)
        taken = sum(self.split_sizes.values())
        if self.num_images <= taken:
            raise ValueError(
                f"num_images must be more than the {taken} of query, gallery and validation, or "
                f"none is left to train on; got {self.num_images}. Take more, or smaller splits."
            )


class IMaterialist(PreparedBuilder):
    """iMaterialist (Fashion 2018): photos of a shop, 8 attributes with 147 values."""

    name = "imaterialist"


def read(options: IMaterialistOptions) -> Source:
    """Returns what the files of iMaterialist say, noisy labels left out.

    Raises:
      OSError: if a folder or file is missing; the message names it and lists what is there.
      ValueError: naming file and entry, for a format that is not the published one.
    """
    folder = Path(options.source_dir).expanduser()
    source_files.check_folder(folder, [_LABELS, _LABEL_MAP, _IMAGES], "iMaterialist (Fashion 2018)")
    meanings, space = read_label_map(folder / _LABEL_MAP)
    records, drops = [], []
    for line, (image, labels) in enumerate(_read_annotations(folder / _LABELS, meanings), 1):
        values, noise = _values_of(labels, space)
        record = Record(line, image, values)
        if noise:
            drops.append(Drop(record, "noisy labels", noise))
        else:
            records.append(record)
    if not records:
        raise ValueError(f"{folder / _LABELS}: all {len(drops)} images have noisy labels.")
    return Source(
        space=space,
        records=records,
        drops=drops,
        images_dir=folder / _IMAGES,
        max_lost=1,
        max_images=options.num_images,
        notes=(
            "the 24 groups of categories and the rule for noisy labels are ours: see groups.json",
            f"{len(records):,} images have clean labels; num_images is {options.num_images:,}",
        ),
    )


def read_label_map(path: Path) -> tuple[dict[str, Meaning], AttributeSpace]:
    """Returns the meaning of each label id, categories grouped, and the attribute space.

    Raises:
      ValueError: if it is not the published map, or its categories are not the grouped ones.
    """
    groups = _groups()
    group_of = {c: group for group, names in groups["categories"].items() for c in names}
    reader = csv.DictReader(source_files.read_text(path).splitlines())
    columns = ("labelId", "labelName", "taskName")
    if not set(columns) <= set(reader.fieldnames or ()):
        raise ValueError(
            f"{path} must have the columns {', '.join(columns)}; got {reader.fieldnames}."
        )
    meanings: dict[str, Meaning] = {}
    values: dict[str, dict[str, None]] = {name: {} for name in groups["attributes"]}
    values["category"] = dict.fromkeys(groups["categories"])
    for line, row in enumerate(reader, 2):
        text = row["labelId"]
        label = str(source_files.parse_integer(path, line, text, 1, _NUM_LABELS, "labelId"))
        attribute, name = row["taskName"], row["labelName"]
        if attribute not in values or label in meanings:
            raise ValueError(
                f"{path} line {line}: labelId must occur once and taskName be one of "
                f"{', '.join(values)}; got {label} and {attribute!r}."
            )
        if attribute == "category":
            if name not in group_of:
                raise ValueError(f"{path} line {line}: {name!r} is in no group of groups.json.")
            name = group_of[name]
        values[attribute][name] = None
        meanings[label] = (attribute, name)
    if len(meanings) != _NUM_LABELS:
        raise ValueError(f"{path} must have {_NUM_LABELS} labels; got {len(meanings)}.")
    return meanings, AttributeSpace.from_dict({name: list(v) for name, v in values.items()})


def _read_annotations(path: Path, meanings: dict[str, Meaning]) -> list[tuple[str, list[Meaning]]]:
    """Returns each annotated image with what its labels mean, in the order of the file."""
    try:
        content = json.loads(source_files.read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); get it again.") from error
    parts = ("images", "annotations")
    if not isinstance(content, dict) or not all(isinstance(content.get(p), list) for p in parts):
        raise ValueError(
            f"{path} must be an object with the lists 'images' and 'annotations'; it is "
            f"{', '.join(content) if isinstance(content, dict) else type(content).__name__}."
        )
    annotations = []
    bar = tqdm.tqdm(content["annotations"], "Reading labels", unit=" images", delay=_DELAY)
    for number, entry in enumerate(bar, 1):
        where = f"{path} annotation {number}"
        image = str(_get(where, entry, "imageId", "image_id"))
        labels = _get(where, entry, "labelId", "label_id")
        if not isinstance(labels, list):
            raise ValueError(f"{where}: labelId must be a list; got {labels!r}.")
        annotations.append((image, [_meaning(where, label, meanings) for label in labels]))
    names = [image for image, _ in annotations]
    source_files.check_unique(path, names, place="annotation")
    listed = [
        str(_get(f"{path} image {number}", entry, "imageId", "image_id"))
        for number, entry in enumerate(content["images"], 1)
    ]
    source_files.check_unique(path, listed, place="image")
    unknown = set(names) - set(listed)
    if unknown:
        raise ValueError(
            f"{path} annotates {len(unknown)} images that its list 'images' has not, such as "
            f"{min(unknown)!r}."
        )
    return annotations


def _get(where: str, entry: Any, *names: str) -> Any:
    """Returns the first member of an entry that exists; `where` is for messages."""
    for name in names:
        if isinstance(entry, dict) and name in entry:
            return entry[name]
    raise ValueError(f"{where} has no {' or '.join(names)}; got {str(entry)[:60]}.")


def _meaning(where: str, label: Any, meanings: dict[str, Meaning]) -> Meaning:
    try:
        return meanings[str(label)]
    except KeyError as error:
        raise ValueError(
            f"{where}: labels must lie between 1 and {_NUM_LABELS}; got {str(label)!r}."
        ) from error


def _values_of(labels: Iterable[Meaning], space: AttributeSpace) -> tuple[tuple[str, ...], str]:
    """Returns a value name per attribute, '' for none or several, and why they are noise or ''."""
    found: dict[str, dict[str, None]] = {name: {} for name in space.names}
    for attribute, value in labels:
        found[attribute][value] = None
    noise = [
        f"{len(found[name])} values of {name} ({', '.join(found[name])})"
        for name in _groups()["single_valued"]
        if len(found[name]) > 1
    ]
    if not found["category"]:
        noise.append("no category")
    values = tuple(next(iter(v)) if len(v) == 1 else "" for v in found.values())
    return values, ", ".join(noise)


@functools.cache
def _groups() -> dict[str, Any]:
    return read_packaged_json(__package__, "groups.json")


_COUNTS = {"images": 250_000, "attributes": 8, "values": 147}  # of the paper
READER = Reader(IMaterialist, IMaterialistOptions, read, _COUNTS | PAPER_SPLITS)
