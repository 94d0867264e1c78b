"""DeepFashion's benchmark of categories and attributes: 5 attributes with 1,000 values.

Z. Liu et al., "DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich
Annotations", CVPR 2016. ASEN's lists (see `preparation.asen_lists`) stand in a folder DeepFashion
beside `meta.json`, with the images in its folder `img`. The splits are theirs.
"""

from pathlib import Path

from fashionsearchnet.data.preparation import asen_lists, source_files
from fashionsearchnet.data.preparation.options import SourceOptions
from fashionsearchnet.data.preparation.reader import Reader
from fashionsearchnet.data.preparation.source import Source
from fashionsearchnet.data.preparation.storing import PreparedBuilder

_LISTS = "DeepFashion"
# In the order of the attributes' numbers in ASEN's lists.
_NUM_VALUES = {"texture": 156, "fabric": 218, "shape": 180, "part": 216, "style": 230}


class DeepFashionAttributes(PreparedBuilder):
    """DeepFashion's benchmark of categories and attributes: 5 attributes with 1,000 values."""

    name = "deepfashion_attributes"


def read(options: SourceOptions) -> Source:
    """Returns what ASEN's lists say.

    Raises:
      OSError: if a folder or file is missing; the message names it and lists what is there.
      ValueError: naming file and line, for another format.
    """
    folder = Path(options.source_dir).expanduser()
    source_files.check_folder(
        folder, [asen_lists.META, f"{_LISTS}/"], "ASEN's lists of DeepFashion"
    )
    space = asen_lists.read_space(folder / asen_lists.META, _LISTS, _NUM_VALUES)
    return asen_lists.read_with_splits(folder / _LISTS, space, "DeepFashion", several_values=True)


_COUNTS = {"attributes": 5, "values": 1_000}  # of ASEN's copy
READER = Reader(DeepFashionAttributes, SourceOptions, read, _COUNTS)
