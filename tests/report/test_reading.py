"""Sentences that are true for whatever came out."""

from dataclasses import replace

import pytest
from printed_tables import SHAPES, figure3, ours, summary, table1, table1_cells, table3, unpublished

from relbench.analysis.cells import AnsweredClaim, Ours, PairedDifference
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Interval
from relbench.experiment import Classification, FewShot, Retrieval
from relbench.report.documents import latex_text, markdown_text
from relbench.report.grids import claim_table, formatted_parts
from relbench.report.headline import outcome
from relbench.report.numbers import cell_numbers
from relbench.report.reading import claims_caution, claims_title, footnotes, how_measured, marks, reading
from relbench.report.wording import NOTHING, full_title
from relbench.tasks import find_task

EMPTY = table1_cells()


def exact(value: float) -> Ours:
    return Ours((value,), (4,), Interval(value), (1,))


def test_the_title_says_protocol_and_toy_scale() -> None:
    assert full_title(SHAPES["table 1"]()).endswith(", paper protocol")
    assert full_title(SHAPES["toy"]()).endswith(", fair protocol, toy scale")
    changed = full_title(table1(changes="data.size = 128", scale="toy"))
    assert changed.endswith(", paper protocol, changed settings, toy scale")


def test_how_it_was_measured() -> None:
    assert how_measured(SHAPES["table 1"]()) == (
        "Protocol: paper; scale: full; step that counts: last step (further lines: best on test images: peeking); "
        "1 to 3 seeds (0, 1, 2); Recall@1 in percent."
    )
    assert how_measured(summary(EMPTY)).endswith(
        "last step; no finished run that this rule applies to; Recall@1 in percent."
    )
    changed = how_measured(table1(changes="data.size = 128, training.steps = 2"))
    assert changed.startswith(
        "Protocol: paper, with changed settings (data.size = 128, training.steps = 2); scale: full"
    )
    assert "3 seeds (0, 1, 2); Recall@1, Recall@2," in how_measured(table3())


def test_the_outcome_counts_numbers_and_tells_distances() -> None:
    done = [replace(EMPTY[1], ours={"last": exact(0.3871)}), replace(EMPTY[2], ours={"last": exact(0.4174)})]
    other = replace(EMPTY[3], path="")
    assert outcome(summary([*done, other, EMPTY[4]], claims=())) == (
        "Of 3 numbers to measure, 2 have been measured. Beside them: 1 number from other papers. "
        "Ours (last step) minus the paper's: +0.0 points on average, from \N{MINUS SIGN}1.0 to +1.0."
    )
    assert outcome(summary(EMPTY, claims=())) == "Of 82 numbers to measure, 0 have been measured."


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (("holds",), "Of 1 claim, 1 holds, 0 do not, and 0 are not shown."),
        (
            ("does not", "not shown", "holds", "holds"),
            "Of 4 claims, 2 hold, 1 does not, and 1 is not shown.",
        ),
    ],
)
def test_the_outcome_counts_claims(answers: tuple[str, ...], words: str) -> None:
    claims = tuple(AnsweredClaim("It is so.", answer, "") for answer in answers)  # type: ignore[arg-type]
    assert outcome(summary(EMPTY, claims=claims)).endswith(words)


def test_what_does_not_occur_is_not_explained() -> None:
    words = " ".join(reading(summary(EMPTY)))
    assert "†" not in words
    assert "peeking" not in words
    words = " ".join(reading(SHAPES["table 1"]()))
    assert "†: one seed" in words
    assert "peeking, since" in words


def test_at_toy_scale_no_outcome_compares_with_the_paper() -> None:
    assert "minus the paper's" in outcome(figure3(("last",)))
    assert "paper" not in outcome(SHAPES["figure 3, toy"]())


def test_a_dash_is_explained_for_what_it_can_be() -> None:
    blank = "Blank: nothing to measure."
    nothing = f"{NOTHING}: no finished run, none that the rule applies to, or no published number. "
    assert reading(table1())[-1] == nothing + blank
    assert (
        reading(unpublished(table1()))[-1] == f"{NOTHING}: no finished run, or none that the rule applies to. {blank}"
    )
    assert "Difference" not in " ".join(reading(unpublished(table1())))


def test_more_notes_than_letters_have_marks_of_their_own() -> None:
    cells = [replace(cell, note=f"note {number}") for number, cell in enumerate(EMPTY)]
    found = marks(summary(cells))
    assert len(set(found.values())) == 82
    assert [found["note 0"], found["note 24"], found["note 25"]] == ["ᵃ", "ᶻ", "ᵃᵃ"]
    assert footnotes(summary(cells))[0] == "ᵃ note 0"


def test_a_rule_without_its_first_runs_gives_no_distance() -> None:
    cell = replace(EMPTY[1], ours={"test": ours(0.4, 1, 3)})
    made = summary([cell], shown=("last", "test"), claims=())
    assert outcome(made) == "Of 1 number to measure, 0 have been measured."


def test_claims_are_the_papers_where_a_run_of_ours_answers_to_a_number_of_it() -> None:
    printed = table1()
    assert claims_title(printed) == "Claims of the paper"
    copied = printed.replaced(
        cells=tuple(
            cell if cell.published is None else replace(cell, path="", ours={}, note="") for cell in printed.cells
        ),
        claims=(),
    )
    assert copied.has_published
    assert claims_title(copied) == "Claims"


DIFFERENCE = PairedDifference(
    Interval(0.0123, -0.001, 0.0256), 3, over_groups=True, p_value=0.0149, p_adjusted=0.0596, family=4
)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({}, "+1.2 points [\N{MINUS SIGN}0.1, +2.6], Holm p = 0.060, 3 seeds"),
        ({"p_adjusted": 0.0149, "family": 1}, "+1.2 points [\N{MINUS SIGN}0.1, +2.6], p = 0.015, 3 seeds"),
        (
            {"over_groups": False},
            "+1.2 points [\N{MINUS SIGN}0.1, +2.6], Holm p = 0.060, 3 seeds, over training runs alone",
        ),
        (
            {"interval": Interval(0.0123), "seeds": 1, "p_value": None, "p_adjusted": None},
            "+1.2 points, 1 seed: no interval",
        ),
        (
            {
                "interval": Interval(0.0123),
                "seeds": 1,
                "p_value": None,
                "p_adjusted": None,
                "of_networks": Interval(0.0123, 0.01, 0.0146),
            },
            "+1.2 points [+1.0, +1.5] for these networks alone, 1 seed: no verdict",
        ),
    ],
)
def test_an_answer_shows_the_difference_that_it_rests_on(edit: dict[str, object], words: str) -> None:
    claim = AnsweredClaim("It is so.", "not shown", "1 comparison", replace(DIFFERENCE, **edit))  # type: ignore[arg-type]
    assert claim_table(summary(EMPTY, claims=(claim,))).rows == (("It is so.", "not shown", words),)


def cautions(*differences: PairedDifference, tasks: tuple[object, ...] = (Retrieval(),)) -> list[str]:
    claims = tuple(AnsweredClaim("It is so.", "not shown", "", difference) for difference in differences)
    return claims_caution(summary(EMPTY, claims=claims, tasks=tasks))


def test_how_differences_are_to_be_read() -> None:
    assert cautions() == []
    start = "Difference: what is claimed to be better minus the other, paired by seed"
    over = f"{start}, with its 95 % interval and p over new training runs"
    corrected = "Holm p: corrected for the {} comparisons that are claimed together; intervals are not."
    assert cautions(DIFFERENCE) == [f"{over} and new test classes at once.", corrected.format("4")]
    alone = replace(DIFFERENCE, family=1, p_adjusted=DIFFERENCE.p_value, over_groups=False)
    assert cautions(alone) == [f"{over}."]
    both = cautions(
        DIFFERENCE, alone, replace(DIFFERENCE, family=7), tasks=(FewShot(), FewShot(shot=5), Classification())
    )
    (not_covered,) = both[1:2]
    assert not_covered.startswith("All episodes are drawn from the same test classes and images")
    both.remove(not_covered)
    assert both == [f"{over} and new episodes and test classes at once.", corrected.format("4 and 7")]
    unknown = replace(DIFFERENCE, interval=Interval(0.1), p_value=None, p_adjusted=None)
    single = replace(unknown, seeds=1, over_groups=False, of_networks=Interval(0.1, 0.0, 0.2))
    assert cautions(single, tasks=(FewShot(),)) == [
        f"{start}.",
        "For these networks alone: 95 % interval over new episodes, not over new training runs.",
        find_task(FewShot()).not_covered,
    ]
    assert cautions(unknown) == [f"{start}."]


def with_printed_interval() -> Summary:
    """The first number is printed with an interval, and measured; the second is measured alone."""
    ours = {"last": replace(exact(0.49231), over_groups=0.00796)}
    first = replace(EMPTY[0], published=0.491, published_interval=0.0082, ours=ours, note="")
    second = replace(first, column="20-way", published=0.2, published_interval=None)
    return summary([first, second], claims=(), tasks=(FewShot(),))


def test_a_printed_interval_stands_beside_its_number_and_ours_beside_ours() -> None:
    made = with_printed_interval()
    paper, own = (line.cells for line in formatted_parts(made)[0].blocks[0].lines[:2])
    assert paper == ("49.10 ± 0.82", "20.00")
    assert own == ("49.23† (± 0.80)", "49.23†")
    (said,) = [words for words in reading(made) if words.startswith("Paper:")]
    assert "over episodes, as printed. (±): that of ours, 1.96 standard errors over the episodes of a network" in said
    for name in ("markdown", "latex"):
        text = {"markdown": markdown_text, "latex": latex_text}[name](made)
        assert text.count("0.82") == text.count("0.80") == 1, name
    assert not [words for words in reading(summary(EMPTY)) if words.startswith("Paper:")]


def test_numbers_have_intervals_over_groups_where_any_is_printed() -> None:
    names = ["paper_half_interval", "last_half_interval_over_groups"]
    frame = cell_numbers(with_printed_interval())
    assert frame[names].iloc[0].tolist() == [0.0082, 0.00796]
    assert frame[names[0]].isna().tolist() == [False, True]
    assert not {*names} & {*cell_numbers(table1()).columns}
