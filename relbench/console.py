"""What all commands have in common: where they print, how they end."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

FAILED, REFUSED, INTERRUPTED = 1, 2, 130  # exit codes: a run failed; bad input; Ctrl-C
ADVICE = {  # what to do about what the system refuses
    errno.ENOSPC: ": free some space and run again; what is finished is kept",
    errno.EDQUOT: ": free some space and run again; what is finished is kept",
    errno.EACCES: ": mend its permissions, or choose another place",
    errno.EROFS: ": choose a place that can be written",
    errno.EISDIR: ": name a file",
    errno.ENOENT: ": check the name",
}

out, errors = Console(), Console(stderr=True)


@contextmanager
def in_one_line() -> Iterator[None]:
    """Turn bad input into one line and an exit code; RELBENCH_TRACEBACK=1 shows where it came from."""
    try:
        yield
        sys.stdout.flush()
    except (ValueError, TypeError, OSError) as error:
        if os.environ.get("RELBENCH_TRACEBACK"):
            raise
        _complain(f"{error}{ADVICE.get(getattr(error, 'errno', 0) or 0, '')}")
        raise typer.Exit(REFUSED) from None
    except KeyboardInterrupt:
        _complain("interrupted; the same command goes on from here")
        raise typer.Exit(INTERRUPTED) from None


def _complain(what: str) -> None:
    errors.print(f"relbench: {' '.join(what.split())}", style="red", markup=False, highlight=False, soft_wrap=True)


def numbers(text: str, what: str) -> tuple[int, ...]:
    """Whole numbers from an option of the command line.

    Raises:
        ValueError: it holds something else.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{what} = {text!r}: give whole numbers with commas between, such as 0,1,2") from None
