"""DeepFashion Consumer-to-shop Clothes Retrieval: a customer's picture asks for the shop's item.

[Liu16] Z. Liu et al., "DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich
Annotations", CVPR 2016. Read from the authors' folder: `Eval/list_eval_partition.txt` (pairs of a
customer's and a shop's image, item and split), `Anno/list_bbox_consumer2shop.txt` (the box of the
garment) and `img/` (or `Img/img/`). Queries are the customers' test images, the gallery is the
shops'. Their `val` images are trained on, and `validation` is cut from all training images, as for
every data set here. Images are cut to their box. The folders of an image say two attributes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fashionsearchnet.data.deepfashion import lists
from fashionsearchnet.data.preparation import source_files
from fashionsearchnet.data.preparation.options import SourceOptions
from fashionsearchnet.data.preparation.reader import Reader
from fashionsearchnet.data.preparation.source import Source
from fashionsearchnet.data.preparation.storing import PreparedBuilder

_PARTITION, _BOXES = "Eval/list_eval_partition.txt", "Anno/list_bbox_consumer2shop.txt"
_PARTITION_HEADER = ("image_pair_name_1", "image_pair_name_2", "item_id", "evaluation_status")
_BOX_HEADER = ("image_name", "clothes_type", "source_type", "x_1", "y_1", "x_2", "y_2")
_SPLITS = ("train", "val", "test")


class ConsumerToShop(PreparedBuilder):
    """DeepFashion Consumer-to-shop: pictures of customers, and of the shops' same items."""

    name = "deepfashion_consumer2shop"


def read(options: SourceOptions) -> Source:
    """Returns what the files say, each image cut to the box of its garment.

    Raises:
      OSError: if a folder or file is missing; the message names it and lists what is there.
      ValueError: naming file and line, for a format that is not the published one, or an image that
        stands in two splits or shows two items.
    """
    folder = Path(options.source_dir).expanduser()
    source_files.check_folder(folder, [_PARTITION, _BOXES], "DeepFashion Consumer-to-shop")
    path, boxes_path = folder / _PARTITION, folder / _BOXES
    places = _places(path, lists.read_list(path, _PARTITION_HEADER))
    return lists.boxed_source(folder, path, boxes_path, _BOX_HEADER, places, ("group", "category"))


def _places(path: Path, rows: Sequence[lists.Line]) -> Mapping[str, tuple[int, str, str]]:
    """Returns the line, the item and the split of each image, in the order of the file.

    Each shop's image stands in a pair with every customer's image of its item.
    """
    places: dict[str, tuple[int, str, str]] = {}
    for row in rows:
        customer, shop, item, _ = row.cells
        is_test = lists.check_split(path, row, _SPLITS) == "test"
        for image, own in ((customer, "query"), (shop, "gallery")):
            split = own if is_test else "train"
            number, *before = places.setdefault(image, (row.number, item, split))
            if before != [item, split]:
                raise ValueError(
                    f"{path} line {row.number}: {image} belongs to {item} and split {split} here, "
                    f"but to {' and split '.join(before)} in line {number}. Get the file again."
                )
    return places


_COUNTS = {"images": 239_557}  # of [Liu16]
READER = Reader(ConsumerToShop, SourceOptions, read, _COUNTS)
