"""Parts that are measured in a process of their own: after an error on a GPU, that process can't use it any more."""

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from relbench.benchmarks.section import Section
from relbench.processes import children_deaf_to_ctrl_c, die_with_parent, end_at_once


class Apart:
    """Measures parts one after another in the same process, and goes on in a new one after a part that failed.

    The process ends with this one, however that ends: it would keep the GPU's memory.

    Args:
        measure: from the name of a part to what was measured; found by its name in the process.
    """

    def __init__(self, measure: Callable[[str], Section]) -> None:
        self._measure = measure
        self._begin()

    def __enter__(self) -> Self:
        """Ready."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End the process, in the middle of its work if something was raised here."""
        if error:
            self._process.kill()
        self._end()

    def __call__(self, name: str) -> Section:
        """What was measured; or the error, also where it took the process along."""
        try:
            self._connection.send(name)
            section: Section = self._connection.recv()
        except (EOFError, OSError):
            section = Section(name=name, figures=(), error="its process ended abruptly, see above", seconds=0.0)
        if section.error:
            self._end()
            self._begin()
        return section

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._measure))
        with children_deaf_to_ctrl_c():
            self._process.start()
        theirs.close()  # so that the end of the process is the end of the connection

    def _end(self) -> None:
        """It ends by itself when nobody is at the other end."""
        self._connection.close()
        self._process.join()


def _serve(connection: Connection, measure: Callable[[str], Section]) -> None:
    """Measure parts until nobody asks for any more."""
    die_with_parent()
    while True:
        try:
            name: str = connection.recv()
        except EOFError:
            end_at_once()
        connection.send(measure(name))


def tell_on_stderr(line: str) -> None:
    """Tell the user at once, from whichever process."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
