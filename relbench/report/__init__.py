"""From a summary, numbers and words, to tables, plots and one page."""

from relbench.report.tables import table_text
from relbench.report.write import write_report

__all__ = ["table_text", "write_report"]
