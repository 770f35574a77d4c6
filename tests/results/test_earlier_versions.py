"""What earlier versions wrote is read, named and tabulated as ever: no number changes, and no name.

`results/reference` holds the rows of two studies. `earlier_version.zip` holds runs as 890b0d6 wrote them, before
settings were renamed: under `finished` a teacher, a first stage and the student that goes on from it, on three test
classes of Glyphs, two steps each; under `interrupted` the student's checkpoint after the first step.
"""

import json
import re
import shutil
import zipfile
from pathlib import Path

import matplotlib as mpl
import pytest

from relbench.experiment import CODE_VERSION, Experiment
from relbench.results.records import read_row, write_record
from relbench.results.run_folder import RunFolder, load_trained
from relbench.run import run
from relbench.settings import FORMER_NAMES, changed
from relbench.studies.record import read_study
from relbench.trackers import Silent

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference"
COMMITTED = sorted(REFERENCE.glob("*/runs/*/row.json"))
TEACHER, FIRST, STUDENT = "8168cfe1f1052b0c", "461172c46901c1c8", "15b9cfa10743820e"
NAMES = {"glyphs-methods": 110, "quickstart": 18}


@pytest.fixture
def earlier(tmp_path):
    """Folders of runs that an earlier version wrote."""
    with zipfile.ZipFile(Path(__file__).with_name("earlier_version.zip")) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_all_committed_rows_are_found():
    found = [path.parts[-4] for path in COMMITTED]
    assert {study: found.count(study) for study in found} == NAMES


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parts[-4]}-{path.parts[-2]}")
def test_a_committed_row_is_named_by_the_fingerprint_of_its_settings(path):
    """Recomputed by today's classes from the settings in the file; and so the teacher's, which has a row of its own."""
    written = json.loads(path.read_text())
    experiment = Experiment.model_validate_json(json.dumps(written["experiment"]))
    assert experiment.fingerprint == written["fingerprint"] == path.parent.name
    assert read_row(path, experiment.fingerprint).experiment == experiment
    for one in experiment.dependencies.values():
        assert read_row(path.parents[1] / one.fingerprint / "row.json", one.fingerprint).experiment == one


@pytest.mark.parametrize("study", NAMES)
def test_tables_and_page_of_a_committed_study_are_made_anew_byte_for_byte(call, tmp_path, study):
    """All but what needs the embeddings, which are not committed: two sections of the page."""
    committed, made = REFERENCE / study, tmp_path / study
    shutil.copytree(committed, made)
    for path in made.glob("*.*"):
        if path.suffix != ".json":
            path.unlink()
    assert call("report", made, "--data", tmp_path / "none").code == 0
    for name in ("table.md", "table.csv", "table.tex", "pairs.csv", "rows.csv"):
        assert (made / name).read_bytes() == (committed / name).read_bytes(), name
    assert page(made) == page(committed)
    if drawn_by_the_pinned_matplotlib():
        for name in ("recall_at_k.svg", "recall_at_k.png", "recall_at_1.png", "training.png"):
            assert (made / name).read_bytes() == (committed / name).read_bytes(), name


NEEDS_EMBEDDINGS = re.compile(
    r"<details>\n<summary><h2>[^<]*</h2></summary>\n<section id=\"(?:examples|distances)\">.*?</section>\n</details>\n"
    r"|<section id=\"missing\">.*?</section>\n"
    r"|<li><a href=\"#(?:examples|distances)\">[^\n]*\n",
    re.DOTALL,
)
PLOT = re.compile(r"<source [^>]*>\n<img [^>]*>")


def page(folder):
    """The page's text, without what needs embeddings, and without plots that another Matplotlib has drawn."""
    text = NEEDS_EMBEDDINGS.sub("", (folder / "report.html").read_text())
    text = text if drawn_by_the_pinned_matplotlib() else PLOT.sub("", text)
    return [line for line in text.splitlines() if line]


def drawn_by_the_pinned_matplotlib():
    """Whether plots come from the version that has drawn the committed ones: others place their lines differently."""
    return f"matplotlib=={mpl.__version__} " in (ROOT / "constraints.txt").read_text()


def test_the_sections_that_need_embeddings_are_all_that_is_left_out_of_a_page():
    for study in NAMES:
        found = re.findall(r'<section id="(\w+)">', (REFERENCE / study / "report.html").read_text())
        kept = re.findall(r'<section id="(\w+)">', "\n".join(page(REFERENCE / study)))
        assert {*found} - {*kept} == {"examples", "distances"}
        assert len(kept) == len(found) - 2


def test_a_row_of_former_names_is_read_and_written_under_todays(earlier, tmp_path):
    path = earlier / "finished" / STUDENT / "row.json"
    written = json.loads(path.read_text())
    settings = written["experiment"]
    for group, names in ((settings, ("training", "initialized_from", "code_version")), (written, ("dependencies",))):
        for name in names:
            assert FORMER_NAMES[name] in group
            assert name not in group
    assert settings["protocol"]["watch_test"] is True
    row = read_row(path, STUDENT)
    assert row.experiment.training.log_test_metrics
    assert row.experiment.initialized_from.fingerprint == FIRST
    assert row.experiment.teacher.fingerprint == TEACHER
    assert set(row.dependencies) == {"teacher", "first stage"}
    assert row.metrics_at("test")[1].keys() == row.metrics.keys()  # they were logged
    write_record(row, tmp_path / "row.json")
    assert not {"protocol", "start", "recipe", "foundations", "watch_test"} & names_in(tmp_path / "row.json")
    assert read_row(tmp_path / "row.json", STUDENT) == row


def names_in(path):
    """All keys at any depth of a JSON file."""
    return set(re.findall(r'"(\w+)": ', path.read_text()))


@pytest.mark.parametrize("name", [TEACHER, FIRST, STUDENT])
def test_a_finished_run_of_an_earlier_version_is_finished_today(earlier, name):
    """Its row, its checkpoint and its embeddings fit together by their hashes, and its network can be loaded."""
    runs = earlier / "finished"
    experiment = read_row(runs / name / "row.json", name).experiment
    folder = RunFolder(runs, experiment)
    row = folder.finished()
    assert folder.state()["step"] == experiment.training.steps == 2
    assert folder.stored().hash == row.embeddings_hash
    network = load_trained(experiment, runs, 1, "teacher").network
    assert sum(parameter.numel() for parameter in network.parameters()) == row.parameters


@pytest.mark.parametrize("begun", [False, True])
def test_a_run_of_an_earlier_code_version_is_not_gone_on_with(earlier, data_folder, begun):
    """Nor made anew under its name: its numbers would be others. What it has left can be read, and stays."""
    runs = earlier / "finished"
    experiment = read_row(runs / STUDENT / "row.json", STUDENT).experiment
    folder = RunFolder(runs, experiment)
    shutil.rmtree(folder.path)
    if begun:
        shutil.copytree(earlier / "interrupted" / STUDENT, folder.path)
        assert folder.state()["step"] == 1
    with pytest.raises(ValueError, match=rf"{STUDENT} is a run of code version 1, whose numbers version \d does not"):
        run(experiment, runs, data_folder, Silent())
    assert folder.checkpoint.exists() == begun
    assert not folder.row.exists()


def test_a_study_of_an_earlier_code_version_is_no_part_of_todays(tmp_path):
    """Its record says which runs are its own; the same study, built today, has others, and needs another folder."""
    record = read_study(REFERENCE / "quickstart")
    assert record.study.code_version == 1
    anew = record.model_copy(update={"study": changed(record.study, {"code_version": CODE_VERSION})})
    assert anew.merged(record) is None
    write_record(anew, tmp_path / "study.json")
    assert read_study(tmp_path) == anew
