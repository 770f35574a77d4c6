"""Finished runs of other studies, taken over where they are the same runs."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from relbench.experiment import Experiment
from relbench.files import atomic_write
from relbench.results.records import Row, other_dependencies
from relbench.results.run_folder import RunFolder


def link_finished(experiments: Iterable[Experiment], runs: Path, results: Path) -> dict[Path, int]:
    """Link what is finished elsewhere into a study's own folder; fingerprints tell which runs are the same.

    Args:
        experiments: the study's runs; only those that are not finished are looked for.
        runs: the study's own folder of runs.
        results: holds the folders of all studies.

    Returns:
        Folders of other studies, and how many runs each gave.

    Raises:
        ValueError: a file of such a run is damaged.
        OSError: a file can't be written.
    """
    given: dict[Path, int] = {}
    for found, own in _found(experiments, runs, results):
        row = _checked(found)
        if not any(other_dependencies(row, own.dependencies())):  # else it is trained anew, on what is here
            _link(found, own)
            given[found.runs] = given.get(found.runs, 0) + 1
    return given


def to_be_linked(experiments: Iterable[Experiment], runs: Path, results: Path) -> dict[str, Path]:
    """Fingerprints of what `link_finished` would link, and the folder of runs where each is."""
    return {own.experiment.fingerprint: found.runs for found, own in _found(experiments, runs, results)}


def _found(experiments: Iterable[Experiment], runs: Path, results: Path) -> Iterator[tuple[RunFolder, RunFolder]]:
    """What is finished elsewhere and not here, and where it belongs here."""
    others = [folder for folder in sorted(results.glob("*/runs")) if folder.resolve() != runs.resolve()]
    for own in (RunFolder(runs, one) for one in experiments):
        found = None if own.row.exists() else _finished_elsewhere(own, others)
        if found:
            yield found, own


def _finished_elsewhere(own: RunFolder, others: Iterable[Path]) -> RunFolder | None:
    """The same run in another folder, with all its files; a row alone could teach nobody."""
    candidates = (RunFolder(folder, own.experiment) for folder in others)
    return next((one for one in candidates if all(path.exists() for path in one.files)), None)


def _checked(found: RunFolder) -> Row:
    """The row. Nothing damaged is taken over: its own folder must be mended."""
    try:
        row = found.finished()
        assert row is not None  # it is there, or it would not have been found
        found.state()
        found.stored()
        return row
    except ValueError as error:
        raise ValueError(f"{error} (to run it again, delete {found.path})") from None


def _link(found: RunFolder, own: RunFolder) -> None:
    """The row last: what has it is finished. Files are never changed in place, so two names may share one."""
    for source, target in zip(found.files, own.files, strict=True):
        target.unlink(missing_ok=True)
        with atomic_write(target) as temporary:
            try:
                temporary.hardlink_to(source.resolve())
            except OSError:  # another disk, or one without links
                shutil.copyfile(source, temporary)
