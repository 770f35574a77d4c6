"""The record of a study in its results folder: all that a report needs to find the rows again and to say what they are.

One folder holds one study under one set of conditions, for whichever seeds and data sets were asked for so far.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, JsonValue

from relbench.experiment import Data
from relbench.results.records import Record, read_record
from relbench.studies.study import Study

FILE = "study.json"
FORMER_FILES = ("plan.json", "request.json")  # of earlier versions


class UntilDecided(Record):
    """Seeds that are added until every verdict is decided: the rule, as it was fixed beforehand, and the looks made."""

    seeds: tuple[int, ...]  # as many as there may be, in the order in which they are added
    looks: tuple[int, ...]  # numbers of seeds at which verdicts are made, rising
    margin: float  # in [0, 1]: true differences that are no larger are of no interest
    made: int = 0  # of these looks
    after: tuple[int, ...] = ()  # seeds of which a table with ordinary verdicts was asked for before

    @property
    def seeds_now(self) -> tuple[int, ...]:
        """The seeds of the next look; after the last, of that."""
        return self.seeds[: self.looks[min(self.made, len(self.looks) - 1)]]

    @property
    def seeds_seen(self) -> tuple[int, ...]:
        """The seeds of each look that was made, together those of the last one."""
        return self.seeds[: self.looks[self.made - 1]] if self.made else ()

    def same_rule(self, other: "UntilDecided") -> bool:
        """Whether both look at the same seeds, and have the same margin."""
        return (self.seeds, self.looks, self.margin) == (other.seeds, other.looks, other.margin)


class StudyRecord(Record):
    """The request for a study so far."""

    study: Study  # as it was built and changed, but for what its data sets hold
    changes: dict[str, JsonValue]  # options and settings that are not the study's own, by key
    contents: dict[str, str]  # of the data sets that runs were asked for: which images, which split
    other_contents: dict[str, str] = Field(default_factory=dict)  # likewise, of those that are only measured on
    seeds: tuple[int, ...]
    diverged: tuple[str, ...] = ()  # fingerprints of runs by which rates should have been chosen, but that diverged
    until_decided: UntilDecided | None = None  # None: a number of seeds that was fixed beforehand

    @property
    def pinned(self) -> Study:
        """The study with its data sets pinned to what they held."""
        return self.study.with_contents(self.other_contents | self.contents)

    @property
    def paths(self) -> list[str]:
        """Paths of the runs on the data sets that were asked for."""
        return [path for path, run in self.study.items if run.data.name in self.contents]

    @property
    def data(self) -> dict[str, Data]:
        """All data sets that something is measured on, by name."""
        study = self.pinned
        trained = {run.data.name: run.data for run in study.runs.values() if run.data.name in self.contents}
        return trained | {name: data for name, data in study.other_data.items() if name in self.other_contents}

    def merged(self, earlier: "StudyRecord") -> "StudyRecord | None":
        """Both as one; None where they are of other runs, or of other images."""
        if _identity(self.study) != _identity(earlier.study):
            return None
        contents = _joined(self.contents, earlier.contents)
        other_contents = _joined(self.other_contents, earlier.other_contents)
        if contents is None or other_contents is None:
            return None
        together = {
            "contents": contents,
            "other_contents": other_contents,
            "seeds": tuple(sorted({*earlier.seeds, *self.seeds})),
            "diverged": tuple(sorted({*earlier.diverged, *self.diverged})),
            "until_decided": earlier.until_decided or self.until_decided,
        }
        return self.model_copy(update=together)


def read_study(folder: Path) -> StudyRecord:
    """The record in a results folder.

    Raises:
        ValueError: there is none, it is damaged, or it is an earlier version's; one line.
    """
    if (folder / FILE).is_file():
        return read_record(StudyRecord, folder / FILE)
    for name in FORMER_FILES:
        if (folder / name).is_file():
            raise ValueError(
                f"{folder} was written by an earlier version ({name}): run the command that made it again; "
                "finished runs are reused"
            )
    raise ValueError(f"{folder} holds no results ({FILE} is not there): name a folder that a study has written")


def _identity(study: Study) -> tuple[object, ...]:
    """All of a study that decides which runs it has, and what is measured of them."""
    return study.name, study.variant, study.scale, study.runs, study.cells, study.other_data, study.code_version


def _joined(mine: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str] | None:
    """What either says of the data sets; None where they contradict each other. Nothing is said by ""."""
    known = {name: content for name, content in mine.items() if content}
    if any(content not in ("", known.get(name, content)) for name, content in other.items()):
        return None
    return {**mine, **other, **known}
