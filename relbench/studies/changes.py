"""The settings that `--set KEY=VALUE` changes, the same for every study.

data.KEY holds for all data, task.KEY and training.KEY for all runs, teacher.KEY and student.KEY for the networks and
trainings of that role (a control of equal budget follows the teacher, and so does a student that is the teacher's own
network taught by it), terms.LOSS.KEY wherever the study has that loss. Where two keys touch one setting, that of the
role wins.
"""

import json
from collections.abc import Mapping
from typing import Any

from relbench.experiment import SETTINGS_OF_DATA, SETTINGS_OF_NET, TaskSettings, Term, Training
from relbench.settings import SettingsType, changed
from relbench.studies.keys import known_key
from relbench.studies.study import Epochs, RunSpec, Stage, Study
from relbench.tasks import find_task

TERMS = "terms"  # begins the keys of settings that belong to a loss
OF_A_TERM = ("layers", "loss", "weight")  # its other settings are options of the loss
OF_THE_COMMAND = ("device", "selection")  # in a study with cells, options of the command
OF_STEPS = ("steps", "validate_every", "rate_every")  # what follows from the number of epochs, in a study that has it
OF_METRICS = ("way", "shot")  # of a task: what it measures is named by them, and so is what stands in cells
OF_CLASSES = ("images_per_class",)  # what batches have where a task draws classes first
ARMS = {"teacher": "teacher", "control": "teacher", "student": "student"}  # role -> beginning of its keys

Groups = dict[str, dict[str, Any]]


def setting_keys(study: Study) -> list[str]:
    """The keys that `with_values` takes, those of losses aside."""
    without = {
        *(OF_THE_COMMAND if study.cells else ()),
        *(OF_STEPS if _counts_epochs(study) else ()),
        *(() if _draws_classes(study) else OF_CLASSES),
    }
    training = [key for key in Training.model_fields if key not in without]
    training += ["epochs"] if _counts_epochs(study) else []
    data = [key for key in SETTINGS_OF_DATA if not (study.cells and key == "name")]
    task = [key for run in study.runs.values() for key in keys_of_task(run.task)]
    task = [key for key in dict.fromkeys(task) if not (study.cells and key in OF_METRICS)]
    arms = [arm for arm in ("teacher", "student") if any(arm_of(run) == arm for run in study.runs.values())]
    return [
        *(f"data.{key}" for key in data),
        *(f"task.{key}" for key in task),
        *(f"training.{key}" for key in training),
        *(f"{arm}.{key}" for arm in arms for key in (*SETTINGS_OF_NET, *training)),
    ]


def keys_of_task(task: TaskSettings) -> list[str]:
    """The settings of a task, none for some."""
    return [key for key in type(task).model_fields if key != "kind"]


def arm_of(run: RunSpec) -> str:
    """The beginning of the keys that change a run's network and training."""
    return run.arm or ARMS[run.role]


def _counts_epochs(study: Study) -> bool:
    return any(run.epochs for run in study.runs.values())


def _draws_classes(study: Study) -> bool:
    return any(find_task(run.task).balanced for run in study.runs.values())


def parse_value(text: str) -> Any:
    """A setting's value from the command line: JSON where it is (64, 0.1, true, null, [0.5, 0.75]), else plain text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # no JSON; or a number of thousands of digits, or nesting without end
        return text
    return tuple(value) if isinstance(value, list) else value


def with_values(study: Study, values: Mapping[str, Any]) -> Study:
    """A copy with some settings changed, as `--set student.dim=64` says; the order of settings does not matter.

    Args:
        study: whose settings they are.
        values: by key: one of `setting_keys`; or `terms.LOSS.weight`, `terms.LOSS.layers`, `terms.LOSS.OPTION`, or
            `terms.LOSS.loss` (another loss in its place, with its own options).

    Raises:
        ValueError: a key is unknown, its value of the wrong kind, or the values together impossible; or a learning rate
            or the validation images are set where learning rates are chosen on them. One line, with the nearest known
            key.
    """
    groups: Groups = {}
    for key, value in values.items():
        group, name = _place(study, key)
        groups.setdefault(group, {})[name] = value
    _refuse_without_tuning(study, groups)
    runs = {path: _changed_run(run, groups) for path, run in study.items}
    other_data = {name: _changed(data, groups.get("data", {}), "data") for name, data in study.other_data.items()}
    return changed(study, {"runs": runs, "other_data": other_data})


def _place(study: Study, key: str) -> tuple[str, str]:
    """Group and name: "student.dim" -> ("student", "dim"); "terms.triplet.margin" -> ("terms.triplet", "margin")."""
    _refuse_to_rename(study, key)
    start, _, rest = key.partition(".")
    loss, dot, _ = rest.rpartition(".")
    if not (start == TERMS and dot and loss in study.losses):
        terms = [f"{TERMS}.{loss}.{name}" for loss in study.losses for name in OF_A_TERM]
        name = study.file or study.name.partition("+")[0]  # names of added losses come after it
        known_key(key, [*setting_keys(study), *terms], name)
    group, _, name = key.rpartition(".")
    return group, name


def _refuse_to_rename(study: Study, key: str) -> None:
    """Cells name metrics, which are not changed under them."""
    group, _, name = key.partition(".")
    tasks = [run.task for run in study.runs.values() if group == "task" and study.cells and name in OF_METRICS]
    kind = next((task.kind for task in tasks if name in keys_of_task(task)), "")
    if kind:
        raise ValueError(
            f"unknown setting {key!r}: numbers of this table are named by it; other {name}s of a run are measured by "
            f"`relbench evaluate FOLDER_OF_A_RUN --task {kind} --{name} ...`"
        )


def _refuse_without_tuning(study: Study, groups: Groups) -> None:
    """Where learning rates are chosen, there are validation images, and nobody sets the rates."""
    tuned = {arm_of(run) for path, run in study.items if study.rates_of(path)[1]}
    if not tuned:
        return
    if groups.get("data", {}).get("hold_out") is False:
        raise ValueError(f"data.hold_out = false: {_called(study)} chooses rates on what it holds out")
    for group in ("training", *sorted(tuned)):
        if "learning_rate" in groups.get(group, {}):
            raise ValueError(f"{group}.learning_rate: {_called(study)} chooses it on validation images: leave it out")


def _called(study: Study) -> str:
    return " ".join((study.name, *(f"({name} {value})" for name, value in study.variant.items())))


def _changed_run(run: RunSpec, groups: Groups) -> RunSpec:
    arm = arm_of(run)
    own = groups.get(arm, {})
    net = {name: value for name, value in own.items() if name in SETTINGS_OF_NET}
    training = {name: value for name, value in own.items() if name in Training.model_fields}
    task = {name: value for name, value in groups.get("task", {}).items() if name in keys_of_task(run.task)}
    shared = dict(groups.get("training", {}))
    epochs = own.get("epochs", shared.pop("epochs", None))
    stages = tuple(_changed_stage(stage, groups) for stage in run.stages)
    if "learning_rate" in shared | training:
        stages = tuple(changed(stage, {"learning_rate": None}) for stage in stages)
    stages = tuple(_without(stage, shared | training) for stage in stages)
    return changed(
        run,
        {
            "data": _changed(run.data, groups.get("data", {}), "data"),
            "partitions": 1 if "partition" in groups.get("data", {}) else run.partitions,
            "task": _changed(run.task, task, "task"),
            "net": _changed(run.net, net, arm),
            "training": _changed(run.training, shared, "training", training, arm),
            "epochs": _changed_epochs(run.epochs, epochs, arm),
            "stages": stages,
        },
    )


def _changed_epochs(epochs: Epochs | None, count: Any, arm: str) -> Epochs | None:
    if epochs is None or count is None:
        return epochs
    try:
        return changed(epochs, {"count": count})
    except ValueError as error:
        raise ValueError(f"{arm}.{str(error).replace('count', 'epochs', 1)}") from None


def _without(stage: Stage, values: Mapping[str, Any]) -> Stage:
    """A stage without what it has of its own of settings that are changed for the whole run."""
    return changed(stage, {"changes": {key: value for key, value in stage.changes.items() if key not in values}})


def _changed(
    settings: SettingsType, values: Mapping[str, Any], group: str, own: Mapping[str, Any] | None = None, arm: str = ""
) -> SettingsType:
    """A copy with other values; `own` wins over `values`, and errors name the key of whichever is wrong."""
    together = {**values, **(own or {})}
    if not together:
        return settings
    try:
        return changed(settings, together)
    except ValueError as error:
        name = str(error).partition(" ")[0].partition(".")[0].rstrip(":")
        of_arm = name in (own or {}) or (name == "settings" and bool(own))
        raise ValueError(f"{arm if of_arm else group}.{error}".replace(".settings: ", ": ")) from None


def _changed_stage(stage: Stage, groups: Groups) -> Stage:
    terms = tuple(_changed_term(term, groups.get(f"{TERMS}.{term.loss}", {})) for term in stage.terms)
    return changed(stage, {"terms": terms})


def _changed_term(term: Term, values: Mapping[str, Any]) -> Term:
    """The term with another weight or other options, or with another loss in its place."""
    if not values:
        return term
    own = {name: value for name, value in values.items() if name in OF_A_TERM}
    if "loss" in own:  # nothing of the other loss stays but its weight
        own = {"layers": (), "source": "", **own}
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    options = {name: value for name, value in given.items() if name not in own}
    try:
        return changed(term, {**own, "options": ({} if "loss" in own else term.options) | options})
    except ValueError as error:
        raise ValueError(f"{TERMS}.{term.loss}.{error}") from None
