"""One set of cells in Markdown, LaTeX and on a terminal; protocol, rules and toy scale in each."""

import re
import shutil
import subprocess
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from printed_tables import CLAIMS, NOTES, SHAPES, WEIGHTS, summary, table1, table1_cells, unpublished
from rich.console import Console

from relbench.analysis.methods import Floor
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Interval
from relbench.report.console import console_report
from relbench.report.documents import latex_text, markdown_text
from relbench.report.grids import formatted_parts
from relbench.report.numbers import floor_numbers
from relbench.report.page import page_text
from relbench.report.reading import PEEKING_CLAIMS
from relbench.report.wording import TOY

Written = Callable[[Summary], str]
UNESCAPED_PIPE = re.compile(r"(?<!\\)\|")


def on_terminal(made: Summary) -> str:
    file = StringIO()
    Console(width=80, file=file, color_system=None).print(console_report(made))
    return file.getvalue()


FORMATS: dict[str, Written] = {"markdown": markdown_text, "latex": latex_text, "terminal": on_terminal}


@pytest.fixture(params=FORMATS)
def written(request: pytest.FixtureRequest) -> Written:
    return FORMATS[request.param]


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Summary:
    return SHAPES[request.param]()


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def test_the_head_says_protocol_scale_rules_and_seeds(written: Written) -> None:
    text = in_one_line(written(table1()))
    for words in ("paper protocol", "scale: full", "last step", "best on test images: peeking", "seeds (0, 1, 2)"):
        assert words in text
    assert "oy scale" not in text


def test_toy_scale_is_said_in_the_title_and_above_the_numbers(written: Written) -> None:
    text = in_one_line(written(SHAPES["toy"]()))
    assert "fair protocol, toy scale" in text
    assert TOY in text


def test_claims_notes_and_footnotes_are_there_once(written: Written) -> None:
    text = in_one_line(written(table1()))
    for words in (*NOTES, *(claim.text for claim in CLAIMS), *(claim.detail for claim in CLAIMS), WEIGHTS):
        assert text.count(words) == 1


def test_a_study_without_a_paper_names_no_source(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relbench.report.page.cells_figure", lambda *_, **__: b"drawn")
    assert "Source:" in page_text(table1())
    own = table1().replaced(source="")
    assert "Source:" not in written(own) + page_text(own)


def test_claims_by_peeking_say_so(written: Written) -> None:
    peeking, other = (in_one_line(written(table1(rules))) for rules in (("test", "last"), ("last", "test")))
    assert peeking.index("Claims of the paper") < peeking.index(PEEKING_CLAIMS) < peeking.index(CLAIMS[0].text)
    assert PEEKING_CLAIMS not in other
    assert PEEKING_CLAIMS not in in_one_line(written(table1(("test",), claims=())))


def test_changed_settings_are_in_the_title_and_named(written: Written) -> None:
    text = in_one_line(written(table1(changes="data.size = 128, training.steps = 2")))
    assert "paper protocol, changed settings" in text
    assert "Protocol: paper, with changed settings (data.size = 128, training.steps = 2);" in text
    assert "changed" not in written(table1())


def test_nobody_s_numbers_are_beside_no_paper_s(written: Written) -> None:
    text = written(unpublished(table1(title="Nobody's numbers", notes=()))).lower()
    for words in ("claims of the paper", "paper's", "minus the paper", "diff", "published"):
        assert words not in text
    assert "claims" in text
    assert "paper" not in text.replace("protocol: paper", "").replace("paper protocol", "")


def test_an_empty_table_is_written_without_claims(written: Written) -> None:
    text = in_one_line(written(summary(table1_cells(), claims=(), notes=())))
    assert "no finished run" in text
    assert "Claim" not in text
    assert "61.24" in text


def test_floors_stand_below_the_numbers(written: Written) -> None:
    """What pixels alone reach, by data set, in the metrics that the table has."""
    text = in_one_line(written(floored()))
    assert text.index("Floors: without training") > text.index("CUB-200-2011")
    assert text.count("Pixels as they are.") == 1  # though two data sets have them
    assert "12.3" in text
    assert "4.0 ± 1.0" in text or r"4.0 $\pm$ 1.0" in text
    assert "98.7" not in text  # of a metric that the table has not
    assert "Floors" not in written(table1())


def test_floors_are_numbers_for_programs() -> None:
    frame = floor_numbers(floored()).set_index(["data", "floor", "metric"])
    assert frame.loc[("Stanford Cars", "raw pixels", "recall@1"), "mean"] == 0.123
    assert frame.loc[("Stanford Cars", "untrained network", "recall@1"), ["95_low", "95_high"]].tolist() == [0.03, 0.05]
    assert floor_numbers(table1()).empty


def floored() -> Summary:
    pixels = Floor(
        "raw pixels", "", 0, 1, {"recall@1": Interval(0.123), "map@r": Interval(0.987)}, "Pixels as they are."
    )
    network = Floor("untrained network", "resnet18/64", 9, 3, {"recall@1": Interval(0.04, 0.03, 0.05)}, "As built.")
    floors = dict.fromkeys(("Caltech-UCSD Birds-200-2011", "Stanford Cars"), (pixels, network))
    return table1().replaced(floors=floors)


def test_markdown_holds_the_cells(shape: Summary) -> None:
    blocks = [block.splitlines() for block in markdown_text(shape).split("\n\n") if block.startswith("|")]
    tables = [[UNESCAPED_PIPE.split(line)[1:-1] for line in (lines[0], *lines[2:])] for lines in blocks]
    read = [[[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in row] for row in table] for table in tables]
    expected = [[part.table.header, *map(list, part.table.rows)] for part in formatted_parts(shape)]
    assert read[: len(expected)] == expected


def test_the_terminal_breaks_no_line_and_no_number(shape: Summary) -> None:
    text = on_terminal(shape)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    for part in formatted_parts(shape):
        for text_of_cell in (cell for block in part.blocks for line in block.lines for cell in line.cells):
            assert text_of_cell in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(shape: Summary, tmp_path: Path) -> None:
    (tmp_path / "table.tex").write_text(latex_text(shape), encoding="utf-8")
    document = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{table}\end{document}"
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout[-2000:]
    assert "Overfull" not in ran.stdout
    assert "Float too large" not in ran.stdout
