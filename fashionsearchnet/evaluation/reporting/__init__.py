"""Reports of an evaluation: JSON, tables on the screen and in Markdown, and the curve over K."""

from fashionsearchnet.evaluation.reporting.report import (
    check_replaceable,
    report_name,
    setting_differences,
    write_report,
)
from fashionsearchnet.evaluation.reporting.summary import summarize
from fashionsearchnet.evaluation.reporting.text import columns, markdown, screen_text

__all__ = [
    "check_replaceable",
    "columns",
    "markdown",
    "report_name",
    "screen_text",
    "setting_differences",
    "summarize",
    "write_report",
]
