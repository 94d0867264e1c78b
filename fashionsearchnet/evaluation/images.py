"""Which images are queries, and which are the gallery."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from fashionsearchnet.evaluation import protocol
from fashionsearchnet.evaluation.settings import Settings
from fashionsearchnet.systems.features import images_digest


@dataclasses.dataclass(frozen=True)
class Images:
    """The queries and the gallery of some evaluations.

    Attributes:
      query_labels: int32 `[queries, A]`.
      gallery: with its labels.
      own: int `[queries]`, the position of each in the gallery; None if none is in it.
      digest: text that is equal only for the same images with the same labels.
    """

    query_labels: np.ndarray
    gallery: protocol.Gallery
    own: np.ndarray | None
    digest: str


def common_images(dataset: Any, settings: Sequence[Settings]) -> tuple[tuple[str, str], Images]:
    """Returns the query split and the gallery split that all settings name, and their images."""
    named = {(how.query_split, how.gallery_split, how.queries_in_gallery) for how in settings}
    if len(named) != 1:
        raise ValueError(
            "all settings must have the same query_split, gallery_split and queries_in_gallery, "
            f"since they share a pass over the images; got {sorted(named)}. Evaluate each such "
            "group by a call of its own."
        )
    ((query_split, gallery_split, queries_in_gallery),) = named
    splits = query_split, gallery_split
    query_ids, gallery_ids = (list(dataset.image_ids(split)) for split in splits)
    query_labels, gallery_labels = (np.asarray(dataset.labels(split)) for split in splits)
    own = None
    if queries_in_gallery:
        own = _own_positions(query_ids, gallery_ids, splits)
    else:
        _check_disjoint(query_ids, gallery_ids, splits)
    return splits, Images(
        query_labels=query_labels,
        gallery=protocol.Gallery(gallery_labels),
        own=own,
        digest=images_digest(query_ids, query_labels) + images_digest(gallery_ids, gallery_labels),
    )


def _check_disjoint(
    query_ids: Sequence[str], gallery_ids: Sequence[str], splits: tuple[str, str]
) -> None:
    """Raises a ValueError if an image is both query and gallery item."""
    shared = set(query_ids) & set(gallery_ids)
    if shared:
        raise ValueError(
            f"{len(shared)} images are both in query split {splits[0]!r} and in gallery "
            f"split {splits[1]!r} (such as {min(shared)!r}); they must be disjoint. "
            "To cut one split use slices such as 'validation[:30%]' and 'validation[30%:]'; where "
            "all queries belong to the gallery, as in ADDE's splits, set queries_in_gallery."
        )


def _own_positions(
    query_ids: Sequence[str], gallery_ids: Sequence[str], splits: tuple[str, str]
) -> np.ndarray:
    """Returns int `[queries]`: the position of each query image in the gallery.

    Raises:
      ValueError: if one is not there.
    """
    position = {image_id: i for i, image_id in enumerate(gallery_ids)}
    absent = [image_id for image_id in query_ids if image_id not in position]
    if absent:
        raise ValueError(
            f"queries_in_gallery needs every query in the gallery, but {len(absent)} images of "
            f"query split {splits[0]!r} are not in gallery split {splits[1]!r} (such as "
            f"{min(absent)!r}). Leave it off where the two are disjoint."
        )
    return np.array([position[image_id] for image_id in query_ids])
