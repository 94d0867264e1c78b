"""Says why too few images of a source can be used, and which options mend it."""

import collections
from collections.abc import Mapping, Sequence

from fashionsearchnet.data.preparation import records, splits
from fashionsearchnet.data.preparation.image_folder import ImageFolder
from fashionsearchnet.data.preparation.options import PreparationOptions
from fashionsearchnet.data.preparation.records import RARE_VALUE, Drop, Record
from fashionsearchnet.data.preparation.source import Source
from fashionsearchnet.data.preparation.source_files import list_folder

UNITED = ("repeated row", "identical file")  # drops whose labels stay with another record
_MIN_COUNTS = (100, 50, 20, 10, 5, 2, 1)  # that a message proposes


def check_lost(source: Source, lost: Sequence[Drop], num_checked: int) -> None:
    """Raises an OSError if more images than `source.max_lost`, or all, are missing or damaged.

    Args:
      source: of the images.
      lost: the images that are missing or damaged.
      num_checked: how many images were looked for.
    """
    if not lost or (len(lost) <= source.max_lost * num_checked and len(lost) < num_checked):
        return
    allowed = f"at most {source.max_lost:.0%} may be" if source.max_lost < 1 else "none can be used"
    raise OSError(
        f"{len(lost)} of {num_checked} images are missing or damaged ({allowed}; "
        f"{count_kinds(lost)}); the first: {_describe(lost[0])}. {_folder_words(source, lost)}"
    )


def check_enough(
    source: Source, options: PreparationOptions, kept: Sequence[Record], drops: Sequence[Drop]
) -> None:
    """Raises a ValueError if too many rows of a catalogue are dropped, or too few are left.

    Args:
      source: of the catalogue.
      options: of its preparation.
      kept: the records that can be used up to now, also those with rare values.
      drops: those that cannot.
    """
    min_count, sizes = source.min_count, options.split_sizes
    left, rare = records.drop_rare_values(kept, source.names, min_count)
    lost = [drop for drop in [*drops, *rare] if drop.kind not in UNITED]
    num_rows = len(kept) + len(drops)
    is_lossy = len(lost) > source.max_dropped * num_rows
    is_small = source.bounds is None and sum(sizes.values()) >= len(left)
    problem = _few_values(source, kept, left) if source.space is None else ""
    if not (problem or is_lossy or is_small):
        return
    if not problem and not is_lossy:
        used = f" Of {num_rows:,} rows these are not used: {count_kinds([*drops, *rare])}."
        splits.check_sizes(len(left), sizes, used if len(left) < num_rows else "")
    if not problem:
        problem = (
            f"{len(lost):,} of {num_rows:,} rows cannot be used, more than --max_dropped="
            f"{source.max_dropped:.2g} allows: {count_kinds(lost)}; the first: "
            f"{_describe(lost[0])}."
        )
    elif drops or rare:
        problem += f" Dropped before: {count_kinds([*drops, *rare])}.{_contradiction_words(source)}"
    cures = _cures(source, drops, rare, is_lossy)
    flags = _fitting_flags(source, kept, len(lost) - len(rare), num_rows, sizes)
    fitting = [f"These flags fit: {flags}."] if flags else []
    raise ValueError(" ".join([problem, *cures, *fitting, "Nothing was written or replaced."]))


def _few_values(source: Source, kept: Sequence[Record], left: Sequence[Record]) -> str:
    """Returns what is wrong with an attribute that has fewer than two values left, or ''."""
    try:
        records.check_values(kept, left, source.names, source.min_count)
    except ValueError as error:
        return str(error)
    return ""


def _contradiction_words(source: Source) -> str:
    """Returns ' ' and how many labels are missing since rows contradict each other, or ''."""
    counts = collections.Counter(found.attribute for found in source.contradictions)
    if not counts:
        return ""
    return (
        " Labels missing because rows of one image contradict each other: "
        f"{records.list_counts(counts)}."
    )


def _fitting_flags(
    source: Source, kept: Sequence[Record], num_lost: int, num_rows: int, sizes: Mapping[str, int]
) -> str:
    """Returns the largest minimum count that loses few enough, and sizes of splits that fit.

    '' where there is none: something else is lost than rare values.
    """
    for smaller in sorted({*_MIN_COUNTS, source.min_count}, reverse=True):
        if smaller > source.min_count:
            continue
        left, rare = records.drop_rare_values(kept, source.names, smaller)
        if len(rare) + num_lost > source.max_dropped * num_rows:
            continue
        try:
            records.check_values(kept, left, source.names, smaller)
        except ValueError:
            continue
        flags = [f"--min_count={smaller}"] if smaller != source.min_count else []
        if sum(sizes.values()) >= len(left):
            flags.append(splits.size_flags(splits.fitting_sizes(len(left), sizes)))
        return " ".join(flags)
    return ""


def count_kinds(drops: Sequence[Drop]) -> str:
    """Returns the number of records dropped for each reason, as text."""
    kinds = collections.Counter(drop.kind for drop in drops)
    return ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())


def missing_notes(source: Source, drops: Sequence[Drop]) -> list[str]:
    """Returns what the names of missing images have in common, and how to mend it."""
    names = [
        d.record.image for d in drops if d.kind in ("missing file", "outside the image folder")
    ]
    return ImageFolder(source.images_dir).explain_missing(names)


def split_notes(source: Source, kept: Sequence[Record]) -> list[str]:
    """Returns a note if published splits lack images that are missing or damaged."""
    left = {record.image for record in kept}
    lost = {
        split: sum(image not in left for image in images)
        for split, images in (source.fixed_splits or {}).items()
    }
    listed = ", ".join(f"{split} {number:,}" for split, number in lost.items() if number)
    if not listed:
        return []
    return [f"the published splits lack images, so figures are not the papers': {listed}"]


def _cures(
    source: Source, drops: Sequence[Drop], rare: Sequence[Drop], is_lossy: bool
) -> list[str]:
    """Returns sentences that say what to do."""
    cures = []
    num_missing = sum(drop.kind == "missing file" for drop in drops)
    if num_missing > (len(drops) + len(rare)) / 4:
        cures.append(_folder_words(source, drops))
    if rare:
        cures.append(
            f"A {RARE_VALUE} is one with fewer than --min_count={source.min_count} images; leave "
            "attributes with many values out, or take a smaller number."
        )
    if is_lossy:
        cures.append("--max_dropped=1 allows any loss.")
    return cures


def _folder_words(source: Source, lost: Sequence[Drop]) -> str:
    """Returns what is in the folder of images, why names are missing, and the cure."""
    folder = source.images_dir
    if not folder.is_dir():
        return f"{folder}: no such folder. {source.cure}"
    causes = "".join(f" {note}." for note in missing_notes(source, lost))
    return f"{folder}: {list_folder(folder)}.{causes} {source.cure}"


def _describe(drop: Drop) -> str:
    return f"line {drop.record.line}, {drop.record.image}, {drop.reason}"
