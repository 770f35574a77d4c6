"""Longer runs that go on from shorter ones: to the last bit as from the first step, where that can be."""

import pytest
import torch
from cli.test_cli import strip_time
from planned import plan_runs
from pydantic_core import from_json
from tiny import TINY

from relbench.experiment import Experiment, Term, Training
from relbench.grid.executors import Inline
from relbench.grid.longer import shorter_runs
from relbench.grid.scheduler import prepare, run_grid
from relbench.results.records import write_record
from relbench.results.run_folder import RunFolder
from relbench.settings import changed
from relbench.studies import build_study


class Log:
    def __init__(self):
        self.begun, self.failures = [], {}

    def started(self, folders):
        self.begun.append(list(folders))

    def finished(self, fingerprint, row):
        pass

    def failed(self, fingerprint, error):
        self.failures[fingerprint] = error


def teacher(steps, **training):
    """That of the tiny quick start, at a rate that stays."""
    values = TINY | {"teacher.decay_at": ()}
    (planned,) = [run for run in plan_runs(build_study("quickstart"), (0,), values=values) if run.label == "teacher"]
    return changed(planned.experiment, {"training": changed(planned.experiment.training, {"steps": steps, **training})})


SHORT, LONG = teacher(6), teacher(12)


def made(experiments, results, data, name="study", **hears):
    """Rows, states and what was told of a grid with all its folders."""
    log, told, runs = Log(), [], results / name / "runs"
    schedule = prepare(experiments, runs, data, iter, told.append, results)
    run_grid(Inline(), schedule, runs, data, log)
    return schedule, log, told


def state(results, experiment, name="study"):
    return RunFolder(results / name / "runs", experiment).state()


def flat(state, prefix=""):
    """All tensors, numbers and strings of a state by their place in it."""
    if isinstance(state, dict):
        return {key: value for name in state for key, value in flat(state[name], f"{prefix}/{name}").items()}
    if isinstance(state, list | tuple):
        return {
            key: value for place, each in enumerate(state) for key, value in flat(each, f"{prefix}/{place}").items()
        }
    return {prefix: state}


def same_states(one, two):
    one, two = flat(one), flat(two)
    different = {"/seconds", "/fingerprint"}
    assert one.keys() == two.keys()
    for name in one.keys() - different:
        equal = torch.equal(one[name], two[name]) if isinstance(one[name], torch.Tensor) else one[name] == two[name]
        assert equal, name
    return True


def content(row):
    return strip_time(from_json(row.model_dump_json()))


@pytest.fixture(scope="module")
def from_the_start(tmp_path_factory, data_folder):
    """The longer run alone."""
    results = tmp_path_factory.mktemp("alone")
    schedule, log, told = made([LONG], results, data_folder)
    assert (log.begun, told) == ([[LONG.fingerprint]], [])
    return schedule.rows[LONG.fingerprint], state(results, LONG)


@pytest.fixture(scope="module")
def after(tmp_path_factory, data_folder):
    """The longer run beside the shorter one."""
    results = tmp_path_factory.mktemp("both")
    return results, *made([LONG, SHORT], results, data_folder)


def test_it_waits_for_the_shorter_run_and_goes_on_from_there(after):
    _, schedule, log, told = after
    assert log.begun == [[SHORT.fingerprint], [LONG.fingerprint]]
    assert told == [
        "1 run goes on from step 6 of the same training with fewer steps, which does not change its weights"
    ]
    assert schedule.rows[LONG.fingerprint].train_seconds > schedule.rows[SHORT.fingerprint].train_seconds


def test_state_and_row_are_the_same_to_the_last_bit(after, from_the_start):
    results, schedule, _, _ = after
    row, alone = from_the_start
    assert same_states(state(results, LONG), alone)
    assert content(schedule.rows[LONG.fingerprint]) == content(row)


def test_a_finished_run_of_another_study_serves_too(tmp_path, data_folder, from_the_start):
    made([SHORT], tmp_path, data_folder, "first")
    _, log, told = made([LONG], tmp_path, data_folder, "second")
    assert log.begun == [[LONG.fingerprint]]
    assert told[0].startswith("1 run goes on from step 6")
    assert same_states(state(tmp_path, LONG, "second"), from_the_start[1])


def test_a_shorter_run_of_another_machine_does_not_serve(after):
    results, longest = after[0], teacher(18)
    runs, waiting = results / "study" / "runs", {longest.fingerprint: longest}
    folder = RunFolder(runs, LONG)
    assert shorter_runs(waiting, runs, results) == {longest.fingerprint: folder}
    row = folder.finished()
    elsewhere = row.machine.model_copy(update={"device": "another processor"})
    write_record(row.model_copy(update={"machine": elsewhere}), folder.row)
    try:
        assert shorter_runs(waiting, runs, results) == {longest.fingerprint: RunFolder(runs, SHORT)}
    finally:
        write_record(row, folder.row)


def test_a_damaged_checkpoint_fails_the_longer_run_alone(tmp_path, data_folder):
    made([SHORT], tmp_path, data_folder)
    checkpoint = RunFolder(tmp_path / "study" / "runs", SHORT).checkpoint
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    schedule, log, _ = made([LONG], tmp_path, data_folder)
    assert not schedule.rows
    assert f"(to run it again, delete {checkpoint.parent})" in log.failures[LONG.fingerprint]


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"experiment": 3}', '{"experiment": {"training": []}}', '{"experiment": {"training": {}}', "[" * 9999],
)
def test_what_is_no_row_does_not_serve(tmp_path, content):
    row = tmp_path / "other" / "runs" / "0" / "row.json"
    row.parent.mkdir(parents=True)
    row.write_text(content)
    assert shorter_runs({run().fingerprint: run()}, tmp_path / "study" / "runs", tmp_path) == {}


def run(steps=100, **training):
    return Experiment(terms=(Term(loss="triplet"),), training=Training(steps=steps, validate_every=20, **training))


def test_only_steps_may_differ(tmp_path):
    """And of several that lead to it, it goes on from the longest."""
    others = [run(60), run(80), run(80, learning_rate=2.0), changed(run(80), {"seed": 1}), run(90), run(200)]
    one = run()
    waiting = {each.fingerprint: each for each in (one, *others)}
    found = shorter_runs(waiting, tmp_path, tmp_path / "nowhere")
    assert found[one.fingerprint].experiment == run(80)
    assert found[run(90).fingerprint].experiment == run(80)
    assert found[run(80).fingerprint].experiment == run(60)
    assert found[run(200).fingerprint].experiment == one
    assert len(found) == 4


def test_a_run_that_has_begun_goes_on_from_its_own_checkpoint(tmp_path):
    waiting = {each.fingerprint: each for each in (run(), run(60))}
    assert shorter_runs(waiting, tmp_path, tmp_path).keys() == {run().fingerprint}
    RunFolder(tmp_path, run()).path.mkdir()
    RunFolder(tmp_path, run()).checkpoint.touch()
    assert shorter_runs(waiting, tmp_path, tmp_path) == {}


def test_a_users_loss_begins_at_the_first_step(tmp_path):
    own = (Term(loss="my:f", source="def f(student): return student.sum()"),)
    waiting = {each.fingerprint: each for each in (changed(run(), {"terms": own}), changed(run(60), {"terms": own}))}
    assert shorter_runs(waiting, tmp_path, tmp_path) == {}
