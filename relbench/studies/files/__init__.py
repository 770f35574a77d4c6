"""Studies as TOML files: one form for those of relbench, written out, and for those that somebody writes by hand."""

import inspect
from collections.abc import Mapping
from pathlib import Path

from relbench.data import data_set_names
from relbench.lookup import lookup
from relbench.studies import STUDIES, build_study
from relbench.studies.files.reader import read_study_file, told_at
from relbench.studies.files.writer import study_text
from relbench.studies.study import Study

__all__ = ["find_study", "read_study_file", "study_text"]

ENDING = ".toml"


def find_study(name: str, options: Mapping[str, str] | None = None, root: Path | None = None) -> Study:
    """A study of relbench by its name, or the study in a file.

    Args:
        name: one of `STUDIES`, or a path that ends with .toml.
        options: what the builder of a study of relbench takes, such as protocol and scale.
        root: holds the data sets, of which a file may name no other; None: nobody looks.

    Raises:
        ValueError: there is no such study, it has no such option, or something in the file is wrong; one line.
        OSError: the file can't be read.
    """
    if not name.endswith(ENDING):
        return build_study(name, options)
    for option in options or {}:
        raise ValueError(f"{name} is a file, which says all that it is: leave --{option} out, or change the file")
    study = read_study_file(Path(name).expanduser())
    if root:
        for path, run in study.items:
            with told_at(f"{name}: [runs.{path}]"):
                lookup(run.data.name, data_set_names(root), "data set")
    return _same_as_ours(study) if study.name in STUDIES else study


def _same_as_ours(study: Study) -> Study:
    """The study of relbench that has its name; refused where it is another."""
    taken = inspect.signature(STUDIES[study.name]).parameters
    options = {key: value for key, value in {"scale": study.scale, **study.variant}.items() if key in taken}
    ours = build_study(study.name, options)
    if ours != study.model_copy(update={"file": "", "file_hash": ""}):
        raise ValueError(
            f"{study.file}: name = {study.name!r} is that of a study of relbench, and this one differs from it: choose "
            "another, by which its folder of results is named"
        )
    return ours
