"""The settings that `--set` can change: their keys, values, meaning and choices, read off the settings themselves."""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from relbench.data import resolve_transform
from relbench.experiment import SETTINGS_OF_DATA, SETTINGS_OF_NET, Data, Net, Term, Training, flattened
from relbench.losses import find_loss
from relbench.losses.inputs import NEEDS
from relbench.settings import Settings
from relbench.studies.changes import arm_of, keys_of_task, setting_keys
from relbench.studies.files import find_study
from relbench.studies.study import RunSpec, Study
from relbench.transforms import Transform


@dataclass(frozen=True)
class Setting:
    """One setting, of one or of several networks.

    Attributes:
        values: by key, as `--set` would be told; several where networks differ.
        meaning: one sentence.
        choices: what it can be, in words.
    """

    values: Mapping[str, tuple[str, ...]]
    meaning: str
    choices: str


def settings_of(name: str) -> list[Setting]:
    """The settings of a study, as it is built without options, or of the study in a file.

    Raises:
        ValueError: there is no such study, or something in the file is wrong.
    """
    return list(_settings(find_study(name)))


def _settings(study: Study) -> Iterator[Setting]:
    yield from _of_runs(study)
    for loss in study.losses:
        yield from _of_loss(loss, [term for term in study.terms if term.loss == loss])


def _of_runs(study: Study) -> Iterator[Setting]:
    known = setting_keys(study)
    trained = [run for run in study.runs.values() if run.stages]
    arms = {arm: [run for run in trained if arm_of(run) == arm] for arm in ("teacher", "student")}
    for key, kind in SETTINGS_OF_DATA.items():
        if f"data.{key}" in known and kind in (Data, *_views(trained)):
            yield _setting(kind, key, {f"data.{key}": [run.data for run in trained]})
    yield from _of_tasks(known, trained)
    for key in SETTINGS_OF_NET:
        yield _setting(Net, key, {f"{arm}.{key}": [run.net for run in runs] for arm, runs in arms.items() if runs})
    groups: Mapping[str, Sequence[RunSpec]] = {"training": trained} | arms
    if "training.epochs" in known:
        yield _epochs({f"{group}.epochs": runs for group, runs in groups.items() if runs})
    for key in Training.model_fields:
        if f"training.{key}" in known:
            yield _setting(
                Training,
                key,
                {f"{group}.{key}": [run.training for run in runs] for group, runs in groups.items() if runs},
            )


def _of_tasks(known: Sequence[str], runs: Sequence[RunSpec]) -> Iterator[Setting]:
    for kind in dict.fromkeys(type(run.task) for run in runs):
        tasks = [run.task for run in runs if type(run.task) is kind]
        for key in (key for key in keys_of_task(tasks[0]) if f"task.{key}" in known):
            yield _setting(kind, key, {f"task.{key}": tasks})


def _views(runs: Sequence[RunSpec]) -> set[type[Transform]]:
    """The kinds of views that the study's data sets make: the settings of others are for other data sets."""
    return {type(resolve_transform(run.data)) for run in runs}


def _of_loss(loss: str, terms: Sequence[Term]) -> Iterator[Setting]:
    for key in ("weight", "loss", "layers"):
        yield _setting(Term, key, {f"terms.{loss}.{key}": terms})
    for name, option in find_loss(loss).options.items():
        if name not in NEEDS:
            default = {} if option.default is inspect.Parameter.empty else {name: option.default}
            values = [(default | term.options).get(name) for term in terms]
            choices = choices_of(TypeAdapter(option.annotation).json_schema())
            yield Setting({f"terms.{loss}.{name}": _distinct(values)}, f"Option of the loss {loss}.", choices)


def _setting(kind: type[Settings], key: str, holders: Mapping[str, Sequence[Settings]]) -> Setting:
    values = {name: _distinct([flattened(given)[key] for given in settings]) for name, settings in holders.items()}
    schema = kind.model_json_schema()["properties"][key]
    meaning = " ".join((kind.model_fields[key].description or "").split())
    return Setting(values, meaning, choices_of(schema))


def _epochs(holders: Mapping[str, Sequence[RunSpec]]) -> Setting:
    values = {name: _distinct([run.epochs.count for run in runs if run.epochs]) for name, runs in holders.items()}
    return Setting(values, "Passes over the training images.", "whole number above 0")


def _distinct(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value if isinstance(value, str) and value else json.dumps(value) for value in values))


def choices_of(schema: Mapping[str, Any]) -> str:
    """What a value can be, from its JSON schema."""
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(map(choices_of, alternatives))
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    if "type" not in schema:  # the library that an option is of does not say
        return "any value"
    words = {"integer": "whole number", "boolean": "true or false", "string": "text", "array": "list"}
    kind = words.get(schema["type"], schema["type"])
    return f"{kind} {bounds}" if (bounds := _bounds(schema)) else kind


def _bounds(schema: Mapping[str, Any]) -> str:
    """From 8 to 1,024; or at least 2; or above 0."""
    if "minimum" in schema and "maximum" in schema:
        return f"from {schema['minimum']:,} to {schema['maximum']:,}"
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    return " and ".join(f"{word} {schema[name]:,}" for name, word in words.items() if name in schema)
