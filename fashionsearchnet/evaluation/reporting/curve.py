"""A figure over K, such as Fig. 5 of [Ak21]: Top-K accuracy."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.evaluation import scores

_STYLES = (":", "-.", "--", (0, (6, 2)), (0, (4, 1, 1, 1, 1, 1)))
_BASELINE_STYLES = dict(zip(scores.BASELINES, _STYLES, strict=True))


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of the plot."""

    title: str  # in the legend
    values: Sequence[float]  # the figure at each K
    color: str | None = None  # of matplotlib, its next one for None; grey is for the baselines
    style: Any = "-"  # of matplotlib
    width: float = 1.8  # in points


def baseline(title: str, values: Sequence[float]) -> Line:
    """Returns the line of one of `scores.BASELINES`: thin, grey, in a style of its own."""
    return Line(title, values, color="0.55", style=_BASELINE_STYLES[title], width=1.2)


def draw_curves(
    lines: Sequence[Line],
    k: int | None,
    title: str,
    label: str,
    path: str | os.PathLike[str],
    top_k: Sequence[int] = (),
) -> None:
    """Draws figures over K as a PNG file.

    Args:
      lines: at least one.
      k: the K of the tables, marked in the plot; None for no mark.
      title: of the plot.
      label: of the vertical axis.
      path: of the file.
      top_k: the Ks of the values; 1, 2, and so on by default.
    """
    from matplotlib.figure import Figure  # slow to import, and needed here only

    figure = Figure(figsize=(7.6, 4.8), dpi=150, layout="constrained")
    axes = figure.subplots()
    # Best first, so that the legend reads in the order in which the lines end.
    for line in sorted(lines, key=lambda line: -line.values[-1]):
        axes.plot(
            top_k or range(1, len(line.values) + 1),
            line.values,
            label=line.title,
            linestyle=line.style,
            color=line.color,
            linewidth=line.width,
        )
    if k is not None:
        axes.axvline(k, color="0.85", linewidth=1, zorder=0)
    last = max(top_k, default=max(len(line.values) for line in lines))
    axes.set(xlabel="K", ylabel=label, title=title, xlim=(1, max(2, last)), ylim=(0, None))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    # Beside the axes, since a dozen rows hide what is below them.
    figure.legend(frameon=False, loc="outside right upper")
    with files.replace_file(path) as temporary:
        figure.savefig(temporary)
