"""Studies: one file each, one table each."""

from relbench.studies import glyphs_methods, quickstart
from relbench.studies.study import Arm, Cell, Study, parse_value

STUDIES = {study.name: study for study in (quickstart.STUDY, glyphs_methods.STUDY)}

__all__ = ["STUDIES", "Arm", "Cell", "Study", "parse_value"]
