"""One set of cells, four syntaxes, and the numbers."""

import csv
import dataclasses
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison, Interval
from relbench.experiment import Net
from relbench.report.console import console_report, method_console, pair_console
from relbench.report.documents import latex_text, markdown_text
from relbench.report.headline import headline
from relbench.report.notes import notes, pair_note
from relbench.report.numbers import method_numbers, pair_numbers
from relbench.report.table_formats import csv_text
from relbench.report.tables import Table, method_table, pair_table
from relbench.report.wording import PAIRS_TITLE

MakeSummary = Callable[..., Summary]
UNESCAPED_PIPE = re.compile(r"(?<!\\)\|")


def markdown_cells(text: str) -> list[list[list[str]]]:
    """The cells of every table as a reader sees them, rulers left out."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    tables = [[UNESCAPED_PIPE.split(line)[1:-1] for line in (lines[0], *lines[2:])] for lines in blocks]
    return [[[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in row] for row in table] for table in tables]


def cells_of(table: Table) -> list[list[str]]:
    return [table.header, *map(list, table.rows)]


def latex_cells(text: str) -> list[list[list[str]]]:
    """The cells of every tabular, still in LaTeX."""
    bodies = re.findall(r"\\toprule\n(.*?)\\bottomrule", text, flags=re.DOTALL)
    return [
        [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in body.replace("\\midrule\n", "").splitlines()]
        for body in bodies
    ]


def test_cells_are_the_summary_s_numbers(study: Summary) -> None:
    table = method_table(study)
    line = dict(zip(table.header, table.rows[4], strict=True))
    method = study.methods[4]
    recall, comparison = method.metrics["recall@1"], method.against_teacher
    assert comparison is not None
    assert recall.high is not None
    assert line["Method"] == "rkd-da"
    assert line["Net"] == "conv4-8/32"
    assert (line["Parameters"], line["Steps"], line["Batch"]) == ("56,000", "3,000", "128")
    assert line["Recall@1, %"] == f"{100 * recall.mean:.1f} ± {100 * (recall.high - recall.mean):.1f}"
    assert line["MAP@R, %"].startswith(f"{100 * method.metrics['map@r'].mean:.1f} ±")
    assert line["Difference, points"] == f"{100 * comparison.difference:+.1f}"
    assert line["95 %, points"] == bounds(comparison.interval)
    assert comparison.detectable is not None
    assert line["Detectable, points"] == f"{100 * comparison.detectable:.1f}"
    assert line["Verdict"] == "beats the teacher (Holm p = 0.002)"


def test_the_comparison_with_the_one_method_that_all_pairs_are_against_stands_in_the_line(study: Summary) -> None:
    table = method_table(study)
    lines = {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}
    columns = ("Difference to triplet, points", "Verdict against triplet")
    for pair in study.pairs:
        expected = dict(zip(pair_table(study).header, pair_table(study).rows[study.pairs.index(pair)], strict=True))
        found = [lines[pair.label][column] for column in columns]
        assert found == [expected["Difference, points"], expected["Verdict"]]
    others = {method.label for method in study.methods} - {pair.label for pair in study.pairs}
    assert {lines[label][column] for label in others for column in columns} == {NOTHING}


def test_without_such_a_method_pairs_stand_in_their_own_table_alone(study: Summary) -> None:
    first, *others = study.pairs
    mixed = study.replaced(pairs=(dataclasses.replace(first, other="rkd-da"), *others))
    for summary in (mixed, study.replaced(pairs=())):
        assert not any("triplet" in title for title in method_table(summary).header)


def bounds(interval: Interval) -> str:
    assert interval.low is not None
    assert interval.high is not None
    return f"[{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]".replace("-", "\N{MINUS SIGN}")


def test_the_teacher_is_not_compared_with_itself(study: Summary) -> None:
    table = method_table(study)
    start = table.header.index("Difference, points")
    assert set(table.rows[0][start : start + 4]) == {"\N{EN DASH}"}


def test_parts_hold_every_column_once_beside_the_method(study: Summary) -> None:
    table = method_table(study)
    brief, rest = table.part(in_brief=True), table.part(in_brief=False)
    assert sorted([*brief.header, *rest.header]) == sorted([*table.header, "Method"])
    assert [row[brief.header.index("Verdict")] for row in brief.rows] == [
        row[table.header.index("Verdict")] for row in table.rows
    ]


def test_markdown_holds_the_same_cells(any_summary: Summary) -> None:
    tables = [method_table(any_summary), *([pair_table(any_summary)] if any_summary.pairs else [])]
    assert markdown_cells(markdown_text(any_summary)) == [cells_of(table) for table in tables]


def test_markdown_has_no_live_html(any_summary: Summary) -> None:
    assert not re.search(r"(?<!\\)[<>*_$`]", markdown_text(any_summary))


def test_markdown_carries_every_note(study: Summary) -> None:
    lines = markdown_text(study).replace("\\", "").splitlines()
    assert [line.removeprefix("- ") for line in lines if line.startswith("- ")] == [*notes(study), pair_note(study)]


def test_latex_holds_the_same_cells(study: Summary) -> None:
    table = method_table(study)
    tables = [table.part(in_brief=True), table.part(in_brief=False), pair_table(study)]
    for cells, kept in zip(latex_cells(latex_text(study)), tables, strict=True):
        assert [[latex_to_text(cell) for cell in row] for row in cells] == cells_of(kept)


def latex_to_text(cell: str) -> str:
    for latex, text in {r"\%": "%", r"$\pm$": "±", "$-$": "\N{MINUS SIGN}", "{[}": "[", "{]}": "]"}.items():
        cell = cell.replace(latex, text)
    return "\N{EN DASH}" if cell == "--" else cell


def test_latex_escapes_labels(any_summary: Summary) -> None:
    text = latex_text(any_summary)
    plain = text.replace(" & ", "  ").split("\n", 1)[1]  # column separators, and the first line's comment, aside
    plain = plain.replace("{%\n", "{\n")
    assert not re.search(r"(?<!\\)[%&_#~^|]", plain)


def test_latex_escapes_each_special_character(study: Summary) -> None:
    labelled = dataclasses.replace(study.methods[0], label=r"50 % <b>_R&D_ | {x}^2 ~ $a$ #1 \ [*]")
    assert (
        r"50 \% \textless{}b\textgreater{}\_R\&D\_ \textbar{} \{x\}\textasciicircum{}2 "
        r"\textasciitilde{} \$a\$ \#1 \textbackslash{} {[}{*}{]} &"
    ) in latex_text(study.replaced(entries=(), methods=(labelled,)))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(any_summary: Summary, tmp_path: Path) -> None:
    (tmp_path / "table.tex").write_text(latex_text(any_summary), encoding="utf-8")
    document = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{table}\end{document}"
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout[-2000:]
    assert "Overfull" not in ran.stdout
    assert "Float too large" not in ran.stdout


def test_csv_reads_back_to_the_same_floats(any_summary: Summary) -> None:
    lines = list(csv.DictReader(io.StringIO(csv_text(method_numbers(any_summary)))))
    assert [line["method"] for line in lines] == [method.label for method in any_summary.methods]
    for line, method in zip(lines, any_summary.methods, strict=True):
        assert int(line["width"]) == method.row.experiment.net.width
        for metric, interval in method.metrics.items():
            assert float(line[metric]) == interval.mean
            assert_bounds(line, metric, interval)
        if method.against_teacher:
            assert float(line["difference_to_teacher"]) == method.against_teacher.difference
            assert_bounds(line, "difference", method.against_teacher.interval)
            assert_bounds(line, "difference_over_classes", method.against_teacher.over_classes)
            assert_bounds(line, "difference_over_seeds", method.against_teacher.over_seeds)
            assert line["verdict"] == method.against_teacher.verdict
            assert_p_values(line, method.against_teacher)
        else:
            assert line["difference_to_teacher"] == line["verdict"] == ""


def assert_bounds(line: dict[str, str], name: str, interval: Interval) -> None:
    for side, bound in (("low", interval.low), ("high", interval.high)):
        value = line[f"{name}_95_{side}"]
        assert (float(value) if value else None) == bound


def assert_p_values(line: dict[str, str], comparison: Comparison) -> None:
    for name in ("p_over_classes", "p_over_seeds", "p_value", "p_adjusted"):
        assert (float(line[name]) if line[name] else None) == getattr(comparison, name)
    beside = {"standard_error": comparison.error, "degrees_of_freedom": comparison.freedom}
    for name, value in (beside | {"detectable_difference": comparison.detectable}).items():
        assert (float(line[name]) if line[name] else None) == value


def test_a_trunk_without_width_leaves_the_others_whole_numbers(study: Summary) -> None:
    teacher = study.methods[0]
    experiment = teacher.row.experiment.model_copy(update={"net": Net(trunk="resnet18")})
    rows = tuple(row.model_copy(update={"experiment": experiment}) for row in teacher.rows)
    changed = study.replaced(entries=(), methods=(dataclasses.replace(teacher, rows=rows), *study.methods[1:]))
    lines = list(csv.DictReader(io.StringIO(csv_text(method_numbers(changed)))))
    assert [line["width"] for line in lines[:2]] == ["", "8"]
    assert method_table(changed).rows[0][1] == "resnet18/128"


def test_pairs_are_the_summary_s_numbers(study: Summary) -> None:
    table = pair_table(study)
    assert len(table.rows) == len(study.pairs) == 3
    line = dict(zip(table.header, table.rows[2], strict=True))
    comparison = study.pairs[2].comparison
    assert (line["Method"], line["Against"]) == ("rkd-da", "triplet")
    assert line["Difference, points"] == f"{100 * comparison.difference:+.1f}"
    assert line["95 %, points"] == bounds(comparison.interval)
    assert comparison.detectable is not None
    assert line["Detectable, points"] == f"{100 * comparison.detectable:.1f}"
    assert line["Verdict"] == "beats (Holm p = 0.002)"


def test_a_pair_at_one_seed_has_no_interval(make_summary: MakeSummary) -> None:
    for line in pair_table(make_summary(seeds=(7,))).rows:
        assert line[-3:] == ("one seed", NOTHING, "no verdict (1 seed)")


def test_csv_of_pairs_reads_back_to_the_same_floats(any_summary: Summary) -> None:
    lines = list(csv.DictReader(io.StringIO(csv_text(pair_numbers(any_summary)))))
    for line, pair in zip(lines, any_summary.pairs, strict=True):
        assert (line["method"], line["against"]) == (pair.label, pair.other)
        assert (float(line["difference"]), line["verdict"]) == (pair.comparison.difference, pair.comparison.verdict)
        assert_bounds(line, "difference", pair.comparison.interval)
        assert_bounds(line, "difference_over_classes", pair.comparison.over_classes)
        assert_bounds(line, "difference_over_seeds", pair.comparison.over_seeds)
        assert_p_values(line, pair.comparison)


def test_without_pairs_nothing_is_said_of_them(study: Summary) -> None:
    alone = study.replaced(pairs=())
    assert PAIRS_TITLE not in markdown_text(alone)
    assert latex_text(alone).count(r"\begin{table}") == 2
    assert len(console_report(study).renderables) > len(console_report(alone).renderables) == 1
    assert csv_text(pair_numbers(alone)) == "method,against\n"


def test_steps_are_those_of_all_stages(many: Summary) -> None:
    """1,500 and 1,500 are what the other students have at once."""
    table = method_table(many)
    steps = {row[0]: row[table.header.index("Steps")] for row in table.rows}
    staged = next(method for method in many.methods if method.label == "fitnet-2-stages")
    assert staged.row.experiment.training.steps == 1500
    assert steps["fitnet-2-stages"] == steps["triplet"] == "3,000"
    frame = method_numbers(many).set_index("method")
    assert frame.loc["fitnet-2-stages", "steps"] == frame.loc["triplet", "steps"] == 3000
    assert re.search(r"fitnet-2-stages\n.*conv4-8/32\n.*3,000 steps", columns_on_console(many)[0])


def columns_on_console(summary: Summary) -> list[str]:
    """Each column's lines, wide enough to break none."""
    table = method_console(summary)
    return ["\n".join(str(cell) for cell in column.cells) for column in table.columns]


def test_the_console_shows_pairs_and_their_note(study: Summary) -> None:
    console = Console(file=io.StringIO(), width=160, color_system=None, record=True)
    console.print(pair_console(study))
    shown = console.export_text()
    assert PAIRS_TITLE in shown
    for label, other, *values, verdict in pair_table(study).rows:
        assert all(cell in shown for cell in (label, f"against {other}", *values, verdict.split()[0]))
    assert all(verdict.partition("(")[2].rstrip(")") in shown for *_, verdict in pair_table(study).rows)
    assert pair_note(study) in " ".join(shown.split())


def test_a_narrow_console_breaks_no_number_of_a_pair(many: Summary, make_summary: MakeSummary) -> None:
    for summary in (many, make_summary()):
        console = Console(file=io.StringIO(), width=80, color_system=None, record=True)
        console.print(pair_console(summary))
        shown = console.export_text()
        assert max(map(len, shown.splitlines())) <= 80
        assert all(cell in shown for row in pair_table(summary).rows for cell in row[2:5])
        assert "\N{HORIZONTAL ELLIPSIS}" not in shown  # labels are broken, never cut


def on_console(summary: Summary, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, record=True)
    console.print(method_console(summary))
    return console.export_text()


def test_the_console_takes_no_label_for_markup(study: Summary) -> None:
    labelled = dataclasses.replace(study.methods[0], label="[red]teacher[/red]")
    assert "[red]teacher[/red]" in on_console(study.replaced(entries=(), methods=(labelled,)))


def test_the_console_shows_the_comparison_and_every_note(study: Summary) -> None:
    shown = on_console(study)
    brief = method_table(study).part(in_brief=True)
    for *cells, verdict in brief.rows:
        assert all(word in shown for cell in cells for word in cell.split())
        assert verdict.split()[0] in shown
    assert all(verdict.partition("(")[2].rstrip(")") in shown for *_, verdict in brief.rows)
    squeezed = " ".join(shown.split())
    assert all(note in squeezed for note in notes(study))


def test_a_narrow_console_breaks_no_number(study: Summary) -> None:
    shown = on_console(study, width=80)
    assert max(map(len, shown.splitlines())) <= 80
    brief = method_table(study).part(in_brief=True)
    numbers = [column.is_number and column.title != "Steps" for column in brief.columns]
    for row in brief.rows:
        assert all(cell in shown for cell, is_number in zip(row, numbers, strict=True) if is_number)


NOTHING = "\N{EN DASH}"


def test_floors_stand_below_the_methods_without_a_verdict(floored: Summary, study: Summary) -> None:
    table, without = method_table(floored), method_table(study)
    assert table.rows[:-2] == without.rows
    pixels, network = (dict(zip(table.header, row, strict=True)) for row in table.rows[-2:])
    assert (pixels["Method"], pixels["Net"], pixels["Parameters"]) == ("raw pixels", NOTHING, NOTHING)
    assert (network["Method"], network["Net"], network["Parameters"]) == ("untrained network", "conv4-8/32", "56,000")
    assert (pixels["Recall@1, %"], network["Recall@1, %"], network["MAP@R, %"]) == ("20.0", "10.0 ± 2.0", "10.0 ± 2.0")
    for line in (pixels, network):
        assert {line[title] for title in ("Difference, points", "95 %, points", "Detectable, points", "Verdict")} == {
            NOTHING
        }


def test_floors_are_in_every_form(floored: Summary) -> None:
    tables = [method_table(floored), pair_table(floored)]
    assert markdown_cells(markdown_text(floored)) == [cells_of(table) for table in tables]
    assert latex_text(floored).count("raw pixels &") == 2
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(csv_text(method_numbers(floored))))}
    assert (lines["raw pixels"]["role"], lines["raw pixels"]["verdict"]) == ("floor", "")
    assert (lines["raw pixels"]["recall@1"], lines["untrained network"]["recall@1_95_high"]) == ("0.2", "0.12")
    assert (lines["raw pixels"]["batch_size"], lines["teacher"]["batch_size"]) == (
        "",
        "128",
    )  # whole numbers stay whole
    shown = on_console(floored, width=80)
    assert "raw pixels" in shown
    assert "10.0 ± 2.0" in shown
    (note,) = [note for note in notes(floored) if note.startswith("Floors, without training and without a verdict.")]
    assert note.endswith("Raw pixels: as they are. Untrained network: as it is built.")


def test_what_a_single_class_of_queries_lacks_is_not_put_down_to_the_seeds(one_class: Summary) -> None:
    """Three seeds are there: it is the class that can't be resampled."""
    for table in (method_table(one_class), pair_table(one_class)):
        for line in (dict(zip(table.header, row, strict=True)) for row in table.rows):
            if line["Difference, points"] in {NOTHING, ""}:
                continue
            assert (line["95 %, points"], line["Verdict"]) == ("one class", "no verdict (1 class)")
            assert line["Detectable, points"] == NOTHING
    assert "one seed" not in latex_text(one_class) + markdown_text(one_class)
    assert "(1 class, no verdict)" in headline(one_class)
    assert "corrected for" not in pair_note(one_class)
