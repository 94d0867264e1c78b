"""Chooses the images and labels of a data set from what its source says.

Order of operations: drop records without a label; find the image files; refuse too few records for
the splits; check the image files; unite identical files (by the hash of their bytes); drop records
without a label; drop rare values with their records.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tqdm

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.image_headers import ImageProblem
from fashionsearchnet.data.preparation import images, records, shortage, splits
from fashionsearchnet.data.preparation.image_folder import ImageFolder
from fashionsearchnet.data.preparation.images import CheckedImage
from fashionsearchnet.data.preparation.near_copies import find_near_copies
from fashionsearchnet.data.preparation.options import PreparationOptions
from fashionsearchnet.data.preparation.records import Contradiction, Drop, Record
from fashionsearchnet.data.preparation.source import Source


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
      near_copies: pairs of positions of records whose pictures are the same in other bytes, and
        that are not known to show one product.
      notes: what a user should know about the choice.
    """

    records: list[Record]
    paths: list[Path]
    images: list[CheckedImage]
    space: AttributeSpace
    labels: np.ndarray
    drops: list[Drop]
    contradictions: list[Contradiction]
    near_copies: list[tuple[int, int]]
    notes: tuple[str, ...] = ()


def select(
    source: Source,
    options: PreparationOptions,
    show_progress: bool = True,
    known: Mapping[Path, CheckedImage] | None = None,
) -> Selection:
    """Returns the images of a source to use, with their labels.

    Identical files become one, since a copy of a query in the gallery or the training images
    would be a leak. With published splits no record is dropped and no file united.

    Args:
      source: of the images.
      options: of the preparation.
      show_progress: whether to show a bar.
      known: results of an earlier check, which hold for files that have not changed.

    Raises:
      ValueError: for too few records for the splits (before any image is decoded), more unusable
        rows of a catalogue than `source.max_dropped`, or an attribute of a catalogue with fewer
        than two values.
      OSError: if more than `source.max_lost` of the images, or all, are missing or damaged.
    """
    drops, contradictions = list(source.drops), list(source.contradictions)
    kept = _candidates(source, options, drops)
    order = {record.image: position for position, record in enumerate(kept)}
    used = list(_usable_images(source, kept, options, drops, show_progress, known or {}))
    used.sort(key=lambda use: order[use[0].image])
    kept = [record for record, _, _ in used]
    found = {record.image: (path, image) for record, path, image in used}
    if source.fixed_splits is None:
        digests = [image.digest for _, _, image in used]
        kept, twins, disagreeing = records.unite_records(
            kept, digests, source.names, "identical file"
        )
        kept, unlabelled = records.drop_unlabelled(kept, source.unlabelled)
        drops += [*twins, *unlabelled]
        contradictions += disagreeing
    if source.is_catalogue:
        shortage.check_enough(source, options, kept, drops)
    space = source.space
    if space is None:
        kept, rare = records.drop_rare_values(kept, source.attributes, source.min_count)
        drops += rare
        space = records.attribute_space(kept, source.attributes)
    checked = [found[record.image][1] for record in kept]
    return Selection(
        records=kept,
        paths=[found[record.image][0] for record in kept],
        images=checked,
        space=space,
        labels=records.encode_values(kept, space),
        drops=sorted(drops, key=lambda drop: drop.record.line),
        contradictions=contradictions,
        near_copies=_near_copies(kept, checked),
        notes=(*shortage.missing_notes(source, drops), *shortage.split_notes(source, kept)),
    )


def _candidates(source: Source, options: PreparationOptions, drops: list[Drop]) -> Sequence[Record]:
    """Returns the records whose images are looked for; appends the others to `drops`.

    Raises:
      ValueError: for too few records for the splits.
    """
    if source.fixed_splits is not None:
        if "validation" not in source.fixed_splits:
            cut = {"validation": options.num_validation}
            splits.check_sizes(len(source.fixed_splits["train"]), cut)
        return source.records
    if source.is_catalogue:  # a label may still come from an identical file
        return source.records
    kept, unlabelled = records.drop_unlabelled(source.records, source.unlabelled)
    drops += unlabelled
    splits.check_sizes(len(kept), options.split_sizes)
    return kept


def _near_copies(kept: Sequence[Record], checked: Sequence[CheckedImage]) -> list[tuple[int, int]]:
    """Returns `Selection.near_copies`."""
    miniatures = [image.miniature for image in checked if image.miniature is not None]
    if len(miniatures) < len(checked):
        return []
    return [
        (one, other)
        for one, other in find_near_copies(miniatures)
        if not kept[one].group or kept[one].group != kept[other].group
    ]


def _usable_images(
    source: Source,
    candidates: Sequence[Record],
    options: PreparationOptions,
    drops: list[Drop],
    show_progress: bool,
    known: Mapping[Path, CheckedImage],
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
    folder = ImageFolder(source.images_dir)
    digests: set[str] = set()
    num_checked, num_dropped = 0, len(drops)
    with tqdm.tqdm(
        total=limit,
        desc="Checking images",
        unit=" images",
        disable=not show_progress,
        mininterval=1.0,
    ) as bar:
        while num_checked < num_candidates and len(digests) < limit:
            batch = candidates[num_checked : num_checked + limit - len(digests)]
            num_checked += len(batch)
            found = _find_images(batch, folder, drops)
            shortage.check_lost(source, drops[num_dropped:], num_checked)
            if source.is_catalogue:
                shortage.check_enough(source, options, [record for record, _ in found], drops)
            checked = images.check_images([path for _, path in found], options.limits, known)
            for (record, path), image in zip(found, checked, strict=True):
                bar.update()
                if image.problem:
                    drops.append(Drop(record, image.kind, image.problem))
                    continue
                digests.add(image.digest)
                yield record, path, image
        shortage.check_lost(source, drops[num_dropped:], num_checked)


def _find_images(
    candidates: Sequence[Record], folder: ImageFolder, drops: list[Drop]
) -> list[tuple[Record, Path]]:
    """Returns the records whose file exists, with its path; appends the others to `drops`."""
    found = []
    for record in candidates:
        try:
            found.append((record, folder.find(record.image)))
        except ImageProblem as problem:
            drops.append(Drop(record, problem.kind, str(problem)))
    return found
