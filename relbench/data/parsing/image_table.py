"""Tables of images as CSV or Parquet files, with the checks of published data sets."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from relbench.data.parsing.annotations import text_lines
from relbench.data.parsing.missing import Place, refuse_missing
from relbench.data.parsing.survey import Survey, checked_survey
from relbench.data.table import CLASS_NAME, COLUMNS, ROLES, Sharing, checked
from relbench.extras import needed
from relbench.files import check_memory, open_regular
from relbench.lookup import meant

CELL = 64  # bytes that a cell of a table takes in memory, about
NEEDED = ("path", "label", "split")
TRUTH = {"true": True, "1": True, "false": False, "0": False, "": None}
USED = (*NEEDED, *ROLES, CLASS_NAME)
OTHER_WORDS = {  # that tables of images use, without case and signs, for the columns that are meant
    **dict.fromkeys(("file", "filename", "filepath", "image", "imagepath", "img", "imgpath"), "path"),
    **dict.fromkeys(("class", "category", "target", "identity"), "label"),
    **dict.fromkeys(("set", "subset", "partition", "fold", "phase"), "split"),
    **dict.fromkeys(("isquery", "queries", "probe", "isprobe"), "query"),
    **dict.fromkeys(("isgallery", "galleries"), "gallery"),
    **dict.fromkeys(("displayname", "labelname"), CLASS_NAME),
}


def read_table(path: Path, classes: Sharing = "disjoint") -> pd.DataFrame:
    """Read a table of images: CSV (UTF-8, commas, a header) or Parquet.

    Columns are `path` (relative to the table's folder, or absolute), `label`, `split` ("train" or "test"; "validation"
    if wanted) and, if wanted, `query` and `gallery`: true or false (in CSV also 1 or 0), of no meaning but on test
    lines. `class_name`, if wanted, is what readers are shown in place of the label; a label has at most one. Other
    columns are left out (see `left_out_columns`), unless their names nearly are those of missing columns.

    Args:
        path: the table, named `*.csv` or `*.parquet`.
        classes: what its splits promise.

    Returns:
        A checked table with `path` as `name`; it may have no validation classes.

    Raises:
        ValueError: the table cannot be read, is refused by `checked`, or names an image that is not there; names file
            and line.
    """
    table, place = _parsed(path)
    table = _checked(path, table, place, classes)
    refuse_missing(path.parent, list(table["name"]), place)
    _refuse_same(path.parent, list(table["name"]), place)
    return table


def _checked(path: Path, table: pd.DataFrame, place: Place, classes: Sharing) -> pd.DataFrame:
    table = checked(table, needs_validation=False, classes=classes, where=str(path), place=place)
    _check_class_names(table, place)
    return table


def _check_class_names(table: pd.DataFrame, place: Place) -> None:
    if CLASS_NAME not in table:
        return
    shown: dict[str, str] = {}
    for row, (label, name) in enumerate(zip(table["label"], table[CLASS_NAME], strict=True)):
        if not isinstance(name, str) and pd.api.types.is_scalar(name) and pd.isna(name):
            continue
        if not isinstance(name, str):
            raise ValueError(f"{place(row)}: has a {CLASS_NAME} that is not text: correct the table")
        if shown.setdefault(label, name) != name:
            raise ValueError(
                f"{place(row)}: class {label!r} has the {CLASS_NAME} {name!r}, but {shown[label]!r} above: name it once"
            )


def _refuse_same(folder: Path, names: list[str], place: Place) -> None:
    """Refuse two names of one image, say by a relative and an absolute path: it could be on both sides of the split.

    Folders are resolved once each, as that takes long on a network disk.
    """
    split = [os.path.split(name) for name in names]
    folders = {parent: (folder / parent).resolve() for parent in {parent for parent, _ in split}}
    first: dict[Path, int] = {}
    for row, (parent, name) in enumerate(split):
        path = folders[parent] / name
        before = first.setdefault(path.resolve() if path.is_symlink() else path, row)
        if before != row:
            same = f"{names[row]!r} is the same file as {names[before]!r} ({place(before)})"
            raise ValueError(f"{place(row)}: {same}: drop one")


def survey_table(path: Path, classes: Sharing = "disjoint") -> Survey:
    """The images that a table names, whatever else is wrong with it; none where it can't be read."""
    try:
        table, place = _parsed(path)
    except ValueError as error:
        return Survey([str(error)], [])
    named = [(name, place(row)) for row, name in enumerate(table["name"]) if isinstance(name, str)]
    return checked_survey(named, lambda: _checked(path, table, place, classes))


def _parsed(path: Path) -> tuple[pd.DataFrame, Place]:
    """The columns of a table that are used, with `path` as `name`, and what its lines are called."""
    table, place = _whole(path)
    names = table["path"].map(lambda name: str(PurePosixPath(name)) if isinstance(name, str) else name)
    return table.assign(name=names)[
        [column for column in (*COLUMNS, *ROLES, CLASS_NAME) if column in ("name", *table)]
    ], place


def left_out_columns(path: Path) -> list[str]:
    """What a table that `read_table` reads says in vain, a sentence for each: columns, and roles of training images."""
    table, _ = _whole(path)
    columns = [str(column) or "one without a name" for column in table if column not in USED]
    vain = {role: int((table[role].isin([True]) & table["split"].ne("test")).sum()) for role in ROLES if role in table}
    return [
        *([f"columns left out: {', '.join(columns)}"] if columns else []),
        *(
            f"{role} = true on {count:,} lines outside the split test has no effect"
            for role, count in vain.items()
            if count
        ),
    ]


def _whole(path: Path) -> tuple[pd.DataFrame, Place]:
    """A table as it stands, and what its lines are called."""
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        why = "is neither .csv nor .parquet: rename it" if path.exists() else "does not exist: check the path"
        raise ValueError(f"{path} {why}")
    table, place = readers[path.suffix.lower()](path)
    _refuse_near_misses(path, list(map(str, table)))
    return table, place


def _refuse_near_misses(path: Path, columns: Sequence[str]) -> None:
    """Refuse a table that lacks or misnames a column: what is not taken must not be what was meant."""
    near = {meant(column, USED, OTHER_WORDS): column for column in columns if column not in USED}
    for column in (column for column in USED if column not in columns):
        other = near.get(column)
        if column in NEEDED:
            hint = f" (is it {other!r}? rename it)" if other else ""
            raise ValueError(
                f"{path} lacks the column {column!r}: it needs {','.join(NEEDED)}, separated by commas{hint}"
            )
        if other:
            raise ValueError(
                f"{path} has a column {other!r}: did you mean {column!r}? rename it, to something else if not"
            )


def _read_csv(path: Path) -> tuple[pd.DataFrame, Place]:
    (_, header), *rows = _csv_rows(path)
    if len(set(header)) < len(header):
        raise ValueError(f"{path}, line 1: a column occurs twice: the header must name each once")
    for number, row in rows:
        if len(row) != len(header):
            raise ValueError(f"{path}, line {number}: has {len(row)} columns, the header has {len(header)}: correct it")
    table = pd.DataFrame([[cell or None for cell in row] for _, row in rows], columns=header, dtype=object)
    for role in (role for role in ROLES if role in table):
        table[role] = [TRUTH.get(str(value or "").lower(), value) for value in table[role]]
    return table, lambda row: f"{path}, line {rows[row][0]}"


def _csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and fields of each line that is not blank; a byte order mark, as Excel writes it, is dropped."""
    first, *others = text_lines(path)
    reader = csv.reader([first.removeprefix("\ufeff"), *others], skipinitialspace=True, strict=True)
    try:
        rows = [(reader.line_num, [field.strip() for field in row]) for row in reader if row]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}: correct it") from None
    if not rows:
        raise ValueError(f"{path} has no line: it needs the header {','.join(NEEDED)}")
    return rows


def _read_parquet(path: Path) -> tuple[pd.DataFrame, Place]:
    """Labels may be whole numbers; columns may be categories, as pandas keeps texts that come often."""
    needed("pyarrow", "parquet", str(path))
    from pyarrow import parquet  # noqa: PLC0415 - not installed everywhere

    try:
        with open_regular(path) as file:
            held = parquet.read_metadata(file)
            check_memory(held.num_rows * held.num_columns * CELL)
            table = pd.read_parquet(file, engine="pyarrow")
        for column in table:
            table[column].to_numpy(dtype=object)  # texts are looked at only now: they may be no UTF-8
    except Exception as error:  # noqa: BLE001 - on damaged files pyarrow raises errors of nearly any kind
        raise ValueError(f"{path} cannot be read ({str(error).partition(chr(10))[0]}): write it again") from None
    for column in table.select_dtypes("category"):
        table[column] = table[column].astype(object).infer_objects()
    if "label" in table and pd.api.types.is_integer_dtype(table["label"]):
        table["label"] = table["label"].map(str, na_action="ignore")
    return table, lambda row: f"{path}, row {row + 1}"
