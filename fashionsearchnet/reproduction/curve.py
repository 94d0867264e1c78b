"""Which colour and style each row has in Figure 5."""

import os
from typing import Any

from fashionsearchnet.reporting import curve
from fashionsearchnet.reproduction.rows import ROWS

# A row keeps its colour whatever other rows there are.
_PAPERS = ("C0", "C1", "C2", "C3", "C4", "C5", "C6")
_OURS = ("C9", "C8", "#1b9e77", "#e6ab02", "#7570b3", "#d95f02", "black", "#666666")
_DASHED = (0, (5, 1.5))


def draw_figure_5(report: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Draws the curves of all measured rows as a PNG file; rows of ours are dashed.

    Args:
      report: of `report.make_report`, with at least one measured row.
      path: of the file.
    """
    baselines = report["baselines"]
    lines = [curve.baseline(row["title"], row["curve"]) for row in baselines["rows"]]
    published = [row.title for row in ROWS.values() if row.is_published]
    ours = [row.title for row in ROWS.values() if not row.is_published]
    for titles, palette, style in ((published, _PAPERS, "-"), (ours, _OURS, _DASHED)):
        lines += [
            curve.Line(title, report["curve"][title], color, style)
            for title, color in zip(titles, palette, strict=True)
            if title in report["curve"]
        ]
    title = f"{report['dataset']} (baselines: network of {baselines['network']})"
    curve.draw_curves(lines, report["k"], title, "attributes", path)
