"""The images of an evaluation: queries and gallery."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.systems.features import images_digest


@dataclasses.dataclass(frozen=True)
class Splits:
    """The queries and the gallery.

    Attributes:
      names: of the query split and the gallery split.
      query_labels: int32 `[queries, A]`, -1 for missing.
      gallery_labels: int32 `[gallery, A]`.
      own: int `[queries]`, the position of each query in the gallery; None if none is in it.
      digest: text that is equal only for the same images with the same labels.
      gallery_rows: int `[gallery]`, which images of the gallery split are in the gallery; None for
        all. Where a data set knows the products of a shop, the first image of each is, so that a
        hit counts once per product.
    """

    names: tuple[str, str]
    query_labels: np.ndarray
    gallery_labels: np.ndarray
    own: np.ndarray | None
    digest: str
    gallery_rows: np.ndarray | None = None

    def of_gallery(self, rows: np.ndarray) -> np.ndarray:
        """Returns those of `rows` `[images of the gallery split, ...]` that are in the gallery."""
        return rows if self.gallery_rows is None else rows[self.gallery_rows]


def read_splits(dataset: Dataset, splits: tuple[str, str]) -> Splits:
    """Reads the labels of a query split and a gallery split.

    Raises:
      ValueError: if a split is empty; if images are in both splits, and the data set does not say
        so (`Dataset.queries_in_gallery`); if it does, and only some of the queries are.
    """
    query_ids, gallery_ids = (list(dataset.image_ids(split)) for split in splits)
    for split, ids in zip(splits, (query_ids, gallery_ids), strict=True):
        if not ids:
            raise ValueError(f"split {split!r} of {dataset.name} has no images. Take another.")
    query_labels, gallery_labels = (np.asarray(dataset.labels(split)) for split in splits)
    kept = _first_of_each_product(dataset, splits[1])
    if kept is not None:
        gallery_ids, gallery_labels = [gallery_ids[row] for row in kept], gallery_labels[kept]
    return Splits(
        names=splits,
        query_labels=query_labels,
        gallery_labels=gallery_labels,
        own=_own_positions(query_ids, gallery_ids, splits, dataset),
        digest=images_digest(query_ids, query_labels) + images_digest(gallery_ids, gallery_labels),
        gallery_rows=kept,
    )


def _first_of_each_product(dataset: Dataset, split: str) -> np.ndarray | None:
    """Returns `Splits.gallery_rows`."""
    products = dataset.instance_ids(split) if dataset.counts_products else None
    if products is None or dataset.queries_in_gallery:
        return None
    return np.sort(np.unique(products, return_index=True)[1])


def _own_positions(
    query_ids: Sequence[str], gallery_ids: Sequence[str], splits: tuple[str, str], dataset: Dataset
) -> np.ndarray | None:
    """Returns `Splits.own`."""
    position = {image_id: i for i, image_id in enumerate(gallery_ids)}
    shared = [image_id for image_id in query_ids if image_id in position]
    if not shared:
        return None
    if not dataset.queries_in_gallery or len(shared) < len(query_ids):
        rule = "either all queries or none may be" if dataset.queries_in_gallery else "none may be"
        raise ValueError(
            f"{len(shared)} of the {len(query_ids)} images of query split {splits[0]!r} are in "
            f"gallery split {splits[1]!r} too (such as {min(shared)!r}); in {dataset.name} {rule}. "
            "To cut one split use slices such as 'validation[:30%]' and 'validation[30%:]'."
        )
    return np.array([position[image_id] for image_id in query_ids])
