"""Sentences on how many seeds a difference takes: true for one seed, for few, where classes set the limit."""

import dataclasses

import pytest
from summaries import build

from relbench.analysis.power import family_plans
from relbench.evaluation.comparison import VariancePart
from relbench.report.documents import latex_text, markdown_text
from relbench.report.power import claims_lines, methods_line, need_text, pairs_line, power_notes, power_table


def with_parts(summary, of_seeds, of_classes, seeds=3, classes=40):
    parts = (VariancePart(of_seeds, seeds - 1), VariancePart(of_classes, classes - 1))
    return summary.replaced(
        methods=tuple(
            dataclasses.replace(
                method,
                against_teacher=method.against_teacher and dataclasses.replace(method.against_teacher, parts=parts),
            )
            for method in summary.methods
        )
    )


@pytest.fixture(scope="module")
def summary():
    return build()


def test_the_line_says_what_seeds_can_show_and_what_they_would_take(summary):
    (line,) = methods_line(with_parts(summary, 0.001**2, 0.0, seeds=10))
    (plan, *_) = family_plans(with_parts(summary, 0.001**2, 0.0, seeds=10), (0.01, 0.005))
    assert f"10 seeds can show a difference of {100 * plan.typical.detectable:.1f} points or more here" in line
    assert f"1 point would take {plan.typical.needs[1].seeds} seeds" in line
    assert f"0.5 points would take {plan.typical.needs[0].seeds} seeds" in line
    assert "unsure" not in line


def test_the_line_says_where_classes_alone_set_the_limit(summary):
    (line,) = methods_line(with_parts(summary, 0.001**2, 0.02**2, seeds=10))
    assert "No number of seeds is enough for 1 point or 0.5 points: the 40 test classes alone leave ±" in line


def test_few_seeds_say_how_unsure_they_are(summary):
    (line,) = methods_line(with_parts(summary, 0.005**2, 0.0, seeds=3))
    assert "All of that is unsure: with 3 seeds the standard deviation may be 0.52 to 6.3 times as large." in line


def test_one_seed_knows_nothing():
    (line,) = methods_line(build(seeds=(0,)))
    assert "Not known: that takes two seeds or more" in line
    table = power_table(family_plans(build(seeds=(0,)))[0], "test class")
    assert all(set(row[1:]) == {"\N{EN DASH}"} for row in table.rows)


def test_every_document_has_the_line(summary):
    for line in (*methods_line(summary), *pairs_line(summary)):
        assert line in markdown_text(summary)
        assert line.split("±")[0].split(";")[0] in latex_text(summary)
    assert claims_lines(summary) == []


def test_the_table_has_all_comparisons_and_their_average(summary):
    plan = family_plans(summary)[0]
    table = power_table(plan, "test class")
    assert [row[0] for row in table.rows] == ["triplet", "rkd-d", "rkd-a", "rkd-da", "on average"]
    assert table.header[-3:] == ["Seeds for 2 points", "Seeds for 1 point", "Seeds for 0.5 points"]
    assert [row[-1] for row in table.rows] == [need_text(each.needs[0]) for each in (*plan.plans, plan.typical)]
    assert any("test classes" in note for note in power_notes([plan], "test class", 0.8))
