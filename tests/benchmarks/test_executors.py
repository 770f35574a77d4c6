"""The benchmark of executors, where this process stands in for both: all but what they cost."""

import pytest

from relbench.benchmarks import executors
from relbench.grid.executors import Inline
from relbench.grid.jobs import Failure
from relbench.results.run_folder import RunFolder

BRIEF = {
    "data.train_classes": 20,
    "data.test_classes": 4,
    "student.steps": 2,
    "student.validate_every": 2,
    "student.batch_size": 20,
}


@pytest.fixture
def inline(monkeypatch):
    """Both executors are this process; by name."""
    kinds = {"processes": Inline(), "Ray cluster": Inline()}
    monkeypatch.setattr(executors, "_kinds", lambda _: kinds)
    return kinds


def test_the_same_runs_by_both(inline, monkeypatch):
    made = []

    class Pretended:
        def __init__(self, *_):
            pass

        def made(self, executor, kind, seeds):
            made.append((kind, seeds))
            return {"processes": 2.0, "Ray cluster": 5.0}[kind]

    monkeypatch.setattr(executors, "Grids", Pretended)
    found = {figure.name: figure for figure in executors.figures(rounds=2, runs=3)}
    for kind in inline:
        assert [seeds for each, seeds in made if each == kind] == [range(2), range(2, 5), range(5, 8)]
    ratio = found["3 toy runs, 2 at once: a Ray cluster's time, times that of processes"]
    assert (ratio.value, found["what a run costs more on a Ray cluster"].value) == (2.5, (5 - 2) * 2 / 3)
    assert len(found) == 6


def test_without_ray(monkeypatch):
    monkeypatch.setattr(executors, "find_spec", lambda _: None)
    assert list(executors._kinds(None)) == ["processes"]
    (figure,) = executors._compared({"processes": [2.0, 4.0, 3.0]}, 5)
    assert (figure.value, figure.why) == (3.0, executors.WITHOUT_RAY)


def test_runs_are_made_and_a_failure_is_an_error(tmp_path, data_folder, monkeypatch):
    grids = executors.Grids(tmp_path, data_folder, BRIEF)
    assert grids.made(Inline(), "here", range(2)) > 0
    assert all(RunFolder(tmp_path / "here", grids._run(seed)).finished() for seed in range(2))
    monkeypatch.setattr(
        "relbench.grid.executors.attempt", lambda job: dict.fromkeys(job.folders, Failure("it was too hot"))
    )
    with pytest.raises(RuntimeError, match="here: it was too hot"):
        grids.made(Inline(), "here", range(2, 3))
