"""Groups of settings: frozen, validated, hashed under the names that they have always had."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

LONGEST_SHOWN = 80  # characters of a refused value
# Parts of a place that nobody writes.
KINDS = ("transform", "glyphs", "photos", "small", "number of classes", "class names")

# Renamed settings, with their names in files of earlier versions. Fingerprints hash the former names, so that finished
# runs keep theirs.
FORMER_NAMES = {
    "training": "protocol",
    "initialized_from": "start",
    "code_version": "recipe",
    "log_test_metrics": "watch_test",
    "dependencies": "foundations",
    "added_losses": "contenders",
    "counts": "by_class",
    "groups": "classes",
    "trials": "queries",
}


def renamed(name: str) -> FieldInfo:
    """A renamed field, which is read under its name or its former name."""
    return cast("FieldInfo", Field(validation_alias=AliasChoices(name, FORMER_NAMES[name])))


def under_former_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as fingerprints hash them: under the names of `FORMER_NAMES`, a transform's beside the data set's.

    Of weights from a file, the content counts, not the path.

    Args:
        settings: those that differ from their defaults, as JSON has them.
    """
    former = {FORMER_NAMES.get(name, name): value for name, value in settings.items()}
    data = dict(former.pop("data", {}))
    data |= data.pop("transform", None) or {}
    if former.get("net"):
        former["net"] = _without_path(former["net"])
    return former | ({"data": data} if data else {})


def _without_path(net: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in net.items() if name != "weights" or not net.get("weights_content")}


class Settings(BaseModel):
    """A frozen group of settings that refuses unknown names, and strings where numbers belong."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


SettingsType = TypeVar("SettingsType", bound=Settings)
ModelType = TypeVar("ModelType", bound=BaseModel)


def short_hash(settings: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of the hash of settings that JSON can hold; the order of names does not matter."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def one_line(error: ValidationError) -> str:
    """Pydantic's errors on one line: the setting, its value, and what is wrong."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'] if part not in KINDS) or 'settings'}"
        f"{_given(problem['input'])}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False)
    )


def reason(error: Exception) -> str:
    """Why a file can't be taken, on one line: in the words of pydantic, of the system, or of a check."""
    return one_line(error) if isinstance(error, ValidationError) else getattr(error, "strerror", None) or str(error)


def _given(value: object) -> str:
    """A refused value, shortened; "" for a group of settings."""
    text = "" if isinstance(value, BaseModel | Mapping) else f" = {value!r}"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def changed(settings: SettingsType, values: Mapping[str, Any]) -> SettingsType:
    """A copy with other values, validated like new settings.

    Raises:
        ValueError: one line naming the setting that is unknown or of the wrong kind.
    """
    return validated(type(settings), {**dict(settings), **values})


def validated(kind: type[ModelType], values: Mapping[str, Any]) -> ModelType:
    """A model with these values.

    Raises:
        ValueError: one line naming what is unknown, missing or of the wrong kind.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ValueError(one_line(error)) from None
