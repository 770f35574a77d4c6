"""Pickles of arrays and lists, read without running what they say: any other global is refused by its name.

Their instructions are carried out here, as Python's own reader crashes, or never ends, on some that are made to. Time
and memory grow no faster than the file. Where a file is mapped, its arrays are views of it, so that pickles of any size
take no memory; those that Python 3 wrote for Python 2 have bytes as text, which takes memory once it is asked for.
"""

import codecs
import math
import mmap
import pickletools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from relbench.files import check_memory, open_regular

LONG = 2**20  # bytes: what is longer stays in its place until an array is made of it
PIECE = 2**22  # bytes of text that are turned at once
NUMBERS = re.compile(r"[biuf][0-9]{1,2}")  # numpy's codes of types that hold no Python objects
BITS = 64  # of a number that is a key, at most: Python takes time, or refuses, to write longer ones
LONGEST = 60  # letters of what a pickle says that a message repeats
UNOPENED = ", so it is not opened"

State = tuple[Any, ...]


class RefusedError(ValueError):
    """A pickle that is not opened, or not to its end: the message says why, without the file's name."""


@dataclass(frozen=True)
class Unread:
    """Long bytes or text, left in their place in the pickle.

    Attributes:
        content: the bytes, or the text in UTF-8.
        is_text: whether it is text.
    """

    content: memoryview
    is_text: bool


@dataclass(frozen=True)
class TextArray:
    """A long array whose bytes stand in the pickle as text, not yet turned.

    Attributes:
        shape: of the array.
        dtype: its type.
        text: in UTF-8.
        by_columns: whether the first place counts fastest.
    """

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    text: memoryview
    by_columns: bool

    def read(self) -> NDArray[Any]:
        """The array.

        Raises:
            RefusedError: the text does not stand for bytes, or for another number of them.
        """
        try:
            return _filled(_turned(self.text), self.dtype, self.shape, by_columns=self.by_columns)
        except ValueError as error:
            raise RefusedError(f"is no whole pickle ({_shown(str(error))})") from None


class _Unbuilt:
    """An array, or a type of one, before its state is known; and the numbered places that it was put into."""

    def __init__(self, build: Callable[[State], Any]) -> None:
        self.build, self.places = build, list[int]()


class _Machine:
    """What a pickle's instructions work on: a stack, marks in it, and numbered places."""

    def __init__(self, room: int, *, later: bool) -> None:
        self.later = later  # long text is turned into bytes when somebody asks for them
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
        """Put what a global stands for onto the stack. Only text is looked up: tuples in tuples could take for ever."""
        if type(module) is not str or type(name) is not str:
            raise ValueError("a global without a name")
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

    def raw(self, content: object) -> bytes | memoryview:
        """Bytes: as they are, or as text, of Python 2 or made for it."""
        if isinstance(content, Unread) and not content.is_text:
            return content.content
        if isinstance(content, (str, Unread)):
            return self._encoded(content)
        if isinstance(content, (bytes, memoryview)):
            return content
        raise ValueError("an array without bytes")

    def _encoded(self, text: str | Unread) -> bytes | memoryview:
        self.room -= len(text.content) if isinstance(text, Unread) else len(text)
        if self.room < 0:
            raise RefusedError(f"makes more bytes than it holds{UNOPENED}")
        return _turned(text.content) if isinstance(text, Unread) else text.encode("latin1")


def _turned(text: memoryview) -> memoryview:
    """Bytes that stand as UTF-8, turned piece by piece: there may not be room for both."""
    check_memory(len(text))
    decoder, turned = codecs.getincrementaldecoder("utf-8")(), bytearray()
    for start in range(0, len(text), PIECE):
        piece = text[start : start + PIECE]
        turned += decoder.decode(piece, final=start + PIECE >= len(text)).encode("latin1")
    return memoryview(turned).toreadonly()


def _shown(text: str) -> str:
    """As a message has it: in one line, and short."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in text[:LONGEST])
    return f"{printable}{'...' if len(text) > LONGEST else ''}"


def _dictionary(pairs: list[Any]) -> dict[Any, Any]:
    """Of keys and values in turn. Tuples as keys could take for ever: each holds others, and all are gone through."""
    if not all(type(key) in (str, bytes, int) for key in pairs[::2]):
        raise RefusedError(f"has keys that are neither text nor numbers{UNOPENED}")
    if any(type(key) is int and key.bit_length() > BITS for key in pairs[::2]):
        raise RefusedError(f"has keys of more than {BITS} bits{UNOPENED}")
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _array(machine: _Machine, kind: object, *_: object) -> _Unbuilt:
    if kind != ARRAY_KIND:
        raise RefusedError(f"makes an array of its own kind{UNOPENED}")
    return _Unbuilt(partial(_array_of, machine))


def _array_of(machine: _Machine, state: State) -> NDArray[Any] | TextArray:
    _, shape, number_type, by_columns, content = state
    if machine.later and isinstance(content, Unread) and content.is_text:
        return _for_later(content.content, number_type, shape, by_columns=bool(by_columns))
    return _filled(machine.raw(content), number_type, shape, by_columns=bool(by_columns))


def _filled(raw: bytes | memoryview, number_type: object, shape: Any, *, by_columns: bool) -> NDArray[Any]:
    if not isinstance(number_type, np.dtype):
        raise ValueError("an array without a type")
    array: NDArray[Any] = np.ndarray(shape, number_type, buffer=raw, order="F" if by_columns else "C")
    if array.nbytes != len(raw):
        raise ValueError("an array of another size than its bytes")
    return array


def _for_later(text: memoryview, number_type: object, shape: Any, *, by_columns: bool) -> TextArray:
    if not isinstance(number_type, np.dtype):
        raise ValueError("an array without a type")
    if type(shape) is not tuple or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("an array without a shape")
    if not len(text) / 2 <= math.prod(shape) * number_type.itemsize <= len(text):  # a byte is one or two in UTF-8
        raise ValueError("an array of another size than its bytes")
    return TextArray(shape, number_type, text, by_columns)


def _from_buffer(machine: _Machine, content: object, number_type: object, shape: object, order: object) -> NDArray[Any]:
    """An array in one piece, as protocol 5 has it."""
    return _filled(machine.raw(content), number_type, shape, by_columns=order == "F")


def _number(machine: _Machine, number_type: object, content: object) -> int | float | bool:
    """A number of numpy's, as a plain one."""
    found: int | float | bool = _filled(machine.raw(content), number_type, (), by_columns=False).item()
    return found


def _number_type(_: _Machine, code: object, *_more: object) -> _Unbuilt:
    if not isinstance(code, str) or not NUMBERS.fullmatch(code):
        what = repr(_shown(code)) if isinstance(code, str) else "without a name"
        raise RefusedError(f"holds an array of the type {what}, not of numbers{UNOPENED}")
    return _Unbuilt(lambda state: np.dtype(code).newbyteorder(state[1]))


def _encoded(machine: _Machine, text: object, encoding: object) -> bytes | memoryview | Unread:
    """Bytes, as Python 3 writes them where Python 2 is to read them."""
    if encoding != "latin1":
        what = repr(_shown(encoding)) if isinstance(encoding, str) else "nothing"
        raise RefusedError(f"encodes text as {what}, which arrays don't need{UNOPENED}")
    return text if machine.later and isinstance(text, Unread) else machine.raw(text)


ARRAY_KIND = "numpy.ndarray"  # what stands for it: a pickle names it, and has another function make arrays
MAKERS: tuple[Callable[..., Any], ...] = (_array, _from_buffer, _number, _number_type, _encoded)
ALLOWED: dict[tuple[object, object], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,  # numpy 2
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy._core.multiarray", "scalar"): _number,
    ("numpy", "ndarray"): ARRAY_KIND,
    ("numpy", "dtype"): _number_type,
    ("_codecs", "encode"): _encoded,
}
"""What a pickle may ask for, and what stands for it."""


LITERALS = re.compile(
    "INT|BININT[12]?|LONG[14]?|FLOAT|BINFLOAT|STRING|BINSTRING|SHORT_BINSTRING|UNICODE|BINUNICODE8?|SHORT_BINUNICODE|"
    "BINBYTES8?|SHORT_BINBYTES|BYTEARRAY8"
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


OPERATIONS = {operation.code.encode("latin1"): operation for operation in pickletools.opcodes}
LENGTHS = {"BINSTRING": 4, "BINBYTES": 4, "BINUNICODE": 4, "BINBYTES8": 8, "BINUNICODE8": 8, "BYTEARRAY8": 8}
"""Bytes of the length that stands before a text, by the instruction."""


class _Reader:
    """A pickle's instructions; what is long is not copied. `read` and `readline` are what pickletools reads by."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._content, self._view, self._at = content, memoryview(content), 0

    def read(self, count: int) -> bytes:
        return bytes(self._next(count))

    def readline(self) -> bytes:
        end = self._content.find(b"\n", self._at)
        return self.read((end + 1 if end >= 0 else len(self._view)) - self._at)

    def instructions(self) -> Iterator[tuple[str, Any]]:
        """Names and arguments, until the pickle stops."""
        name = ""
        while name != "STOP":
            code = self.read(1)
            if code not in OPERATIONS:
                raise ValueError(f"the instruction {code!r} is unknown" if code else "it does not stop")
            operation = OPERATIONS[code]
            name = operation.name
            if name in LENGTHS:
                yield name, self._text(name)
            else:
                yield name, operation.arg.reader(cast("IO[bytes]", self)) if operation.arg else None

    def _text(self, name: str) -> str | bytes | Unread:
        length = int.from_bytes(self.read(LENGTHS[name]), "little", signed=name == "BINSTRING")
        content, is_text = self._next(length), name.startswith("BINUNICODE")
        if not 0 <= length == len(content):
            raise ValueError("a text is cut off")
        if length > LONG:
            return Unread(content, is_text)
        raw = bytes(content)
        return raw.decode("utf-8", "surrogatepass") if is_text else raw.decode("latin1") if name == "BINSTRING" else raw

    def _next(self, count: int) -> memoryview:
        start, self._at = self._at, min(self._at + max(0, count), len(self._view))
        return self._view[start : self._at]


def map_arrays(file: Path, most: int) -> Any:
    """The same as `read_arrays` of a file of any size, whose arrays are views of it, or `TextArray`.

    Args:
        file: that stays as it is while its arrays are in use.
        most: instructions that it may hold.

    Raises:
        RefusedError: as `read_arrays`.
        OSError: the file can't be read.
    """
    with open_regular(file) as opened:
        if not file.stat().st_size:
            raise RefusedError("is empty")
        return _whole(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ), most, later=True)


def read_arrays(content: bytes) -> Any:
    """The arrays of numbers, lists, dictionaries, numbers and texts of a pickle; of Python 2's, too.

    Texts and bytes of more than a megabyte that are no array's come out as `Unread`.

    Args:
        content: of the file.

    Raises:
        RefusedError: it asks for anything else, or is damaged; one line without the file's name.
    """
    return _whole(content, None, later=False)


def _whole(content: bytes | mmap.mmap, most: int | None, *, later: bool) -> Any:
    """As `_read`, but whatever is wrong is a RefusedError."""
    try:
        return _read(content, most, later=later)
    except RefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged pickles raise errors of nearly any kind
        raise RefusedError(f"is no whole pickle ({_shown(str(error)) or type(error).__name__})") from None


def _read(content: bytes | mmap.mmap, most: int | None, *, later: bool) -> Any:
    machine = _Machine(room=len(content), later=later)
    for number, (name, argument) in enumerate(_Reader(content).instructions()):
        if name == "STOP":
            return machine.pop()
        if number == most:
            raise RefusedError(f"holds more than {most:,} instructions{UNOPENED}")
        _carry_out(machine, name, argument)
    raise AssertionError("instructions end with STOP, or raise")


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
