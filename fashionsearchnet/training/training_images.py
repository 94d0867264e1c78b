"""Which images a run was trained on, and what there is too little of."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import listed

_FILE = "training_images.json"
_FEW_IMAGES = 1_000  # below this, training is likely to learn little
_FEW_OF_A_VALUE = 20  # the least that the preparation keeps by default


def store(
    workdir: str | os.PathLike[str], image_ids: Sequence[str], start: str | os.PathLike[str] = ""
) -> None:
    """Stores the ids of the images that a run is trained on, in its folder.

    Args:
      workdir: of the run.
      image_ids: of its training split.
      start: the folder of the run that it starts from, whose images count too; '' for none.
    """
    known = dict.fromkeys(image_ids)
    if start:
        known |= dict.fromkeys(_load(start))
    path = Path(workdir).expanduser() / _FILE
    files.write_text(path, json.dumps(list(known), ensure_ascii=True) + "\n")


def check_unseen(
    workdir: str | os.PathLike[str], image_ids: Sequence[str], split: str, dataset: str
) -> None:
    """Raises a ValueError if a run was trained on some of the images; older runs do not know.

    Args:
      workdir: of the run.
      image_ids: of the queries.
      split: their split, for the message.
      dataset: the name of the data set, for the message.
    """
    trained = set(_load(workdir))
    seen = [name for name in image_ids if name in trained]
    if seen:
        raise ValueError(
            f"{len(seen):,} of the {len(image_ids):,} queries of split {split!r} of {dataset} were "
            f"trained on by {workdir}, such as {seen[0]!r}: the figures would say nothing. If the "
            "data set was prepared again with other splits, train again (--split_by=id keeps "
            "splits). --allow_trained_queries measures them all the same."
        )


def check_labelled(labels: np.ndarray, where: str) -> None:
    """Raises a ValueError if no image has a label: a stage on labels would learn nothing.

    Args:
      labels: int `[images, A]`, -1 for missing.
      where: the images, for the message.
    """
    if not (labels >= 0).any():
        raise ValueError(
            f"no image of {where} has a label, so there is nothing to learn from; train on a split "
            "with labels (--train_split), or prepare the data set with some."
        )


def hints(labels: np.ndarray, space: AttributeSpace, batch_size: int) -> list[str]:
    """Returns what there is too little of, one text each.

    Args:
      labels: int32 `[images, A]` of the training split, -1 for missing.
      space: of the A attributes.
      batch_size: images per step.
    """
    found = []
    number = len(labels)
    if number < _FEW_IMAGES:
        found.append(
            f"{number:,} images to train on are few: expect little, and measure it "
            "(tools/evaluate.py). A pretrained trunk needs fewer images (README.md)."
        )
    if batch_size > number:
        found.append(
            f"--batch_size={batch_size} is more than the {number:,} images: a batch holds some of "
            f"them several times. Take at most --batch_size={number}."
        )
    for index, (name, values) in enumerate(zip(space.names, space.values, strict=True)):
        column = labels[:, index]
        counts = np.bincount(column[column >= 0], minlength=len(values))
        few = [f"{values[i]} {counts[i]}" for i in np.flatnonzero(counts < _FEW_OF_A_VALUE)]
        if few:
            found.append(
                f"{name}: {len(few)} of {len(values)} values have fewer than {_FEW_OF_A_VALUE} "
                f"images to train on: {listed(few, 6)}. Prepare with a larger "
                "--min_count, or unite values."
                + (" Edits to a value without any know nothing of it." * (0 in counts))
            )
    return found


def _load(workdir: str | os.PathLike[str]) -> list[str]:
    path = Path(workdir).expanduser() / _FILE
    if not path.is_file():
        return []
    return files.read_json(path, "the ids of the training images", "Train the run again.")
