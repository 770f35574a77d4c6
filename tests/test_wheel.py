"""The wheel: built, installed where nothing of the checkout is seen, and used."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USED = """
import json, sys
from pathlib import Path
import relbench
from relbench.__main__ import main
from relbench.data import data_set_names, find_data_set
from relbench.studies import STUDIES, build_study
for call in (["--version"], ["list"], ["data", "list"], ["reproduce", "rkd-table2", "--scale", "toy", "--dry-run"]):
    try:
        main(call)
    except SystemExit as end:
        assert not end.code, (call, end.code)
built = [build_study(name).name for name in STUDIES]
sets = [find_data_set(name, Path("datasets")).title for name in data_set_names(Path("datasets"))]
print(json.dumps({"file": relbench.__file__, "studies": len(built), "sets": len(sets)}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


def test_it_holds_every_file_of_the_package(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    there = [path for path in (ROOT / "relbench").rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    assert {path.relative_to(ROOT).as_posix() for path in there} == {
        name for name in held if name.startswith("relbench/")
    }
    suffixes = {Path(name).suffix for name in held}
    assert {".py", ".toml", ".csv", ".json", ".html", ".css"} <= suffixes  # cards, manifests, printed numbers, pages


def test_it_works_in_an_environment_of_its_own(wheel, tmp_path):
    """Its dependencies are those of this environment, whose editable relbench it must not see."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", "--quiet", wheel]
    subprocess.run(command, check=True, capture_output=True)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    done = subprocess.run([python, "-I", "-c", USED], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["file"]).is_relative_to(site)
    assert found["studies"] > 20
    assert found["sets"] > 12
    assert (tmp_path / "venv" / "bin" / "relbench").is_file()
