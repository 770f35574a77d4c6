"""Where a run is made: what is noted is true."""

import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from relbench import cores, machine, memory
from relbench.cores import usable_cores

CPU = torch.device("cpu")

PEAKS = """
import numpy as np
import torch
from relbench.machine import forget_peak_memory, peak_memory
device = torch.device("cpu")
forget_peak_memory(device)
print(peak_memory(device))
np.ones(100 * 2**20, dtype=np.uint8)
print(peak_memory(device))
forget_peak_memory(device)
print(peak_memory(device))
"""
CHECKOUT = Path(machine.__file__).parents[1]


def test_description():
    found = machine.describe_machine(CPU)
    assert found.device
    assert found.cores == usable_cores()
    assert found.versions["python"] == platform.python_version()
    assert found.versions["torch"] == metadata.version("torch")
    assert set(machine.PACKAGES) | {"python", "relbench-kd", "numba"} >= set(found.versions)


def test_a_package_that_is_not_there_is_left_out(monkeypatch):
    monkeypatch.setattr(machine, "PACKAGES", ("torch", "no-such-package-at-all"))
    assert set(machine._versions.__wrapped__()) == {"python", "relbench-kd", "torch"}


@pytest.fixture
def commit_here(tmp_path, monkeypatch):
    """Returns the commit as the code would see it, were the package in tmp_path/package."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.setattr(machine, "__file__", str(package / "machine.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return machine._git_commit.__wrapped__


def git(folder, *arguments):
    settings = ("user.name=a", "user.email=a@b.c", "commit.gpgsign=false")
    flags = [flag for setting in settings for flag in ("-c", setting)]
    done = subprocess.run(["git", *flags, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_commit(tmp_path, commit_here):
    assert commit_here() is None  # no checkout
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "something else")
    assert commit_here() is None  # a checkout in which the package only lies
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    assert commit_here() == git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "package" / "notes.txt").touch()
    assert commit_here() == git(tmp_path, "rev-parse", "HEAD")  # what git does not know is no change
    (tmp_path / "package" / "__init__.py").write_text("changed = True", encoding="utf-8")
    assert commit_here() == git(tmp_path, "rev-parse", "HEAD") + "-dirty"


def test_commit_without_git(commit_here, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit_here() is None


@pytest.mark.parametrize("error", [PermissionError("git"), subprocess.TimeoutExpired("git", 20), OSError(12, "memory")])
def test_a_git_that_can_not_be_run_stops_nothing(commit_here, monkeypatch, error):
    def run(*_, **__):
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    assert commit_here() is None


def test_a_commit_of_another_users_checkout_is_not_known(commit_here, monkeypatch):
    """Git refuses "dubious ownership"."""
    refused = subprocess.CompletedProcess(["git"], 128, stdout="", stderr="fatal: detected dubious ownership")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    assert commit_here() is None


MEBIBYTE = 2**20


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system can't measure a peak anew")
def test_peak_memory_is_of_the_time_since_it_was_forgotten():
    """In a process of its own: what earlier tests leave to the garbage collector would be given back in between."""
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    before, during, after = map(int, done.stdout.split())
    assert 90 * MEBIBYTE < during - before < 110 * MEBIBYTE
    assert after < before + 50 * MEBIBYTE


@pytest.mark.parametrize("there", [True, False])
def test_peak_memory_where_proc_can_not_be_used(tmp_path, monkeypatch, there):
    """It is missing, or can neither be written nor read, as in some containers; the run has been trained by then."""
    measured = machine.peak_memory(CPU)
    for name in ("CLEAR_REFS", "STATUS"):
        monkeypatch.setattr(machine, name, tmp_path if there else tmp_path / "none" / name)
    machine.forget_peak_memory(CPU)
    assert machine.peak_memory(CPU) >= measured // 2  # bytes too, but since the start
    assert machine.peak_memory(CPU) > 50 * MEBIBYTE


GIB = 2**30


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 16 * GIB),
        ({"memory.max": "max", "memory.current": "5"}, 16 * GIB),
        ({"memory.max": str(4 * GIB), "memory.current": str(3 * GIB), "memory.stat": f"anon 7\nfile {GIB}"}, 2 * GIB),
        ({"memory.max": str(64 * GIB), "memory.current": str(GIB)}, 16 * GIB),  # the machine has less
        ({"memory.max": "10", "memory.current": "20"}, 0),
        (
            {
                "memory/memory.limit_in_bytes": str(4 * GIB),
                "memory/memory.usage_in_bytes": str(GIB),
                "memory/memory.stat": "cache 5\ntotal_cache 0",
            },
            3 * GIB,
        ),
        ({"memory/memory.limit_in_bytes": str(2**63 - 4096), "memory/memory.usage_in_bytes": "0"}, 16 * GIB),
    ],
)
def test_memory_that_is_free_in_a_container(tmp_path, monkeypatch, files, free):
    for name, content in files.items():
        path = tmp_path / "mounted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    (tmp_path / "membership").write_text("0::/\n4:memory:/\n")
    monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(cores, "MOUNTED", tmp_path / "mounted")
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=16 * GIB))
    assert machine.free_memory(CPU) == free


def test_memory_that_is_free_here():
    assert 2**26 < machine.free_memory(CPU) < 2**46
