"""The command `relbench`, also as `python -m relbench`."""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command; Ctrl-C is no error, not even in the seconds that loading takes.

    Args:
        arguments: those of the command line, if None.
    """
    _take_the_terminal_as_it_is()
    os.environ["MPLBACKEND"] = "agg"  # figures go into files; what a notebook sets for its kernel may not be there
    try:
        from relbench.cli.main import app  # noqa: PLC0415 - see above

        app(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # where even the help can't be printed
        sys.stderr.write(f"relbench: {error}\n")
        sys.exit(2)
    finally:
        _leave_quietly()


def _take_the_terminal_as_it_is() -> None:
    """It may lack a sign, or not be there at all."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _leave_quietly() -> None:
    """What can't be printed at the very end has been reported already: Python need not complain once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":  # a worker process imports this file under another name
    main()
