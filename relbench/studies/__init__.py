"""Studies: one file each, one table each."""

from relbench.studies import quickstart
from relbench.studies.study import Arm, Cell, Study, parse_value

STUDIES = {study.name: study for study in (quickstart.STUDY,)}

__all__ = ["STUDIES", "Arm", "Cell", "Study", "parse_value"]
