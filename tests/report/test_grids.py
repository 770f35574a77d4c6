"""A row of the paper's becomes a line of its numbers, one for each rule, and one of differences."""

from dataclasses import replace

import pytest
from printed_tables import (
    PUBLISHED,
    WEIGHTS,
    figure3,
    finished,
    lines,
    summary,
    table1,
    table1_cells,
    table3,
    unpublished,
)

from relbench.analysis.cells import FilledCell
from relbench.analysis.summary import Summary
from relbench.plain_text import MINUS
from relbench.report.grids import Block, decimals, formatted_parts
from relbench.report.numbers import cell_numbers
from relbench.report.reading import footnotes
from relbench.report.wording import NOTHING

EMPTY = table1_cells()


def block(made: Summary, part: int, row: str) -> dict[str, tuple[str, ...]]:
    found: Block = next(block for block in formatted_parts(made)[part].blocks if block.row == row)
    return {line.what: line.cells for line in found.lines}


def test_every_published_number_stands_once_where_the_paper_has_it() -> None:
    """82 numbers, read a second time straight from the file."""
    seen = [
        (part.title, block.row, column, text)
        for part in formatted_parts(table1())
        for block in part.blocks
        for column, text in zip(part.columns, block.lines[0].cells, strict=True)
        if text
    ]
    published = [
        (
            line["dataset"],
            f"{line['student']}-{line['embedding_dim']}",
            line["method"],
            f"{float(line['recall_at_1']):.2f}",
        )
        for line in lines("rkd_table1.csv")
    ]
    assert PUBLISHED.is_dir()
    assert len(seen) == 82
    assert sorted((part, row, column.split(",")[0], text) for part, row, column, text in seen) == sorted(published)


def test_lines_are_paper_ours_by_rule_and_the_difference_of_the_first() -> None:
    made = summary([finished(EMPTY[1], 5, 3, ("validation", "test"))], shown=("validation", "test"))
    cell = made.cells[0]
    interval = cell.ours["validation"].interval
    assert interval.high is not None
    assert list(block(made, 0, "ResNet18-16")) == [
        *("paper", "ours, best on validation", "ours, best on test: peeking", "difference")
    ]
    got = block(made, 0, "ResNet18-16")
    assert got["paper"] == ("37.71",)
    assert got["ours, best on validation"] == (
        f"{100 * interval.mean:.2f} ± {100 * (interval.high - interval.mean):.2f}",
    )
    assert got["ours, best on test: peeking"][0].startswith(f"{100 * cell.ours['test'].interval.mean:.2f} ± ")
    assert got["difference"] == (f"{100 * interval.mean - 37.71:+.2f}".replace("-", MINUS),)


def test_one_seed_is_marked_and_has_no_interval() -> None:
    made = summary([finished(EMPTY[1], 5, 1)])
    assert block(made, 0, "ResNet18-16")["ours, last step"] == (f"{100 * made.cells[0].ours['last'].values[0]:.2f}†",)


def test_what_is_not_finished_is_a_dash_and_what_is_not_there_is_blank() -> None:
    made = summary(EMPTY)
    assert block(made, 0, "ResNet50-512") == {
        "paper": ("61.24", *[""] * 10),
        "ours, last step": (f"{NOTHING}ᵃ", *[""] * 10),
        "difference": (NOTHING, *[""] * 10),
    }
    assert block(made, 1, "ResNet18-64")["ours, last step"] == ("", *[NOTHING] * 10)


def test_a_number_that_was_not_published_has_ours_alone() -> None:
    unseen = finished(replace(EMPTY[1], published=None), 5, 1)
    got = block(summary([unseen, EMPTY[2]]), 0, "ResNet18-16")
    assert (got["paper"][0], got["difference"][0]) == (NOTHING, NOTHING)
    assert got["ours, last step"][0].endswith("†")
    assert list(block(summary([unseen, EMPTY[11]]), 0, "ResNet18-16")) == ["ours, last step"]  # nor has its row any


def test_rows_of_other_papers_have_the_paper_s_line_alone() -> None:
    for part in formatted_parts(table3()):
        assert [len(block.lines) for block in part.blocks] == [1, 1, 1, 1, 1, 3, 3, 1, 3]
        assert len(part.columns) == 4


def test_numbers_of_a_row_need_not_stand_together() -> None:
    shuffled = summary([EMPTY[1], EMPTY[11], EMPTY[2], EMPTY[12]])
    part = formatted_parts(shuffled)[0]
    assert [block.lines[0].cells for block in part.blocks] == [("37.71", "42.74"), ("44.62", "48.60")]


def test_each_note_has_one_letter_at_all_its_numbers() -> None:
    notes = ("second", "first", "", "second")
    cells = [replace(cell, note=note) for cell, note in zip(EMPTY[1:5], notes, strict=True)]
    assert block(summary(cells), 0, "ResNet18-16")["ours, last step"] == (
        f"{NOTHING}ᵃ",
        f"{NOTHING}ᵇ",
        NOTHING,
        f"{NOTHING}ᵃ",
    )
    assert EMPTY[0].note == WEIGHTS


def test_a_published_number_in_doubt_has_the_letter_of_why() -> None:
    doubtful, note = replace(EMPTY[1], doubt="Not seen in print."), replace(EMPTY[2], note="Of other weights.")
    made = summary([doubtful, note])
    got = block(made, 0, "ResNet18-16")
    assert got["paper"] == ("37.71ᵃ", "42.74")
    assert got["ours, last step"] == (NOTHING, f"{NOTHING}ᵇ")
    assert footnotes(made) == ["ᵃ Not seen in print.", "ᵇ Of other weights."]
    assert list(cell_numbers(made)["note"]) == ["Not seen in print.", "Of other weights."]


@pytest.mark.parametrize(
    ("printed", "expected"),
    [((0.5868, 0.587), 2), ((0.472, 0.589), 1), ((0.58, 1.0), 1), ((None,), 1), ((0.0001, None), 2), ((0.29, 0.57), 1)],
)
def test_decimals_are_the_paper_s(printed: tuple[float | None, ...], expected: int) -> None:
    cells: list[FilledCell] = [replace(EMPTY[0], published=value) for value in printed]
    assert decimals(cells) == expected


def test_pieces_hold_every_column_once_and_no_empty_block() -> None:
    whole = formatted_parts(table1())[0]
    pieces = whole.split(6)
    assert [len(piece.columns) for piece in pieces] == [5, 6]
    assert sum((piece.columns for piece in pieces), ()) == whole.columns
    assert [piece.blocks[0].row for piece in pieces] == ["ResNet50-512", "ResNet18-16"]
    assert [piece.title for piece in pieces] == [
        f"CUB-200-2011, columns {span} of 11" for span in ("1 to 5", "6 to 11")
    ]
    assert whole.split(11) == [whole]


def test_each_part_has_its_own_rows() -> None:
    assert [[block.row for block in part.blocks] for part in formatted_parts(figure3())] == [
        ["Cars 196", "CUB-200-2011", "Stanford Dog", "CIFAR-100"]
    ]


def test_nobody_s_numbers_have_no_line_of_the_paper_s_nor_of_differences() -> None:
    for part in formatted_parts(unpublished(table1())):
        for row in part.blocks:
            assert [line.what for line in row.lines] == ["ours, last step", "ours, best on test: peeking"]
