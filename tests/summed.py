"""Summaries of rows that are made up: a study without cells, whose lines are what a test says."""

from dataclasses import dataclass

from relbench.analysis.results import Results
from relbench.analysis.summarise import summarise
from relbench.experiment import Net, Term
from relbench.results.records import Entry
from relbench.studies.distillation import PAIRS, STUDENTS
from relbench.studies.record import StudyRecord
from relbench.studies.study import Claim, RunSpec, Stage, Study


@dataclass(frozen=True)
class Lines:
    """The lines of a table, and other runs that they are compared with than the teacher."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def record(self):
        """Of a study with such runs; that they are trained otherwise plays no part in a summary."""
        roles = {entry.label: entry.role for entry in self.entries}
        teacher = next(label for label, role in roles.items() if role == "teacher")
        runs = {
            label: RunSpec(net=Net(), stages=(Stage(terms=(Term(loss="triplet"),)),), role=role)
            for label, role in roles.items()
        }
        against = [
            Claim(text="", better=((label, teacher),), family=STUDENTS if role == "student" else label)
            for label, role in roles.items()
            if role != "teacher"
        ]
        pairs = [Claim(text="", better=(pair,), family=PAIRS) for pair in self.pairs]
        study = Study(name="s", title="t", notes=self.notes, runs=runs, claims=(*against, *pairs))
        seeds = tuple(sorted({entry.seed for entry in self.entries}))
        return StudyRecord(study=study, changes={}, contents={"glyphs": ""}, seeds=seeds)


def summed(lines, rows):
    """The summary of rows by fingerprint."""
    finished = [entry for entry in lines.entries if entry.fingerprint in rows]
    return summarise(lines.record, Results({(one.label, one.seed): rows[one.fingerprint] for one in finished}))
