"""From a summary, numbers and words, to tables, plots and one page."""

from relbench.report.tables import pairs_text, table_text
from relbench.report.write import write_report

__all__ = ["pairs_text", "table_text", "write_report"]
