"""DeepFashion In-shop Clothes Retrieval: several pictures of each item of a shop.

[Liu16] Z. Liu et al., "DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich
Annotations", CVPR 2016. Read from the authors' folder: `Eval/list_eval_partition.txt` (image, item
and split), `Anno/list_bbox_inshop.txt` (the box of the garment) and `img/` (or `Img/img/`). The
splits are the authors'. Images are cut to their box. The folders of an image say two attributes:
whom it is for, and the category.
"""

from pathlib import Path

from fashionsearchnet.data.deepfashion import lists
from fashionsearchnet.data.preparation import source_files
from fashionsearchnet.data.preparation.options import SourceOptions
from fashionsearchnet.data.preparation.reader import Reader
from fashionsearchnet.data.preparation.source import Source
from fashionsearchnet.data.preparation.storing import PreparedBuilder

_PARTITION, _BOXES = "Eval/list_eval_partition.txt", "Anno/list_bbox_inshop.txt"
_PARTITION_HEADER = ("image_name", "item_id", "evaluation_status")
_BOX_HEADER = ("image_name", "clothes_type", "pose_type", "x_1", "y_1", "x_2", "y_2")
_SPLITS = ("train", "query", "gallery")


class InShop(PreparedBuilder):
    """DeepFashion In-shop: items of a shop, each in several pictures."""

    name = "deepfashion_inshop"


def read(options: SourceOptions) -> Source:
    """Returns what the files say, each image cut to the box of its garment.

    Raises:
      OSError: if a folder or file is missing; the message names it and lists what is there.
      ValueError: naming file and line, for a format that is not the published one.
    """
    folder = Path(options.source_dir).expanduser()
    source_files.check_folder(folder, [_PARTITION, _BOXES], "DeepFashion In-shop")
    boxes_path, path = folder / _BOXES, folder / _PARTITION
    rows = lists.read_list(path, _PARTITION_HEADER)
    source_files.check_unique(path, [r.cells[0] for r in rows], [r.number for r in rows])
    places = {
        row.cells[0]: (row.number, row.cells[1], lists.check_split(path, row, _SPLITS))
        for row in rows
    }
    return lists.boxed_source(folder, path, boxes_path, _BOX_HEADER, places, ("gender", "category"))


_COUNTS = {"images": 52_712, "query": 14_218, "gallery": 12_612}  # of [Liu16]
READER = Reader(InShop, SourceOptions, read, _COUNTS)
