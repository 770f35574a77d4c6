"""Parts that are measured in a process of their own: after an error on a GPU, that process can't use it any more."""

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self

from relbench.benchmarks.section import Section


class Apart:
    """Measures parts one after another in the same process, and goes on in a new one after a part that failed.

    Args:
        measure: from the name of a part to what was measured; found by its name in the process.
    """

    def __init__(self, measure: Callable[[str], Section]) -> None:
        self._measure = measure
        self._pool = _process()

    def __enter__(self) -> Self:
        """Ready."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End the process."""
        self._pool.shutdown(wait=error is None, cancel_futures=True)

    def __call__(self, name: str) -> Section:
        """What was measured; or the error, also where it took the process along."""
        try:
            section = self._pool.submit(self._measure, name).result()
        except BrokenProcessPool:
            section = Section(name=name, figures=(), error="its process ended abruptly, see above", seconds=0.0)
        if section.error:
            self._pool.shutdown()
            self._pool = _process()
        return section


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn"))


def tell_on_stderr(line: str) -> None:
    """Tell the user at once, from whichever process."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
