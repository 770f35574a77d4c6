"""The folder that the results of a request go to: a request never replaces what another has finished."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from relbench.settings import short_hash

LONGEST = 80  # letters of a folder's name, beside a hash
PLAIN = re.compile(r"\w[\w.+=,-]*")  # letters that need no quotes in a shell, and are allowed on every disk
NOT_PLAIN = re.compile(r"^\W+|[^\w.+=,-]+")  # so that no name leads out of the folder of results


def folder_name(study: str, changes: Mapping[str, Any]) -> str:
    """The study's name, followed by the settings that were changed: quickstart-student.dim=64.

    Where that is too long, or no plain name of a folder, a hash of the settings stands in for them, and a dash for
    letters of the study's name that no folder has.
    """
    words = ",".join(f"{key}={_written(changes[key])}" for key in sorted(changes))
    name = "-".join(filter(None, (study, words)))
    if PLAIN.fullmatch(name) and len(name) <= LONGEST:
        return name
    identity = short_hash({"study": study, "changes": words})[:8]
    return f"{NOT_PLAIN.sub('-', study)[:LONGEST]}-{identity}".lstrip("-")


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def own_folder(
    results: Path, name: str, identity: str, is_another_s: Callable[[Path], bool], hear: Callable[[str], None]
) -> Path:
    """The folder that holds a request's results, or may be made for them.

    Args:
        results: holds the folders of all studies.
        name: from `folder_name`.
        identity: a hash of the request; added to the name where that folder holds the results of another request.
        is_another_s: tells whether a folder holds results of another request.
        hear: is told if the folder has not the name.

    Raises:
        ValueError: both folders hold results of other requests, or a folder's record of its request is damaged.
    """
    folder, own = results / name, results / f"{name}-{identity[:8]}"
    if not own.exists() and not is_another_s(folder):
        return folder
    if is_another_s(own):
        raise ValueError(f"{own} holds results of other settings: move it away, or name another folder with --results")
    hear(f"{folder} holds results of other settings, device, data or losses, and is left alone: these go to {own}")
    return own
