"""The attribute space: the attributes of a data set, their values, and edits of them.

Two encodings are used everywhere:

* `values`: int32 `[..., num_attributes]`, the value index of each attribute, -1 for missing;
* `manipulation`: int32 `[..., num_attributes]`, the wanted value of each attribute, -1 to keep.

The flat index of a value (`offsets[attribute] + value`) addresses concatenated one-hot blocks,
classifier outputs and the rows of the attribute memory.
"""

import dataclasses
import functools
import hashlib
import json
import math
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.checks import check_choice, suggestion

MISSING = -1  # in value vectors: this image has no such attribute, or its label is unknown
KEEP = -1  # in manipulations: leave this attribute as it is
HIT_RULES = {
    "identical": "all attributes agree, and what the target lacks the image must lack too",
    "labelled": "all attributes that the target states agree; what it lacks may be anything",
}
_LONGEST_PAIR = 500  # characters of attribute=value
# Zero-width spaces, joiners and marks of direction, the byte order mark, the soft hyphen.
_UNSEEN = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"))


class NameProblem(ValueError):
    """A text does not name an attribute, a value or an edit.

    Attributes:
      kind: "malformed_pair", "unknown_attribute", "unknown_value" or "duplicate_edit".
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def plain_text(text: str) -> str:
    """Returns the one form of texts that look alike.

    That is Unicode's NFC, without characters that nobody sees, with single spaces between words
    and none around them.
    """
    return " ".join(unicodedata.normalize("NFC", text.translate(_UNSEEN)).split())


def find_name(name: str, names: Sequence[str]) -> int | None:
    """Returns the position of a name, also where spelling, case or spaces differ; None without.

    A name as it is written wins. A form that several names share finds none of them.
    """
    if name in names:
        return names.index(name)
    for form in (plain_text, lambda text: plain_text(text).casefold()):
        found = [i for i, other in enumerate(names) if form(other) == form(name)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


@dataclasses.dataclass(frozen=True)
class AttributeSpace:
    """Names and values of the attributes of one data set, in a fixed order.

    A space whose attributes have no values belongs to a data set that says which images are alike
    in an attribute (`Dataset.listed_triplets`), and not what they show of it.
    """

    names: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("an attribute space needs at least one attribute.")
        if len(self.names) != len(self.values):
            raise ValueError(
                f"names and values must have the same length; got {len(self.names)} names "
                f"and {len(self.values)} lists of values."
            )
        _check_distinct("attribute names", self.names)
        for name, values in zip(self.names, self.values, strict=True):
            _check_distinct(f"values of attribute {name!r}", values)
            if len(values) < 2 and any(self.values):
                raise ValueError(
                    f"attribute {name!r} must have at least two values, or nothing can be changed; "
                    f"got {list(values)}. Leave the attribute out."
                )

    @classmethod
    def from_dict(cls, values_by_name: Mapping[str, Sequence[str]]) -> "AttributeSpace":
        """Returns the space of `{attribute name: list of value names}`, in that order."""
        return cls(tuple(values_by_name), tuple(tuple(v) for v in values_by_name.values()))

    def to_dict(self) -> dict[str, list[str]]:
        """Returns `{attribute name: list of value names}`."""
        return {name: list(v) for name, v in zip(self.names, self.values, strict=True)}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "AttributeSpace":
        """Reads the JSON file that `save` wrote."""
        content = files.read_json(
            path, "an attribute space", "Point to the folder of a run or data set made by tools/."
        )
        if not isinstance(content, dict) or not all(isinstance(v, list) for v in content.values()):
            raise ValueError(f"{path} must map each attribute name to its list of values.")
        return cls.from_dict(content)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the space as JSON."""
        files.write_json(path, self.to_dict())

    @property
    def has_values(self) -> bool:
        """Whether the attributes have values."""
        return any(self.values)

    @property
    def num_attributes(self) -> int:
        """The number A of attributes."""
        return len(self.names)

    @functools.cached_property
    def num_values(self) -> tuple[int, ...]:
        """The number of values of each attribute."""
        return tuple(len(values) for values in self.values)

    @property
    def total_values(self) -> int:
        """The number C of values of all attributes together."""
        return sum(self.num_values)

    @functools.cached_property
    def offsets(self) -> tuple[int, ...]:
        """The flat index of the first value of each attribute."""
        return tuple(int(o) for o in np.cumsum((0, *self.num_values[:-1])))

    @functools.cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that differ between any two spaces."""
        content = json.dumps(self.to_dict(), ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def attribute_index(self, name: str) -> int:
        """Returns the index of an attribute; see `find_name`.

        Raises:
          NameProblem: for an unknown name; lists the attributes.
        """
        index = find_name(name, self.names)
        if index is None:
            raise NameProblem(
                "unknown_attribute",
                f"there is no attribute {name!r}{suggestion(name, self.names)}; "
                f"attributes: {', '.join(self.names)}.",
            )
        return index

    def value_index(self, name: str, value: str) -> int:
        """Returns the index of a value within its attribute; see `find_name`.

        Raises:
          NameProblem: for an unknown name; lists the attributes, or the values of the attribute.
        """
        values = self.values[self.attribute_index(name)]
        index = find_name(value, values)
        if index is None:
            raise NameProblem(
                "unknown_value",
                f"attribute {name!r} has no value {value!r}{suggestion(value, values)}; "
                f"values: {', '.join(values)}.",
            )
        return index

    def value_name(self, attribute: int, value: int) -> str:
        """Returns the name of a value, or '-' for a missing one."""
        return "-" if value == MISSING else self.values[attribute][value]

    def check_same(self, other: "AttributeSpace", this: str, that: str) -> None:
        """Raises a ValueError that says how two spaces (described by two texts) differ."""
        if self == other:
            return
        differences = []
        for name in dict.fromkeys(self.names + other.names):
            mine, theirs = self.to_dict().get(name), other.to_dict().get(name)
            if mine is None or theirs is None:
                differences.append(f"{name!r} is only in {that if mine is None else this}")
            elif mine != theirs:
                odd = sorted(set(mine) ^ set(theirs)) or ["their order"]
                differences.append(f"{name!r} differs in {', '.join(odd[:5])}")
        what = "; ".join(differences) or "the order of the attributes"
        raise ValueError(f"{this} and {that} have different attribute spaces: {what}.")


def parse_pair(space: AttributeSpace, text: str, what: str = "an edit") -> tuple[int, int]:
    """Returns the indices of the attribute and the value of a text like `neckline=v-neck`.

    Args:
      space: the attributes.
      text: of at most 500 characters.
      what: the name of the text in messages.

    Raises:
      NameProblem: for a text without '=', or an unknown attribute or value; lists the valid
        ones.
    """
    name, equals, value = (part.strip() for part in text[:_LONGEST_PAIR].partition("="))
    if not equals or len(text) > _LONGEST_PAIR:
        raise NameProblem(
            "malformed_pair",
            f"{what} must read attribute=value, such as {space.names[0]}={space.values[0][0]}; "
            f"got {text[:100]!r}. Attributes: {', '.join(space.names)}.",
        )
    return space.attribute_index(name), space.value_index(name, value)


def parse_manipulation(
    space: AttributeSpace, edits: Iterable[str], what: str = "an edit"
) -> np.ndarray:
    """Returns the manipulation, int32 `[num_attributes]`, of edits like `neckline=v-neck`.

    Raises:
      NameProblem: as `parse_pair`, and for two edits of one attribute.
    """
    manipulation = np.full(space.num_attributes, KEEP, np.int32)
    for edit in edits:
        attribute, value = parse_pair(space, edit, what)
        if manipulation[attribute] != KEEP:
            name = space.names[attribute]
            raise NameProblem(
                "duplicate_edit", f"attribute {name!r} is set twice; give it one value."
            )
        manipulation[attribute] = value
    return manipulation


def parse_likes(space: AttributeSpace, likes: Iterable[str]) -> np.ndarray:
    """Returns how much each attribute counts, float32 `[num_attributes]`, of texts such as
    `neckline` or, with a weight, `neckline:2`; 0 for an attribute that is not named.

    Raises:
      NameProblem: for an unknown attribute, one that is named twice, or a weight that is not a
        number above 0.
    """
    weights = np.zeros(space.num_attributes, np.float32)
    for like in likes:
        text = like[:_LONGEST_PAIR]
        name, weight = text.strip(), 1.0
        if find_name(name, space.names) is None and ":" in text:
            name, _, number = (part.strip() for part in text.rpartition(":"))
            try:
                weight = float(number)
            except ValueError:
                weight = 0.0
            if not 0.0 < weight < math.inf:
                raise NameProblem(
                    "malformed_weight",
                    f"the weight of {name!r} must be a number above 0; got {number!r}.",
                )
        attribute = space.attribute_index(name)
        if weights[attribute]:
            raise NameProblem("duplicate_like", f"attribute {name!r} is named twice.")
        weights[attribute] = weight
    return weights


def apply_manipulation(values: np.ndarray, manipulation: np.ndarray) -> np.ndarray:
    """Returns the target values: `values` with the manipulated attributes replaced.

    Args:
      values: int `[..., num_attributes]`.
      manipulation: int `[..., num_attributes]`, broadcast against `values`.
    """
    return np.where(manipulation == KEEP, values, manipulation)


def differs(targets: np.ndarray, labels: np.ndarray, hit_rule: str) -> np.ndarray:
    """Returns bool `[...]`: where the labels of an image differ from the target, by the hit rule.

    Args:
      targets: int `[...]`, the wanted values, -1 for none.
      labels: int `[...]`, broadcast against `targets`.
      hit_rule: one of HIT_RULES.

    Raises:
      ValueError: for an unknown hit rule.
    """
    check_choice("hit_rule", hit_rule, HIT_RULES)
    different = targets != labels
    return different & (targets != MISSING) if hit_rule == "labelled" else different


def check_manipulations(
    space: AttributeSpace, manipulations: np.ndarray, num_images: int
) -> np.ndarray:
    """Returns manipulations of several images as int32 `[num_images, num_attributes]`.

    Raises:
      ValueError: if they have another shape or kind, or a value that does not exist.
    """
    manipulations = np.asarray(manipulations)
    wanted = (num_images, space.num_attributes)
    if manipulations.shape != wanted or manipulations.dtype.kind not in "iu":
        raise ValueError(
            f"manipulations must be int32 [images, attributes] = {wanted}; got "
            f"{manipulations.dtype} {manipulations.shape}."
        )
    wrong = (manipulations < KEEP) | (manipulations >= np.array(space.num_values))
    if wrong.any():
        row, attribute = np.argwhere(wrong)[0]
        values = space.values[attribute]
        raise ValueError(
            f"manipulations[{row}] sets attribute {space.names[attribute]!r} to value "
            f"{manipulations[row, attribute]}; it must be -1 to keep, or the position of one of "
            f"{', '.join(values)}: 0 to {len(values) - 1}."
        )
    return manipulations.astype(np.int32)


def one_hot_blocks(space: AttributeSpace, values: np.ndarray) -> np.ndarray:
    """Returns float32 `[..., total_values]`: one one-hot block per attribute, zeros if missing."""
    values = np.asarray(values)
    flat = np.zeros((*values.shape[:-1], space.total_values), np.float32)
    for attribute, (offset, size) in enumerate(zip(space.offsets, space.num_values, strict=True)):
        block = values[..., attribute, None] == np.arange(size)
        flat[..., offset : offset + size] = block
    return flat


def softmax_blocks(space: AttributeSpace, logits: np.ndarray) -> np.ndarray:
    """Returns the softmax of each attribute's block, float32 `[..., total_values]`."""
    probabilities = np.empty(logits.shape, np.float32)
    for offset, size in zip(space.offsets, space.num_values, strict=True):
        block = logits[..., offset : offset + size].astype(np.float32)
        exponential = np.exp(block - block.max(axis=-1, keepdims=True))
        exponential /= exponential.sum(axis=-1, keepdims=True)
        probabilities[..., offset : offset + size] = exponential
    return probabilities


def predicted_values(space: AttributeSpace, logits: np.ndarray) -> np.ndarray:
    """Returns the likeliest value of each attribute, int32 `[..., A]`."""
    blocks = zip(space.offsets, space.num_values, strict=True)
    return np.stack(
        [logits[..., start : start + size].argmax(axis=-1) for start, size in blocks], axis=-1
    ).astype(np.int32)


def edit_blocks(
    space: AttributeSpace, probabilities: np.ndarray, manipulations: np.ndarray
) -> np.ndarray:
    """Returns a copy with the blocks of edited attributes set to one-hot of the wanted value.

    Args:
      space: A attributes with C values in all.
      probabilities: float32 `[B, C]`.
      manipulations: int32 `[B, A]`, -1 to keep.
    """
    edited = probabilities.copy()
    for attribute, (offset, size) in enumerate(zip(space.offsets, space.num_values, strict=True)):
        rows = np.flatnonzero(manipulations[:, attribute] != KEEP)
        edited[rows, offset : offset + size] = 0.0
        edited[rows, offset + manipulations[rows, attribute]] = 1.0
    return edited


def _check_distinct(what: str, names: Sequence[str]) -> None:
    """Raises a ValueError if a name is empty, not a string, or occurs twice."""
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"{what} must be non-empty strings; got {name!r}.")
        if names.count(name) > 1:
            raise ValueError(f"{what} must differ from each other; {name!r} occurs twice.")
