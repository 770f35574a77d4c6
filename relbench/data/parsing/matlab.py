"""Annotations in MATLAB's .mat files (version 5 to 7.2), as lines of text fields.

Only what annotations need is read: a row of structs, and a row of cells, that hold texts and whole numbers. This is not
left to `scipy.io.loadmat`, since a single wrong byte makes that crash the whole process (seen with scipy 1.17).

Source: MathWorks, "MAT-File Format" (level 5): a file is a header and elements; an element is data type, size and
content; a matrix is an element of elements: flags, dimensions, name, and what its class asks for.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from rich.filesize import decimal

from relbench.data.parsing.annotations import Line
from relbench.files import open_regular

BYTE_ORDERS = {b"\0\1IM": "<", b"\1\0MI": ">"}  # by the last four bytes of the header: version and order
HEADER = 128  # bytes
NUMBERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 9: "d", 12: "q", 13: "Q"}  # data type -> format
ENCODINGS = {1: "utf-8", 2: "utf-8", 4: "utf-16-{}", 16: "utf-8", 17: "utf-16-{}", 18: "utf-32-{}"}  # of byte order
MATRIX, COMPRESSED = 14, 15  # the other data types
RECORD, SPARE = 2048, 1 << 20  # bytes: the most that a record takes (those of Cars196: 500), and all else in a file
ELEMENT, PARTS = 48, 8  # bytes: the least that a matrix takes; the most parts of a text or a number (each has four)
CELLS, STRUCTS, TEXT = 1, 2, 4  # classes of matrices; numbers have higher ones

Element = tuple[int, memoryview]  # data type and content


@dataclass(frozen=True)
class Matrix:
    """A matrix whose content is not looked into yet."""

    name: str
    kind: int
    shape: tuple[int, ...]
    content: list[Element]
    order: str


def read_records(file: Path, variable: str, fields: tuple[str, ...], most: int) -> list[Line]:
    """Fields of a struct array of shape (1, n), one line per struct.

    Args:
        file: a .mat file.
        variable: name of the struct array.
        fields: which fields, in this order; each holds one text or one whole number per struct.
        most: records that a variable of the file may have; what needs more memory than these is not unpacked.

    Raises:
        ValueError: the file, the variable or a field is missing, damaged, too large or of another shape.
    """
    return _lines(file, variable, partial(_structs, fields=fields), most)


def read_texts(file: Path, variable: str, most: int) -> list[Line]:
    """A cell array of texts of shape (1, n), one line per cell.

    Args:
        file: a .mat file.
        variable: name of the cell array.
        most: see `read_records`.

    Raises:
        ValueError: the file or the variable is missing, damaged, too large or of another shape.
    """
    return _lines(file, variable, _cells, most)


def _lines(file: Path, variable: str, rows: Callable[[Matrix], list[list[Element]]], most: int) -> list[Line]:
    limit = SPARE + most * RECORD
    try:
        matrix = _variable(_content(file, limit), variable, limit)
        found = [_texts(number, row, matrix.order) for number, row in enumerate(rows(matrix), start=1)]
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}): replace it with a good copy") from None
    except (UnicodeDecodeError, struct.error, zlib.error) as error:
        raise ValueError(f"{file} is damaged ({error}): replace it with a good copy") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}: replace it with a good copy") from None
    return [Line(file, number, texts, unit="record") for number, texts in enumerate(found, start=1)]


def _content(file: Path, limit: int) -> bytes:
    with open_regular(file) as opened:
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise ValueError(_too_large(limit))
    return content


def _too_large(limit: int) -> str:
    return f"is larger than such a file can be (more than {decimal(limit)}, unpacked)"


def _variable(content: bytes, variable: str, limit: int) -> Matrix:
    """The variable of that name, a single row."""
    order = BYTE_ORDERS.get(content[HEADER - 4 : HEADER])
    if order is None:
        raise ValueError("is not a .mat file of version 5 to 7.2")
    for element in _elements(memoryview(content)[HEADER:], order):
        matrix = _matrix(_uncompressed(element, order, limit), order, limit // ELEMENT)
        if matrix.name == variable:
            if len(matrix.shape) != 2 or matrix.shape[0] != 1 or matrix.shape[1] < 1:
                raise ValueError(f"{variable!r} has shape {matrix.shape} instead of (1, n)")
            return matrix
    raise ValueError(f"has no variable {variable!r}")


def _uncompressed(element: Element, order: str, limit: int) -> Element:
    kind, content = element
    if kind != COMPRESSED:
        return element
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(content, limit)
    if not unpacking.eof:
        raise ValueError(_too_large(limit) if len(unpacked) == limit else "is truncated or damaged")
    return next(_elements(memoryview(unpacked), order), (MATRIX, memoryview(b"")))


def _elements(part: memoryview, order: str) -> Iterator[Element]:
    """The elements of a part, padded to 8 bytes but for compressed ones; up to 4 bytes are packed into the tag."""
    at = 0
    while at < len(part):
        kind, size = struct.unpack_from(f"{order}II", part, at)
        start, end = at + 8, at + 8 + size + (0 if kind == COMPRESSED else -size % 8)
        if kind >> 16:
            kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if start + size > min(end, len(part)):
            raise ValueError("is truncated or damaged")
        yield kind, part[start : start + size]
        at = end


def _matrix(element: Element, order: str, most: int) -> Matrix:
    """Its parts; with more parts than expected (each takes far more memory than in the file) it is damaged."""
    kind, content = element
    parts = list(islice(_elements(content, order), most)) if kind == MATRIX else []
    if len(parts) < 3:
        raise ValueError("holds damaged matrices")
    (_, flags), (_, shape), (_, name), *rest = parts
    return Matrix(
        name=str(name, "utf-8"),
        kind=struct.unpack_from(f"{order}I", flags)[0] & 0xFF,
        shape=struct.unpack(f"{order}{len(shape) // 4}i", shape),
        content=rest,
        order=order,
    )


def _structs(matrix: Matrix, fields: tuple[str, ...]) -> list[list[Element]]:
    """The wanted fields of each struct. Their names come first, padded with zeros to equal length."""
    if matrix.kind != STRUCTS or len(matrix.content) < 2:
        raise ValueError(f"{matrix.name!r} is not a struct array")
    (_, length), (_, joined), *values = matrix.content
    step = max(1, *struct.unpack(f"{matrix.order}i", length))
    names = [str(joined[at : at + step], "utf-8").partition("\0")[0] for at in range(0, len(joined), step)]
    missing = [field for field in fields if field not in names]
    if missing:
        raise ValueError(f"{matrix.name!r} has no field {missing[0]!r}")
    if len(values) != len(names) * matrix.shape[1]:
        raise ValueError(f"{matrix.name!r} is truncated or damaged")
    columns = [values[names.index(field) :: len(names)] for field in fields]
    return [list(row) for row in zip(*columns, strict=True)]


def _cells(matrix: Matrix) -> list[list[Element]]:
    if matrix.kind != CELLS or len(matrix.content) != matrix.shape[1]:
        raise ValueError(f"{matrix.name!r} is not an array of {matrix.shape[1]} cells")
    return [[element] for element in matrix.content]


def _texts(number: int, elements: list[Element], order: str) -> tuple[str, ...]:
    return tuple(_text(number, _matrix(element, order, PARTS)) for element in elements)


def _text(number: int, matrix: Matrix) -> str:
    """A matrix that holds one line of text, or one whole number, as text."""
    kind, content = matrix.content[0] if matrix.content else (0, memoryview(b""))
    if matrix.kind == TEXT and kind in ENCODINGS:
        text = str(content, ENCODINGS[kind].format("le" if matrix.order == "<" else "be"))
        if matrix.shape == (1, len(text)):
            return text.strip()
    if matrix.kind > TEXT and kind in NUMBERS and matrix.shape == (1, 1):
        (value,) = struct.unpack(f"{matrix.order}{NUMBERS[kind]}", content)
        if float(value).is_integer():
            return str(int(value))
    raise ValueError(f"record {number} holds no text and no whole number where one should be")
