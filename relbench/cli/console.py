"""Output and exit codes of all commands."""

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import track
from rich.segment import Segment

from relbench.memory import ADVICE as ADVICE_ON_MEMORY
from relbench.memory import is_out_of_memory
from relbench.plain_text import visible
from relbench.settings import one_line

Item = TypeVar("Item")

FAILED, REFUSED, INTERRUPTED = 1, 2, 130  # exit codes: a run failed; bad input; Ctrl-C
ADVICE = {  # what to do about what the system refuses
    errno.ENOSPC: ": free some space and run again; what is finished is kept",
    errno.EDQUOT: ": free some space and run again; what is finished is kept",
    errno.EACCES: ": change its permissions, or choose another place",
    errno.EROFS: ": choose a place that can be written",
    errno.EISDIR: ": name a file",
    errno.ENOENT: ": check the name",
}


class Terminal(Console):
    """A console to which text is text: no markup, no emoji codes, no control characters but rich's own.

    Paths, labels and messages reach it from everywhere, and each of them may hold `[/y]`, `:key:` or an escape
    sequence: what is to be coloured is a rich `Text` or has a `style`, and nobody need remember to escape.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What rich would print, with everything unseen shown by its number."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)


out, errors = Terminal(), Terminal(stderr=True)


def bar(items: Iterable[Item], what: str) -> Iterable[Item]:
    """Items to be gone through, with a progress bar that says what is done with them."""
    return track(list(items), description=what, console=out)


@contextmanager
def errors_as_one_line(after_ctrl_c: str = "interrupted; the same command goes on from here") -> Iterator[None]:
    """Turn bad input into one line and an exit code; RELBENCH_TRACEBACK=1 shows where it came from.

    Args:
        after_ctrl_c: what an interrupted command says.
    """
    try:
        yield
        sys.stdout.flush()
    except (ValueError, TypeError, OSError) as error:
        if os.environ.get("RELBENCH_TRACEBACK"):
            raise
        _complain(f"{_in_words(error)}{ADVICE.get(getattr(error, 'errno', 0) or 0, '')}")
        raise typer.Exit(REFUSED) from None
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error) or os.environ.get("RELBENCH_TRACEBACK"):
            raise
        _complain(f"out of memory ({error}): {ADVICE_ON_MEMORY}")
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        _complain(after_ctrl_c)
        raise typer.Exit(INTERRUPTED) from None


def _in_words(error: Exception) -> str:
    """Pydantic's errors say where and what in one line; those of a whole record name their place themselves."""
    return one_line(error).removeprefix("settings: ") if isinstance(error, ValidationError) else str(error)


def _complain(what: str) -> None:
    errors.print(f"relbench: {' '.join(what.split())}", style="red", soft_wrap=True)


def numbers(text: str, what: str) -> tuple[int, ...]:
    """Whole numbers from an option of the command line.

    Raises:
        ValueError: it holds something else.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{what} = {text!r}: give whole numbers with commas between, such as 0,1,2") from None


def expanded(path: Path | None) -> Path | None:
    """A path in which ~ is the home folder: shells leave it as it is in `--data=~/x`, and in quotes.

    To be the `callback` of every option and argument that is a path.
    """
    try:
        return path.expanduser() if path else None
    except RuntimeError:
        raise typer.BadParameter(f"{path}: there is no such home folder") from None


def all_expanded(paths: list[Path] | None) -> list[Path] | None:
    """Several paths of an option, each as `expanded`."""
    return paths and [found for path in paths if (found := expanded(path))]
