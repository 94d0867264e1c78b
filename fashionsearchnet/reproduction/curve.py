"""Figure 5 with the rows that are measured."""

import os
from typing import Any

from fashionsearchnet.evaluation.reporting import curve
from fashionsearchnet.reproduction.rows import ROWS

_DASHED = (0, (5, 1.5))


def draw_figure_5(report: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Draws the curves of all measured rows as a PNG file; rows of ours are dashed.

    Args:
      report: of `report.make_report`, with at least one measured row.
      path: of the file.
    """
    baselines = report["baselines"]
    lines = [curve.baseline(row["title"], row["curve"]) for row in baselines["rows"]]
    lines += [
        curve.Line(
            row.title, report["curve"][row.title], row.color, "-" if row.is_published else _DASHED
        )
        for row in ROWS.values()
        if row.title in report["curve"]
    ]
    title = f"{report['dataset']} (baselines: network of {baselines['network']})"
    curve.draw_curves(lines, report["k"], title, "attributes", path)
