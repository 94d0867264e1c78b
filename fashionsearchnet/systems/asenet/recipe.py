"""Retrieval by attribute: the triplet net, CSN and both networks of ASEN."""

import dataclasses

from fashionsearchnet.systems.asenet.variants import VARIANTS
from fashionsearchnet.systems.recipe import BY_ATTRIBUTE, Order, Row, StageRun

_SYSTEM = "asenet"
_COLORS = dict(zip(VARIANTS, ("C0", "C1", "C2", "C3"), strict=True))


def _row(variant: str, compared_with: str = "", adds: str = "") -> Row:
    """Returns the row of a variant; all of them read one flagfile."""
    run = StageRun(
        variant,
        f"{_SYSTEM}/train_embedding",
        (f"{_SYSTEM}/embedding",),
        flags=(f"--variant={variant}",),
    )
    title, color = VARIANTS[variant].title, _COLORS[variant]
    return Row(variant, title, color, _SYSTEM, run, compared_with, adds, is_published=True)


RECIPE = dataclasses.replace(
    BY_ATTRIBUTE,
    name=_SYSTEM,
    rows=(
        _row("triplet_net"),
        _row("csn", "triplet_net", "a mask of the vector for each attribute"),
        _row("asenet_v1", "csn", "attention to cells and channels by attribute"),
        _row("asenet_v2", "asenet_v1", "a learned vector for each attribute, and no last layer"),
    ),
    order=Order(
        ("triplet_net", "csn", "asenet_v1", "asenet_v2"),
        text="Triplet net < CSN < ASENet V1 < ASENet_V2",
    ),
)
