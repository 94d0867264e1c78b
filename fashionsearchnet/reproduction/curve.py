"""Figure 5 of [Ak21] with our rows: Top-K accuracy over K."""

import os
from typing import Any

from fashionsearchnet import files, scores
from fashionsearchnet.reproduction.rows import ROWS

# Grey is for the baselines. A row keeps its colour whatever other rows there are.
_PAPERS = ("C0", "C1", "C2", "C3", "C4", "C5", "C6")
_OURS = ("C9", "C8", "#1b9e77", "#e6ab02", "#7570b3", "#d95f02", "black", "#666666")
_BASELINE_LINES = dict(zip(scores.BASELINES, (":", "-.", "--"), strict=True))


def draw_curves(report: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Draws the curves of all measured rows as a PNG file; rows of ours are dashed.

    Args:
      report: of `report.make_report`, with at least one measured row.
      path: of the file.
    """
    from matplotlib.figure import Figure  # slow to import, and needed here only

    figure = Figure(figsize=(7.6, 4.8), dpi=150, layout="constrained")
    axes = figure.subplots()
    lines = report["curve"]
    baselines = {row["title"]: row["curve"] for row in report["baselines"]["rows"]}
    is_published = {row.title: row.is_published for row in ROWS.values()}
    colors: dict[str, str] = {}
    for group, palette in ((True, _PAPERS), (False, _OURS)):
        titles = [title for title, published in is_published.items() if published == group]
        colors |= dict(zip(titles, palette, strict=True))
    for title, curve in sorted({**lines, **baselines}.items(), key=lambda item: -item[1][-1]):
        is_baseline = title in baselines
        style = _BASELINE_LINES.get(title) or ("-" if is_published[title] else (0, (5, 1.5)))
        axes.plot(
            range(1, len(curve) + 1),
            curve,
            label=title,
            linestyle=style,
            color="0.55" if is_baseline else colors[title],
            linewidth=1.2 if is_baseline else 1.8,
        )
    axes.axvline(report["k"], color="0.85", linewidth=1, zorder=0)
    axes.set(
        xlabel="K",
        ylabel="Top-K accuracy (mean over attributes)",
        title=f"{report['dataset']} (baselines: network of {report['baselines']['network']})",
        xlim=(1, max(map(len, lines.values()))),
        ylim=(0, None),
    )
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    # Best first, as the lines end; beside the axes, since a dozen rows hide what is below them.
    figure.legend(frameon=False, loc="outside right upper")
    with files.replace_file(path) as temporary:
        figure.savefig(temporary)
