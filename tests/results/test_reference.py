"""The committed results: whole, named by their settings, and tabulated anew as they are committed."""

import json
import re
import shutil
from pathlib import Path

import matplotlib as mpl
import pytest

from relbench.analysis.results import read_results
from relbench.experiment import Experiment
from relbench.results.records import read_row
from relbench.studies.record import read_study

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference"
LINES = ("table.md", "table.csv", "table.tex", "pairs.csv", "rows.csv")
CELLS = ("table.md", "table.tex", "cells.csv", "claims.csv", "floors.csv")
RETRIEVAL = ("forest.png", "forest.svg", "recall_at_k.svg", "recall_at_k.png", "recall_at_1.png", "training.png")
CLASSIFICATION = ("forest.png", "forest.svg", "accuracy.png", "training.png")
STUDIES = {  # tables and plots; sections of the page that need embeddings
    "glyphs-methods": (LINES, RETRIEVAL, {"examples", "distances"}),
    "quickstart": (LINES, RETRIEVAL, {"examples", "distances"}),
    "glyphs-classification": (LINES, CLASSIFICATION, set()),
    "glyphs-label-spaces": (CELLS, ("cells.png",), set()),
    "glyphs-few-shot": (CELLS, ("cells.png",), set()),
}


@pytest.mark.parametrize("study", STUDIES)
def test_every_run_is_there(study):
    """Those of all paths and seeds, first stages included, and no other."""
    record = read_study(REFERENCE / study)
    results = read_results(record, REFERENCE / study)
    assert list(results.rows) == [(path, seed) for seed in record.seeds for path in record.paths]
    assert results.unrelated_runs == 0
    assert results.floors


@pytest.mark.parametrize("study", STUDIES)
def test_rows_are_named_by_the_fingerprints_of_their_settings(study):
    """Recomputed from the settings in the file; and so those of the runs that they build on."""
    for path in (REFERENCE / study).glob("runs/*/row.json"):
        written = json.loads(path.read_text())
        experiment = Experiment.model_validate_json(json.dumps(written["experiment"]))
        assert experiment.fingerprint == written["fingerprint"] == path.parent.name
        for needed in experiment.dependencies.values():
            assert read_row(path.parents[1] / needed.fingerprint / "row.json", needed.fingerprint).experiment == needed


@pytest.mark.parametrize("study", STUDIES)
def test_tables_and_page_of_a_committed_study_are_made_anew_byte_for_byte(call, tmp_path, study):
    """All but what needs the embeddings, which are not committed: two sections of the page of retrieval."""
    (committed, made), (tables, plots, _) = (REFERENCE / study, tmp_path / study), STUDIES[study]
    shutil.copytree(committed, made)
    for path in made.glob("*.*"):
        if path.suffix != ".json":
            path.unlink()
    assert call("report", made, "--data", tmp_path / "none").code == 0
    for name in tables:
        assert (made / name).read_bytes() == (committed / name).read_bytes(), name
    assert page(made) == page(committed)
    if drawn_by_the_pinned_matplotlib():
        for name in plots:
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
    for study, (_, _, needing) in STUDIES.items():
        found = re.findall(r'<section id="(\w+)">', (REFERENCE / study / "report.html").read_text())
        kept = re.findall(r'<section id="(\w+)">', "\n".join(page(REFERENCE / study)))
        assert {*found} - {*kept} == needing
        assert len(kept) == len(found) - len(needing)
