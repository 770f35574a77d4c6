"""Errors of users' losses: one line that says where, whatever their code raises; and what they may not change."""

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import extract_tb

from relbench.losses.worker import torch_settings

ONE_FILE = "only this file is kept with a run, so it can import installed packages, but no other file from its folder"
LONGEST_MESSAGE = 200  # characters of what a user's code raised


@contextmanager
def blame_user_code(name: str, file: str, when: str = "") -> Iterator[None]:
    """For the time of a `with`, whatever a user's code raises becomes one line that says where.

    Args:
        name: of the loss.
        file: its file, as `Loss.source` names it.
        when: in which case it was called, to follow the name.

    Raises:
        ValueError: the code raised something. An interrupt passes.
    """
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit):  # Ctrl-C, or nobody waits for the end of this `with`
        raise
    except BaseException as problem:
        line = _line(problem, file)
        place = f"{label_of(file)}{f', line {line}' if line else ''}"
        raise ValueError(f"loss {name!r}{when}: {place}: {type(problem).__name__}{_message(problem)}") from problem


@contextmanager
def torch_unchanged(name: str, file: str) -> Iterator[None]:
    """Refuse code that changes what torch does for everything else: runs of other losses are not trained like that.

    It is not undone: the process that has executed the code is good for nothing else.

    Args:
        name: of the loss.
        file: its file, as `Loss.source` names it.

    Raises:
        ValueError: the code did so.
    """
    before = torch_settings()
    yield
    changed = [what for what, setting in torch_settings().items() if setting != before[what]]
    if changed:
        raise ValueError(
            f"loss {name!r}: {label_of(file)} changes {' and '.join(changed)} of torch, which the rest of its run "
            "would use, unlike the runs that it is compared with: leave it unchanged"
        )


def _line(problem: BaseException, file: str) -> int | None:
    """The last line of the file that led to the problem."""
    if isinstance(problem, SyntaxError) and problem.filename == f"<{file}>":
        return problem.lineno
    lines = [frame.lineno for frame in extract_tb(problem.__traceback__) if frame.filename == f"<{file}>"]
    return lines[-1] if lines else None


def _message(problem: BaseException) -> str:
    said = first_line(problem.msg if isinstance(problem, SyntaxError) else str(problem))
    return (f": {said[:LONGEST_MESSAGE]}" if said else "") + (
        f"; {ONE_FILE}" if isinstance(problem, ImportError) else ""
    )


def first_line(text: str | None) -> str:
    """The first line of a text; "" where there is none."""
    return next(iter((text or "").strip().splitlines()), "")


def label_of(file: str) -> str:
    """The file's name without its hash."""
    return file.partition(",")[0]
