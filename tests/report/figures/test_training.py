"""Curves of training are means over seeds; every loss term has its panel."""

import dataclasses

import pytest
from matplotlib.figure import Figure

from relbench.analysis.summary import Summary
from relbench.report.figures.training import training_figure
from relbench.results.records import Row


def test_training_panels_are_means_over_seeds(study: Summary, figures: list[Figure]) -> None:
    training_figure(study, "svg")
    axes = {panel.get_title(loc="left"): panel for panel in figures[0].axes}
    assert list(axes) == [
        "Recall@1 on validation images, %",
        "triplet",
        "rkd_distance",
        "rkd_angle",
    ]
    recall = next(iter(axes.values()))
    for line, method in zip(recall.lines, study.methods, strict=True):
        histories = [row.history for row in method.rows]
        means = [100 * sum(entry["recall@1"] for entry in step) / 3 for step in zip(*histories, strict=True)]
        assert list(line.get_xdata()) == [entry["step"] for entry in histories[0]]
        assert list(line.get_ydata()) == pytest.approx(means)
    assert len(axes["rkd_angle"].lines) == 2


def test_what_was_watched_of_test_classes_is_no_loss_term(study: Summary, figures: list[Figure]) -> None:
    def seen(row: Row) -> Row:
        return row.model_copy(update={"history": tuple({**one, "test.recall@1": 0.1} for one in row.history)})

    methods = (dataclasses.replace(method, rows=tuple(map(seen, method.rows))) for method in study.methods)
    for summary in (study, study.replaced(entries=(), methods=tuple(methods))):
        training_figure(summary, "svg")
    drawn = [
        {panel.get_title(loc="left"): [list(line.get_ydata()) for line in panel.lines] for panel in figure.axes}
        for figure in figures
    ]
    assert drawn[0] == drawn[1]


def test_the_name_of_a_loss_term_is_no_wider_than_its_panel(study: Summary, figures: list[Figure]) -> None:
    teacher, *others = study.methods
    history = tuple({"a_loss_" * 15: 1.0} | entry for entry in teacher.row.history)
    rows = tuple(row.model_copy(update={"history": history}) for row in teacher.rows)
    training_figure(study.replaced(entries=(), methods=(dataclasses.replace(teacher, rows=rows), *others)), "svg")
    titles = [panel.get_title(loc="left") for panel in figures[0].axes[1:]]
    lines = next(title.split("\n") for title in titles if title.startswith("a_loss_"))
    assert 1 < len(lines) <= 4
    assert max(map(len, lines)) <= 26


def test_many_loss_terms_stand_in_a_grid(many: Summary, figures: list[Figure]) -> None:
    terms = {term.loss for method in many.methods for term in method.row.experiment.terms}
    for narrow, columns in ((False, 4), (True, 2)):
        training_figure(many, "svg", narrow=narrow)
        panels = figures[-1].axes[1:]
        assert {panel.get_title(loc="left") for panel in panels} == terms
        assert len({round(panel.get_position().x1, 3) for panel in panels}) == columns


def test_a_run_without_history_says_so(study: Summary, figures: list[Figure]) -> None:
    methods = tuple(
        dataclasses.replace(method, rows=tuple(row.model_copy(update={"history": ()}) for row in method.rows))
        for method in study.methods
    )
    training_figure(study.replaced(entries=(), methods=methods), "svg")
    assert [text.get_text() for text in figures[0].axes[-1].texts] == ["not recorded"]
