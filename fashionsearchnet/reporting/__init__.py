"""Reports of an evaluation: JSON, tables on the screen and in Markdown, and the curve over K."""

from fashionsearchnet.reporting.report import (
    check_replaceable,
    report_name,
    setting_differences,
    write_report,
)
from fashionsearchnet.reporting.summary import summarize
from fashionsearchnet.reporting.text import columns, markdown, screen_text

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
