"""Damaged annotation files: what a reader must make of them."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import strategies as st


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """The content with one line gone, doubled or moved, or one byte gone, doubled or another; or cut short."""
    how = draw(st.sampled_from(["line", "line", "byte", "byte", "cut"]))
    if how == "cut":
        return content[: draw(st.integers(0, len(content)))]
    parts = content.split(b"\n") if how == "line" else [content[at : at + 1] for at in range(len(content))]
    at = draw(st.integers(0, len(parts) - 1))
    new = b"" if how == "line" else draw(st.binary(min_size=1, max_size=1))
    other = draw(st.sampled_from(parts))
    parts[at : at + 1] = draw(st.sampled_from([[], [parts[at]] * 2, [new], [new, parts[at]], [other]]))
    return (b"\n" if how == "line" else b"").join(parts)


def with_content(file: Path, content: bytes, act: Callable[[], object]) -> object:
    """What `act` returns while the file has that content."""
    before = file.read_bytes()
    file.write_bytes(content)
    try:
        return act()
    finally:
        file.write_bytes(before)


def refusal(act: Callable[[], object]) -> str:
    """The message of the one-line refusal."""
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        act()
    assert type(caught.value) is ValueError
    return str(caught.value)


def refusal_after(edit: Callable[[str], str], file: Path, act: Callable[[], object]) -> str:
    """The refusal while the file's text is edited."""
    before = file.read_text(encoding="utf-8")
    after = edit(before)
    assert after != before
    return with_content(file, after.encode(), lambda: refusal(act))


def table_or_refusal(act: Callable[[], pd.DataFrame], *names: str) -> pd.DataFrame | None:
    """The table, or None after a refusal in one line that names one of the files."""
    try:
        return act()
    except ValueError as error:
        refused = error
    assert type(refused) is ValueError, repr(refused)
    assert re.fullmatch(r".+", str(refused)), refused
    assert any(name in str(refused) for name in names), refused
    return None


def rows_of(table: pd.DataFrame) -> list[tuple]:
    return list(table.itertuples(index=False, name=None))


def line(number: int, text: str) -> Callable[[str], str]:
    """An edit: another text as that line (from 1)."""
    return lambda content: "".join(
        f"{text}\n" if at == number else old for at, old in enumerate(content.splitlines(keepends=True), start=1)
    )


def without(number: int) -> Callable[[str], str]:
    """An edit: that line is gone."""
    return lambda content: "".join(
        old for at, old in enumerate(content.splitlines(keepends=True), start=1) if at != number
    )


def doubled(number: int) -> Callable[[str], str]:
    """An edit: that line occurs twice."""
    return lambda content: "".join(
        old * (2 if at == number else 1) for at, old in enumerate(content.splitlines(keepends=True), start=1)
    )


def replaced(old: str, new: str) -> Callable[[str], str]:
    """An edit: the first such text is another."""
    return lambda content: content.replace(old, new, 1)
