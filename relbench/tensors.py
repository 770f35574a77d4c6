"""Tensors in files: safe reading, and a hash of their content."""

import hashlib
import pickle
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from relbench.files import open_regular


def read_tensors(path: Path) -> Any:
    """Content of a file of `torch.save`: tensors, numbers, strings, and lists and dicts of them.

    Nothing in the file is executed: a pickle that needs code is refused. The content itself is not checked.

    Raises:
        ValueError: the file holds more than data.
        Exception: the file is damaged; torch and Python's unpickler raise errors of many kinds.
    """
    with open_regular(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of an unusual pickle before it refuses it
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # torch would advise to execute it
            raise ValueError("it holds more than tensors, which could only be read by executing it") from None


def content_hash(content: object) -> str:
    """SHA-256 of tensors, arrays, numbers and strings, and of lists and dicts of them.

    Equal content has an equal hash, whatever its file, device and memory layout. Types, shapes and names belong to the
    content, and so does the order of a list; the order of a dict does not.

    Raises:
        TypeError: the content holds something else.

    Example:
        >>> content_hash({"a": torch.ones(2)}) == content_hash({"a": torch.tensor([1.0, 1.0])})
        True
        >>> content_hash({"a": torch.ones(2)}) == content_hash({"a": torch.ones(2, 1)})
        False
    """
    digest = hashlib.sha256()
    for part in _parts(content):
        digest.update(part)
    return digest.hexdigest()


def _parts(content: object) -> Iterator[bytes | memoryview]:
    """Bytes of all values, each after its type and size, so that different content has different bytes."""
    if isinstance(content, torch.Tensor):
        flat = content.detach().cpu().contiguous().reshape(-1)
        yield _head("tensor", content.dtype, tuple(content.shape))
        yield flat.view(torch.uint8).numpy().data
    elif isinstance(content, np.ndarray):
        yield _head("array", content.dtype.str, content.shape)
        yield np.ascontiguousarray(content).reshape(-1).view(np.uint8).data
    else:
        yield from _other_parts(content)


def _other_parts(content: object) -> Iterator[bytes | memoryview]:
    if isinstance(content, Mapping):
        yield _head("dict", len(content))
        for key in sorted(content, key=repr):
            yield _head(key)
            yield from _parts(content[key])
    elif isinstance(content, list | tuple):
        yield _head("list", len(content))
        for value in content:
            yield from _parts(value)
    elif isinstance(content, int | float | str | bytes | None):
        yield _head(type(content).__name__, content)
    else:
        raise TypeError(f"a {type(content).__name__} has no hash here")


def _head(*facts: object) -> bytes:
    return repr(facts).encode() + b"\0"
