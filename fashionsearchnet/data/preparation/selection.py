"""Chooses the images and labels of a data set from what its source says.

Order of operations: drop records without a label; refuse too few records for the splits; check the
image files; unite identical files (by the hash of their bytes); drop records without a label; drop
rare values with their records.
"""

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tqdm

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.image_headers import ImageProblem
from fashionsearchnet.data.preparation import images, records, splits
from fashionsearchnet.data.preparation.images import CheckedImage
from fashionsearchnet.data.preparation.options import PreparationOptions
from fashionsearchnet.data.preparation.records import Contradiction, Drop, Record
from fashionsearchnet.data.preparation.source_files import list_folder

_EXTRACT_AGAIN = (
    "Extract the images again so that their names are as in the labels (docs/datasets.md)."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """What the files of a data set say.

    Attributes:
      space: the attribute space; None for a catalogue, whose values are those that occur.
      attributes: names of a catalogue's attributes.
      records: one per image; names are relative to `images_dir`.
      images_dir: the folder of the images.
      max_lost: the share of images that may be missing or damaged, in [0, 1].
      cure: what the user can do if more are.
      drops: records that are not used, whatever their images are.
      contradictions: what the source disagrees on with itself.
      min_count: values of a catalogue with fewer images are dropped with their records.
      max_images: how many images to take, drawn by seed; None for all.
      fixed_splits: the images of `train`, `gallery` and `query` where a data set publishes its
        splits; identical files stay as they are then. None to split by seed.
      extras: files to store beside the data set, as content for JSON.
      notes: what a user should know about this preparation.
    """

    space: AttributeSpace | None = None
    attributes: tuple[str, ...] = ()
    records: list[Record]
    images_dir: Path
    max_lost: float
    cure: str = _EXTRACT_AGAIN
    drops: list[Drop] = dataclasses.field(default_factory=list)
    contradictions: list[Contradiction] = dataclasses.field(default_factory=list)
    min_count: int = 1
    max_images: int | None = None
    fixed_splits: Mapping[str, Sequence[str]] | None = None
    extras: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Selection:
    """The records that are used, their files and labels, and the reasons why others are not.

    Attributes:
      records: the records kept, in the order of the source.
      paths: the file of each record.
      images: the result of checking each file.
      space: the attribute space.
      labels: int32 `[records, A]`, -1 for missing.
      drops: the records that are not used, by line.
      contradictions: what records of one image disagree on.
    """

    records: list[Record]
    paths: list[Path]
    images: list[CheckedImage]
    space: AttributeSpace
    labels: np.ndarray
    drops: list[Drop]
    contradictions: list[Contradiction]


def select(source: Source, options: PreparationOptions, show_progress: bool = True) -> Selection:
    """Returns the images of a source to use, with their labels.

    Identical files become one, since a copy of a query in the gallery or the training images
    would be a leak. With published splits no record is dropped and no file united.

    Raises:
      ValueError: for too few records for the splits (before any image is read), or an attribute
        of a catalogue that is left with fewer than two values.
      OSError: if more than `source.max_lost` of the images, or all, are missing or damaged.
    """
    kept, drops = source.records, list(source.drops)
    contradictions = list(source.contradictions)
    space = source.space
    names = space.names if space else source.attributes
    if source.fixed_splits is not None:
        cut = {"validation": options.num_validation}
        splits.check_sizes(len(source.fixed_splits["train"]), cut)
    else:
        if space:  # in a catalogue, a label may still come from an identical file
            kept, unlabelled = records.drop_unlabelled(kept)
            drops += unlabelled
        splits.check_sizes(len(kept), options.split_sizes)
    order = {record.image: position for position, record in enumerate(kept)}
    used = list(_usable_images(source, kept, options, drops, show_progress))
    used.sort(key=lambda use: order[use[0].image])
    kept = [record for record, _, _ in used]
    found = {record.image: (path, image) for record, path, image in used}
    if source.fixed_splits is None:
        digests = [image.digest for _, _, image in used]
        kept, twins, disagreeing = records.unite_records(kept, digests, names, "identical file")
        kept, unlabelled = records.drop_unlabelled(kept)
        drops += [*twins, *unlabelled]
        contradictions += disagreeing
    if space is None:
        kept, rare = _drop_rare_values(source, kept, drops)
        drops += rare
        space = records.attribute_space(kept, names)
    return Selection(
        records=kept,
        paths=[found[record.image][0] for record in kept],
        images=[found[record.image][1] for record in kept],
        space=space,
        labels=records.encode_values(kept, space),
        drops=sorted(drops, key=lambda drop: drop.record.line),
        contradictions=contradictions,
    )


def _drop_rare_values(
    source: Source, kept: Sequence[Record], drops: Sequence[Drop]
) -> tuple[list[Record], list[Drop]]:
    try:
        return records.drop_rare_values(kept, source.attributes, source.min_count)
    except ValueError as error:  # images that cannot be used may be the cause
        raise ValueError(f"{error} Dropped before: {_count_kinds(drops) or 'none'}.") from error


def _usable_images(
    source: Source,
    candidates: Sequence[Record],
    options: PreparationOptions,
    drops: list[Drop],
    show_progress: bool,
) -> Iterator[tuple[Record, Path, CheckedImage]]:
    """Yields the records with a usable image, up to the limit; appends the others to `drops`.

    With a limit, images are checked in random order until enough different ones are found: a
    million need not be read for a quarter of them.
    """
    num_candidates = len(candidates)
    limit = num_candidates if source.max_images is None else min(source.max_images, num_candidates)
    if limit < num_candidates:
        order = np.random.RandomState(options.split_seed).permutation(num_candidates)
        candidates = [candidates[i] for i in order]
    digests: set[str] = set()
    num_checked, num_dropped = 0, len(drops)
    with tqdm.tqdm(
        total=limit, desc="Checking images", unit=" images", disable=not show_progress
    ) as bar:
        while num_checked < num_candidates and len(digests) < limit:
            batch = candidates[num_checked : num_checked + limit - len(digests)]
            num_checked += len(batch)
            found = _find_images(batch, source.images_dir, drops)
            _check_lost(source, drops[num_dropped:], num_checked)
            checked = images.check_images([path for _, path in found], options.limits)
            for (record, path), image in zip(found, checked, strict=True):
                bar.update()
                if image.problem:
                    drops.append(Drop(record, image.kind, image.problem))
                    continue
                digests.add(image.digest)
                yield record, path, image
        _check_lost(source, drops[num_dropped:], num_checked)


def _find_images(
    candidates: Sequence[Record], folder: Path, drops: list[Drop]
) -> list[tuple[Record, Path]]:
    """Returns the records whose file exists, with its path; appends the others to `drops`."""
    found = []
    for record in candidates:
        try:
            found.append((record, images.find_file(folder, record.image)))
        except ImageProblem as problem:
            drops.append(Drop(record, problem.kind, str(problem)))
    return found


def _check_lost(source: Source, lost: Sequence[Drop], num_checked: int) -> None:
    """Raises an OSError if more images than allowed, or all, are missing or damaged."""
    if not lost or (len(lost) <= source.max_lost * num_checked and len(lost) < num_checked):
        return
    allowed = f"at most {source.max_lost:.0%} may be" if source.max_lost < 1 else "none can be used"
    present = list_folder(source.images_dir) if source.images_dir.is_dir() else "no such folder"
    first = lost[0]
    raise OSError(
        f"{len(lost)} of {num_checked} images are missing or damaged ({allowed}; "
        f"{_count_kinds(lost)}); the first: line {first.record.line}, {first.record.image}, "
        f"{first.reason}. {source.images_dir}: {present}. {source.cure}"
    )


def _count_kinds(drops: Sequence[Drop]) -> str:
    """Returns the number of records dropped for each reason, as text."""
    kinds = collections.Counter(drop.kind for drop in drops)
    return ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
