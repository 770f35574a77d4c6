"""`relbench evaluate --model`: a network that is trained already, measured on a data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from relbench.cli.console import errors, numbers
from relbench.cli.evaluate_few_shot import few_shot_settings, show_accuracies
from relbench.cli.measured import show
from relbench.cli.options import preparing, tell
from relbench.evaluation.stored_search import measured_embeddings
from relbench.experiment import SETTINGS_OF_DATA, Classification, Experiment, Retrieval, TaskSettings
from relbench.judging.candidate import Candidate
from relbench.judging.candidates import find_candidate
from relbench.judging.measured import Judgement, Request, Split, judge, request_of
from relbench.lookup import lookup
from relbench.models.normalization import NORMALIZATIONS
from relbench.resolve import resolve_device
from relbench.results.kept import write_arrays
from relbench.tasks.few_shot import FewShotTask

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


def evaluate_model(options: ModelOptions, asked: TaskOptions, *, by_class: bool, as_json: bool) -> None:
    """Measure a network on the images of a data set, and print its metrics.

    Args:
        options: which network, on which images.
        asked: by which task.
        by_class: whether each class has a line.
        as_json: print JSON.

    Raises:
        ValueError: it can't be; one line.
        OSError: the embeddings can't be written.
    """
    _check_save(options.save)
    candidate = options.candidate()
    first, *others = asked.settings(candidate.experiment)
    request = options.request(candidate, first)
    ks = numbers(asked.given["k"], "--k") if "k" in asked.given else ()
    found = judge(candidate, request, options.root, ks, preparing)
    if options.save:
        write_arrays(found.arrays, options.save)
        errors.print(f"embeddings: {options.save}", soft_wrap=True)
    if isinstance(found.task, FewShotTask):
        _show_episodes(found, found.task, [cast("Any", each) for each in others], options.split, as_json=as_json)
    else:
        searched = found.task.by_neighbours and by_class
        measured = measured_embeddings(found.stored, _ks(found)) if searched else found.measurement
        show(measured, by_class=by_class, as_json=as_json)
    if candidate.note and not as_json:
        tell(candidate.note)


def _ks(found: Judgement) -> tuple[int, ...]:
    names = (name.partition("@") for name in found.measured.metrics if name.startswith("recall@"))
    return tuple(int(k) for _, _, k in names)


def _show_episodes(found: Judgement, task: FewShotTask, others: list[Any], split: str, *, as_json: bool) -> None:
    """Accuracies by the first settings, which were measured, and by others, of the same embeddings."""
    by_scorer = {str(task.settings.scorer): dict(found.measured.metrics)}
    for each in others:
        metrics, _ = FewShotTask(each).score(found.arrays["embeddings"], found.arrays["labels"], split)
        by_scorer.setdefault(each.scorer, {}).update(metrics)
    episodes = task.settings.episodes if split == "test" else task.settings.validation_episodes
    show_accuracies(by_scorer, episodes, as_json=as_json)


def _check_save(path: Path | None) -> None:
    """Refuse a file that is there, or of another kind, before any work."""
    if path and path.suffix != ".npz":
        raise ValueError(f"--save {path}: name a file that ends with .npz")
    if path and path.exists():
        raise ValueError(f"--save {path} is there already, and nothing is replaced: name another file")
