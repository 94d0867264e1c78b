"""Recipes: which runs make the rows of a paper's table, and what is compared with what.

A system's folder holds its recipe as data; `reproduction` executes any of them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from fashionsearchnet.checks import check_choice


@dataclasses.dataclass(frozen=True)
class StageRun:
    """A stage trained with certain flags. Rows that need the same one share it.

    Attributes:
      folder: of the run, below the folder of all runs.
      script: that trains it, below tools/, such as 'my_system/train_embedding'.
      flagfiles: below the folder of a data set's flagfiles; the first that exists is used.
      start: the run whose weights it starts from; None for a first stage.
      flags: on top of the flagfile.
      examples: what it trains on: "images", or "edits" of stored features.
    """

    folder: str
    script: str
    flagfiles: tuple[str, ...]
    start: "StageRun | None" = None
    flags: tuple[str, ...] = ()
    examples: Literal["images", "edits"] = "images"


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
      key: its name on the command line.
      title: its name in the tables; for a published row as the paper prints it.
      color: of its curve, for matplotlib; the same whatever other rows are drawn.
      system: the key of its system in `systems.registry.SYSTEMS`.
      run: its last stage.
      compared_with: key of the row that it adds something to; '' for none.
      adds: what it adds, in words.
      is_published: whether the paper's table has it.
      is_optional: whether it is left out where a data set has no flagfile for it.
    """

    key: str
    title: str
    color: str
    system: str
    run: StageRun
    compared_with: str = ""
    adds: str = ""
    is_published: bool = False
    is_optional: bool = False


@dataclasses.dataclass(frozen=True)
class RowOf:
    """A row that another system's recipe describes.

    Attributes:
      recipe: its name.
      key: of the row in it.
    """

    recipe: str
    key: str


@dataclasses.dataclass(frozen=True)
class Order:
    """The order of rows that a paper argues for.

    Attributes:
      keys: of the rows, the worst first.
      beside_first: further rows that rank as low as the first, by key; each with what the second
        row of the order adds to it.
      text: the order in words.
    """

    keys: tuple[str, ...]
    beside_first: Mapping[str, str] = dataclasses.field(default_factory=dict)
    text: str = ""


@dataclasses.dataclass(frozen=True)
class RunTime:
    """The run time that a paper states.

    Attributes:
      source: the paper's section.
      extraction_seconds: for the features of 10,000 images.
      regions_ms: for the regions of all attributes of an image.
      note: on which hardware, and of which network.
    """

    source: str
    extraction_seconds: float
    regions_ms: float
    note: str


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A table of a paper, and how to make it.

    Attributes:
      name: its key in `systems.recipes.RECIPES`.
      paper: whose figures stand beside ours, by its name in `evaluation.published`; '' for none.
      title: of the table, as the paper numbers it.
      task: that the table is about; a key of `choices.TASKS`.
      metric: of its figures; a key of `evaluation.scores.METRICS`.
      k: the K of the metric; None for a metric without one.
      mean: the mean that is compared: 'mean' over attributes or 'queries' over all questions.
      mean_note: what the paper calls that mean.
      rows: in the order of the table.
      order: the order of rows that the paper argues for.
      baseline_row: the row whose network the baselines are measured with, if it is chosen.
      orientation: the data set whose published figures stand beside data sets without any; '' for
        none.
      sheet_rows: rows whose retrieval sheets are drawn.
      curve_title: which figure of the paper shows the metric over K.
      sheets_title: which figure of the paper shows retrieval sheets.
      run_time: that the paper states; None if it states none.
    """

    name: str
    paper: str
    title: str
    task: str
    metric: str
    k: int | None
    mean: str
    mean_note: str
    rows: tuple[Row | RowOf, ...]
    order: Order = Order(())
    baseline_row: str = ""
    orientation: str = ""
    sheet_rows: tuple[str, ...] = ()
    curve_title: str = ""
    sheets_title: str = ""
    run_time: RunTime | None = None

    def table(self, recipes: Mapping[str, "Recipe"]) -> dict[str, Row]:
        """Returns the rows by key, those of other recipes included.

        Args:
          recipes: all recipes by name.
        """
        rows = [row if isinstance(row, Row) else _row_of(row, recipes) for row in self.rows]
        keys = {row.key for row in rows}
        return {
            # A row of another recipe may be compared with one that this table has not.
            row.key: row
            if isinstance(own, Row) or row.compared_with in keys
            else dataclasses.replace(row, compared_with="", adds="")
            for own, row in zip(self.rows, rows, strict=True)
        }


# Recipes for Table 1 of [Ak21] replace its name, title and rows.
TABLE_1 = Recipe(
    name="",
    paper="fashionsearchnet_v2",
    title="Table 1",
    task="manipulation",
    metric="top_k",
    k=20,
    mean="mean",
    mean_note="plain mean over attributes, the paper's Avg.",
    rows=(),
    orientation="shopping100k",
    curve_title="Figure 5",
    sheets_title="Figure 6",
)

# Recipes of retrieval by attribute replace its name, title, rows and order.
BY_ATTRIBUTE = Recipe(
    name="",
    paper="asenet",
    title="Retrieval by attribute",
    task="attribute",
    metric="average_precision",
    k=None,
    mean="queries",
    mean_note="the mean over pairs of a query and an attribute",
    rows=(),
    orientation="fashionai",
)


def _row_of(reference: RowOf, recipes: Mapping[str, Recipe]) -> Row:
    """Returns the row that another recipe describes."""
    check_choice("recipe of a row", reference.recipe, recipes)
    return recipes[reference.recipe].table(recipes)[reference.key]
