"""Table 1 of [Ak21] with AMNet as its baseline, and what our changes do to `full`."""

import dataclasses

from fashionsearchnet.systems.fashionsearchnet_v2.variants import (
    PAPER_VARIANTS,
    VARIANTS,
    representations_of,
)
from fashionsearchnet.systems.recipe import TABLE_1, Order, Row, RowOf, RunTime, StageRun

_SYSTEM = "fashionsearchnet_v2"
LOCALIZATION = StageRun(
    "localization", f"{_SYSTEM}/train_localization", (f"{_SYSTEM}/localization",)
)


def _representations(variant: str) -> StageRun:
    """Returns the second stage that a variant needs; several variants share one."""
    name = representations_of(variant)
    if VARIANTS[variant].pooled:
        return StageRun(
            "pooled_representations",
            f"{_SYSTEM}/train_representations",
            (f"{_SYSTEM}/pooled_representations",),
            flags=(f"--variant={name}",),
        )
    return StageRun(
        # A variant with a third stage has its own folder for the run of that.
        f"{name}_representations" if VARIANTS[name].global_ranking else name,
        f"{_SYSTEM}/train_representations",
        (f"{_SYSTEM}/representations",),
        LOCALIZATION,
        (f"--variant={name}",),
    )


def _last_stage(variant: str, key: str, overrides: tuple[str, ...] = ()) -> StageRun:
    """Returns the last stage of a variant; a data set may have a flagfile for the variant."""
    second = _representations(variant)
    if not VARIANTS[variant].global_ranking:
        return second
    return StageRun(
        key,
        f"{_SYSTEM}/train_global",
        (f"{_SYSTEM}/{variant}", f"{_SYSTEM}/global"),
        second,
        (f"--variant={variant}", *overrides),
        examples="edits",
    )


def _plain(name: str, color: str, compared_with: str = "", adds: str = "") -> Row:
    """Returns the row of a variant as it is."""
    run, is_published = _last_stage(name, name), name in PAPER_VARIANTS
    return Row(name, VARIANTS[name].title, color, _SYSTEM, run, compared_with, adds, is_published)


def _pooled(key: str, color: str, compared_with: str) -> Row:
    """Returns the row of a variant on the pooled features of a pretrained trunk."""
    run = StageRun(
        f"pooled_{compared_with}",
        f"{_SYSTEM}/train_global",
        (f"{_SYSTEM}/pooled_{compared_with}",),
        _representations(key),
        (f"--variant={key}",),
        examples="edits",
    )
    adds, title = "pooled features of several maps", VARIANTS[key].title
    return Row(key, title, color, _SYSTEM, run, compared_with, adds, is_optional=True)


def _changed(key: str, title: str, color: str, variant: str, flag: str, adds: str) -> Row:
    """Returns a row of ours: a variant with one flag of its last stage changed."""
    run = _last_stage(variant, key, (flag,))
    return Row(key, title, color, _SYSTEM, run, variant, adds)


_PAPER_ROWS = (
    RowOf("amnet", "amnet"),
    _plain("without_rank", "C1"),
    _plain("rank", "C2", "without_rank", "ranking loss"),
    _plain("rank_l", "C3", "rank", "localization"),
    _plain("rank_lg", "C4", "rank_l", "global representation"),
    _plain("full", "C5", "rank_lg", "updatable memory"),
    _plain("full_ff", "C6", "full", "feature fusion"),
)
_OUR_ROWS = (
    _changed(
        "full_unedited",
        "Full, unedited negatives",
        "C9",
        "full",
        "--negatives=unedited",
        "negatives with the values before the edit",
    ),
    _changed(
        "full_memory_1",
        "Full, memory's rate x1",
        "C8",
        "full",
        "--memory_rate_multiplier=1",
        "memory at the common learning rate",
    ),
    _changed(
        "full_memory_100",
        "Full, memory's rate x100",
        "#1b9e77",
        "full",
        "--memory_rate_multiplier=100",
        "memory at 100 times the learning rate",
    ),
    _plain("full_edit_weights", "#e6ab02", "full", "one set of lambda per edit"),
    _plain("full_normalized", "#7570b3", "full", "representations of equal length"),
    _plain(
        "full_normalized_triplets",
        "#d95f02",
        "full_normalized",
        "and in the triplets of regions too",
    ),
    _plain("ours", "black", "full", "all of ours together"),
    _changed(
        "ours_3_changes",
        "Ours, up to 3 changes",
        "#666666",
        "ours",
        "--num_changes=3",
        "edits of up to three attributes while training",
    ),
    _pooled("full_pooled", "#1f78b4", "full"),
    _pooled("ours_pooled", "#b15928", "ours"),
)

RECIPE = dataclasses.replace(
    TABLE_1,
    name=_SYSTEM,
    rows=_PAPER_ROWS + _OUR_ROWS,
    order=Order(
        ("without_rank", "rank", "rank_l", "rank_lg", "full"),
        {"amnet": "a representation per attribute"},
        "AMNet and w/o Rank < Rank < Rank-L < Rank-LG <= Full",
    ),
    baseline_row="full",
    sheet_rows=("full", "ours"),
    run_time=RunTime(
        "section 4.7",
        extraction_seconds=60.0,
        regions_ms=2.0,
        note="The paper's network and 12 attributes; the paper's GPU is a GeForce GTX TITAN X.",
    ),
)
