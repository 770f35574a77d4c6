"""Pickles of arrays and lists, read without running what they say: any other global is refused by its name.

Their instructions are carried out here, as Python's own reader crashes, or never ends, on some that are made to. Time
and memory grow no faster than the file.
"""

import pickletools
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBERS = re.compile(r"[biuf][0-9]{1,2}")  # numpy's codes of types that hold no Python objects
LONGEST = 60  # letters of what a pickle says that a message repeats
UNOPENED = ", so it is not opened"

State = tuple[Any, ...]


class RefusedError(ValueError):
    """A pickle that is not opened, or not to its end: the message says why, without the file's name."""


class _Unbuilt:
    """An array, or a type of one, before its state is known; and the numbered places that it was put into."""

    def __init__(self, build: Callable[[State], Any]) -> None:
        self.build, self.places = build, list[int]()


class _Machine:
    """What a pickle's instructions work on: a stack, marks in it, and numbered places."""

    def __init__(self, room: int) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.places: dict[int, Any] = {}
        self.room = room  # bytes that text may still become: an honest pickle turns each of its texts once

    def pop(self) -> Any:
        """The top of the stack."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("a value is missing")
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        """What lies above the last mark."""
        if not self.marks:
            raise ValueError("a mark is missing")
        at = self.marks.pop()
        found, self.stack[at:] = self.stack[at:], []
        return found

    def pack(self, count: int) -> None:
        """Make a tuple of the top of the stack."""
        self.stack.append(tuple([self.pop() for _ in range(count)][::-1]))

    def extend(self, values: list[Any]) -> None:
        """Add to the list below."""
        if type(self.stack[-1]) is not list:
            raise ValueError("values without a list")
        self.stack[-1] += values

    def update(self, pairs: list[Any]) -> None:
        """Add keys and values to the dictionary below."""
        if type(self.stack[-1]) is not dict:
            raise ValueError("keys without a dictionary")
        self.stack[-1].update(_dictionary(pairs))

    def put(self, place: int) -> None:
        """Number the top of the stack."""
        top = self.places[place] = self.stack[-1]
        if isinstance(top, _Unbuilt):
            top.places.append(place)

    def find(self, module: object, name: object) -> None:
        """Put what a global stands for onto the stack."""
        if (module, name) not in ALLOWED:
            raise RefusedError(f"asks for {_shown(f'{module}.{name}')}, which arrays and lists don't need{UNOPENED}")
        self.stack.append(ALLOWED[module, name])

    def call(self) -> None:
        """Replace a global and its arguments by what it makes."""
        arguments, maker = self.pop(), self.pop()
        if maker not in MAKERS or type(arguments) is not tuple:
            raise RefusedError(f"makes an array in a way that numpy's pickles don't{UNOPENED}")
        self.stack.append(maker(self, *arguments))

    def build(self) -> None:
        """Replace what is unbuilt by what its state makes of it."""
        state, unbuilt = self.pop(), self.pop()
        if not isinstance(unbuilt, _Unbuilt) or type(state) is not tuple:
            raise RefusedError(f"sets the state of what is no array{UNOPENED}")
        built = unbuilt.build(state)
        self.stack.append(built)
        self.places.update(dict.fromkeys(unbuilt.places, built))

    def encoded(self, text: str) -> bytes:
        """Bytes that a pickle has as text."""
        self.room -= len(text)
        if self.room < 0:
            raise RefusedError(f"makes more bytes than it holds{UNOPENED}")
        return text.encode("latin1")


def _shown(text: str) -> str:
    """As a message has it: in one line, and short."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in text[:LONGEST])
    return f"{printable}{'...' if len(text) > LONGEST else ''}"


def _dictionary(pairs: list[Any]) -> dict[Any, Any]:
    """Of keys and values in turn. Tuples as keys could take for ever: each holds others, and all are gone through."""
    if not all(type(key) in (str, bytes, int) for key in pairs[::2]):
        raise RefusedError(f"has keys that are neither text nor numbers{UNOPENED}")
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _array(machine: _Machine, kind: object, *_: object) -> _Unbuilt:
    if kind != ARRAY_KIND:
        raise RefusedError(f"makes an array of its own kind{UNOPENED}")
    return _Unbuilt(partial(_array_of, machine))


def _array_of(machine: _Machine, state: State) -> NDArray[Any]:
    _, shape, number_type, by_columns, content = state
    raw = machine.encoded(content) if isinstance(content, str) else content
    if not isinstance(number_type, np.dtype) or not isinstance(raw, bytes):
        raise ValueError("an array without a type or bytes")
    array: NDArray[Any] = np.ndarray(shape, number_type, buffer=raw, order="F" if by_columns else "C")
    if array.nbytes != len(raw):
        raise ValueError("an array of another size than its bytes")
    return array


def _number_type(_: _Machine, code: object, *_more: object) -> _Unbuilt:
    if not isinstance(code, str) or not NUMBERS.fullmatch(code):
        what = repr(_shown(code)) if isinstance(code, str) else "without a name"
        raise RefusedError(f"holds an array of the type {what}, not of numbers{UNOPENED}")
    return _Unbuilt(lambda state: np.dtype(code).newbyteorder(state[1]))


def _encoded(machine: _Machine, text: str, encoding: object) -> bytes:
    """Bytes, as Python 3 writes them where Python 2 is to read them."""
    if encoding != "latin1":
        what = repr(_shown(encoding)) if isinstance(encoding, str) else "nothing"
        raise RefusedError(f"encodes text as {what}, which arrays don't need{UNOPENED}")
    return machine.encoded(text)


ARRAY_KIND = "numpy.ndarray"  # what stands for it: a pickle names it, and has another function make arrays
MAKERS: tuple[Callable[..., Any], ...] = (_array, _number_type, _encoded)
ALLOWED: dict[tuple[object, object], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,  # numpy 2
    ("numpy", "ndarray"): ARRAY_KIND,
    ("numpy", "dtype"): _number_type,
    ("_codecs", "encode"): _encoded,
}
"""What a pickle may ask for, and what stands for it."""


LITERALS = re.compile(
    "INT|BININT[12]?|LONG[14]?|FLOAT|BINFLOAT|STRING|BINSTRING|SHORT_BINSTRING|UNICODE|BINUNICODE8?|SHORT_BINUNICODE|"
    "BINBYTES8?|SHORT_BINBYTES"
)
STEPS: dict[str, Callable[[_Machine], object]] = {
    "MARK": lambda on: on.marks.append(len(on.stack)),
    "NONE": lambda on: on.stack.append(None),
    "NEWTRUE": lambda on: on.stack.append(True),
    "NEWFALSE": lambda on: on.stack.append(False),
    "EMPTY_LIST": lambda on: on.stack.append([]),
    "EMPTY_DICT": lambda on: on.stack.append({}),
    "EMPTY_TUPLE": lambda on: on.pack(0),
    "TUPLE1": lambda on: on.pack(1),
    "TUPLE2": lambda on: on.pack(2),
    "TUPLE3": lambda on: on.pack(3),
    "TUPLE": lambda on: on.stack.append(tuple(on.pop_marked())),
    "LIST": lambda on: on.stack.append(on.pop_marked()),
    "DICT": lambda on: on.stack.append(_dictionary(on.pop_marked())),
    "APPEND": lambda on: on.extend([on.pop()]),
    "APPENDS": lambda on: on.extend(on.pop_marked()),
    "SETITEM": lambda on: on.update([on.pop(), on.pop()][::-1]),
    "SETITEMS": lambda on: on.update(on.pop_marked()),
    "MEMOIZE": lambda on: on.put(len(on.places)),
    "STACK_GLOBAL": lambda on: on.find(*[on.pop(), on.pop()][::-1]),
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
}
"""What instructions without an argument do."""


def read_arrays(content: bytes) -> Any:
    """The arrays of numbers, lists, dictionaries, numbers and texts of a pickle; of Python 2's, too.

    Args:
        content: of the file.

    Raises:
        RefusedError: it asks for anything else, or is damaged; one line without the file's name.
    """
    try:
        return _read(content)
    except RefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged pickles raise errors of nearly any kind
        raise RefusedError(f"is no whole pickle ({_shown(str(error)) or type(error).__name__})") from None


def _read(content: bytes) -> Any:
    machine = _Machine(room=len(content))
    for operation, argument, _ in pickletools.genops(content):
        if operation.name == "STOP":
            return machine.pop()
        _carry_out(machine, operation.name, argument)
    raise AssertionError("genops ends with STOP, or raises")


def _carry_out(machine: _Machine, name: str, argument: Any) -> None:
    if LITERALS.fullmatch(name):
        machine.stack.append(argument)
    elif name in STEPS:
        STEPS[name](machine)
    elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
        machine.put(argument)
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        machine.stack.append(machine.places[argument])
    elif name == "GLOBAL":
        machine.find(*argument.split(" ", 1))
    elif name not in ("PROTO", "FRAME"):
        what = f"{name} {argument}" if isinstance(argument, str) else name
        raise RefusedError(f"holds the instruction {_shown(what)}, which arrays and lists don't need{UNOPENED}")
