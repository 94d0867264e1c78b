"""Asks a system where it looks, and puts the answer on the images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fashionsearchnet.attributes import MISSING, AttributeSpace
from fashionsearchnet.explain.attention_sheet import AttentionCell, AttentionRow
from fashionsearchnet.explain.overlays import (
    MapGeometry,
    enlarge,
    map_on_image,
    overlay_map,
    square_image,
)
from fashionsearchnet.search.search import Query, decode, model_input, read_attributes


def check_attention(system: Any, what: str) -> None:
    """Raises a ValueError that names `what` if the system cannot say where it looks."""
    if not hasattr(system, "attention"):
        name = getattr(system, "name", type(system).__name__)
        raise ValueError(
            f"{what} holds a system ({name}) that has no attention maps, so there is nothing to "
            "draw. Take a run of fashionsearchnet_v2, or draw what it retrieves: --sheet."
        )


def map_geometry(system: Any) -> MapGeometry | None:
    """Returns where the cells of the system's maps lie; None if it does not say."""
    backbone = getattr(system, "backbone", None)
    if backbone is None:
        return None
    return MapGeometry(backbone.first_centre, backbone.cell_stride, system.image_size)


def attention_rows(
    system: Any,
    queries: Sequence[Query],
    attributes: Sequence[int],
    true_boxes: Sequence[np.ndarray | None] | None = None,
    search_logits: np.ndarray | None = None,
) -> tuple[AttentionRow, ...]:
    """Returns a row of a sheet for each image.

    Args:
      system: with `attention(images)`, which returns "maps" `[B, A, h, w]`, "boxes" `[B, A, 4]`
        and "logits" `[B, C]`, whose likeliest values the maps are of.
      queries: the images.
      attributes: indices of the attributes to show.
      true_boxes: for each image float32 `[A, 4]` on the padded square (ymin, xmin, ymax, xmax in
        0..1, -1 where there is none), or None.
      search_logits: float `[N, C]`, of the features that searches use. Where they name another
        value than the attention does, the cell says so.

    Raises:
      ValueError: if the system has no attention.
    """
    check_attention(system, "the run")
    rows = []
    for i, query in enumerate(queries):
        found = system.attention(model_input(system, query.data))
        maps, boxes, logits = (np.asarray(found[key])[0] for key in ("maps", "boxes", "logits"))
        values, probabilities = read_attributes(system.space, logits)
        searched = values
        if search_logits is not None:
            searched, _ = read_attributes(system.space, search_logits[i])
        truth = None if true_boxes is None else true_boxes[i]
        image = decode(query.data)
        square = enlarge(square_image(image, system.channel_means))
        heats = [map_on_image(maps[a], len(square), map_geometry(system)) for a in attributes]
        labels = [None if query.labels is None else int(query.labels[a]) for a in attributes]
        cells = [
            AttentionCell(
                picture=overlay_map(square, heat),
                box=tuple(boxes[a]),
                value=system.space.value_name(a, values[a]),
                probability=float(probabilities[a]),
                is_right=None if label in (None, MISSING) else bool(label == values[a]),
                remarks=_remarks(system.space, a, values[a], label, searched[a]),
                true_box=None if truth is None or truth[a].min() < 0 else tuple(truth[a]),
            )
            for a, heat, label in zip(attributes, heats, labels, strict=True)
        ]
        rows.append(AttentionRow(query.name, image, tuple(cells)))
    return tuple(rows)


def _remarks(
    space: AttributeSpace, attribute: int, value: int, label: int | None, searched: int
) -> tuple[str, ...]:
    """Returns what else there is to say of a value: a label or a reading that differs."""
    remarks = []
    if label == MISSING:
        remarks.append("no label")
    elif label is not None and label != value:
        remarks.append(f"label: {space.value_name(attribute, label)}")
    if searched != value:
        remarks.append(f"read in searches: {space.value_name(attribute, searched)}")
    return tuple(remarks)
