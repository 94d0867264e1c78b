"""Reports of an evaluation: JSON, tables on the screen and in Markdown, and the curve over K."""

from fashionsearchnet.evaluation.reporting.report import (
    check_replaceable,
    setting_differences,
    write_report,
)
from fashionsearchnet.evaluation.reporting.sections import markdown, screen_text
from fashionsearchnet.evaluation.reporting.summary import summarize

__all__ = [
    "check_replaceable",
    "markdown",
    "screen_text",
    "setting_differences",
    "summarize",
    "write_report",
]
