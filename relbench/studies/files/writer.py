"""Studies written as files, for people to read and to change: what most runs share stands once."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from relbench.experiment import Data, Net, Retrieval, TaskSettings, Term, Training
from relbench.settings import Settings
from relbench.studies.changes import arm_of
from relbench.studies.files.layout import (
    AT_THE_TOP,
    BESIDE_TRAINING,
    OF_NETWORK,
    OF_RUN_ALONE,
    OF_TERM,
    OF_TRAINING,
    pairs_of,
    usual_claims,
    usual_teacher,
)
from relbench.studies.files.toml import key_of, lines, section
from relbench.studies.study import RunSpec, Stage, Study

HEAD = """\
# A study in a file: which networks are trained, by which losses, and what is asked of them.
#
#     relbench reproduce THIS.toml     makes its runs, its table and its report
#     relbench settings THIS.toml      lists the settings that can stand here: their meaning, their choices
#
# A run has the settings of [data], [task] and [training], then of [teacher] or [student], by its role, then its own.
# A term has those of [terms.LOSS], then its own. What is not here has its usual value; "null" stands for no value.
# Whoever changes a study gives it a name of its own: results lie in a folder of that name.

"""
ALWAYS = ("name", "size", "trunk", "dim", "learning_rate", "batch_size")  # shown even where they are as usual
MEANINGS = {
    "kind": "What networks are trained and measured for",
    "transform": "Views of the images",
    "epochs": "Passes over the training images, whose number is counted again when runs are planned",
    "rates": "Learning rates to choose from on validation images",
    "partitions": "Of the images: seed 0 has the first, seed 1 the next, and so on around",
}

Values = dict[str, Any]


@dataclass(frozen=True)
class Shared:
    """What stands once in a file: the settings of groups, by name, and those of terms, by loss."""

    groups: Mapping[str, Values]
    terms: Mapping[str, Values]


def study_text(study: Study) -> str:
    """The file of a study, from which the same study is read.

    Raises:
        ValueError: a loss of it is in a file of its own, which no study's file names.
    """
    shared = Shared(_groups(study), _terms(study))
    head = "".join([HEAD, *lines(_head(study, shared))])
    return "\n".join(
        [head, *_shared_sections(study, shared), *_runs(study, shared), *_other_data(study, shared), *_table(study)]
    )


def _head(study: Study, shared: Shared) -> Values:
    own = {name: getattr(study, name) for name in AT_THE_TOP if getattr(study, name) != _usual(Study, name)}
    if study.task_terms:
        own["task_terms"] = [_term(term, shared) for term in study.task_terms]
    return own


def _shared_sections(study: Study, shared: Shared) -> Iterator[str]:
    kinds: dict[str, tuple[type[Settings], ...]] = {"data": (Data,), "task": (type(study.items[0][1].task),)}
    told = set[str]()  # each setting is explained once
    for name, values in shared.groups.items():
        if values:
            new = [key for key in values if key not in told]
            yield section(name, values, {key: _meaning(kinds.get(name, (Net, Training)), key) for key in new})
            told |= values.keys()
    for loss, values in shared.terms.items():
        yield section(f"terms.{key_of(loss)}", values)


def _meaning(kinds: Sequence[type[Settings]], key: str) -> str:
    """The first sentence on a setting, or what there is of it before a semicolon."""
    told = [kind.model_fields[key].description or "" for kind in kinds if key in kind.model_fields]
    words = " ".join((MEANINGS.get(key) or told[0]).split())
    return words.partition(". ")[0].partition(";")[0].removesuffix(".")


def _runs(study: Study, shared: Shared) -> Iterator[str]:
    roles = {path: run.role for path, run in study.items}
    for path, run in study.items:
        usual = {"teacher": usual_teacher(run.role, roles)}
        own = {key: getattr(run, key) for key in OF_RUN_ALONE if key != "stages"}
        own = {key: value for key, value in own.items() if value != usual.get(key, _usual(RunSpec, key))}
        yield section(f"runs.{key_of(path)}", own | _settings(run, shared.groups) | _stages(run, shared))


def _settings(run: RunSpec, groups: Mapping[str, Values]) -> Values:
    """The settings of a run that are not those of its groups."""
    data, task = _data(run.data), _task(run.task)
    return {
        **{f"data.{key}": value for key, value in _rest(data, _data(Data()) | groups["data"]).items()},
        **{f"task.{key}": value for key, value in _rest(task, _usual_task(run.task) | groups["task"]).items()},
        **_rest(_network(run), _usual_network() | groups["training"] | groups[arm_of(run)]),
    }


def _stages(run: RunSpec, shared: Shared) -> Values:
    stages = [_stage(stage, shared) for stage in run.stages]
    return stages[0] if len(stages) == 1 and stages[0].keys() == {"terms"} else {"stages": stages}


def _stage(stage: Stage, shared: Shared) -> Values:
    others = stage.model_dump(mode="json", exclude={"terms"}, exclude_defaults=True)
    return {"terms": [_term(term, shared) for term in stage.terms], **others}


def _term(term: Term, shared: Shared) -> str | Values:
    rest = {key: value for key, value in _own(term).items() if key not in shared.terms.get(term.loss, {})}
    return {"loss": term.loss, **rest} if rest else term.loss


def _own(term: Term) -> Values:
    """What a term says beside its loss, its options among it."""
    if term.source:
        raise ValueError(f"the loss {term.loss} is in a file of its own: a study's file has losses by name alone")
    given = term.model_dump(mode="json", exclude_defaults=True)
    return {key: value for key, value in given.items() if key in OF_TERM and key != "loss"} | term.options


def _terms(study: Study) -> dict[str, Values]:
    """By loss, what all terms of it have in common, where there are several."""
    terms = [*study.terms, *study.task_terms]
    uses = {loss: [_own(term) for term in terms if term.loss == loss] for loss in study.losses}
    return {loss: common for loss, each in uses.items() if len(each) > 1 and (common := _in_common(each))}


def _in_common(tables: Sequence[Values]) -> Values:
    first, *others = tables
    return {key: value for key, value in first.items() if all(key in each and each[key] == value for each in others)}


def _groups(study: Study) -> dict[str, Values]:
    """Of each setting the value that most runs have, where it is not the usual one, or one that is always shown."""
    runs = list(study.runs.values())
    tasks = [_task(run.task) for run in runs]
    same_task = len({task["kind"] for task in tasks}) == 1
    return {
        "data": _unusual(_most([_data(run.data) for run in runs]), _data(Data())),
        "task": _unusual(_most(tasks), _usual_task(runs[0].task)) if same_task else {},
        **_groups_of_networks(runs),
    }


def _groups_of_networks(runs: Sequence[RunSpec]) -> dict[str, Values]:
    """Of the teachers, of the students, and of both where these groups agree on the training."""
    arms = {arm: [_network(run) for run in runs if arm_of(run) == arm] for arm in ("teacher", "student")}
    most = {arm: _most(networks) for arm, networks in arms.items() if networks}
    first, *others = most.values()
    shared = {key: first[key] for key in OF_TRAINING if all(each[key] == first[key] for each in others)}
    own = {arm: {key: value for key, value in most.get(arm, {}).items() if key not in shared} for arm in arms}
    return {name: _unusual(values, _usual_network()) for name, values in {"training": shared, **own}.items()}


def _most(tables: Sequence[Values]) -> Values:
    """Of each key the most frequent value, and the first of those that are."""
    counts = {key: Counter(json.dumps(table[key]) for table in tables) for key in tables[0]}
    return {key: json.loads(count.most_common(1)[0][0]) for key, count in counts.items()}


def _unusual(values: Values, usual: Values) -> Values:
    return {key: value for key, value in values.items() if key in ALWAYS or value != usual[key]}


def _rest(own: Values, shared: Values) -> Values:
    return {key: value for key, value in own.items() if value != shared[key]}


def _usual(kind: type[BaseModel], name: str) -> Any:
    return kind.model_fields[name].get_default(call_default_factory=True, validated_data={})


def _usual_network() -> Values:
    return _network(RunSpec(net=Net()))


def _usual_task(task: TaskSettings) -> Values:
    """Where no kind is told, it is retrieval."""
    return _task(type(task).model_validate({})) | {"kind": Retrieval().kind}


def _network(run: RunSpec) -> Values:
    """A run's network and training, and what stands beside them."""
    epochs = run.epochs.model_dump(mode="json", exclude_defaults=True) if run.epochs else None
    beside = {key: getattr(run, key) for key in BESIDE_TRAINING} | {"epochs": epochs}
    settings = {**run.net.model_dump(mode="json"), **run.training.model_dump(mode="json"), **beside}
    return {key: _as_json(settings[key]) for key in OF_NETWORK}


def _as_json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    return [_as_json(each) for each in value] if isinstance(value, tuple) else value


def _data(data: Data) -> Values:
    values = data.model_dump(mode="json", exclude={"content", "transform"})
    views = data.transform
    return values | {"transform": {"kind": views.kind, **views.model_dump(exclude_defaults=True)} if views else None}


def _task(task: TaskSettings) -> Values:
    return task.model_dump(mode="json")


def _other_data(study: Study, shared: Shared) -> Iterator[str]:
    for name, data in study.other_data.items():
        own = _rest(_data(data), _data(Data()) | shared.groups["data"] | {"name": name})
        yield section(f"other_data.{key_of(name)}", own)


def _table(study: Study) -> Iterator[str]:
    """What the table shows, and what is claimed: nothing where these are the usual claims of a table of lines."""
    names = ("methods_in", "curves_over", "cells", "claims")
    own = {name: getattr(study, name) for name in names if getattr(study, name) != _usual(Study, name)}
    pairs = pairs_of(study.claims)
    if not study.cells and study.claims == usual_claims(list(study.runs), pairs):
        own = {key: value for key, value in own.items() if key != "claims"} | ({"pairs": pairs} if pairs else {})
    elif not study.cells:
        own["claims"] = study.claims
    if own:
        yield section("table", {key: _as_json(value) for key, value in own.items()})
