"""The process in which users' losses are executed: the process of a command gets plain data from it, or one line.

A user's code may change torch for everybody, end its process, or never return. A command therefore never executes it:
`execute` sends it to a worker, one for all that a command asks, and started when it is first needed. Runs are made in
worker processes of their own, which say so by `work_here`.
"""

import atexit
import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

from relbench.memory import is_out_of_memory
from relbench.processes import children_deaf_to_ctrl_c, die_with_parent, how_ended

SECONDS = 120.0
"""A call takes no longer: what a loss does to a made-up batch takes well below a second."""

LARGEST_ANSWER = 2**20  # bytes
_HERE = threading.Event()  # is set in worker processes


def torch_settings() -> dict[str, Any]:
    """The settings that code can change for everything else in its process."""
    return {
        "the default dtype": torch.get_default_dtype(),
        "the default device": torch.get_default_device(),
        "the number of threads": torch.get_num_threads(),
        "the gradient mode": torch.is_grad_enabled(),
        "the precision of products": torch.get_float32_matmul_precision(),
        "the choice of algorithms": torch.are_deterministic_algorithms_enabled(),
        "the use of oneDNN": torch.backends.mkldnn.enabled,
        "the use of cuDNN": torch.backends.cudnn.enabled,
        "cuDNN's benchmark": torch.backends.cudnn.benchmark,
        "cuDNN's precision": torch.backends.cudnn.allow_tf32,
    }


def work_here() -> None:
    """Say that this process may execute users' code: it was made for that, and nothing else depends on it."""
    _HERE.set()


def is_worker() -> bool:
    """Whether this process may execute users' code."""
    return _HERE.is_set()


def execute(loss: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that executes a user's code: in the worker, or here if this is one.

    Args:
        loss: names of the losses, for messages.
        function: is found by its name in the worker. Returns what JSON can say.
        arguments: for the function.

    Raises:
        ValueError: the function refuses something, the code ends its process, or does not return in time; one line.
        MemoryError: there is too little memory.
    """
    return function(*arguments) if is_worker() else _the_worker.execute(loss, function, arguments)


def silence() -> None:
    """Let nothing that this process prints be seen, from whichever library."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


class _Worker:
    """Is started when it is needed, and again after a call that did not return, or that has changed torch."""

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def execute(self, loss: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        try:
            answer = self._asked(loss, function, arguments)
        except BaseException:
            self.stop()
            raise
        if answer["spoilt"]:
            self.stop()
        if "memory" in answer:
            raise MemoryError(answer["memory"])
        if "refused" in answer:
            raise ValueError(answer["refused"])
        return answer["result"]

    def _asked(self, loss: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[str, Any]:
        connection = self._connection or self._started()
        try:
            connection.send((function, arguments))
            if not connection.poll(SECONDS):
                raise ValueError(f"loss {loss}: a check of it takes longer than {SECONDS:.0f} s: it may never end")
            answer: dict[str, Any] = json.loads(connection.recv_bytes(LARGEST_ANSWER))
        except (EOFError, ConnectionError):
            self._process.join()
            raise ValueError(f"loss {loss}: {how_ended(self._process.exitcode)}, by its own code") from None
        except OSError:  # the answer has no end
            raise ValueError(f"loss {loss} answers with more than {LARGEST_ANSWER} bytes") from None
        return answer

    def _started(self) -> Connection:
        context = get_context("spawn")
        connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), name="users' losses")
        with children_deaf_to_ctrl_c():
            self._process.start()
        theirs.close()  # so that the end of the process is the end of the connection
        atexit.register(self.stop)
        self._connection = connection
        return connection

    def stop(self) -> None:
        """End it, whatever it does."""
        if self._connection:
            self._connection.close()
            self._connection = None
            self._process.kill()
            self._process.join()
            atexit.unregister(self.stop)


_the_worker = _Worker()


def _serve(connection: Connection) -> None:
    die_with_parent()
    silence()
    work_here()
    clean = torch_settings()
    with suppress(EOFError):
        while True:
            answer = _answer(*connection.recv())
            answer["spoilt"] = torch_settings() != clean
            connection.send_bytes(json.dumps(answer).encode())


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[str, Any]:
    try:
        return {"result": function(*arguments)}
    except ValueError as error:
        return {"memory" if is_out_of_memory(error) else "refused": str(error)}
    except BaseException as error:  # noqa: BLE001 - a user's code may raise anything
        said = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        return {"memory" if is_out_of_memory(error) else "refused": said}
