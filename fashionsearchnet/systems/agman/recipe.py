"""Retrieval by attribute: AG-MAN, its baselines, and each of its ideas on its own."""

import dataclasses

from fashionsearchnet.systems.agman.variants import VARIANTS
from fashionsearchnet.systems.recipe import BY_ATTRIBUTE, Order, Row, RowOf, StageRun

_SYSTEM = "agman"
_COLORS = dict(zip(VARIANTS, ("black", "C4", "C5", "C6"), strict=True))


def _row(variant: str, adds: str, *, is_published: bool = False) -> Row:
    """Returns the row of a variant, compared with ASENet_V2; all of them read one flagfile."""
    run = StageRun(
        "agman" if variant == "agman" else f"agman_{variant}",
        f"{_SYSTEM}/train_embedding",
        (f"{_SYSTEM}/embedding",),
        flags=(f"--variant={variant}",),
    )
    title, color = VARIANTS[variant].title, _COLORS[variant]
    return Row(variant, title, color, _SYSTEM, run, "asenet_v2", adds, is_published)


# Ours: the same network learns from the labels of each image.
_VALUES = Row(
    "agman_values",
    "AG-MAN from values",
    "C7",
    _SYSTEM,
    StageRun("agman_values", f"{_SYSTEM}/train_embedding", (f"{_SYSTEM}/values",)),
    "agman",
    "values in place of triplets",
    is_optional=True,
)

RECIPE = dataclasses.replace(
    BY_ATTRIBUTE,
    name=_SYSTEM,
    title="Retrieval by attribute, with AG-MAN",
    rows=(
        *(RowOf("asenet", key) for key in ("triplet_net", "csn", "asenet_v1", "asenet_v2")),
        _row("multi_level", "multi-level embedding"),
        _row("classification", "classification branch"),
        _row("attention", "improved attention"),
        _row("agman", "all three ideas", is_published=True),
        _VALUES,
    ),
    order=Order(
        ("triplet_net", "csn", "asenet_v1", "asenet_v2", "agman"),
        text="Triplet net < CSN < ASENet V1 < ASENet_V2 < AG-MAN",
    ),
)
