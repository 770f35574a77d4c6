"""One run, or several side by side: from an experiment to a row. The only file that sees every stage.

images -> batches -> student and teacher embeddings -> loss terms -> checkpoint -> test embeddings -> neighbours -> row
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from relbench.data import find_data_set
from relbench.data.cached_views import CachedViews
from relbench.data.table import ImageSource, indices_of
from relbench.execution import USUAL, Execution
from relbench.experiment import Experiment, Training
from relbench.losses.worker import work_here
from relbench.machine import describe_machine, forget_peak_memory, peak_memory
from relbench.memory import let_go
from relbench.models import weights_of
from relbench.preflight import check_runs
from relbench.ranks import ALONE, Ranks, launched
from relbench.results.checkpoint import State, selected_classifier, selected_weights, weights_hash
from relbench.results.kept import kept_arrays, write_arrays
from relbench.results.records import WATCHED, Row, write_record
from relbench.results.run_folder import RunFolder, load_trained
from relbench.tasks import Model, Task, find_task
from relbench.tensors import content_hash
from relbench.trackers import Silent, Tracker
from relbench.training import DivergedError, Earlier, Learner, Trainer, TrainingSetup
from relbench.training.assemble import TrainedNetworks, assemble, table_data, views_on
from relbench.training.computing import computing
from relbench.training.division import Layout
from relbench.training.prefetching import workers_beside


def run(experiment: Experiment, runs: Path, data_folder: Path, tracker: Tracker, execution: Execution = USUAL) -> Row:
    """Train, evaluate on the test images, write the row.

    Args:
        experiment: what to run; its teacher must be finished.
        runs: holds a folder for each run.
        data_folder: where data sets live.
        tracker: of the run's progress.
        execution: by how many processes, and who prepares images.

    Raises:
        CheckpointError: a checkpoint is damaged, missing, or another experiment's.
        OSError: something can't be written.
        DivergedError: a loss or weight is no longer finite.
    """
    (end,) = run_cohort([experiment], runs, data_folder, [tracker], execution).values()
    if isinstance(end, Exception):
        raise end
    return end


def run_cohort(
    experiments: Sequence[Experiment],
    runs: Path,
    data_folder: Path,
    trackers: Sequence[Tracker],
    execution: Execution = USUAL,
) -> Mapping[str, Row | Exception]:
    """Train several runs side by side, evaluate each, write each row: as `run` would, to the last bit of its numbers.

    Times are a run's own, and its share of what is computed once for all; peak memory is that of the process.

    Args:
        experiments: of equal keys (`relbench.training.cohorts.key`); their teacher must be finished.
        runs: holds a folder for each run.
        data_folder: where data sets live.
        trackers: of each run's progress.
        execution: by how many processes, and who prepares images. With several, there is one run alone.

    Returns:
        By fingerprint: the row, or what the run has failed of. What fails alone takes no other with it.
    """
    members = [_Member(RunFolder(runs, each), tracker) for each, tracker in zip(experiments, trackers, strict=True)]
    training, ends = experiments[0].training, dict[str, Row | Exception]()
    try:
        if execution.devices > 1:
            (member,) = members
            about = execution.devices, training.device, member, data_folder, execution
            return {member.name: launched(_run_among, *about)}
        with computing(training.threads, training.precision):
            _run_members(members, data_folder, ends, execution)
    except Exception as error:  # noqa: BLE001 - it stops all that are under way: an image can't be read, say
        return {member.name: error for member in members} | ends
    return ends


@dataclass(frozen=True)
class _Member:
    """A run of a cohort."""

    folder: RunFolder
    tracker: Tracker

    @property
    def experiment(self) -> Experiment:
        return self.folder.experiment

    @property
    def name(self) -> str:
        return self.experiment.fingerprint


def _run_among(ranks: Ranks, member: _Member, data_folder: Path, execution: Execution) -> Row:
    """Make a run that several processes share, in one of them.

    Raises:
        Exception: what the run has failed of.
    """
    training, ends = member.experiment.training, dict[str, Row | Exception]()
    work_here()
    own = member if ranks.is_first else replace(member, tracker=Silent())
    with computing(training.threads, training.precision):
        _run_members([own], data_folder, ends, execution, ranks)
    end = ends[member.name]
    if isinstance(end, Exception):
        raise end
    return end


def _run_members(
    members: Sequence[_Member],
    data_folder: Path,
    ends: dict[str, Row | Exception],
    execution: Execution,
    ranks: Ranks = ALONE,
) -> None:
    """Run them; `ends` gets each row or failure as soon as it is known."""
    first = members[0].experiment
    forget_peak_memory(torch.device(first.training.device))
    data_set = find_data_set(first.data.name, data_folder)
    source = CachedViews(data_set.load(first.data, data_folder, iter))
    task = find_task(first.task, data_set)
    for member in members:
        with _leaving(member, ends):
            member.tracker.begin("preparing")
            check_runs([member.experiment], member.folder.runs, source, data_set)
    ready = [each for each in members if each.name not in ends]
    learners = _learners(ready, source, task, ends, execution, ranks)
    for member, state, model in _trained(ready, learners, ranks, ends):
        with _leaving(member, ends):
            member.tracker.begin("evaluating")
            row = _evaluate(member.experiment, member.folder, source, task, model, state)
            if ranks.is_first:
                write_record(row, member.folder.row)
            ends[member.name] = row


@contextmanager
def _leaving(member: _Member, ends: dict[str, Row | Exception]) -> Iterator[None]:
    """Whatever goes wrong is the failure of this member alone."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is
        let_go(error)
        ends[member.name] = error


def _trained(
    members: Sequence[_Member], learners: Mapping[str, Learner], ranks: Ranks, ends: dict[str, Row | Exception]
) -> Iterator[tuple[_Member, State, Model]]:
    """Train to the last step; the models come back with the weights of the step that counts."""
    trained = Trainer(list(learners.values())).run() if learners else {}
    for member in members:
        if member.name in learners:
            with _leaving(member, ends):
                state = _state(member.experiment, trained[member.name])
                yield member, state, _model(member.experiment, learners[member.name].setup, state, ranks)


def _learners(
    members: Sequence[_Member],
    source: CachedViews,
    task: Task,
    ends: dict[str, Row | Exception],
    execution: Execution,
    ranks: Ranks,
) -> dict[str, Learner]:
    """Those that can begin, by name; the data and the teacher of all are the same objects."""
    if not members:
        return {}
    first, runs = members[0].experiment, members[0].folder.runs
    workers = execution.workers
    if workers is None:
        workers = workers_beside(torch.device(first.training.device), ranks.count)
    layout = Layout(task.episode(first.training), first.training.batch_norm_parts, ranks)
    validate = _validation(source, task, first.training, ranks)
    views = views_on(execution.views, source.source, first.data.name)
    data = table_data(source, _sampler(first, task), validate, workers, layout, views)
    networks = TrainedNetworks(runs, source.source, ranks)
    teacher = networks.teacher([member.experiment for member in members]) if first.teacher else None
    learners: dict[str, Learner] = {}
    for member in members:
        with _leaving(member, ends):
            setup = assemble(member.experiment, networks, data, teacher)
            learners[member.name] = _learner(member, setup, source.shape.channels)
    return learners


def _learner(member: _Member, setup: TrainingSetup, channels: int) -> Learner:
    run, folder = member.experiment, member.folder
    ranks = setup.data.layout.ranks
    if ranks.is_first:
        _begin_anew_with_own_losses(run, folder)
    ranks.wait()
    earlier = _earlier(run, folder.runs, channels)
    return Learner(setup, run.training, run.seed, run.fingerprint, folder.checkpoint, member.tracker, earlier)


def _earlier(experiment: Experiment, runs: Path, channels: int) -> Earlier | None:
    first = experiment.initialized_from
    return Earlier(load_trained(first, runs, channels, "first stage").state, experiment.begins_at) if first else None


def _state(experiment: Experiment, end: State | Exception) -> State:
    with own_losses_named(experiment):
        if isinstance(end, Exception):
            raise end
    return end


def _model(experiment: Experiment, setup: TrainingSetup, state: State, ranks: Ranks) -> Model:
    """With the weights of the step that counts."""
    setup.network.load_state_dict(selected_weights(state))
    if setup.classifier:
        setup.classifier.load_state_dict(selected_classifier(state))
    return Model(setup.network, torch.device(experiment.training.device), setup.classifier, ranks)


def _sampler(experiment: Experiment, task: Task) -> Callable[[torch.Tensor], Callable[[int], torch.Tensor]]:
    return partial(task.sampler, seed=experiment.seed, training=experiment.training)


def _begin_anew_with_own_losses(experiment: Experiment, folder: RunFolder) -> None:
    """Nobody knows what a user's loss remembers beside its parameters: its unfinished training is not gone on with."""
    own = any(term.source for term in experiment.terms)
    if own and folder.checkpoint.exists() and folder.state()["step"] < experiment.training.steps:
        folder.checkpoint.unlink()


@contextmanager
def own_losses_named(experiment: Experiment) -> Iterator[None]:
    """What nobody expects to go wrong in a training, such as in a backward pass, is put down to a user's loss.

    Raises:
        ValueError: in place of any error but those that a training raises by itself, where there is such a loss.
    """
    own = [term.loss for term in experiment.terms if term.source]
    try:
        yield
    except (DivergedError, ValueError, OSError):
        raise
    except Exception as error:
        if not own:
            raise
        raise ValueError(f"training with {', '.join(own)} failed: {type(error).__name__}: {error}") from error


def _validation(
    source: ImageSource, task: Task, training: Training, ranks: Ranks
) -> Callable[[nn.Module, nn.Module | None], dict[str, float]]:
    """What is measured on the way: the primary metric on validation images, where there are any; the test's if logged.

    The test's metrics are written down, and nothing else is done with them. All ranks return those of the first, so
    that they choose the same step.
    """
    device, has_validation = torch.device(training.device), len(indices_of(source.table, "validation")) > 0

    def validate(network: nn.Module, head: nn.Module | None) -> dict[str, float]:
        model, found = Model(network, device, head, ranks), {}
        if has_validation:
            found[task.primary] = task.evaluate(model, source, "validation").metrics[task.primary]
        if training.log_test_metrics:
            metrics = task.evaluate(model, source, "test").metrics
            found |= {f"{WATCHED}{name}": value for name, value in metrics.items()}
        return ranks.objects(found)[0]

    return validate


def _evaluate(
    experiment: Experiment,
    folder: RunFolder,
    source: ImageSource,
    task: Task,
    model: Model,
    state: State,
) -> Row:
    """Measure on the test images, keep their embeddings, and make the row."""
    start = time.perf_counter()
    measured = task.evaluate(model, source, "test")
    embeddings_hash = _keep(folder.embeddings, source, measured.embeddings, writes=model.ranks.is_first)
    selected = state["best"]["step"] if state["best"] else state["step"]
    return Row(
        fingerprint=experiment.fingerprint,
        experiment=experiment,
        data_hash=source.data_hash,
        parameters=_parameters(model, task),
        selected_step=selected,
        metrics=measured.metrics,
        validation=_validated(state["history"], selected, task.primary),
        counts=measured.counts,
        other_counts=measured.other_counts,
        history=tuple(state["history"]),
        train_seconds=state["seconds"],
        evaluate_seconds=time.perf_counter() - start,
        peak_memory=peak_memory(model.device),
        finished=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        machine=describe_machine(model.device),
        weights=weights_of(experiment.net),
        weights_hash=weights_hash(state),
        embeddings_hash=embeddings_hash,
        dependencies=_dependencies(experiment, folder.runs),
        devices=model.ranks.count,
    )


def _parameters(model: Model, task: Task) -> int:
    """Number of the network's parameters, and of its head's where the task is done with it."""
    modules = [model.network, *([model.head] if model.head and task.has_head else [])]
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def _dependencies(experiment: Experiment, runs: Path) -> dict[str, str]:
    """Hashes of the weights that a run was built on: those that its teacher's and its first stage's rows say."""
    rows = RunFolder(runs, experiment).dependencies()
    found = {what: rows.get(needed.fingerprint) for what, needed in experiment.dependencies.items()}
    return {what: row.weights_hash for what, row in found.items() if row and row.weights_hash}


def _validated(history: Sequence[Mapping[str, float]], step: int, primary: str) -> dict[str, float]:
    """The primary metric on validation images at a step."""
    entry = next(entry for entry in history if entry["step"] == step)
    return {name: value for name, value in entry.items() if name == primary}


def _keep(path: Path, source: ImageSource, embeddings: NDArray[np.float32], *, writes: bool) -> str:
    """Store test embeddings, so that a new metric needs no new training, and return their hash.

    Args:
        path: of the file.
        source: of the images.
        embeddings: of its test images.
        writes: whether this process writes the file.
    """
    arrays = kept_arrays(source, "test", embeddings)
    if writes:
        write_arrays(arrays, path)
    return content_hash(arrays)
