"""Figures printed in papers, as data, so that an evaluation can show them beside its own.

A file holds the tables of one paper for one task: `source`, `task`, `metric` (of `scores.METRICS`),
`k` (null where the metric has none; a list for several Ks), `protocol`, and for each data set its
`title`, `attributes` and `rows`. A row has its figures `per_attribute` and their `mean`. Where a
paper prints the mean alone it has no `per_attribute`. For several Ks it has a list of means, and no
`per_attribute`. The figures of the only attribute are its means. `mean_over`, of a row or of the
whole file, says whether a mean is over "attributes", as it is by default, or over "queries".
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fashionsearchnet.evaluation.scores import Figure
from fashionsearchnet.files import read_packaged_json

_PAPERS = (  # names of files
    *("fashionsearchnet_v2", "flam", "flam_instances", "flam_table_4", "flam_table_4_instances"),
    *("flam_table_5", "flam_table_5_instances", "asenet"),
)


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
      over_queries: the methods whose mean is over all questions, and not over attributes.
    """

    title: str
    source: str
    protocol: str
    task: str
    figure: Figure
    attributes: tuple[str, ...]
    rows: dict[str, tuple[tuple[float, ...], float]]
    over_queries: frozenset[str] = frozenset()

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


def table_for(
    dataset: str, paper: str = "fashionsearchnet_v2", figure: Figure | None = None
) -> PublishedTable | None:
    """Returns a paper's table of a data set, or None.

    Args:
      dataset: such as `darn` or `catalogue/darn`.
      paper: the name of its file.
      figure: that the table must show; None for its first.
    """
    tables = _tables(paper, dataset)
    return next((table for table in tables if figure in (None, table.figure)), None)


def edited_features(dataset: str) -> dict[str, Any] | None:
    """Returns [Shin19] Table 5's accuracy of a classifier on original and edited features.

    Args:
      dataset: such as `darn` or `catalogue/darn`.

    Returns:
      `source`, `title`, `attributes`, `original` and `edited` by attribute, `mean_difference`; None
      for other data sets.
    """
    content = _content("flam_edited_features")
    for name in filter(content["datasets"].__contains__, dataset.lower().split("/")):
        return {"source": content["source"], **content["datasets"][name]}
    return None


def _tables(paper: str, dataset: str) -> Iterator[PublishedTable]:
    content = _content(paper)
    ks = content["k"] if isinstance(content["k"], list) else [content["k"]]
    for name in filter(content["datasets"].__contains__, dataset.lower().split("/")):
        entry = content["datasets"][name]
        for position, k in enumerate(ks):
            yield PublishedTable(
                title=entry["title"],
                source=content["source"],
                protocol=content["protocol"],
                task=content["task"],
                figure=Figure(content["metric"], k),
                attributes=tuple(entry["attributes"]),
                rows={
                    row: _figures(found, position, len(entry["attributes"]))
                    for row, found in entry["rows"].items()
                },
                over_queries=frozenset(
                    row
                    for row, found in entry["rows"].items()
                    if found.get("mean_over", content.get("mean_over")) == "queries"
                ),
            )


def _figures(
    found: Mapping[str, Any], position: int, num_attributes: int
) -> tuple[tuple[float, ...], float]:
    """Returns the figures of each attribute, () without any, and the mean, at one of the Ks."""
    means = found["mean"]
    mean = float(means[position] if isinstance(means, list) else means)
    if num_attributes == 1:
        return (mean,), mean
    return tuple(found.get("per_attribute", ())), mean


@functools.cache
def _content(paper: str) -> dict[str, Any]:
    return read_packaged_json(__name__, f"{paper}.json")


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ")
