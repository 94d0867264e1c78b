"""The copy of DARN's labels that ASEN publishes.

[Ma20] Z. Ma et al., "Fine-Grained Fashion Similarity Learning by Attribute-Specific Embedding
Network", AAAI 2020. A folder holds `filenames_{train,valid,test}.txt` (paths of the images relative
to it), `label_train.txt` (`<line of the image, from 0> <attribute> <value> [<attribute> <value>
...]`) and `{query,candidate}_{valid,test}.txt` (`<line> <attribute> <value>`). The lines of
an image together are its labels. Names of values are not published: they are numbered.
"""

from pathlib import Path

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.preparation import source_files
from fashionsearchnet.data.preparation.records import Record

MARKER = "filenames_train.txt"
_LABEL_FILES = {
    "train": ("label_train.txt",),
    "valid": ("query_valid.txt", "candidate_valid.txt"),
    "test": ("query_test.txt", "candidate_test.txt"),
}
FILES = tuple(
    name for split, labels in _LABEL_FILES.items() for name in (f"filenames_{split}.txt", *labels)
)
# In the order of the attributes' numbers in the source_files.
_NUM_VALUES = {
    "category": 20,
    "button": 13,
    "color": 55,
    "length": 7,
    "pattern": 28,
    "shape": 11,
    "collar": 26,
    "sleeve_length": 8,
    "sleeve_shape": 17,
}


def read(folder: Path) -> tuple[AttributeSpace, list[Record]]:
    """Returns the attribute space and one record per image of all three lists.

    Raises:
      ValueError: naming file and line, for an image, attribute or value that does not exist, an
        image that occurs twice, or two values of one attribute of an image.
    """
    space = AttributeSpace.from_dict(
        {name: [f"value_{v:02}" for v in range(num)] for name, num in _NUM_VALUES.items()}
    )
    records: list[Record] = []
    lists: dict[str, Path] = {}
    for split, label_files in _LABEL_FILES.items():
        path = folder / f"filenames_{split}.txt"
        images = source_files.read_lines(path)
        source_files.check_unique(path, images)
        again = next((image for image in images if image in lists), None)
        if again is not None:
            raise ValueError(f"{path} and {lists[again]} both have the image {again!r}.")
        lists |= dict.fromkeys(images, path)
        labels = [[""] * space.num_attributes for _ in images]
        for name in label_files:
            _read_labels(folder / name, labels, space)
        records += [
            Record(line, image, tuple(values))
            for line, (image, values) in enumerate(zip(images, labels, strict=True), 1)
        ]
    return space, records


def _read_labels(path: Path, labels: list[list[str]], space: AttributeSpace) -> None:
    """Writes the labels of a file into `labels`, one list of value names per image."""
    for line, text in enumerate(source_files.read_lines(path), 1):
        cells = text.split()
        if len(cells) < 3 or len(cells) % 2 == 0:
            raise ValueError(
                f"{path} line {line} must be the number of an image and pairs of attribute and "
                f"value; got {text[:40]!r}."
            )
        image = source_files.parse_integer(path, line, cells[0], 0, len(labels) - 1, "the image")
        for first, second in zip(cells[1::2], cells[2::2], strict=True):
            top = space.num_attributes - 1
            attribute = source_files.parse_integer(path, line, first, 0, top, "the attribute")
            name, values = space.names[attribute], space.values[attribute]
            number = source_files.parse_integer(
                path, line, second, 0, len(values) - 1, f"{name}'s value"
            )
            if labels[image][attribute] not in ("", values[number]):
                raise ValueError(
                    f"{path} line {line}: {name} of image {image} is {number} here, and "
                    f"{labels[image][attribute]} before; an image has one value of each."
                )
            labels[image][attribute] = values[number]
