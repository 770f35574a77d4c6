"""The commands for studies as files: `relbench study show`."""

import typer

from relbench.cli.console import errors_as_one_line
from relbench.cli.studies import ProtocolOption, ScaleOption, StudyName

app = typer.Typer(no_args_is_help=True, help="Studies as files, to read and to change.")


@app.callback()
def study() -> None:
    """Studies as files, to read and to change."""


@app.command()
def show(study: StudyName, protocol: ProtocolOption = None, scale: ScaleOption = None) -> None:
    """Print a study as a TOML file: `relbench study show quickstart > my_study.toml`, to begin one of your own from.

    `relbench reproduce my_study.toml` makes it. Nothing in the file is executed.
    """
    with errors_as_one_line():
        from relbench.studies.files import find_study, study_text

        options = {"protocol": protocol, "scale": scale}
        text = study_text(find_study(study, {name: value for name, value in options.items() if value is not None}))
        typer.echo(text, nl=False)
