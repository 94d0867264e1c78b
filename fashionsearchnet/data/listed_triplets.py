"""Triplets that a data set lists with its splits, stored beside it as `triplets.json`.

An object of splits; each is a list of `[attribute, anchor, positive, negative]`: the number of the
attribute, and the positions of three images in the split. The anchor is closer to the positive.
"""

from pathlib import Path

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.data.dataset import ListedTriplets

TRIPLETS_FILE = "triplets.json"


def read_listed_triplets(folder: Path, split: str, num_images: int) -> ListedTriplets | None:
    """Returns the triplets of a split that the folder of a data set lists; None without a list.

    Args:
      folder: of the data set.
      split: a whole split, not a slice of one.
      num_images: how many images the split has.

    Raises:
      ValueError: for a split without triplets, or a file that does not hold such triplets.
    """
    path = folder / TRIPLETS_FILE
    if not path.is_file():
        return None
    cure = "Prepare the data set again with --overwrite."
    listed = files.read_json(path, "the triplets that the data set lists", cure)
    if split not in listed:
        raise ValueError(
            f"{path} lists triplets of the splits {', '.join(listed)}, which are about whole "
            f"splits; got {split!r}. Choose one of them."
        )
    rows = np.array(listed[split], np.int32).reshape(-1, 4)
    if (len(rows) and not (rows >= 0).all()) or (rows[:, 1:] >= num_images).any():
        raise ValueError(
            f"{path}: a triplet of the split {split!r} names an image out of {num_images}. {cure}"
        )
    return ListedTriplets(*rows.T)
