"""Jobs: runs that are made together, and how each of them ended.

Whatever happens to a run is that run's failure: an exception of any kind, or the end of its process.
"""

import gc
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from relbench.execution import USUAL, Execution
from relbench.experiment import Experiment
from relbench.files import atomic_write
from relbench.grid.longer import begin_with
from relbench.memory import ADVICE, is_out_of_memory
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder
from relbench.trackers import FolderTracker, Tracker, clear
from relbench.training import DivergedError

# As `relbench.run.run_cohort`: rows or errors, by fingerprint.
Run = Callable[[Sequence[Experiment], Path, Path, Sequence[Tracker], Execution], Mapping[str, Row | Exception]]

EXPECTED = (DivergedError, ValueError, OSError)  # their words are enough; of any other error its kind is told, too
LONGEST = 300  # characters of an error in a line; the file has all of it


@dataclass(frozen=True)
class Job:
    """Runs that are trained together, or a single run, and all that another process must know to make them.

    Attributes:
        run: makes them.
        experiments: the runs.
        runs: holds a folder for each.
        data: holds the data sets.
        shorter: finished runs that some of them go on from, by the fingerprint of the longer run.
        execution: by how many processes a run is made, and who prepares its images.
    """

    run: Run
    experiments: tuple[Experiment, ...]
    runs: Path
    data: Path
    shorter: Mapping[str, RunFolder] = field(default_factory=dict)
    execution: Execution = USUAL

    @property
    def folders(self) -> dict[str, RunFolder]:
        """The runs' folders, by fingerprint."""
        return {run.fingerprint: RunFolder(self.runs, run) for run in self.experiments}


@dataclass(frozen=True)
class Failure:
    """The reason why a run has no row.

    Attributes:
        words: one line, with advice.
        diverged: whether its training did; it would again.
        crowded: whether the runs beside it may be the cause: memory ran out, or the process of several runs died.
        unwritten: whether the place may be the cause: a file can't be written there, or read.
    """

    words: str
    diverged: bool = False
    crowded: bool = False
    unwritten: bool = False


Ends = Mapping[str, Row | Failure]
"""How the runs of a job ended, by fingerprint."""


def attempt(job: Job) -> Ends:
    """Make the runs of a job; whatever a run raises is its failure, and the traceback goes to its folder.

    The progress of each stands in its folder for as long as they are under way.

    Ctrl-C is no failure. A loss that ends the process by itself is.
    """
    folders = job.folders
    ends = {name: _noted(end, folders[name].error, len(folders)) for name, end in _tried(job, folders).items()}
    if any(isinstance(end, Failure) for end in ends.values()):
        _free_memory()  # not before: the errors hold on to all that was in use
    return ends


def _tried(job: Job, folders: Mapping[str, RunFolder]) -> dict[str, Row | BaseException]:
    try:
        for folder in folders.values():
            folder.error.unlink(missing_ok=True)  # of an earlier attempt
        return dict(_tracked(job, folders))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a user's loss may raise anything, and extensions in Rust do
        return dict.fromkeys(folders, error)


def _tracked(job: Job, folders: Mapping[str, RunFolder]) -> Mapping[str, Row | Exception]:
    trackers = dict[str, FolderTracker]()
    try:
        trackers |= {name: FolderTracker(folder.path) for name, folder in folders.items()}
        refused = _gone_on_with(job.shorter, folders)
        ready = {name: folder.experiment for name, folder in folders.items() if name not in refused}
        told = [trackers[name] for name in ready]
        about = [*ready.values()], job.runs, job.data, told, job.execution
        return {**refused, **(job.run(*about) if ready else {})}
    finally:
        for tracker in trackers.values():
            tracker.clear()


def _gone_on_with(shorter: Mapping[str, RunFolder], folders: Mapping[str, RunFolder]) -> dict[str, Exception]:
    """Let runs begin where shorter ones end; returns why some of them can't."""
    refused: dict[str, Exception] = {}
    for name, folder in shorter.items():
        try:
            if not folders[name].checkpoint.exists():  # of an earlier attempt
                begin_with(folder, folders[name])
        except (ValueError, OSError) as error:
            refused[name] = error
    return refused


def _noted(end: Row | BaseException, error_file: Path, company: int) -> Row | Failure:
    """The row; or what went wrong in one line, with a traceback in a file.

    Args:
        end: of the run.
        error_file: gets the traceback.
        company: how many runs were made together.
    """
    if not isinstance(end, BaseException):
        return end
    where = _written(end, error_file)
    crowded = company > 1 and is_out_of_memory(end)
    return Failure(_explained(end) + where, isinstance(end, DivergedError), crowded, isinstance(end, OSError))


def _explained(error: BaseException) -> str:
    """One line on what went wrong, and on what to do where memory was short."""
    said = " ".join(str(error).split())
    short = said if len(said) <= LONGEST or isinstance(error, EXPECTED) else f"{said[:LONGEST]}..."
    told = short if short and isinstance(error, EXPECTED) else f"{type(error).__name__}: {short}".removesuffix(": ")
    return f"out of memory ({told}); {ADVICE}" if is_out_of_memory(error) else told


def _written(error: BaseException, path: Path) -> str:
    """Write the traceback of an error; returns words on where it is."""
    try:
        with atomic_write(path) as temporary:
            text = "".join(traceback.format_exception(error))
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError:  # a full disk, say: what went wrong is told without it
        return ""
    return f" (traceback: {path})"


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def left(job: Job, how: str) -> Ends:
    """How the runs of a job ended whose process has ended abruptly: in the rows that it had written, else in failures.

    Any of several runs may be why it ended.

    Args:
        job: what the process was making.
        how: it ended, in one line.
    """
    failure = Failure(how, crowded=len(job.experiments) > 1)
    for folder in job.folders.values():
        clear(folder.path)
    return {name: folder.read() or failure for name, folder in job.folders.items()}
