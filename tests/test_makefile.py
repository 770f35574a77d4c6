"""What `make install` would do; nothing is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


def planned(*variables, target="install"):
    """The commands that make would run."""
    command = ["make", "--dry-run", "--no-print-directory", target, *variables]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_pip_shows_what_it_does(tmp_path):
    text = planned(f"VENV={tmp_path / 'new'}")
    assert "pip install --require-hashes -r constraints.txt" in text
    assert "--quiet" not in text


def test_without_libraries_for_gpus(tmp_path):
    text = planned(f"VENV={tmp_path}", "TORCH_INDEX=some-index")
    (selecting,) = [line for line in text.splitlines() if line.startswith("awk")]
    subprocess.run(["sh", "-c", selecting], cwd=ROOT, check=True)
    left = (tmp_path / "without-torch.txt").read_text().splitlines()
    whole = (ROOT / "constraints.txt").read_text().splitlines()
    gone = {line.partition("==")[0] for line in whole if line[0] != " "} - {line.partition("==")[0] for line in left}
    assert {"torch", "torchvision", "triton", "nvidia-cudnn-cu13"} <= gone
    assert all(name.startswith(("torch", "triton", "nvidia-", "cuda-")) for name in gone)
    assert len(left) == len(set(left))
    assert all(line.startswith("    --hash=sha256:") for line in left if line[0] == " ")
    assert "--index-url some-index" in text


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ([], ""),
        (["SEEDS=0,1,2"], " --seeds '0,1,2'"),
        (["SEEDS=0 1 2"], " --seeds '0 1 2'"),  # which the command refuses in one line
    ],
)
def test_the_quick_start_takes_seeds(given, option):
    command = planned(*given, target="quickstart").splitlines()[-1].strip()
    assert command == f".venv/bin/relbench reproduce quickstart{option}"
