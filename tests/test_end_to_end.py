"""The command as a user runs it: from images to the report, killed on the way and run again."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
from cli.test_cli import FILES, strip_time
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import TINY, tiny_folder

LONGER = {"teacher.steps": 40, "student.steps": 60, "teacher.validate_every": 20, "student.validate_every": 20}


def command(results, data_folder, *more):
    settings = [part for key, value in (TINY | LONGER).items() for part in ("--set", f"{key}={value}")]
    where = ["--results", str(results), "--data", str(data_folder)]
    return [sys.executable, "-m", "relbench", "reproduce", "quickstart", "--seeds", "0", *where, *settings, *more]


def finish(results, data_folder, *more):
    done = subprocess.run(
        command(results, data_folder, *more),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    return rows_below(results)


def rows_below(results):
    rows = tiny_folder(results).glob("runs/*/row.json")
    return {path.parent.name: strip_time(json.loads(path.read_text())) for path in rows}


def environment():
    return os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def two_at_once(tmp_path_factory, data_folder):
    """The study, made without an interruption; and the same command, given again meanwhile."""
    results = tmp_path_factory.mktemp("uninterrupted")
    first = subprocess.Popen(
        command(results, data_folder, "--jobs", "2"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    wait_for(lambda: list(results.rglob("study.json")))
    second = subprocess.run(
        command(results, data_folder), capture_output=True, text=True, timeout=100, check=False, env=environment()
    )
    _, error = first.communicate(timeout=250)
    assert first.returncode == 0, error
    return first.pid, second, results


@pytest.fixture(scope="module")
def uninterrupted(two_at_once):
    *_, results = two_at_once
    return rows_below(results), tiny_folder(results)


@pytest.mark.slow
def test_from_images_to_the_report(uninterrupted):
    rows, folder = uninterrupted
    assert len(rows) == 6
    assert {path.name for path in folder.iterdir()} >= FILES | {"study.json", "runs"}
    assert not list(folder.rglob(".*.[0-9]*")), "temporary files are left"


@pytest.mark.slow
def test_one_process_gives_the_same_as_two_and_runs_alone_the_same_as_together(uninterrupted, tmp_path, data_folder):
    assert finish(tmp_path, data_folder, "--jobs", "1", "--cohort", "1") == uninterrupted[0]


@pytest.mark.slow
@pytest.mark.parametrize("more", [("--jobs", "1"), ("--jobs", "2", "--track", "csv,tensorboard")], ids=" ".join)
def test_killed_and_run_again(uninterrupted, tmp_path, data_folder, more):
    """Kill -9 once a checkpoint is there: no process stays, and the same command ends in the same rows, bit for bit.

    So it does in their curves for other programs, where no step is missing, and none is there twice.
    """
    process = subprocess.Popen(
        command(tmp_path, data_folder, *more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    wait_for(lambda: list(tmp_path.rglob("checkpoint.pt")) or process.poll() is not None)
    assert process.poll() is None, "it ended before it could be killed"
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    wait_for(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family))
    rows = finish(tmp_path, data_folder, *more)
    assert rows == uninterrupted[0]
    for name, row in rows.items() if "--track" in more else ():
        assert_followed(tiny_folder(tmp_path) / "tracks", name, row)


def assert_followed(tracks, name, row):
    """The curves of a run are those of its row: each step once."""
    (file,), (folder,) = tracks.glob(f"csv/*-{name}.csv"), tracks.glob(f"tensorboard/*-{name}")
    table, events = pd.read_csv(file, index_col="step"), EventAccumulator(str(folder), {"tensors": 0})
    events.Reload()
    losses = {f"loss/{term['loss']}": term["loss"] for term in row["experiment"]["terms"]}
    for curve, value in (losses | {"validation/recall@1": "recall@1"}).items():
        steps, values = zip(*[(entry["step"], entry[value]) for entry in row["history"] if value in entry], strict=True)
        column, found = table[curve].dropna(), events.Tensors(curve)
        assert (tuple(column.index), tuple(event.step for event in found)) == (steps, steps)
        assert tuple(column) == pytest.approx(values, rel=1e-14)
        assert [event.tensor_proto.float_val[0] for event in found] == pytest.approx(values, rel=1e-6)


@pytest.mark.slow
def test_ctrl_c(tmp_path, data_folder):
    process = subprocess.Popen(
        command(tmp_path, data_folder, "--jobs", "2"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    wait_for(lambda: list(tmp_path.rglob("checkpoint.pt")))
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.decode() == "relbench: interrupted; the same command goes on from here\n"


@pytest.mark.slow
def test_two_at_once(two_at_once):
    """The second is refused in one line; it disturbs nothing, as the other tests show."""
    first, second, _ = two_at_once
    assert second.returncode == 2
    assert f"written by another relbench (process {first})" in second.stderr


def wait_for(happened, seconds=120):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
