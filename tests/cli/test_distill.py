"""One teacher, one student, no study file: from the command to the table, and to a file that makes the same."""

import pytest

import relbench.evaluation.sequential
import relbench.report.write
from relbench.report.documents import markdown_text
from relbench.studies.record import read_study

TINY = ("data.train_classes=40", "data.test_classes=12", "teacher.width=4", "teacher.dim=16", "student.width=2")


@pytest.fixture
def distil(call, data_folder, tmp_path):
    settings = [word for setting in TINY for word in ("--set", setting)]
    networks = ("--teacher", "conv4", "--student", "conv4", "--data", "glyphs", "--data-folder", data_folder, *settings)
    where = ("--results", tmp_path / "results", "--jobs", "1", "--seeds", "0")
    return lambda *options: call("distill", *networks, *where, *options)


def test_from_a_command_to_a_table_and_a_file(distil, call, data_folder, tmp_path, monkeypatch):
    tables = {"table.md": markdown_text}  # pages and figures are those of any study
    monkeypatch.setattr(relbench.report.write, "files_of", lambda _: tables)
    file = tmp_path / "mine.toml"
    made = distil("--method", "rkd-da", "--steps", "2", "--rate", "0.003", "--dim", "8", "--save-study", file)
    assert made.code == 0, made.error
    (folder,) = (tmp_path / "results").glob("distill-*")
    text = (folder / "table.md").read_text()
    assert all(label in text for label in ("teacher", "triplet", "rkd-da", "conv4-2/8", "2 steps"))
    rows = sorted(path.parent.name for path in folder.glob("runs/*/row.json"))
    planned = call("reproduce", file, "--data", data_folder, "--results", tmp_path, "--seeds", "0", "--runs").out
    assert len(rows) == 3
    assert all(name in planned for name in rows)
    refused = distil("--method", "rkd-da", "--save-study", file)
    assert (refused.code, refused.error.count("\n")) == (2, 1)
    assert "is not there yet" in refused.error


def test_options_of_runs_are_those_of_every_command(distil, call):
    planned = distil("--method", "rkd-da", "--method", "pkt", "--runs", "--only", "pkt")
    assert planned.code == 0, planned.error
    assert "teacher at 0.003, seed 0" in planned.out
    assert "triplet" not in planned.out
    text = call("distill", "--help").out
    assert "--teacher-as-is" in text
    assert "--seeds" in text
    assert "--protocol" not in text
    assert "Missing option '--method'" in distil().error


def test_seeds_are_added_until_all_is_decided(distil, call, tmp_path, monkeypatch):
    """Real runs: two looks, a folder that keeps to its rule, and a plan that has nothing more to make."""
    monkeypatch.setattr(relbench.evaluation.sequential, "LOOKS", (2, 3))
    monkeypatch.setattr(relbench.report.write, "files_of", lambda _: {"table.md": markdown_text})
    small = ("--method", "rkd-da", "--steps", "1", "--dim", "8", "--seeds", "until-decided")
    made = distil(*small, "--max-seeds", "3", "--margin", "0")
    assert made.code == 0, made.error
    assert "look at 2 seeds: 0 of 3 comparisons decided; next look at 3 seeds" in made.out
    assert "look at 3 seeds: 3 of 3 comparisons decided" in made.out
    (folder,) = (tmp_path / "results").glob("distill-*")
    rule = read_study(folder).until_decided
    assert (rule.made, rule.looks, rule.seeds) == (2, (2, 3), (0, 1, 2))
    assert "after all 3 seeds" in (folder / "table.md").read_text()
    assert "no more than 3 seeds:" in distil(*small, "--max-seeds", "3", "--margin", "0", "--dry-run").out
    other = distil(*small, "--max-seeds", "4", "--margin", "0")
    assert (other.code, other.error.count("\n")) == (2, 1)
    assert "--max-seeds 3 --margin 0" in other.error
    assert "Detectable" in call("power", folder).out
