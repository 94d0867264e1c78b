"""Edits that a data set lists with its splits, stored beside it as `manipulations.json`.

One entry per edit: `query` is the id of an image of the split `query`, `set` holds the wanted
values as `{attribute: value}`, and `remove` (optional) lists attributes whose value goes away.
"""

from pathlib import Path

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.attributes import KEEP, MISSING
from fashionsearchnet.data.dataset import Dataset, ListedEdits

MANIPULATIONS_FILE = "manipulations.json"


def read_listed_edits(folder: Path, dataset: Dataset) -> ListedEdits | None:
    """Returns the edits listed in the folder of a data set; None if it lists none.

    An edit whose query image is not in the split `query` cannot be asked. It is left out, and
    `source` says how many are.

    Raises:
      ValueError: for a file that does not hold such edits.
    """
    path = folder / MANIPULATIONS_FILE
    if not path.is_file():
        return None
    cure = "Prepare the data set again with --overwrite."
    entries = files.read_json(path, "the edits that the data set lists", cure)
    position = {image: index for index, image in enumerate(dataset.image_ids("query"))}
    space = dataset.space
    known = [entry for entry in entries if entry["query"] in position]
    query = np.array([position[entry["query"]] for entry in known], np.int32)
    manipulation = np.full((len(known), space.num_attributes), KEEP, np.int32)
    target = dataset.labels("query")[query]
    for row, entry in enumerate(known):
        for name in entry.get("remove", ()):
            target[row, space.attribute_index(name)] = MISSING
        for name, value in entry["set"].items():
            index = space.attribute_index(name)
            manipulation[row, index] = target[row, index] = space.value_index(name, value)
    source = f"{len(known):,} edits listed by {dataset.name}"
    if len(known) < len(entries):
        source += f"; {len(entries) - len(known):,} more lack their query image and are left out"
    return ListedEdits(query, manipulation, target, source)
