"""The command that shows what runs: `relbench watch`."""

from pathlib import Path
from typing import Annotated

import typer

from relbench.cli.console import FAILED, errors_as_one_line, expanded


def watch(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", callback=expanded, help="A folder of results, or one that holds several.")
    ] = Path("results"),
    *,
    once: Annotated[bool, typer.Option("--once", help="Show what runs now, and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, in one line; again whenever something has changed.")
    ] = False,
) -> None:
    """Show which runs are under way, whoever makes them, from any machine that sees the folder.

    Nothing is written. It ends when nothing is left that could be made, or with Ctrl-C, which leaves the runs alone. A
    run without news is marked where its process is gone, or where another machine has been silent for long.
    """
    with errors_as_one_line(after_ctrl_c="no longer watched; the runs go on"):
        from relbench.cli.watching import watched

        failed = watched(folder, once=once, as_json=as_json)
    if failed:
        raise typer.Exit(FAILED)
