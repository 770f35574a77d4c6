"""Errors and memory: how to recognise that it ran out, advice, and how to free what an error holds on to."""

import errno
import traceback

ADVICE = "a smaller batch_size or fewer --jobs need less memory"
SAID = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc", "ALLOC_FAILED")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory of the machine or its GPU ran out, in this error or in a cause of it."""
    if error is None:
        return False
    return _says_so(error) or is_out_of_memory(error.__cause__ or error.__context__)


def let_go(error: BaseException | None) -> None:
    """Free what the functions had computed that an error has ended, and those of its causes; its traceback stays.

    An error that is kept keeps all their variables: the activations of a step, say, and the GPU's memory with them.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _says_so(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in SAID)  # torch's, on CPU and GPU
