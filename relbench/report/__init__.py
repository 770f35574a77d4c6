"""Report of a summary: tables, figures and one page, split by format."""

from relbench.report.console import console_report
from relbench.report.write import write_report

__all__ = ["console_report", "write_report"]
