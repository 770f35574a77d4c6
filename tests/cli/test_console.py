"""Bad input ends a command with one line that says what and where."""

import pytest
import typer
from printed_tables import table1

from relbench.cli.console import REFUSED, errors_as_one_line
from relbench.experiment import Data


@pytest.mark.parametrize(
    ("refused", "line"),
    [
        (lambda: table1().replaced(cells=()), "relbench: no report of 'rkd-table1': there is nothing in it, neither"),
        (lambda: table1().replaced(scale="Toy"), "relbench: scale = 'Toy': Input should be 'full' or 'toy'"),
        (lambda: Data(size="large"), "relbench: size = 'large': "),
    ],
)
def test_what_pydantic_refuses_is_one_line(refused, line, capfd):
    with pytest.raises(typer.Exit) as ended, errors_as_one_line():
        refused()
    assert ended.value.exit_code == REFUSED
    text = capfd.readouterr().err
    assert text.startswith(line)
    assert text.count("\n") == 1
    assert "pydantic" not in text
