"""Figures printed in papers, as data, so that an evaluation can show them beside its own.

A file holds the tables of one paper for one task: `source`, `task`, `metric` (of `scores.METRICS`),
`k` (null where the metric has none), `protocol`, and for each data set its `title`, `attributes`
and `rows`, each with its figures `per_attribute`, or none of them where a paper prints the mean
alone, and that `mean`.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from fashionsearchnet.evaluation.scores import Figure
from fashionsearchnet.files import read_packaged_json

_PAPERS = ("fashionsearchnet_v2", "flam", "flam_instances", "asenet")  # names of files


@dataclasses.dataclass(frozen=True)
class PublishedTable:
    """One table of one paper on one data set.

    Attributes:
      title: the data set as the paper spells it.
      source: the paper and the table.
      protocol: what the paper says about how it was measured.
      task: of `choices.TASKS`.
      figure: what the figures are.
      attributes: the paper's attributes, in its order.
      rows: for each method its figure per attribute, () if the paper prints none, and the mean that
        it prints.
    """

    title: str
    source: str
    protocol: str
    task: str
    figure: Figure
    attributes: tuple[str, ...]
    rows: dict[str, tuple[tuple[float, ...], float]]

    def aligned(self, row: str, names: Sequence[str]) -> list[float | None]:
        """Returns the row's figures in the order of `names`; None for names it does not have.

        Names compare without case, and with '_' and '-' as blanks.
        """
        found, _ = self.rows[row]
        names_found = map(_plain, self.attributes if found else ())
        figures = dict(zip(names_found, found, strict=True))
        return [figures.get(_plain(name)) for name in names]


def tables_for(dataset: str, task: str) -> list[PublishedTable]:
    """All papers' tables of a task on a data set such as `darn` or `catalogue/darn`."""
    return [table for paper in _PAPERS for table in _tables(paper, dataset) if table.task == task]


def table_for(dataset: str, paper: str = "fashionsearchnet_v2") -> PublishedTable | None:
    """Returns a paper's table of a data set, or None."""
    return next(_tables(paper, dataset), None)


def _tables(paper: str, dataset: str) -> Iterator[PublishedTable]:
    content = _content(paper)
    for name in filter(content["datasets"].__contains__, dataset.lower().split("/")):
        entry = content["datasets"][name]
        yield PublishedTable(
            title=entry["title"],
            source=content["source"],
            protocol=content["protocol"],
            task=content["task"],
            figure=Figure(content["metric"], content["k"]),
            attributes=tuple(entry["attributes"]),
            rows={
                row: (tuple(found["per_attribute"]), found["mean"])
                for row, found in entry["rows"].items()
            },
        )


@functools.cache
def _content(paper: str) -> dict[str, Any]:
    return read_packaged_json(__name__, f"{paper}.json")


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ")
