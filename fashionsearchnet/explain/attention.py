"""Shows on images where a system looks."""

from collections.abc import Sequence

import numpy as np

from fashionsearchnet.attributes import MISSING, AttributeSpace, softmax_blocks
from fashionsearchnet.explain.attention_sheet import AttentionCell, AttentionRow
from fashionsearchnet.explain.overlays import as_seen, enlarge, map_on_image, overlay_map
from fashionsearchnet.explain.panels import Panel, attention_panel
from fashionsearchnet.search.judgement import Query, Reading
from fashionsearchnet.search.live_gallery import model_input
from fashionsearchnet.search.queries import decode
from fashionsearchnet.systems.system import System


def check_attention(system: System, what: str) -> None:
    """Raises a ValueError that names `what` if the system cannot say where it looks."""
    if not system.has_attention:
        raise ValueError(
            f"{what} holds a system ({_named(system)}) that has no attention maps, so there is "
            "nothing to draw. Take a run of fashionsearchnet_v2 whose variant has maps, such as "
            "ours, or of asenet or agman; or draw what this one retrieves: --sheet."
        )


def _named(system: System) -> str:
    """Returns the name of a system, with its variant where it has some."""
    variant = system.arguments.get("variant")
    return f"{system.name}, variant {variant}" if variant else system.name


def attention_rows(
    system: System,
    queries: Sequence[Query],
    attributes: Sequence[int],
    true_boxes: Sequence[np.ndarray | None] | None = None,
    readings: Sequence[Reading | None] | None = None,
) -> tuple[AttentionRow, ...]:
    """Returns a row of a sheet for each of N images.

    Args:
      system: with attention.
      queries: the images.
      attributes: indices of the attributes to show.
      true_boxes: for each image float32 `[A, 4]` on the network's input (ymin, xmin, ymax, xmax in
        0..1, -1 where there is none), or None.
      readings: what searches read off each image. Where they name another value than the attention
        does, the cell says so.

    Raises:
      ValueError: if the system has no attention.
    """
    check_attention(system, "the run")
    rows = []
    for i, query in enumerate(queries):
        maps, boxes, own = _attention(system, query)
        searched = None if readings is None else readings[i]
        truth = None if true_boxes is None else true_boxes[i]
        image = decode(query.image)
        seen = enlarge(as_seen(image, system.image_input))
        cells = []
        for a in attributes:
            label = None if query.labels is None else int(query.labels[a])
            value = int(own.values[a])
            heat = map_on_image(maps[a], len(seen), system.map_geometry)
            other = value if searched is None else int(searched.values[a])
            cells.append(
                AttentionCell(
                    picture=overlay_map(seen, heat),
                    box=tuple(boxes[a]),
                    value=system.space.value_name(a, value),
                    probability=None if value == MISSING else float(own.probabilities[a]),
                    is_right=None if label in (None, MISSING) else label == value,
                    remarks=_remarks(system.space, a, value, label, other),
                    true_box=None if truth is None or truth[a].min() < 0 else tuple(truth[a]),
                )
            )
        rows.append(AttentionRow(query.name, image, tuple(cells)))
    return tuple(rows)


def attention_panels(system: System, query: Query, attributes: Sequence[int]) -> tuple[Panel, ...]:
    """Shows where the system looks for these attributes; nothing if it has no attention."""
    if not system.has_attention or not attributes:
        return ()
    maps, boxes, _ = _attention(system, query)
    image = decode(query.image)
    return tuple(
        attention_panel(
            image,
            maps[a],
            boxes[a],
            f"attention: {system.space.names[a]}",
            system.image_input,
            system.map_geometry,
        )
        for a in attributes
    )


def _attention(system: System, query: Query) -> tuple[np.ndarray, np.ndarray, Reading]:
    """Returns the maps `[A, h, w]`, the boxes `[A, 4]` and what the attention itself reads."""
    found = system.attention(model_input(system, query.image))
    assert found is not None, f"{system.name} says that it has attention"
    maps, boxes, logits = (np.asarray(found[key])[0] for key in ("maps", "boxes", "logits"))
    if not system.space.has_values:
        nothing = np.full(system.space.num_attributes, MISSING)
        return maps, boxes, Reading(nothing, np.zeros(len(nothing)))
    return maps, boxes, Reading.of(system.space, softmax_blocks(system.space, logits))


def _remarks(
    space: AttributeSpace, attribute: int, value: int, label: int | None, searched: int
) -> tuple[str, ...]:
    """Returns further lines on a value: a label or a reading that differs."""
    remarks = []
    if value == MISSING:
        return ()
    if label == MISSING:
        remarks.append("no label")
    elif label is not None and label != value:
        remarks.append(f"label: {space.value_name(attribute, label)}")
    if searched != value:
        remarks.append(f"read in searches: {space.value_name(attribute, searched)}")
    return tuple(remarks)
