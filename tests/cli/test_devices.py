"""Runs that several processes share, as a user asks for them: `--devices`."""

import json
import re
from pathlib import Path

import pytest
import torch
from tiny import TINY, tiny_folder

import relbench.cli.executors
from relbench.cli.dry_run import _time_of_all
from relbench.cli.executors import execution_beside
from relbench.cli.options import RunOptions
from relbench.execution import Execution
from relbench.experiment import Experiment, Term, Training
from relbench.grid.estimate import Estimate
from relbench.training import prefetching

SETTINGS = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture
def cores(monkeypatch):
    def pretend(count):
        monkeypatch.setattr(relbench.cli.executors, "usable_cores", lambda: count)

    return pretend


def test_no_more_processes_than_cores_or_gpus(cores, call, monkeypatch, tmp_path):
    cores(3)
    options = ("reproduce", "quickstart", "--results", tmp_path / "results")
    for more in ((), ("--dry-run",)):
        done = call(*options, "--device", "cpu", "--devices", 4, *more)
        assert done.code == 2
        assert re.match(r"relbench: --devices 4: this machine has 3 cores, .*; ask for no more\n$", done.error)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    done = call(*options, "--device", "cuda", "--devices", 4)
    assert done.error == "relbench: --devices 4: torch sees 2 GPUs here; ask for no more than there are\n"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    done = call(*options, "--device", "cuda")
    assert done.error == "relbench: --device cuda: torch sees 0 GPUs here; ask for no more than there are\n"
    for share in (("--gpus-per-run", 1.5), ("--cpus-per-run", 0)):
        done = call(*options, "--cluster", "local", *share)
        assert done.error.startswith(f"relbench: {share[0]} {share[1]:g}: ")
    assert not (tmp_path / "results").exists()


def test_a_dry_run_says_what_devices_change(cores, call, tmp_path):
    cores(2)
    options = ("--results", tmp_path, "--device", "cpu", "--devices", 2, "--jobs", 3)
    done = call("reproduce", "quickstart", "--dry-run", *options)
    assert done.code == 0
    assert "\n42 runs to make, 3 at once; disk: " in done.out
    assert "\n--devices 2: each run is trained alone, not in a cohort with others\n" in done.out
    assert re.search(r"\nmemory: about .* at most for each of 6, of ", done.out)
    assert "--devices" not in call("reproduce", "quickstart", "--dry-run", *options, "--cohort", 1).out


def test_an_estimate_says_what_it_does_not_know():
    def told(**given):
        options = RunOptions((0,), "cpu", Path(), Path(), None, {}, execution=Execution(**given))
        return _time_of_all(Estimate(7200, 0, "steps"), 0, [Experiment(terms=(Term(loss="triplet"),))], options)

    plain = "time: about 2.0 h for all of them, judging by steps"
    assert told() == plain
    assert told(workers=0) == f"{plain}; what --workers may change is not in it"
    assert told(workers=2, views="device") == f"{plain}; what --workers and --views-on may change is not in it"


def test_runs_on_gpus_share_the_cores_that_prepare_images(monkeypatch):
    monkeypatch.setattr(prefetching, "usable_cores", lambda: 16)
    waiting = [Experiment(terms=(Term(loss="triplet"),), training=Training(device="cuda"))]

    def workers(slots, devices, asked=None):
        options = RunOptions((0,), "cuda", Path(), Path(), None, {}, execution=Execution(devices, asked))
        return execution_beside(slots, waiting, options).workers

    assert [workers(1, 1), workers(4, 1), workers(4, 2), workers(16, 2)] == [8, 3, 1, 0]
    assert workers(16, 2, asked=5) == 5


def test_rows_are_those_of_one_device_but_for_rounding(cores, call, data_folder, tmp_path):
    cores(2)
    rows, page = {}, ""
    for devices in (1, 2):
        results = tmp_path / str(devices)
        where = ("--results", results, "--data", data_folder, "--device", "cpu", "--devices", devices)
        done = call("reproduce", "quickstart", "--only", "rkd-da", "--seeds", 0, "--jobs", 1, *where, *SETTINGS)
        assert done.code == 0, done.error
        folder = tiny_folder(results)
        rows[devices] = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("runs/*/row.json")}
        page = (folder / "report.html").read_text()
    assert rows[1].keys() == rows[2].keys()
    for name, row in rows[2].items():
        assert row["devices"] == 2
        assert len(row["history"]) == len(rows[1][name]["history"])
        assert row["history"][0] == pytest.approx(rows[1][name]["history"][0], rel=1e-3)
    assert "devices" in (folder / "rows.csv").read_text().partition("\n")[0].split(",")
    assert "Each run was shared by 2 devices" in page
    assert ", each run shared by 2 devices, " in page
