"""Embeddings in files that are compared with others: where theirs lack labels, those of the first are theirs."""

from functools import partial

from relbench.evaluation.alignment import of_the_same
from relbench.evaluation.beside import Beside
from relbench.evaluation.paired import Source
from relbench.evaluation.stored import NAMES, Files, Stored, open_file, read_files


def source_of(files: Files) -> Source:
    """Embeddings in files, called as their file."""
    return Source(str(files.embeddings), partial(_read, files))


def _read(files: Files, first: Beside | None) -> Stored:
    """Embeddings with labels of their own; or, where their file holds nothing else, with what belongs to the first."""
    if first is None or files.labels is not None or files.gallery is not None:
        return read_files(files)
    held = open_file(files.embeddings, files.matrix, files.columns)
    if {files.label_column, held.labels, NAMES, "name"}.intersection(held.names):
        return read_files(files)
    return of_the_same(held.rows(files.matrix), first)
