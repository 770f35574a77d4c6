"""Numbers for programs read back to the same floats, in [0, 1]."""

import csv
import io
from dataclasses import replace

import pandas as pd
import pytest
from printed_tables import CLAIMS, SHAPES, figure3, hostile, summary, table1, table1_cells

from relbench.analysis.cells import AnsweredClaim, PairedDifference
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Interval
from relbench.report.numbers import cell_numbers, claim_numbers
from relbench.report.table_formats import csv_text


def read(frame: pd.DataFrame) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(frame))))


def number(text: str) -> float | None:
    return float(text) if text else None


def test_every_number_reads_back() -> None:
    for made in (table1(), figure3(), hostile(), summary(table1_cells())):
        got = read(cell_numbers(made))
        assert len(got) == len(made.cells)
        for line, cell in zip(got, made.cells, strict=True):
            place = (cell.part, cell.row, cell.column, cell.metric, cell.path, cell.on, cell.note)
            assert (
                tuple(line[name] for name in ("part", "row", "column", "metric", "path", "measured_on", "note"))
                == place
            )
            assert number(line["paper"]) == cell.published
            assert_ours(line, made)


def assert_ours(line: dict[str, str], made: Summary) -> None:
    cell = next(c for c in made.cells if (c.part, c.row, c.column) == (line["part"], line["row"], line["column"]))
    for rule in made.shown:
        name = "test_peeking" if rule == "test" else rule
        assert number(line[f"{name}_difference"]) == cell.difference(rule)
        ours = cell.ours.get(rule)
        if ours is None:
            assert {line[f"{name}_{what}"] for what in ("mean", "95_low", "seeds", "seed_list", "steps")} == {""}
            continue
        assert float(line[f"{name}_mean"]) == ours.interval.mean
        assert (number(line[f"{name}_95_low"]), number(line[f"{name}_95_high"])) == (
            ours.interval.low,
            ours.interval.high,
        )
        assert line[f"{name}_seeds"] == str(len(ours.seeds))
        assert tuple(map(int, line[f"{name}_seed_list"].split())) == ours.seeds
        assert tuple(map(float, line[f"{name}_values"].split())) == ours.values
        assert tuple(map(int, line[f"{name}_steps"].split())) == ours.steps


def test_every_line_says_protocol_and_scale() -> None:
    made = SHAPES["toy"]()
    for line in [*read(cell_numbers(made)), *read(claim_numbers(made))]:
        assert (line["study"], line["protocol"], line["scale"]) == ("rkd-table1", "fair", "toy")


@pytest.mark.parametrize("changes", ["", "data.size = 128, training.steps = 2"])
def test_every_line_says_which_settings_are_changed(changes: str) -> None:
    made = table1(changes=changes)
    got = [*read(cell_numbers(made)), *read(claim_numbers(made))]
    assert [line["changed_settings"] for line in got] == [changes] * 85


def test_claims_are_a_line_each_with_the_rule_that_answers_them() -> None:
    got = read(claim_numbers(table1()))
    assert [(line["claim"], line["answer"], line["detail"]) for line in got] == [
        (claim.text, claim.answer, claim.detail) for claim in CLAIMS
    ]
    assert {line["rule"] for line in got} == {"last"}
    assert {line["rule"] for line in read(claim_numbers(table1(("test", "last"))))} == {"test_peeking"}
    assert list(claim_numbers(summary(table1_cells(), claims=())).columns) == list(claim_numbers(table1()).columns)


def test_claims_of_one_comparison_have_its_difference_and_others_have_none() -> None:
    difference = PairedDifference(
        Interval(0.01, -0.1, 0.12), 3, over_groups=True, p_value=0.2, p_adjusted=0.4, family=2
    )
    unknown = replace(difference, interval=Interval(0.01), p_value=None, p_adjusted=None, over_groups=False)
    single = AnsweredClaim("One.", "not shown", "", unknown)
    made = table1(claims=(AnsweredClaim("Two.", "not shown", "", difference), single, CLAIMS[0]))
    names = (
        "difference",
        "difference_95_low",
        "difference_95_high",
        "p_value",
        "p_adjusted",
        "family",
        "seeds",
        "over",
    )
    assert [[line[name] for name in names] for line in read(claim_numbers(made))] == [
        ["0.01", "-0.1", "0.12", "0.2", "0.4", "2", "3", "runs and groups"],
        ["0.01", "", "", "", "", "2", "3", "runs"],
        [""] * 8,
    ]
