"""From a summary, numbers and words, to tables, plots and one page."""

from relbench.report.printed_tables import printed_text
from relbench.report.printed_write import write_printed
from relbench.report.tables import pairs_text, table_text
from relbench.report.write import write_report

__all__ = ["pairs_text", "printed_text", "table_text", "write_printed", "write_report"]
