"""`relbench evaluate --model`: a network that is trained already, measured on a data set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from relbench.cli.compared import CompareOptions, measuring, show_comparison
from relbench.cli.console import errors, numbers
from relbench.cli.evaluate_few_shot import few_shot_settings, show_accuracies
from relbench.cli.measured import show
from relbench.cli.options import preparing, tell
from relbench.evaluation.measured import Measurement, ks_of
from relbench.evaluation.paired import Source
from relbench.evaluation.stored import Stored
from relbench.evaluation.stored_search import measured_embeddings
from relbench.experiment import SETTINGS_OF_DATA, Classification, Experiment, FewShot, Retrieval, TaskSettings
from relbench.judging.candidate import Candidate
from relbench.judging.candidates import find_candidate
from relbench.judging.measured import Judgement, Request, Split, judge, request_of
from relbench.lookup import lookup
from relbench.models.normalization import NORMALIZATIONS
from relbench.resolve import resolve_device
from relbench.results.kept import write_arrays
from relbench.tasks import find_task
from relbench.tasks.few_shot import FewShotTask
from relbench.tasks.stored_episodes import measured_episodes

SPLITS = ("test", "validation")
DATA = "data."  # begins the keys of `--set`


@dataclass(frozen=True)
class ModelOptions:
    """What the command was given of a network.

    Attributes:
        model: module.py:build, a trunk, or a folder.
        weights: a file, or the name of pretrained ones.
        data: the name of the data set; None: that of the run.
        root: holds all data sets.
        split: test or validation.
        normalization: of the images, by name.
        device: auto, cpu or cuda; None: the run's.
        changes: settings of the data, by key.
        save: the file that embeddings are written to.
    """

    model: str
    weights: str | None
    data: str | None
    root: Path
    split: str
    normalization: str | None
    device: str | None
    changes: Mapping[str, Any]
    save: Path | None

    def candidate(self) -> Candidate:
        """The network."""
        if self.normalization is not None and self.normalization != "none":
            lookup(self.normalization, [*NORMALIZATIONS, "none"], "normalization")
        name = None if self.normalization == "none" else self.normalization
        return find_candidate(self.model, self.weights, cast("Any", name), self.root)

    def request(self, candidate: Candidate, task: TaskSettings | None) -> Request:
        """What is to be measured."""
        split = cast("Split", lookup(self.split, SPLITS, "split"))
        device = resolve_device(self.device) if self.device else None
        return request_of(candidate, self.data, self._settings(), task, split, device, self.root)

    def _settings(self) -> dict[str, Any]:
        """Settings of the data, by their own names."""
        for key in self.changes:
            lookup(key, [f"{DATA}{name}" for name in SETTINGS_OF_DATA if name != "name"], "setting of --model")
        return {key.removeprefix(DATA): value for key, value in self.changes.items()}


@dataclass(frozen=True)
class TaskOptions:
    """What the command was given of the task.

    Attributes:
        kind: its name; None: that of the run, or retrieval.
        given: its options, by name, those alone that were given.
        every: all options of the named task.
    """

    kind: str | None
    given: Mapping[str, str]
    every: Mapping[str, str]

    def settings(self, run: Experiment | None) -> list[TaskSettings | None]:
        """The settings to measure by, one after the other; None: the run's own."""
        if run and self.kind in (None, run.task.kind) and not (self.given.keys() - {"k"}):
            return [None]
        if self.kind == "few-shot":
            return [*few_shot_settings(self.every)]
        return [Classification() if self.kind == "classification" else Retrieval()]


@dataclass(frozen=True)
class _Shown:
    """How metrics are printed: with a line per class, or as JSON."""

    by_class: bool
    as_json: bool


def evaluate_model(
    options: ModelOptions, asked: TaskOptions, others: CompareOptions | None, *, by_class: bool, as_json: bool
) -> None:
    """Measure a network on the images of a data set, and print its metrics.

    Args:
        options: which network, on which images.
        asked: by which task.
        others: embeddings of the same images that its own are compared with; None: they are not.
        by_class: whether each class has a line.
        as_json: print JSON.

    Raises:
        ValueError: it can't be; one line.
        OSError: the embeddings can't be written.
    """
    _check_save(options.save)
    candidate, shown = options.candidate(), _Shown(by_class, as_json)
    settings = asked.settings(candidate.experiment)
    request = options.request(candidate, settings[0])
    _check_shown(request.task, others, shown)
    ks = numbers(asked.given["k"], "--k") if "k" in asked.given else ()
    found = judge(candidate, request, options.root, ks, preparing)
    if options.save:
        write_arrays(found.arrays, options.save)
        errors.print(f"embeddings: {options.save}", soft_wrap=True)
    if others:
        _compare(found, options.model, others, shown)
    elif isinstance(found.task, FewShotTask):
        _show_episodes(found, found.task, settings, options.split, shown)
    else:
        searched = found.task.by_neighbours and by_class
        measured = measured_embeddings(found.stored, ks_of(found.measured.metrics)) if searched else found.measurement
        show(measured, by_class=by_class, as_json=as_json)
    if candidate.note and not as_json:
        tell(candidate.note)


def _compare(found: Judgement, called: str, others: CompareOptions, shown: _Shown) -> None:
    """Compare the network's embeddings with others."""
    sides = others.sides(Source(called, lambda _first: found.stored))
    show_comparison(sides, _measuring(found), by_class=shown.by_class, as_json=shown.as_json)


def _measuring(found: Judgement) -> Callable[[Stored], Measurement]:
    """The measurement of other embeddings as these were measured."""
    task = found.task
    if isinstance(task, FewShotTask):
        return partial(measured_episodes, settings=task.settings)
    return measuring("retrieval", {"k": ",".join(map(str, ks_of(found.measured.metrics)))}, None)


def _show_episodes(
    found: Judgement, task: FewShotTask, settings: Sequence[TaskSettings | None], split: str, shown: _Shown
) -> None:
    """Accuracies by the first settings, which were measured, and by others, of the same embeddings."""
    by_scorer = {str(task.settings.scorer): dict(found.measured.metrics)}
    for each in settings[1:]:
        assert isinstance(each, FewShot)
        metrics, _ = FewShotTask(each).score(found.arrays["embeddings"], found.arrays["labels"], split)
        by_scorer.setdefault(each.scorer, {}).update(metrics)
    episodes = task.settings.episodes if split == "test" else task.settings.validation_episodes
    show_accuracies(by_scorer, episodes, as_json=shown.as_json)


def _check_shown(settings: TaskSettings, others: CompareOptions | None, shown: _Shown) -> None:
    """Refuse what can't be printed of a task, before the network is measured."""
    task = find_task(settings)
    episodes = isinstance(task, FewShotTask)
    if others and not (episodes or task.by_neighbours):
        raise ValueError("--compare of --model is for retrieval and few-shot: choose one of them with --task")
    if episodes and shown.by_class and not others:
        raise ValueError("--by-class says nothing of few-shot, whose episodes mix classes: leave it out")


def _check_save(path: Path | None) -> None:
    """Refuse a file that is there, or of another kind, before any work."""
    if path and path.suffix != ".npz":
        raise ValueError(f"--save {path}: name a file that ends with .npz")
    if path and path.exists():
        raise ValueError(f"--save {path} is there already, and nothing is replaced: name another file")
