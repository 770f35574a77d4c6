"""Progress: the remaining time by hand, and what is shown."""

import io
import time

import pytest
from rich.console import Console

from relbench.experiment import Experiment, Term, Training
from relbench.results.records import Row
from relbench.studies.study import PlannedRun
from relbench.trackers import FolderTracker
from relbench.trackers import bars as progress
from relbench.trackers.bars import Bars, Pace, remaining_seconds


def pace(label, steps, done=0, seconds=0.0, resumed_at=0):
    """A run that was `resumed_at` at time 100, with `done` steps some seconds later."""
    one = Pace(label, steps)
    if seconds:
        one.advance(resumed_at, now=100.0)
        one.advance(done, now=100.0 + seconds)
    return one


def test_pace():
    one = Pace("a", 100)
    assert one.seconds_per_step is None
    one.advance(40, now=7.0)  # resumed: nothing is measured yet
    assert (one.done, one.seconds_per_step) == (40, None)
    one.advance(60, now=17.0)
    assert (one.done, one.seconds_per_step) == (60, 0.5)
    one.advance(90, now=57.0)
    assert one.seconds_per_step == 1.0


@pytest.mark.parametrize(
    ("paces", "jobs", "seconds"),
    [
        ([], 1, None),
        ([pace("a", 100)], 1, None),
        ([pace("a", 100, done=50, seconds=10.0)], 1, 10.0),  # 50 steps left at 0.2 s
        ([pace("a", 100, done=50, seconds=10.0)], 4, 10.0),  # one run is never split
        ([pace("a", 100, done=50, seconds=10.0), pace("a", 100)], 1, 10.0 + 20.0),
        ([pace("a", 100, done=50, seconds=10.0), pace("a", 100)], 2, 20.0),  # 15 on two, but the second alone takes 20
        ([pace("a", 100, done=50, seconds=10.0), *[pace("a", 100)] * 3], 2, 35.0),  # (10 + 3 x 20) / 2
        ([pace("a", 100, done=100, seconds=50.0)], 1, 0.0),
        # 100 steps of "a" at 0.5 s, the label's own speed, not the slow one of "b", which has 10 left at 2 s
        (
            [pace("a", 100, done=100, seconds=50.0), pace("b", 20, done=10, seconds=20.0), pace("a", 100)],
            1,
            20.0 + 50.0,
        ),
        # "c" is unknown: at the mean of 0.5 s and 2 s, so 10 x 1.25; "b" has 20 left
        ([pace("a", 100, done=100, seconds=50.0), pace("b", 20, done=10, seconds=20.0), pace("c", 10)], 1, 20.0 + 12.5),
        # resumed at 80 of 100: 10 steps took 5 s, so the last 10 take 5 more
        ([pace("a", 100, done=90, seconds=5.0, resumed_at=80)], 1, 5.0),
    ],
)
def test_remaining_seconds(paces, jobs, seconds):
    assert remaining_seconds(paces, jobs) == seconds


def together(company, *paces):
    """Runs that share their time."""
    for one in paces:
        one.company = company
    return list(paces)


def test_runs_that_are_trained_together_share_the_time():
    """Each made 50 steps in 10 s of three: a third of that is its own."""
    one = Pace("a", 100)
    one.begin(company=3)
    one.advance(10, now=5.0)
    one.advance(60, now=15.0)
    assert one.seconds_per_step == pytest.approx(10 / 3 / 50)
    one.begin(company=1)  # tried again alone, from its last checkpoint
    assert one.seconds_per_step is None
    one.advance(40, now=100.0)
    one.advance(50, now=102.0)
    assert one.seconds_per_step == pytest.approx(0.2)


@pytest.mark.parametrize(("jobs", "seconds"), [(1, 30.0 + 40.0), (2, 35.0), (4, 30.0)])
def test_a_cohort_is_never_split(jobs, seconds):
    """Three have 10 s left each, and so 30 s together; four that have not begun take 10 s each of their own."""
    cohort = together(3, *[pace("a", 100, done=50, seconds=10.0) for _ in range(3)])
    waiting = [pace("a", 50) for _ in range(4)]
    assert remaining_seconds([*cohort, *waiting], jobs) == pytest.approx(seconds)


def experiment(seed, steps=10):
    return Experiment(terms=(Term(loss="triplet"),), seed=seed, training=Training(steps=steps))


CELLS = [PlannedRun("teacher", "teacher", experiment(0)), PlannedRun("rkd [d]", "student", experiment(1, steps=30))]
ONE, TWO = (cell.experiment.fingerprint for cell in CELLS)


def row(experiment):
    return Row.model_construct(
        experiment=experiment, metrics={"recall@1": 0.6789}, train_seconds=60.0, evaluate_seconds=1.5
    )


@pytest.fixture
def console():
    """Writes into a text, without a terminal."""
    return Console(file=io.StringIO(), width=200)


def lines(console):
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_ends_are_printed(console):
    bars = Bars(CELLS, [], jobs=1, console=console)
    bars.finished(ONE, row(CELLS[0].experiment))
    bars.failed(TWO, "step 3: the loss is not finite")
    assert lines(console) == [
        "[1/2] teacher, seed 0: Recall@1 67.9 %  (62 s)",
        "[2/2] rkd [d], seed 1: failed: step 3: the loss is not finite",
    ]


@pytest.mark.parametrize("error", ["decay_at [triplet] is bad", "[/tmp/x] is gone", "a = [1, 2] and [/]", "[bold]x"])
def test_brackets_in_an_error_are_shown_as_they_are(console, error):
    Bars(CELLS, [], jobs=1, console=console).failed(ONE, error)
    assert lines(console) == [f"[1/2] teacher, seed 0: failed: {error}"]


def test_runs_that_need_no_work_are_not_counted(console):
    bars = Bars(CELLS, [ONE], jobs=1, console=console)
    bars.finished(TWO, row(CELLS[1].experiment))
    assert lines(console) == ["[1/1] rkd [d], seed 1: Recall@1 67.9 %  (62 s)"]


def shown(bars):
    """Description, steps done and steps of each bar."""
    return [(task.description, task.completed, task.total) for task in bars._progress.tasks]


def test_bars(console):
    bars = Bars(CELLS, [], jobs=2, console=console)
    assert shown(bars) == [("all steps", 0, 40)]
    bars.show(TWO, 0, "training", 0)
    bars.show(TWO, 12, "training", 12)
    bars.show(ONE, 4, "training", 4)
    assert shown(bars) == [("all steps", 16, 40), ("rkd [d], seed 1", 12, 30), ("teacher, seed 0", 4, 10)]
    bars.finished(ONE, row(CELLS[0].experiment))
    assert shown(bars) == [("all steps", 22, 40), ("rkd [d], seed 1", 12, 30)]  # all ten of the teacher's are done


def test_what_a_run_does_beside_training_is_said(console):
    bars = Bars(CELLS, [], jobs=1, console=console)
    doing = []
    for step, phase in ((0, "preparing"), (9, "training"), (9, "validating"), (10, "evaluating")):
        bars.show(ONE, step, phase, 100.0)
        doing.append(bars._progress.tasks[-1].fields["left"])
    assert doing == ["preparing", "", "validating", "evaluating"]


def test_steps_of_a_failed_run_are_no_longer_waited_for(console):
    bars = Bars(CELLS, [], jobs=1, console=console)
    bars.show(ONE, 10, "training", 10)
    bars.show(TWO, 12, "training", 12)
    bars.failed(TWO, "killed")
    assert shown(bars) == [("all steps", 22, 22), ("teacher, seed 0", 10, 10)]


def test_a_run_that_is_handed_over_again_is_counted_once(console):
    """It is looked at twice before it knows that it goes on from step 4."""
    bars = Bars(CELLS, [], jobs=1, console=console)
    bars.show(ONE, 6, "training", now=0.0)
    for _ in range(2):
        bars.show(ONE, 0, "preparing", now=1.0)
    bars.show(ONE, 4, "training", now=2.0)
    assert shown(bars)[0] == ("all steps", 4, 40)


def test_news_after_the_end_changes_nothing(console):
    """Steps come through a queue, ends do not: the last step may arrive late."""
    bars = Bars(CELLS, [], jobs=2, console=console)
    bars.show(ONE, 9, "training", 9)
    bars.finished(ONE, row(CELLS[0].experiment))
    bars.show(ONE, 10, "training", 10)
    bars.failed(TWO, "killed")
    bars.show(TWO, 3, "training", 3)
    assert shown(bars) == [("all steps", 10, 10)]


def test_remaining_time_is_shown(console):
    bars = Bars(CELLS, [ONE], jobs=1, console=console)
    bars.show(TWO, 0, "training", 0)
    assert bars._progress.tasks[0].fields["left"] == ""
    bars.show(TWO, 10, "training", 10.0)
    assert bars._progress.tasks[0].fields["left"] == "about 20 s left"


def test_drawn_within_the_block(console):
    with Bars(CELLS, [], jobs=1, console=console) as bars:
        assert bars._progress.live.is_started
    assert not bars._progress.live.is_started
    assert "all steps" in lines(console)[-1]


def test_the_time_left_is_not_found_anew_at_every_step(console, monkeypatch):
    """It looks at all runs: at every step of a grid of thousands it would take longer than the training."""
    looked = []
    monkeypatch.setattr(progress, "remaining_seconds", lambda paces, jobs: looked.append(paces) or 1.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    bars = Bars(CELLS, [], jobs=1, console=console)
    for step in range(30):
        bars.show(TWO, step, "training", step)
    assert len(looked) == 1
    assert shown(bars)[0] == ("all steps", 29, 40)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 101.0)
    bars.show(TWO, 30, "training", 30)
    assert len(looked) == 2


def test_each_run_of_a_cohort_has_a_bar(console, tmp_path):
    bars = Bars(CELLS, [], jobs=1, console=console)
    trackers = {name: FolderTracker(tmp_path / name) for name in (ONE, TWO)}
    bars.started({name: tmp_path / name for name in trackers})
    for name, done in ((ONE, 4), (TWO, 6)):
        trackers[name].step(done)
        trackers[name].begin("training")
    bars.look()
    assert shown(bars) == [("all steps", 10, 40), ("teacher, seed 0", 4, 10), ("rkd [d], seed 1", 6, 30)]


def test_runs_that_are_tried_again_are_told(console, tmp_path):
    """They go on from their last checkpoints, which may be behind what was shown."""
    bars = Bars(CELLS, [], jobs=1, console=console)
    bars.started({name: tmp_path / name for name in (ONE, TWO)})
    bars.show(TWO, 12, "training", 1.0)
    bars.tried_again([ONE, TWO], "its process was killed")
    assert lines(console) == ["each tried again alone: teacher, seed 0, rkd [d], seed 1: its process was killed"]
    bars.started({TWO: tmp_path / TWO})
    bars.show(TWO, 10, "training", 2.0)
    assert shown(bars) == [("all steps", 10, 40), ("rkd [d], seed 1", 10, 30)]


def test_progress_is_read_from_the_folders(console, tmp_path):
    """Of those that are under way; what was written before a run was handed over is of a process that was killed."""
    FolderTracker(tmp_path / TWO).step(7)
    bars = Bars(CELLS, [], jobs=2, console=console)
    bars.started({ONE: tmp_path / ONE})
    bars.started({TWO: tmp_path / TWO})
    tracker = FolderTracker(tmp_path / ONE)
    tracker.step(4)
    tracker.begin("validating")
    bars.look()
    assert shown(bars) == [("all steps", 4, 40), ("teacher, seed 0", 4, 10)]
    assert bars._progress.tasks[-1].fields["left"] == "validating"
    tracker.clear()
    bars.finished(ONE, row(CELLS[0].experiment))
    bars.look()
    assert shown(bars) == [("all steps", 10, 40)]


def test_a_run_has_a_bar_where_its_machine_s_clock_is_behind(console, tmp_path, monkeypatch):
    bars = Bars(CELLS, [], jobs=1, console=console)
    bars.started({ONE: tmp_path / ONE})
    monkeypatch.setattr("relbench.trackers.tracker.time.time", lambda: 1000.0)
    FolderTracker(tmp_path / ONE).step(4)
    bars.look()
    assert len(shown(bars)) == 2


def test_bars_move_while_the_work_goes_on(console, tmp_path):
    tracker = FolderTracker(tmp_path / ONE)
    with Bars(CELLS, [], jobs=1, console=console) as bars:
        bars.started({ONE: tmp_path / ONE})
        tracker.step(4)
        tracker.begin("training")
        until = time.monotonic() + 30
        while len(shown(bars)) == 1 and time.monotonic() < until:
            time.sleep(0.01)
    assert shown(bars)[1] == ("teacher, seed 0", 4, 10)
