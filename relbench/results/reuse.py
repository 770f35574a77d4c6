"""Reuse of finished runs of other studies, by their fingerprints."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from relbench.experiment import Experiment
from relbench.files import atomic_write
from relbench.results.records import Row, other_dependencies
from relbench.results.run_folder import RunFolder


def link_finished(experiments: Iterable[Experiment], runs: Path, results: Path) -> dict[Path, int]:
    """Link runs that other studies have finished into a study's own folder.

    Args:
        experiments: the study's runs; only those not yet finished are searched for.
        runs: the study's own folder of runs.
        results: holds the folders of all studies.

    Returns:
        Folders of runs of other studies, and the number of runs linked from each.

    Raises:
        ValueError: a file of such a run is damaged.
        OSError: a file can't be written.
    """
    linked: dict[Path, int] = {}
    for found, own in _found(experiments, runs, results):
        row = _checked(found)
        if not any(other_dependencies(row, own.dependencies())):  # else it is trained again, on what is here
            _link(found, own)
            linked[found.runs] = linked.get(found.runs, 0) + 1
    return linked


def to_be_linked(experiments: Iterable[Experiment], runs: Path, results: Path) -> dict[str, Path]:
    """Fingerprints of the runs that `link_finished` would link, and the folder of runs that holds each."""
    return {own.experiment.fingerprint: found.runs for found, own in _found(experiments, runs, results)}


def _found(experiments: Iterable[Experiment], runs: Path, results: Path) -> Iterator[tuple[RunFolder, RunFolder]]:
    """Runs that are finished elsewhere and not here: their folder there, and their folder here."""
    others = [folder for folder in sorted(results.glob("*/runs")) if folder.resolve() != runs.resolve()]
    for own in (RunFolder(runs, experiment) for experiment in experiments):
        found = None if own.row.exists() else _finished_elsewhere(own, others)
        if found:
            yield found, own


def _finished_elsewhere(own: RunFolder, others: Iterable[Path]) -> RunFolder | None:
    """The same run in another folder, with all its files: a row alone is no teacher."""
    candidates = (RunFolder(folder, own.experiment) for folder in others)
    return next((folder for folder in candidates if all(path.exists() for path in folder.files)), None)


def _checked(found: RunFolder) -> Row:
    """The row, once all files are checked: damaged runs are not linked, but refused."""
    try:
        row = found.finished()
        assert row is not None  # it exists, or it would not have been found
        found.state()
        found.stored()
        return row
    except ValueError as error:
        raise ValueError(f"{error} (to run it again, delete {found.path})") from None


def _link(found: RunFolder, own: RunFolder) -> None:
    """Link the files, the row last. Files are never changed in place, so folders may share them."""
    for source, target in zip(found.files, own.files, strict=True):
        target.unlink(missing_ok=True)
        with atomic_write(target) as temporary:
            try:
                temporary.hardlink_to(source.resolve())
            except OSError:  # another disk, or a disk without links
                shutil.copyfile(source, temporary)
