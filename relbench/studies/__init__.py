"""Studies: one file each, one table each. Ours compare students with their teacher; others are tables of papers."""

from relbench.studies import glyphs_methods, glyphs_table1, quickstart
from relbench.studies.printed import Network, Number, PrintedTable
from relbench.studies.rkd import fig3, table1, table2, table3
from relbench.studies.rkd.protocol import PROTOCOLS, SCALES, SELECTIONS, TUNING_SEED, ProtocolName, Scale, Setup
from relbench.studies.study import DATA, Arm, Cell, Study, parse_value

STUDIES = {study.name: study for study in (quickstart.STUDY, glyphs_methods.STUDY)}
TABLES = {table.name: table for table in (table1.TABLE, table2.TABLE, table3.TABLE, fig3.TABLE, glyphs_table1.TABLE)}

__all__ = [
    "DATA",
    "PROTOCOLS",
    "SCALES",
    "SELECTIONS",
    "STUDIES",
    "TABLES",
    "TUNING_SEED",
    "Arm",
    "Cell",
    "Network",
    "Number",
    "PrintedTable",
    "ProtocolName",
    "Scale",
    "Setup",
    "Study",
    "parse_value",
]
