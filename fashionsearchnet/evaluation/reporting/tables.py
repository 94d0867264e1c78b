"""Figures as words, and tables of them for the screen and in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Table = tuple[list[str], list[list[str]]]  # header, rows
Boxes = Mapping[str, Mapping[str, float]]  # scores of the predicted boxes by attribute


def figure_text(value: float | None) -> str:
    """Returns a figure as the tables show it, '-' for none."""
    return "-" if value is None else f"{value:.3f}"


def range_text(interval: Sequence[float] | None) -> str:
    """Returns an interval, '-' for none."""
    return "-" if interval is None else f"{interval[0]:.3f}-{interval[1]:.3f}"


def with_interval(result: Mapping[str, Any], key: str) -> str:
    """Returns one of the means of `scores.summarize` with its interval."""
    low, high = result[f"{key}_interval"]
    return f"{result[key]:.3f} [{low:.3f}, {high:.3f}]"


def change_text(value: float | None) -> str:
    """Returns a difference with its sign, '-' for none."""
    return "-" if value is None else f"{value:+.3f}"


def change_with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    """Returns a difference and its interval with their signs, '-' for none."""
    if value is None or interval is None:
        return "-"
    return f"{value:+.3f} [{interval[0]:+.3f}, {interval[1]:+.3f}]"


def mean_change(found: Mapping[str, Any] | None, key: str = "mean") -> str:
    """Returns one of the means of `scores.difference` with its interval, '-' for none."""
    return "-" if found is None else change_with_interval(found[key], found[f"{key}_interval"])


def boxes_table(boxes: Sequence[tuple[str, Boxes]]) -> Table:
    """Returns the fit of boxes, name and scores of each run, below the box of the whole image."""
    first = boxes[0][1]
    rows = [["whole image", *(_box_cell(found, "whole_image_") for found in first.values())]]
    rows += [[name, *map(_box_cell, found.values())] for name, found in boxes]
    return ["centre in box / IoU / area", *first], rows


def _box_cell(found: Mapping[str, float], prefix: str = "") -> str:
    area = 1.0 if prefix else found["area"]
    return f"{found[prefix + 'center_in_box']:.3f} / {found[prefix + 'iou']:.3f} / {area:.3f}"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table for a screen: first column to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:], ""])


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], num_words: int = 1) -> str:
    """Returns a table in Markdown: `num_words` columns of words, then figures to the right."""
    rule = ["---"] * num_words + ["---:"] * (len(header) - num_words)
    lines = [header, rule, *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped)
