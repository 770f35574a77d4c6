"""Pickles of arrays and lists, read without running what they say: any other global is refused by its name."""

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

NUMBERS = "biuf"  # kinds of numpy's types that hold no Python objects


class RefusedError(ValueError):
    """A pickle that is not opened, or not to its end: the message says why, without the file's name."""


class _Reader(pickle.Unpickler):
    """Finds nothing but makers of arrays of numbers, and of bytes."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """What a global stands for."""
        if (module, name) not in ALLOWED:
            raise RefusedError(f"asks for {module}.{name}, which arrays and lists don't need, so it is not opened")
        return ALLOWED[module, name]


def _array_kind(*_: object) -> None:
    """What stands for `numpy.ndarray`, which a pickle names, and has another function make."""
    raise RefusedError("makes an array in a way that numpy's pickles don't, so it is not opened")


def _array(kind: object, _shape: object, _type: object) -> NDArray[Any]:
    """An empty array, into which its shape, type and bytes are put later."""
    if kind is not _array_kind:
        raise RefusedError("makes an array of its own kind, so it is not opened")
    return cast("NDArray[Any]", np.empty(0).__reduce__()[0](np.ndarray, (0,), b"b"))  # type: ignore[operator]


def _number_type(code: object, *_: object) -> "np.dtype[Any]":
    found = np.dtype(str(code))
    if found.kind not in NUMBERS:
        raise RefusedError(f"holds an array of the type {str(code)!r}, not of numbers, so it is not opened")
    return found


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes, as Python 3 writes them where Python 2 is to read them."""
    if encoding != "latin1":
        raise RefusedError(f"encodes text as {encoding!r}, which arrays don't need, so it is not opened")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,  # numpy 2
    ("numpy", "ndarray"): _array_kind,
    ("numpy", "dtype"): _number_type,
    ("_codecs", "encode"): _encoded,
}
"""What a pickle may ask for, and what it is handed in its place."""


def read_arrays(content: bytes) -> Any:
    """The arrays of numbers, lists, dictionaries, numbers and texts of a pickle; of Python 2's, too.

    Args:
        content: of the file.

    Raises:
        RefusedError: it asks for anything else, or is damaged; one line without the file's name.
    """
    try:
        _check_places(content)
        return _Reader(io.BytesIO(content), encoding="latin1").load()
    except RefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged pickles raise errors of nearly any kind
        raise RefusedError(f"is no whole pickle ({' '.join(str(error).split()) or type(error).__name__})") from None


def _check_places(content: bytes) -> None:
    """Refuse numbered places beyond what a pickle fills: a table of all of them would take any amount of memory."""
    for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if "PUT" in operation.name and int(argument or 0) > count:
            raise ValueError(f"place {argument} after {count} operations")
