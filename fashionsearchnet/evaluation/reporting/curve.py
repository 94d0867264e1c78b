"""Figure 5 of [Ak21]: Top-K accuracy over K."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.evaluation import scores

_BASELINE_STYLES = dict(zip(scores.BASELINES, (":", "-.", "--"), strict=True))


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of the plot.

    Attributes:
      title: in the legend.
      values: mean accuracy at K = 1, 2, and so on.
      color: of matplotlib, its next one for None; grey is for the baselines.
      style: of matplotlib.
      width: in points.
    """

    title: str
    values: Sequence[float]
    color: str | None = None
    style: Any = "-"
    width: float = 1.8


def baseline(title: str, values: Sequence[float]) -> Line:
    """Returns the line of one of `scores.BASELINES`: thin, grey, in a style of its own."""
    return Line(title, values, color="0.55", style=_BASELINE_STYLES[title], width=1.2)


def draw_curves(
    lines: Sequence[Line], k: int, title: str, over: str, path: str | os.PathLike[str]
) -> None:
    """Draws mean Top-K accuracy over K as a PNG file.

    Args:
      lines: at least one.
      k: that the tables are for; marked in the plot.
      title: of the plot.
      over: what the mean is over, in words.
      path: of the file.
    """
    from matplotlib.figure import Figure  # slow to import, and needed here only

    figure = Figure(figsize=(7.6, 4.8), dpi=150, layout="constrained")
    axes = figure.subplots()
    # Best first, so that the legend reads in the order in which the lines end.
    for line in sorted(lines, key=lambda line: -line.values[-1]):
        axes.plot(
            range(1, len(line.values) + 1),
            line.values,
            label=line.title,
            linestyle=line.style,
            color=line.color,
            linewidth=line.width,
        )
    axes.axvline(k, color="0.85", linewidth=1, zorder=0)
    axes.set(xlabel="K", ylabel=f"Top-K accuracy (mean over {over})", title=title)
    axes.set(xlim=(1, max(2, *(len(line.values) for line in lines))), ylim=(0, None))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    # Beside the axes, since a dozen rows hide what is below them.
    figure.legend(frameon=False, loc="outside right upper")
    with files.replace_file(path) as temporary:
        figure.savefig(temporary)
