"""A request for a study: which runs, on which images, in which folder."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relbench.analysis.results import tuning_plan
from relbench.cli.options import RunOptions, tell
from relbench.cli.until_decided import refuse_another_rule, rule_of, with_looks
from relbench.data import find_data_set
from relbench.data.download.card import card_names
from relbench.experiment import Experiment
from relbench.grid.estimate import image_counts
from relbench.grid.plan import PendingRun, planned_runs, planned_transfers, selected
from relbench.lookup import lookup
from relbench.plain_text import listed
from relbench.resolve import resolve_device
from relbench.results.run_folder import RunFolder
from relbench.results.study_folder import folder_name, own_folder
from relbench.settings import short_hash, validated
from relbench.studies.changes import with_values
from relbench.studies.record import FILE, StudyRecord, read_study
from relbench.studies.study import PlannedRun, Study
from relbench.transfer import TransferSpec


@dataclass(frozen=True)
class Job:
    """A study to make: which of its runs, where."""

    record: StudyRecord
    paths: tuple[str, ...]
    folder: Path
    options: RunOptions
    there: Collection[str]  # data sets that networks can be measured on now, beside those they are trained on

    def planned(self) -> list[PlannedRun | PendingRun]:
        """The runs, as far as they are known by what is finished now."""
        return planned_runs(tuning_plan(self.record, self.folder / "runs"), self.paths, self.seeds)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that are asked for now; the record may have more."""
        if self.record.until_decided:
            return self.record.until_decided.seeds_now
        return self.options.seeds or self.record.study.seeds

    def transfers(self) -> list[TransferSpec]:
        """Measurements on the other data sets that are there now, as far as they are known."""
        tuning = tuning_plan(self.record, self.folder / "runs")
        asked = planned_transfers(tuning, self.record.contents, self.there, self.seeds)
        return [spec for (key, _), spec in asked.items() if key.partition("@")[0] in self.paths]


def data_sets_of(study: Study, given: str | None) -> tuple[str, ...]:
    """The data sets named in `--dataset`; None names all of the study's."""
    if given is None:
        return study.data_sets
    names = (name.strip() for name in given.split(","))
    return tuple(lookup(name, study.data_sets, f"data set of {study.name}") for name in names)


def record_of(built: Study, data_sets: Sequence[str], options: RunOptions) -> tuple[StudyRecord, tuple[str, ...]]:
    """The record of what is asked for, and the paths of its runs; with the images that are there now."""
    study = with_values(built.with_device(resolve_device(options.device)), options.changes)
    study = study.with_images(lambda data: image_counts(data, options.data).train)
    renamed = {run.data.name: study.runs[path].data.name for path, run in built.items}
    paths = selected(study, [renamed[name] for name in data_sets], options.only)
    names = dict.fromkeys(study.runs[path].data.name for path in paths)
    changes = {key: list(value) if isinstance(value, tuple) else value for key, value in options.changes.items()}
    settings = {
        "study": study,
        "changes": changes,
        "contents": {name: _content(name, options) for name in names},
        "other_contents": _other_contents(study, names, options),
        "seeds": options.seeds or study.seeds,
    }
    if options.until:
        rule = rule_of(study.seeds, options.until)
        settings |= {"until_decided": rule, "seeds": rule.seeds_now}
    return validated(StudyRecord, settings), paths


def _content(name: str, options: RunOptions) -> str:
    """What a data set holds; a plan can be shown before it is there."""
    try:
        return find_data_set(name, options.data).content(options.data)
    except ValueError as error:
        if not options.dry_run:
            raise
        tell(f"planned without its data: {error}")
        return ""


def _other_contents(study: Study, data_sets: Collection[str], options: RunOptions) -> dict[str, str]:
    """Data sets that networks are only measured on, as far as they are there: the others' cells stay empty."""
    contents: dict[str, str] = {}
    measured = [cell for cell in study.cells if cell.on and study.runs[cell.run].data.name in data_sets]
    for name in dict.fromkeys(cell.on for cell in measured):
        try:
            contents[name] = find_data_set(name, options.data).content(options.data)
        except ValueError as error:
            advice = "" if name in card_names() else f" (relbench data add {name} FOLDER brings it)"
            tell(f"nothing can be measured on {name}, so its cells stay empty: {error}{advice}")
    return contents


def folder_of(record: StudyRecord, options: RunOptions, added: Mapping[str, Any]) -> Path:
    """A study's folder: requests of other settings, devices, images, losses or protocols never share one."""

    def is_another_s(folder: Path) -> bool:
        return (folder / FILE).is_file() and record.merged(read_study(folder)) is None

    study = record.study
    name = "-".join((study.name, *study.variant.values(), *(["toy"] if study.scale == "toy" else [])))
    whence: dict[str, Any] = {"file": True, "file_hash": True}
    identity = short_hash(
        record.model_dump(
            mode="json", exclude={"seeds": True, "diverged": True, "until_decided": True, "study": whence}
        )
    )
    return own_folder(options.results, folder_name(name, {**added, **options.changes}), identity, is_another_s, tell)


def joined(record: StudyRecord, folder: Path, *, tells: bool = False) -> StudyRecord:
    """With what was asked of the same study before, as far as any of it is finished.

    Raises:
        ValueError: another request has taken the folder meanwhile.
    """
    if not (folder / FILE).is_file():
        return record
    earlier = read_study(folder)
    refuse_another_rule(record, earlier, folder)
    merged = record.merged(earlier)
    if merged is None:
        raise ValueError(f"{folder} was just taken by a study with other settings: run the command again")
    if merged.until_decided:
        return with_looks(merged, earlier, folder)
    tuning = tuning_plan(merged, folder / "runs")
    others = [seed for seed in earlier.seeds if seed not in record.seeds]
    kept = [seed for seed in others if any(is_finished(tuning.run(path, seed), folder) for path in merged.paths)]
    if kept and tells:
        tell(
            f"runs of seed {listed([str(seed) for seed in kept])} were finished before with the same settings, "
            "and stay in the report"
        )
    return merged.model_copy(update={"seeds": tuple(sorted({*record.seeds, *kept}))})


def is_finished(run: Experiment | None, folder: Path) -> bool:
    """Whether a run, as far as it is known, has its row in a study's folder."""
    return run is not None and RunFolder(folder / "runs", run).row.exists()
