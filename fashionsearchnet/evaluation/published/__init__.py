"""Figures printed in papers, as data, so that an evaluation can show them beside its own."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from fashionsearchnet.files import read_packaged_json

_FILES = ("fashionsearchnet_v2.json",)


@dataclasses.dataclass(frozen=True)
class PublishedTable:
    """One table of one paper on one data set.

    Attributes:
      title: the data set as the paper spells it.
      source: the paper and the table.
      protocol: what the paper says about how it was measured.
      k: the K of top-K accuracy.
      attributes: the paper's attributes, in its order.
      rows: for each method its accuracy per attribute, and the mean that the paper prints.
    """

    title: str
    source: str
    protocol: str
    k: int
    attributes: tuple[str, ...]
    rows: dict[str, tuple[tuple[float, ...], float]]

    def aligned(self, row: str, names: Sequence[str]) -> list[float | None]:
        """Returns the row's figures in the order of `names`; None for names it does not have.

        Names compare without case, and with '_' and '-' as blanks.
        """
        figures = dict(zip(map(_plain, self.attributes), self.rows[row][0], strict=True))
        return [figures.get(_plain(name)) for name in names]


def table_for(dataset: str) -> PublishedTable | None:
    """Returns the published table of a data set such as `darn` or `catalogue/darn`, or None."""
    parts = dataset.lower().split("/")
    for content in _contents():
        for name in filter(content["datasets"].__contains__, parts):
            entry = content["datasets"][name]
            rows = {
                name: (tuple(row["per_attribute"]), row["mean"])
                for name, row in entry["rows"].items()
            }
            return PublishedTable(
                title=entry["title"],
                source=content["source"],
                protocol=content["protocol"],
                k=content["k"],
                attributes=tuple(entry["attributes"]),
                rows=rows,
            )
    return None


def dataset_names() -> list[str]:
    """Returns the data sets that have a published table."""
    return [name for content in _contents() for name in content["datasets"]]


@functools.cache
def _contents() -> tuple[dict[str, Any], ...]:
    return tuple(read_packaged_json(__name__, name) for name in _FILES)


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ")
