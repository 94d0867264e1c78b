"""The lines of our table: those of Table 1 of [Ak21], and what changes of ours do to `full`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fashionsearchnet.checks import check_choice
from fashionsearchnet.flagfiles import parse_flags, read_flagfile
from fashionsearchnet.systems.fashionsearchnet_v2.variants import (
    PAPER_VARIANTS,
    VARIANTS,
    representations_of,
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
      key: its name on the command line, and of its run's folder.
      title: its name in the tables; for a row of Table 1 as printed there.
      variant: of FashionSearchNet-v2; '' for AMNet.
      overrides: flags of the last stage on top of the flagfile.
      is_published: whether Table 1 has it.
    """

    key: str
    title: str
    variant: str = ""
    overrides: tuple[str, ...] = ()
    is_published: bool = False


def _all_rows() -> dict[str, Row]:
    titles = {name: VARIANTS[name].title for name in VARIANTS}
    rows = [Row("amnet", "AMNet", is_published=True)]
    rows += [Row(name, titles[name], name, is_published=True) for name in PAPER_VARIANTS]
    rows += [
        Row("full_unedited", "Full, unedited negatives", "full", ("--negatives=unedited",)),
        Row("full_memory_1", "Full, memory's rate x1", "full", ("--memory_rate_multiplier=1",)),
        Row(
            "full_memory_100", "Full, memory's rate x100", "full", ("--memory_rate_multiplier=100",)
        ),
    ]
    rows += [Row(name, titles[name], name) for name in VARIANTS if name not in PAPER_VARIANTS]
    rows.append(Row("ours_3_changes", "Ours, up to 3 changes", "ours", ("--num_changes=3",)))
    return {row.key: row for row in rows}


ROWS = _all_rows()


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
