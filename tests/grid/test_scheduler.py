"""Dependency order, failures, locks; with runs that take no time, in this process and in others."""

import multiprocessing
import os
import platform
import re
import signal
import subprocess
from collections import Counter

import pytest
from analysis.test_summarise import make_row

import relbench.grid.scheduler
from relbench.experiment import Experiment, Net, Term, Training
from relbench.grid.executors import Processes, executor_for
from relbench.grid.gpus import gpu_groups
from relbench.grid.jobs import Job
from relbench.grid.order import Limits
from relbench.grid.scheduler import Schedule, jobs_for, locked, run_grid
from relbench.memory import ADVICE
from relbench.results.records import write_record
from relbench.results.run_folder import RunFolder
from relbench.settings import changed
from relbench.trackers import FolderTracker
from relbench.training import DivergedError

TEACHER = Experiment(terms=(Term(loss="triplet"),))
STUDENT = Experiment(terms=(Term(loss="rkd_angle"),), teacher=TEACHER)
GRANDCHILD = Experiment(terms=(Term(loss="rkd_distance"),), teacher=STUDENT)
FIRST = Experiment(terms=(Term(loss="refilled_embedding"),), teacher=TEACHER)
SECOND = Experiment(terms=(Term(loss="refilled_classifier"),), teacher=TEACHER, initialized_from=FIRST)
ALONE = changed(TEACHER, {"seed": 1})


class Log:
    def __init__(self):
        self.begun, self.ended, self.failures, self.again = [], [], {}, []

    def started(self, folders):
        assert all(folder.name == fingerprint for fingerprint, folder in folders.items())
        self.begun.append(list(folders))

    def finished(self, fingerprint, row):
        self.ended.append(fingerprint)

    def failed(self, fingerprint, error):
        self.failures[fingerprint] = error

    def tried_again(self, fingerprints, why):
        self.again.append((list(fingerprints), why))


@pytest.fixture
def fake_run(monkeypatch):
    """Replace the work by what the test wants to happen."""

    def replace(happens):
        def ended(experiment, tracker):
            tracker.step(1)
            try:
                return happens(experiment)
            except (RuntimeError, ValueError, OSError, MemoryError) as error:
                return error

        def fake(experiments, runs, data, trackers, _execution):
            return {one.fingerprint: ended(one, told) for one, told in zip(experiments, trackers, strict=True)}

        monkeypatch.setattr(relbench.grid.scheduler, "run_cohort", fake)

    return replace


def made(experiments, folder, jobs, log, limits=None):
    """The schedule of a whole grid."""
    schedule = Schedule.of(experiments, folder)
    with executor_for(experiments, jobs) as executor:
        run_grid(executor, schedule, folder, folder / "data", log, limits)
    return schedule


def told(words, folder, experiment):
    return f"{words} (traceback: {folder / experiment.fingerprint / 'error.txt'})"


def test_a_teacher_comes_before_its_students(tmp_path, fake_run):
    fake_run(lambda experiment: experiment.fingerprint)
    log = Log()
    schedule = made([GRANDCHILD, STUDENT, ALONE, TEACHER], tmp_path, 1, log)
    order = [one.fingerprint for one in (TEACHER, STUDENT, GRANDCHILD)]
    assert [name for name in log.ended if name in order] == order
    assert set(schedule.rows) == {*order, ALONE.fingerprint}
    assert log.begun == [[one.fingerprint] for one in (ALONE, TEACHER, STUDENT, GRANDCHILD)]


def test_a_second_stage_comes_last(tmp_path, fake_run):
    fake_run(lambda experiment: experiment.fingerprint)
    log = Log()
    made([SECOND, FIRST, TEACHER], tmp_path, 1, log)
    assert log.ended == [one.fingerprint for one in (TEACHER, FIRST, SECOND)]


@pytest.mark.parametrize(
    ("broken", "why"), [(TEACHER, "its teacher failed"), (FIRST, "its first stage failed")], ids=["teacher", "first"]
)
def test_why_a_second_stage_can_not_start(tmp_path, fake_run, broken, why):
    def happens(experiment):
        if experiment == broken:
            raise ValueError("bad")
        return experiment.fingerprint

    fake_run(happens)
    log = Log()
    schedule = made([TEACHER, FIRST, SECOND, ALONE], tmp_path, 1, log)
    assert log.failures[SECOND.fingerprint] == why
    assert log.failures[broken.fingerprint] == told("bad", tmp_path, broken)
    assert ALONE.fingerprint in schedule.rows
    assert schedule.failures == log.failures


def test_equal_experiments_run_once(tmp_path, fake_run):
    fake_run(lambda experiment: experiment.fingerprint)
    log = Log()
    made([TEACHER, TEACHER], tmp_path, 1, log)
    assert log.ended == [TEACHER.fingerprint]


@pytest.mark.parametrize("error", [DivergedError("step 3: bad"), ValueError("bad"), OSError("disk full")])
def test_a_failure_takes_its_descendants_and_nothing_else(tmp_path, fake_run, error):
    def happens(experiment):
        if experiment == TEACHER:
            raise error
        return experiment.fingerprint

    fake_run(happens)
    log = Log()
    schedule = made([TEACHER, STUDENT, GRANDCHILD, ALONE], tmp_path, 1, log)
    assert list(schedule.rows) == [ALONE.fingerprint]
    assert log.failures == {
        TEACHER.fingerprint: told(str(error), tmp_path, TEACHER),
        STUDENT.fingerprint: "its teacher failed",
        GRANDCHILD.fingerprint: "its teacher failed",
    }


def test_jobs():
    two_threads = changed(TEACHER, {"training": Training(threads=2)})
    assert jobs_for([TEACHER]) == relbench.grid.scheduler.usable_cores()
    assert jobs_for([TEACHER, two_threads]) == max(1, relbench.grid.scheduler.usable_cores() // 2)
    assert jobs_for([TEACHER, changed(TEACHER, {"training": Training(device="cuda")})]) == len(gpu_groups())


def hold(folder, ready, release):
    with locked(folder):
        ready.set()
        release.wait(60)


def test_a_folder_is_held_by_one_process(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, ready, release))
    other.start()
    assert ready.wait(60)
    with pytest.raises(ValueError, match=rf"written by another relbench \(process {other.pid}\)"), locked(tmp_path):
        pass
    other.kill()
    other.join()
    with locked(tmp_path):  # a dead process holds nothing
        pass


def test_a_folder_that_can_not_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ValueError, match=r"can't be written \(Not a directory\): choose another"),
        locked(tmp_path / "file" / "results"),
    ):
        pass


def test_schedule_refuses_a_damaged_row(tmp_path):
    path = tmp_path / TEACHER.fingerprint / "row.json"
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(ValueError, match=r"row\.json is not a readable row"):
        Schedule.of([TEACHER], tmp_path)


def test_schedule_names_all_runs_of_another_teacher(tmp_path):
    """The teacher was made anew since; those that it taught are told at once, not one after the other."""
    students = [changed(STUDENT, {"terms": (Term(loss=loss),)}) for loss in ("rkd_angle", "rkd_distance", "pkt")]
    for one, weights in zip((TEACHER, *students), ("", "old", "old", "new"), strict=True):
        hashes = {"weights_hash": "new", "dependencies": {"teacher": weights} if weights else {}}
        row = make_row(one, (1, 2, 3)).model_copy(update=hashes)
        history = ({"step": float(row.selected_step)},)
        write_record(row.model_copy(update={"history": history}), tmp_path / one.fingerprint / "row.json")
    stale = ", ".join(f"{one.fingerprint} (its teacher)" for one in students[:2])
    with pytest.raises(ValueError, match=re.escape(f": {stale}; delete the folders of these runs")):
        Schedule.of([TEACHER, *students], tmp_path)


def test_what_a_killed_process_left_is_cleared_wherever_it_is(tmp_path):
    process = subprocess.Popen(["true"])
    process.wait()
    left = f".x.{process.pid}@{platform.node()}.unfinished"
    for folder in (tmp_path, tmp_path / "runs" / "abc", tmp_path / "transfers"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in (left, "kept.json"):
            (folder / name).write_text("{}")
    with locked(tmp_path):
        assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {".lock", "kept.json"}
        assert len(list(tmp_path.rglob("kept.json"))) == 3


@pytest.mark.parametrize("below", ["runs", "runs/0123456789abcdef", "transfers"])
def test_results_are_not_written_to_folders_elsewhere(tmp_path, below):
    """Such as into a folder of this user that somebody else's results name."""
    link, mine = tmp_path / "results" / below, tmp_path / "mine"
    mine.mkdir()
    link.parent.mkdir(parents=True)
    link.symlink_to(mine)
    with (
        pytest.raises(ValueError, match=f"{below} is a link to a folder elsewhere, and nothing is written through"),
        locked(tmp_path / "results"),
    ):
        pass
    assert not list(mine.iterdir())


def test_a_results_folder_may_itself_be_a_link(tmp_path):
    (tmp_path / "large disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "large disk")
    with locked(tmp_path / "results"):
        assert (tmp_path / "large disk" / ".lock").exists()


def test_a_lock_that_is_a_link_empties_nothing(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / ".lock").symlink_to(tmp_path / "mine.txt")
    with pytest.raises(ValueError, match=r"\.lock is a link or not a regular file"), locked(tmp_path / "results"):
        pass
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_second_stage_is_lost_once(tmp_path, fake_run):
    first = changed(STUDENT, {"training": Training(steps=5)})
    second = changed(STUDENT, {"initialized_from": first})

    def happens(experiment):
        raise DivergedError("too fast")

    fake_run(happens)
    failed = []
    log = Log()
    log.failed = lambda fingerprint, error: failed.append((fingerprint, error))
    made([TEACHER, first, second], tmp_path, 1, log)
    assert failed == [
        (TEACHER.fingerprint, told("too fast", tmp_path, TEACHER)),
        (first.fingerprint, "its teacher failed"),
        (second.fingerprint, "its teacher failed"),
    ]


def test_what_builds_on_nothing_that_is_planned_does_not_wait_for_ever(tmp_path, fake_run):
    fake_run(lambda experiment: experiment.fingerprint)
    with pytest.raises(ValueError, match=f"what {STUDENT.fingerprint} build on is neither finished nor planned"):
        made([STUDENT], tmp_path, 1, Log())


@pytest.mark.parametrize(("error", "diverged"), [(DivergedError("too fast"), True), (OSError("no room"), False)])
def test_trainings_that_diverged_are_told_from_other_failures(tmp_path, fake_run, error, diverged):
    def happens(experiment):
        raise error

    fake_run(happens)
    schedule = made([TEACHER, STUDENT], tmp_path, 1, Log())
    assert schedule.failures.keys() == {TEACHER.fingerprint, STUDENT.fingerprint}
    assert schedule.diverged == ({TEACHER.fingerprint} if diverged else set())


COMPANY = [changed(TEACHER, {"net": Net(dim=dim)}) for dim in (2, 3, 4, 5)]
NAMES = [one.fingerprint for one in COMPANY]


def test_runs_that_share_batches_are_handed_over_together(tmp_path, fake_run):
    fake_run(lambda experiment: experiment.fingerprint)
    log = Log()
    schedule = made([*COMPANY, ALONE], tmp_path, 1, log)
    assert log.begun == [NAMES, [ALONE.fingerprint]]
    assert schedule.rows.keys() == {*NAMES, ALONE.fingerprint}


def test_no_more_together_than_asked_for(tmp_path, fake_run):
    fake_run(lambda experiment: experiment.fingerprint)
    log = Log()
    made(COMPANY, tmp_path, 1, log, Limits(1, most=1))
    assert log.begun == [[name] for name in NAMES]


def test_a_run_that_fails_leaves_the_others_their_rows(tmp_path, fake_run):
    def happens(experiment):
        if experiment == COMPANY[1]:
            raise DivergedError("step 3: bad")
        return experiment.fingerprint

    fake_run(happens)
    log = Log()
    schedule = made([*COMPANY, changed(STUDENT, {"teacher": COMPANY[1]})], tmp_path, 1, log)
    assert log.begun == [NAMES]
    assert list(schedule.rows) == [NAMES[0], *NAMES[2:]]
    assert schedule.failures[NAMES[1]] == told("step 3: bad", tmp_path, COMPANY[1])
    assert list(schedule.failures.values())[1:] == ["its teacher failed"]
    assert schedule.diverged == {NAMES[1]}


def test_runs_without_room_side_by_side_are_tried_again_apart(tmp_path, fake_run):
    """The last has no room alone either, and only that is a failure."""
    tries = Counter()

    def happens(experiment):
        tries[experiment.net.dim] += 1
        if experiment.net.dim == 5 or (experiment.net.dim == 3 and tries[3] == 1):
            raise MemoryError(f"try {tries[experiment.net.dim]}")
        return experiment.fingerprint

    fake_run(happens)
    log = Log()
    schedule = made(COMPANY, tmp_path, 1, log)
    assert log.begun == [NAMES, [NAMES[1]], [NAMES[3]]]
    ((again, why),) = log.again
    assert again == [NAMES[1], NAMES[3]]
    assert why.startswith("out of memory (MemoryError: try 1); ")
    assert list(schedule.rows) == [NAMES[0], NAMES[2], NAMES[1]]
    assert [*schedule.failures] == [NAMES[3]]
    assert schedule.failures[NAMES[3]].startswith("out of memory (MemoryError: try 2); ")


def die_among_others(experiments, runs, data, trackers, _execution):
    """The first ends, and then the process is killed, where there are others; that of five dimensions always dies."""
    first = experiments[0]
    for tracker in trackers:
        tracker.step(7)
    if first.net.dim == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    row = finished_row(first)
    write_record(row, RunFolder(runs, first).row)
    if len(experiments) > 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {first.fingerprint: row}


def finished_row(experiment):
    row = make_row(experiment, (1, 2, 3))
    return row.model_copy(update={"history": ({"step": float(row.selected_step)},)})


def test_a_process_that_dies_takes_no_run_with_it_but_the_one_that_dies_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(relbench.grid.scheduler, "run_cohort", die_among_others)
    log, schedule = Log(), Schedule.of(COMPANY, tmp_path)
    with Processes(1) as executor:
        run_grid(executor, schedule, tmp_path, tmp_path, log)
    killed = f"its process was killed, perhaps for lack of memory: {ADVICE}"
    assert log.begun == [NAMES, *([name] for name in NAMES[1:])]
    assert log.again == [(NAMES[1:], killed)]
    assert log.ended == NAMES[:3]  # the first row was written before the process died
    assert schedule.failures == {NAMES[3]: killed}
    assert not list(tmp_path.rglob("progress.json"))


def test_what_is_left_of_runs_under_way_is_read_from_their_folders(tmp_path):
    job = Job(None, tuple(COMPANY), tmp_path, tmp_path)
    assert relbench.grid.scheduler._left(job) == 4.0
    steps = TEACHER.training.steps
    for name, done in zip(NAMES, (steps, steps // 2, 0), strict=False):
        tracker = FolderTracker(tmp_path / name)
        tracker.step(done)
        tracker.begin("training")
    assert relbench.grid.scheduler._left(job) == 2.5
