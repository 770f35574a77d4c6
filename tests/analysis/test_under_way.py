"""What runs, read from folders: counts, speeds, silence, other machines' clocks, and damaged files."""

import os
import platform
import time

import pytest

from relbench.analysis import under_way
from relbench.analysis.under_way import StudyWatch, Watch
from relbench.experiment import Experiment, Term
from relbench.results.records import write_record
from relbench.settings import changed
from relbench.studies import build_study
from relbench.studies.record import FILE as RECORD
from relbench.studies.record import StudyRecord
from relbench.studies.study import PlannedRun
from relbench.trackers.tracker import FILE, Status

NOW = float(int(time.time()))
NO_PROCESS = 2**22 + 1  # above the largest number that Linux gives


@pytest.fixture
def clock(monkeypatch):
    """Both of this machine's clocks, in seconds; they go only where they are told to."""
    now = [NOW]
    monkeypatch.setattr(under_way.time, "time", lambda: now[0])
    monkeypatch.setattr(under_way.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def folder(tmp_path):
    """Of the quick start with two seeds: a teacher and five students of each."""
    record = StudyRecord(study=build_study("quickstart", {}), changes={}, contents={"glyphs": ""}, seeds=(0, 1))
    write_record(record, tmp_path / "study" / RECORD)
    return tmp_path / "study"


def planned(folder):
    watch = StudyWatch(folder)
    watch.look()
    return watch._runs


def run_folder(folder, label, seed=0):
    """Of a planned run; made if need be."""
    (run,) = [run for run in planned(folder) if (run.label, run.experiment.seed) == (label, seed)]
    found = folder / "runs" / run.experiment.fingerprint
    found.mkdir(parents=True, exist_ok=True)
    return found


HISTORY = (
    {"step": 2, "triplet": 0.5, "rkd_distance": 3.0, "rkd_angle": 0.25},
    {"step": 2, "recall@1": 0.75},
    {"step": 3, "triplet": 0.25, "rkd_distance": 2.0, "rkd_angle": 0.125},
)


def tell(path, **changes):
    """A run's progress: 30 steps in ten seconds, after 70 of an earlier process."""
    now = {"began": NOW - 12, "trained_since": NOW - 10, "updated": NOW, "resumed_at": 70, "done": 100}
    about = {"phase": "training", "history": HISTORY, "process": os.getpid(), "machine": platform.node()}
    (path / FILE).write_text(Status(**(now | about | changes)).model_dump_json())


def test_counts(folder, clock):
    assert (StudyWatch(folder).look().planned, StudyWatch(folder).look().waiting) == (12, 12)
    (run_folder(folder, "teacher") / "row.json").touch()
    (run_folder(folder, "rkd-d") / "error.txt").write_text("Traceback\n  a line\nValueError: no\n\n")
    (run_folder(folder, "teacher", 1) / "error.txt").write_text("OSError: full")
    tell(run_folder(folder, "rkd-da"))
    found = StudyWatch(folder).look()
    assert (found.finished, len(found.under_way), len(found.failed)) == (1, 1, 2)
    assert [(run.label, run.seed, run.words) for run in found.failed] == [
        ("rkd-d", 0, "ValueError: no"),
        ("teacher", 1, "OSError: full"),
    ]
    # of seed 1, triplet needs no teacher, and four students have lost theirs
    assert (found.lost, found.waiting, found.is_over) == (4, 4, False)


def test_it_is_over_when_nothing_can_begin(folder, clock):
    (run_folder(folder, "teacher", 1) / "error.txt").write_text("OSError: full")
    for run in planned(folder):
        if run.experiment.seed == 0 or run.label == "triplet":
            (run_folder(folder, run.label, run.experiment.seed) / "row.json").touch()
    found = StudyWatch(folder).look()
    assert (found.finished, found.lost, found.waiting, found.is_over) == (7, 4, 0, True)


def test_what_builds_on_a_lost_run_is_lost_too():
    """A first stage has lost its teacher; the second needs no teacher, but the first."""
    teacher = Experiment(terms=(Term(loss="triplet"),))
    first = changed(teacher, {"teacher": teacher})
    second = changed(teacher, {"initialized_from": first})
    other = changed(teacher, {"seed": 1})
    runs = [PlannedRun("any", "student", run) for run in (teacher, first, second, other)]
    lost = under_way._lost(runs, {teacher.fingerprint})
    assert lost == {first.fingerprint, second.fingerprint}


def test_a_run_under_way(folder, clock):
    tell(run_folder(folder, "rkd-da"))
    (run,) = StudyWatch(folder).look().under_way
    assert (run.label, run.seed, run.phase, run.done) == ("rkd-da", 0, "training", 100)
    assert run.steps_per_second == 3.0
    assert run.seconds_left == (run.steps - 100) / 3
    weights = {term.loss: term.weight for term in build_study("quickstart", {}).runs["rkd-da"].stages[0].terms}
    assert run.loss == 0.25 * weights["triplet"] + 2.0 * weights["rkd_distance"] + 0.125 * weights["rkd_angle"]
    assert run.last["validation/recall@1"] == 0.75
    assert (run.machine, run.process, run.seconds_since, run.killed) == (platform.node(), os.getpid(), 0.0, False)


def test_before_the_first_step_no_speed_is_known(folder, clock):
    tell(run_folder(folder, "triplet"), phase="preparing", done=0, resumed_at=0, trained_since=None, history=())
    (run,) = StudyWatch(folder).look().under_way
    assert (run.steps_per_second, run.seconds_left, run.loss, run.last) == (None, None, None, {})


@pytest.mark.parametrize(
    ("told", "killed"),
    [
        ({"process": NO_PROCESS}, True),
        ({"process": NO_PROCESS, "updated": NOW - 5}, False),  # perhaps in a container, with numbers of its own
        ({}, False),  # validating for an hour, say, or stopped in a debugger
        ({"machine": "elsewhere", "process": NO_PROCESS}, False),
        ({"machine": "elsewhere", "updated": NOW - 121}, True),
        ({"machine": "elsewhere", "updated": NOW - 121, "phase": "evaluating"}, False),
        ({"machine": "elsewhere", "updated": NOW - 1801, "phase": "evaluating"}, True),
    ],
)
def test_a_silent_run(folder, clock, told, killed):
    tell(run_folder(folder, "triplet"), **({"updated": NOW - 30} | told))
    (run,) = StudyWatch(folder).look().under_way
    assert run.killed == killed


def test_a_process_that_took_the_number_of_a_killed_one(folder, monkeypatch):
    """This one began long after the news."""
    tell(run_folder(folder, "triplet"), updated=time.time() - 10 * 86_400 * 365)
    assert StudyWatch(folder).look().under_way[0].killed


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
def test_other_clocks(folder, clock, ahead):
    """A machine whose clock is an hour ahead, or behind: once news was seen to come, this machine's clock counts."""
    path, watch = run_folder(folder, "triplet"), StudyWatch(folder)
    told = {"machine": "elsewhere", "updated": NOW + ahead, "trained_since": NOW + ahead - 10}
    tell(path, **told)
    (run,) = watch.look().under_way
    assert (run.seconds_since, run.killed) == ((None, False) if ahead > 0 else (3600.0, True))
    assert run.steps_per_second == 3.0  # by its own clock
    clock[0] += 2
    tell(path, **(told | {"updated": NOW + ahead + 2}))
    assert watch.look().under_way[0].seconds_since == 0.0
    clock[0] += 50
    assert watch.look().under_way[0].seconds_since == 50.0
    clock[0] += 100
    (run,) = watch.look().under_way
    assert (run.seconds_since, run.killed) == (150.0, True)


def test_a_clock_that_is_ahead_hides_no_silence(folder, clock):
    tell(run_folder(folder, "triplet"), machine="elsewhere", updated=NOW + 3600)
    watch = StudyWatch(folder)
    assert watch.look().under_way[0].seconds_since is None
    clock[0] += 121
    assert watch.look().under_way[0].killed


@pytest.mark.parametrize("damage", ["", "{", '{"phase": "resting"}', "\0" * 50])
def test_damaged_progress_is_no_news(folder, clock, damage):
    (run_folder(folder, "triplet") / FILE).write_text(damage)
    assert StudyWatch(folder).look().waiting == 12


def test_one_study_that_can_not_be_read_hides_no_other(folder, clock):
    pipe = run_folder(folder, "triplet") / FILE
    other = folder.parent / "deeper" / "other"
    other.mkdir(parents=True)
    (other / RECORD).write_bytes((folder / RECORD).read_bytes())
    os.mkfifo(pipe)
    watch = Watch(folder.parent)
    first, second = watch.look()
    assert (first.folder, second.folder, second.planned) == (folder, other, 12)
    assert "Not a regular file" in first.error
    pipe.unlink()
    (other / RECORD).write_text("{")
    first, second = watch.look()
    assert (first.error, first.planned) == ("", 12)
    assert "is not a readable study record" in second.error


def test_a_folder_without_studies(tmp_path):
    with pytest.raises(ValueError, match="holds no results"):
        Watch(tmp_path).look()
