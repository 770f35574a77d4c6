"""`relbench power`, on the committed results."""

import json
from pathlib import Path

import pandas as pd
import pytest

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


def test_every_comparison_of_a_study_is_planned(call):
    found = call("power", REFERENCE / "quickstart")
    assert found.code == 0
    assert "Students against the teacher (5 corrected together)" in found.out
    assert "Methods against each other (3 corrected together)" in found.out
    for words in (
        "self-distillation",
        "rkd-a against triplet",
        "on average",
        "7 seeds",
        "For\n1 point",
        "noncentral t",
    ):
        assert words.split("\n")[0] in found.out


def test_numbers_for_programs_are_those_of_the_table(call):
    """What is detectable with the present seeds is what table.csv has."""
    found = json.loads(call("power", REFERENCE / "quickstart", "--json", "--points", "1,3").out)
    students, pairs = found["families"]
    assert (students["family"], pairs["family"]) == (5, 3)
    table = pd.read_csv(REFERENCE / "quickstart" / "table.csv").set_index("method")
    for line in students["comparisons"]:
        assert line["detectable"] == pytest.approx(table.loc[line["compared"], "detectable_difference"])
        assert line["detectable_alone"] < line["detectable"]
        whole = line["of_one_seed"] ** 2 / line["seeds"] + line["of_groups"] ** 2
        assert whole**0.5 == pytest.approx(table.loc[line["compared"], "standard_error"])
        assert line["of_one_seed"] ** 2 == pytest.approx(line["between_seeds"] ** 2 + line["of_the_rest"] ** 2)
        assert [need["difference"] for need in line["needs"]] == [0.01, 0.03]


def test_claims_of_cells_are_planned_over_episodes(call):
    found = json.loads(call("power", REFERENCE / "glyphs-few-shot", "--json").out)
    assert [family["family"] for family in found["families"]] == [16, 48, 1]
    assert {line["groups"] for family in found["families"] for line in family["comparisons"]} == {600}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--points", "x"], "--points 'x': give points"),
        (["--points", "0"], "--points '0': give points"),
        (["--power", "1"], "--power 1 must lie between"),
    ],
)
def test_what_is_refused(call, options, words):
    found = call("power", REFERENCE / "quickstart", *options)
    assert found.code == 2
    assert words in found.error


def test_a_folder_without_results_is_refused(call, tmp_path):
    found = call("power", tmp_path)
    assert (found.code, found.error.count("\n")) == (2, 1)
    assert "holds no results" in found.error
