"""The lines of our table: those of Table 1 of [Ak21], and what changes of ours do to `full`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fashionsearchnet.checks import check_choice
from fashionsearchnet.systems.fashionsearchnet_v2.variants import (
    PAPER_VARIANTS,
    VARIANTS,
    representations_of,
)
from fashionsearchnet.training.flagfiles import parse_flags, read_flagfile


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
      key: its name on the command line, and of its run's folder.
      title: its name in the tables; for a row of Table 1 as printed there.
      color: of its curve, whatever other rows there are.
      variant: of FashionSearchNet-v2; '' for AMNet.
      overrides: flags of the last stage on top of the flagfile.
      compared_with: key of the row that it adds something to; '' for none.
      adds: what that is, in words.
      is_published: whether Table 1 has it.
    """

    key: str
    title: str
    color: str
    variant: str = ""
    overrides: tuple[str, ...] = ()
    compared_with: str = ""
    adds: str = ""
    is_published: bool = False


def _plain(name: str, color: str, compared_with: str = "", adds: str = "") -> Row:
    """Returns the row of a variant as it is."""
    is_published = name in PAPER_VARIANTS
    title = VARIANTS[name].title
    return Row(name, title, color, name, (), compared_with, adds, is_published)


def _changed(key: str, title: str, color: str, variant: str, flag: str, adds: str) -> Row:
    """Returns a row of ours: a variant with one flag of its last stage changed."""
    return Row(key, title, color, variant, (flag,), variant, adds)


# In the order of the table.
_ROWS = (
    Row("amnet", "AMNet", "C0", is_published=True),
    _plain("without_rank", "C1"),
    _plain("rank", "C2", "without_rank", "ranking loss"),
    _plain("rank_l", "C3", "rank", "localization"),
    _plain("rank_lg", "C4", "rank_l", "global representation"),
    _plain("full", "C5", "rank_lg", "updatable memory"),
    _plain("full_ff", "C6", "full", "feature fusion"),
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
)
ROWS = {row.key: row for row in _ROWS}


def available_rows(flags_dir: Path) -> list[str]:
    """Returns the keys of the rows that these flagfiles can make, in the order of the table.

    A row of ours that changes nothing here, since the flagfile of `full` has its flags already, is
    not among them. AMNet needs flagfiles of its own.
    """
    full = read_flagfile(flags_dir / "global.flags")
    changes = {
        key: parse_flags(row.overrides).items() - full.items()
        for key, row in ROWS.items()
        if row.variant == "full" and row.overrides
    }
    keys = [key for key in ROWS if changes.get(key, True)]
    if not (flags_dir / "amnet_classification.flags").is_file():
        keys.remove("amnet")
    return keys


def choose_rows(names: Sequence[str], flags_dir: Path, flag: str) -> list[Row]:
    """Returns the rows of these names in the order of the table; all available ones for none.

    Raises:
      ValueError: naming the `flag` and listing the rows, for a name that is none of them.
    """
    available = available_rows(flags_dir)
    for name in names:
        check_choice(flag, name, available)
    return [ROWS[key] for key in available if not names or key in names]


def second_stage_of(row: Row) -> tuple[str, str]:
    """Returns folder and variant of the second stage that a row's last stage starts from."""
    name = representations_of(row.variant)
    # A variant with a third stage has its own folder for the run of that.
    return (f"{name}_representations" if VARIANTS[name].global_ranking else name), name
