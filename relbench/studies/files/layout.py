"""The layout of a study's file, which its reader and its writer share.

A run has the settings of [data], [task] and [training], then those of [teacher] or [student], by its role, then its
own; a term has those of [terms.LOSS], then its own. So the groups are those of `--set`, and so are their keys.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from relbench.experiment import SETTINGS_OF_DATA, Net, Term, Training
from relbench.studies.distillation import PAIRS, STUDENTS, TEACHER, against_teacher, compared
from relbench.studies.study import Claim, Stage

NULL = "null"  # stands for no value, which TOML does not have

OF_DATA = (*SETTINGS_OF_DATA, "transform")
BESIDE_TRAINING = ("epochs", "rates", "partitions")  # of a run, and often shared by all
OF_TRAINING = (*(key for key in Training.model_fields if key != "device"), *BESIDE_TRAINING)  # see --device
OF_NETWORK = (*(key for key in Net.model_fields if key != "weights_content"), *OF_TRAINING)
OF_STAGE = tuple(Stage.model_fields)
OF_TERM = tuple(key for key in Term.model_fields if key in {"loss", "weight", "layers"})  # the rest is options
OF_RUN_ALONE = ("role", "arm", "teacher", "starts_from", "steps_as", "tuned_with", "note", "stages")
OF_RUN = ("terms", *OF_RUN_ALONE, "data", "task", *OF_NETWORK)
GROUPS = ("data", "task", "training", "teacher", "student", "terms")
AT_THE_TOP = ("name", "title", "source", "notes", "settings_notes", "variant", "scale", "seeds", "task_terms")
OF_TABLE = ("methods_in", "curves_over", "cells", "pairs", "claims")


def usual_teacher(role: str, roles: Mapping[str, str]) -> str:
    """The teacher of a run that names none: a student's is the only one that there is.

    Args:
        role: of the run.
        roles: of all runs, by path.
    """
    teachers = [path for path, each in roles.items() if each == "teacher"]
    return teachers[0] if role == "student" and len(teachers) == 1 else ""


def usual_claims(paths: Sequence[str], pairs: Sequence[Sequence[str]]) -> tuple[Claim, ...]:
    """What is claimed where nothing else is said: everybody beats the teacher, and some beat another.

    Args:
        paths: of all runs.
        pairs: runs, and others that each of them is compared with as well.
    """
    against = (against_teacher(path, STUDENTS) for path in paths if path != TEACHER)
    return (*against, *(compared(*pair) for pair in pairs))


def pairs_of(claims: Sequence[Claim]) -> list[list[str]]:
    """The pairs that `usual_claims` would make such claims of."""
    return [list(pair) for claim in claims if claim.family == PAIRS for pair in claim.better]


def with_null(value: Any) -> Any:
    """A value as TOML has it: no value by its word.

    Raises:
        ValueError: a text is that word.
    """
    if value == NULL:
        raise ValueError(f"the text {NULL!r} stands for no value in a study's file: choose another")
    if isinstance(value, Mapping):
        return {key: with_null(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [with_null(each) for each in value]
    return NULL if value is None else value


def without_null(value: Any) -> Any:
    """The reverse of `with_null`."""
    if isinstance(value, Mapping):
        return {key: without_null(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_null(each) for each in value]
    return None if value == NULL else value
