"""Studies read from their files: each table's keys and values are checked, and what is wrong is named by its place."""

import hashlib
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from relbench.experiment import CODE_VERSION, TASK_SETTINGS, Data, Net, Term, Training
from relbench.files import read_regular
from relbench.lookup import lookup
from relbench.losses import find_loss, validate_term
from relbench.models import find_trunk
from relbench.settings import KINDS, ModelType, one_line
from relbench.studies.changes import ARMS
from relbench.studies.extend import FILE as OWN_LOSS
from relbench.studies.files.layout import (
    AT_THE_TOP,
    BESIDE_TRAINING,
    GROUPS,
    OF_DATA,
    OF_NETWORK,
    OF_RUN,
    OF_RUN_ALONE,
    OF_STAGE,
    OF_TABLE,
    OF_TERM,
    OF_TRAINING,
    usual_claims,
    usual_teacher,
    without_null,
)
from relbench.studies.keys import nearest_keys
from relbench.studies.study import Cell, Claim, RunSpec, Stage, Study

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+=-]{0,79}")  # of a folder of results
PATH = re.compile(r"\w[\w ./+=&():-]{0,79}")  # of a run: in keys of cells, @ and # have a meaning

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Layer:
    """A table of the file, and how a message names it."""

    place: str
    table: Table

    def part(self, keys: Collection[str]) -> "Layer":
        """Some of its keys."""
        return replace(self, table={key: value for key, value in self.table.items() if key in keys})


def read_study_file(path: Path) -> Study:
    """The study in a file; nothing in it is executed.

    Raises:
        ValueError: it is no TOML, or a key, a value or a name in it is wrong; one line with file, place and advice.
        OSError: it can't be read.
    """
    if not path.exists():
        raise ValueError(f"{path} is not there: `relbench study show NAME > {path.name}` begins a study's file")
    text = read_regular(path)
    with told_at(f"{path}:"):
        study = _study(_parsed(text))
    return study.model_copy(update={"file": str(path), "file_hash": hashlib.sha256(text).hexdigest()})


@contextmanager
def told_at(place: str) -> Iterator[None]:
    """What is refused is told with its place."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place} {error}") from None


def _parsed(text: bytes) -> Table:
    try:
        content = without_null(tomllib.loads(text.decode("utf-8-sig")))  # some editors begin files with a mark
    except (ValueError, RecursionError) as error:  # or brackets without end
        raise ValueError(f"is no TOML: {error}") from None
    return dict(content)


def _study(content: Table) -> Study:
    _refuse_unknown(content, (*AT_THE_TOP, *GROUPS, "runs", "other_data", "table"), "")
    groups = {name: _group(content, name) for name in GROUPS}
    shared = _shared_terms(groups["terms"])
    runs = _runs(_tables(Layer("[runs]", content.get("runs", {}))), groups, shared)
    table = _table(content.get("table", {}), "[table]")
    _refuse_unknown(table.table, OF_TABLE, table.place)
    values = {key: value for key, value in content.items() if key in AT_THE_TOP}
    values |= {key: value for key, value in table.table.items() if key != "pairs"}
    values |= {
        "runs": {path: run.model_dump(mode="json") for path, run in runs.items()},
        "task_terms": _terms(content.get("task_terms", []), shared, "task_terms"),
        "other_data": _other_data(content, groups["data"]),
        "cells": _listed(Cell, table, "cells"),
        "claims": _claims(table, list(runs)),
        "code_version": CODE_VERSION,
    }
    study = _valid(Study, values, [table, Layer("", content)])
    if not NAME.fullmatch(study.name):
        raise ValueError(f"name = {study.name!r} is to name a folder: choose up to 80 letters, digits, -, _ and dots")
    for loss in shared:
        lookup(loss, study.losses, "loss of the runs, in [terms]:")
    return study


def _group(content: Table, name: str) -> Layer:
    layer = _table(content.get(name, {}), f"[{name}]")
    known = {"data": OF_DATA, "training": OF_TRAINING, "teacher": OF_NETWORK, "student": OF_NETWORK}
    if name in known:
        _refuse_unknown(layer.table, known[name], layer.place)
    return layer


def _table(value: Any, place: str) -> Layer:
    if not isinstance(value, Mapping):
        raise ValueError(f"{place} is {value!r}: write a table of settings")
    return Layer(place, value)


def _tables(layer: Layer) -> dict[str, Layer]:
    """Tables in a table: [runs.NAME]."""
    given = _table(layer.table, layer.place).table
    return {name: _table(value, f"{layer.place[:-1]}.{name}]") for name, value in given.items()}


def _refuse_unknown(table: Iterable[str], keys: Sequence[str], place: str) -> None:
    """Refuse a key that is not known, with the nearest ones."""
    for key in table:
        if key not in keys:
            advice = "the command's option --device says it" if key == "device" else _advice(key, keys)
            raise ValueError(f"{place} has an unknown setting {key!r}: {advice}".strip())


def _advice(key: str, keys: Sequence[str]) -> str:
    near = nearest_keys(key, keys)
    return f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(keys)}"


def _runs(tables: Mapping[str, Layer], groups: Mapping[str, Layer], shared: Mapping[str, Table]) -> dict[str, RunSpec]:
    if not tables:
        raise ValueError("has no runs: write [runs.teacher], and so on")
    for path, own in tables.items():
        _refuse_unknown(own.table, OF_RUN, own.place)
        if not PATH.fullmatch(path):
            raise ValueError(f"{path!r} can't name a run: choose up to 80 letters, digits, spaces and ./+=&():-")
    roles = {path: str(own.table.get("role", "student")) for path, own in tables.items()}
    return {path: _run(own, roles, groups, shared) for path, own in tables.items()}


def _run(own: Layer, roles: Mapping[str, str], groups: Mapping[str, Layer], shared: Mapping[str, Table]) -> RunSpec:
    role = str(own.table.get("role", "student"))
    arm = str(own.table.get("arm") or ARMS.get(role, ""))
    network = [groups["training"], *([groups[arm]] if arm in ARMS.values() else []), own]
    data = _table(own.table.get("data", {}), f"{own.place} data")
    _refuse_unknown(data.table, OF_DATA, data.place)
    values = {
        "teacher": usual_teacher(role, roles),
        **own.part(OF_RUN_ALONE).table,
        **_beside(network),
        "stages": _stages(own, shared),
        "data": _of(Data, _merged([groups["data"], data], OF_DATA)),
        "task": _task(groups["task"], _table(own.table.get("task", {}), f"{own.place} task")),
        "net": _net(network).model_dump(mode="json"),
        "training": _of(Training, _merged(network, Training.model_fields)),
    }
    return _valid(RunSpec, values, network)


def _beside(network: Sequence[Layer]) -> Table:
    """What stands beside a training's settings; epochs are their number, as `--set` has them, or a table."""
    beside, _ = _merged(network, BESIDE_TRAINING)
    epochs = beside.get("epochs")
    return beside | ({"epochs": {"count": epochs}} if isinstance(epochs, int) else {})


def _net(network: Sequence[Layer]) -> Net:
    values, layers = _merged(network, Net.model_fields)
    net = _valid(Net, values, layers)
    with told_at(next((layer.place for layer in reversed(layers) if "trunk" in layer.table), layers[-1].place)):
        find_trunk(net.trunk)
    return net


def _merged(layers: Sequence[Layer], keys: Collection[str]) -> tuple[dict[str, Any], list[Layer]]:
    """Settings of several tables, of which a later one wins, and the parts that they are from."""
    parts = [layer.part(keys) for layer in layers]
    return {key: value for layer in parts for key, value in layer.table.items()}, parts


def _of(kind: type[ModelType], given: tuple[Table, Sequence[Layer]]) -> dict[str, Any]:
    return _valid(kind, *given).model_dump(mode="json")


def _valid(kind: type[ModelType], values: Table, layers: Sequence[Layer]) -> ModelType:
    """A validated model; what is wrong is named by the last table that has it."""
    try:
        return kind.model_validate_json(to_json(values))
    except ValidationError as error:
        wrong = [part for problem in error.errors() for part in problem["loc"] if part not in KINDS]
        place = next((layer.place for layer in reversed(layers) if {*wrong} & {*layer.table}), layers[-1].place)
        raise ValueError(f"{place} {one_line(error).removeprefix('settings: ')}".strip()) from None


def _task(shared: Layer, own: Layer) -> dict[str, Any]:
    """The task: settings of one of another kind are not shared."""
    layers = [shared, own]
    kinds = [str(layer.table["kind"]) for layer in layers if "kind" in layer.table]
    if len(set(kinds)) > 1:
        layers = [own]
    kind = lookup(kinds[-1] if kinds else "retrieval", TASK_SETTINGS, f"{layers[-1].place} kind")
    settings = TASK_SETTINGS[kind]
    for layer in layers:
        _refuse_unknown(layer.table, list(settings.model_fields), layer.place)
    return _of(settings, _merged(layers, settings.model_fields))


def _stages(own: Layer, shared: Mapping[str, Table]) -> list[dict[str, Any]]:
    """The stages, or the only one, whose terms stand in the run's own table."""
    if ("terms" in own.table) == ("stages" in own.table):
        raise ValueError(
            f"{own.place} needs terms, the losses that it is trained by, or stages, each with terms, but not both "
            "(stages = []: it is never trained)"
        )
    if "terms" in own.table:
        return [_stage(own.part(["terms"]), shared)]
    place = f"{own.place} stages"
    return [_stage(_table(each, place), shared) for each in _list(own.table["stages"], place)]


def _stage(given: Layer, shared: Mapping[str, Table]) -> dict[str, Any]:
    _refuse_unknown(given.table, OF_STAGE, given.place)
    changes = _table(given.table.get("changes", {}), f"{given.place} changes")
    _refuse_unknown(changes.table, list(Training.model_fields), changes.place)
    terms = _terms(given.table.get("terms", []), shared, f"{given.place} terms")
    if not terms:
        raise ValueError(f"{given.place} has no terms: name the losses that it is trained by")
    return _of(Stage, ({**given.table, "terms": terms}, [given]))


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{place} is {value!r}: write a list in brackets")
    return value


def _shared_terms(layer: Layer) -> dict[str, Table]:
    tables = _tables(layer)
    for loss, own in tables.items():
        with told_at(own.place):
            find_loss(loss)
    return {loss: own.table for loss, own in tables.items()}


def _terms(given: Any, shared: Mapping[str, Table], place: str) -> list[dict[str, Any]]:
    return [_term(each, shared, place) for each in _list(given, place)]


def _term(given: Any, shared: Mapping[str, Table], place: str) -> dict[str, Any]:
    """A term: the name of a loss, or a table with it, weight, layers, and the loss's options beside them."""
    own = {"loss": given} if isinstance(given, str) else _table(given, place).table
    loss = str(own.get("loss", ""))
    if OWN_LOSS.search(loss):
        raise ValueError(
            f"{place} has a loss in a file, {loss}, and no study's file has code executed: add it by "
            f"`relbench compare {loss} --study FILE.toml`"
        )
    values = {**shared.get(loss, {}), **own}
    options = {key: value for key, value in values.items() if key not in OF_TERM}
    with told_at(f"{place}:"):
        validate_term(loss, options)
    known = {key: value for key, value in values.items() if key in OF_TERM}
    return _of(Term, ({**known, "options": options}, [Layer(f"{place}, {loss}:", {})]))


def _other_data(content: Table, shared: Layer) -> dict[str, Any]:
    own = _tables(Layer("[other_data]", content.get("other_data", {})))
    for layer in own.values():
        _refuse_unknown(layer.table, OF_DATA, layer.place)
    return {
        name: _of(Data, _merged([shared, Layer("", {"name": name}), layer], OF_DATA)) for name, layer in own.items()
    }


def _listed(kind: type[ModelType], layer: Layer, name: str) -> list[dict[str, Any]]:
    """Tables in a list, such as cells."""
    given = _list(layer.table.get(name, []), f"{layer.place} {name}")
    rows = [_table(row, f"{layer.place} {name}, number {at},") for at, row in enumerate(given, start=1)]
    for row in rows:
        _refuse_unknown(row.table, list(kind.model_fields), row.place)
    return [_of(kind, (row.table, [row])) for row in rows]


def _claims(layer: Layer, paths: Sequence[str]) -> list[dict[str, Any]]:
    """The claims; without any, those that a table of lines asks in any case."""
    table = layer.table
    if "claims" in table or "cells" in table:
        if "pairs" in table:
            raise ValueError(f"{layer.place} has pairs beside cells or claims: write them as claims")
        return _listed(Claim, layer, "claims")
    pairs = _list(table.get("pairs", []), f"{layer.place} pairs")
    for pair in pairs:
        if not isinstance(pair, list) or [type(path) for path in pair] != [str, str]:
            raise ValueError(f"{layer.place} pairs has {pair!r}: write two runs, such as ['rkd-da', 'triplet']")
        for path in pair:
            lookup(path, paths, "run in pairs")
        if pair[0] == pair[1] or sum({*pair} == {*each} for each in pairs) > 1:
            raise ValueError(f"{layer.place} pairs has {pair!r}: name each pair of two runs once")
    return [claim.model_dump(mode="json") for claim in usual_claims(paths, pairs)]
