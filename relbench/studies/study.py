"""A study: the runs of one table, the cells that show their numbers, and the claims that they are to answer.

Which steps, rates and crops a run has is decided by the function that builds the study: nothing else knows under which
protocol, or at which scale, it is made.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isclose
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from relbench.experiment import (
    CODE_VERSION,
    Data,
    Experiment,
    Net,
    PositiveFloat,
    Retrieval,
    TaskField,
    Term,
    Training,
)
from relbench.lookup import lookup
from relbench.results.records import Role, Selection
from relbench.settings import Settings, changed, one_line
from relbench.tasks import find_task

DATA = "{data}"  # stands for a data set in a title
Scale = Literal["full", "toy"]
SEEDS = (0, 1, 2)


class Epochs(Settings):
    """The length of a training in passes over its images; steps follow from it, from the images and the batch size.

    Along a cosine, the learning rate of a run that counts epochs changes after each.
    """

    count: PositiveInt
    images: PositiveInt = 1  # for training: as published, or unknown, until they are counted when a run is planned
    validate_every: PositiveInt = 1  # epochs between two validations
    of_all_images: bool = False  # of its classes, whichever few of each it is trained on: as many steps as for all

    def counted_on(self, data: Data) -> Data:
        """The settings of the images that a pass goes over."""
        return changed(data, {"train_images_per_class": None}) if self.of_all_images else data


class Stage(Settings):
    """A part of a run's training; a run in several goes on with the weights of the one before."""

    terms: tuple[Term, ...]
    share: Annotated[float, Field(gt=0, le=10)] = 1.0  # of the run's steps; above 1: of the budget of several runs
    learning_rate: PositiveFloat | None = None  # None: the run's
    changes: Mapping[str, Any] = {}  # settings of its training that differ from the run's, such as the schedule

    @field_validator("changes")
    @classmethod
    def _own(cls, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Refuse what would be overwritten, or would put the next stage's first batch in the middle of an epoch."""
        others = {"steps", "validate_every", "learning_rate", "batch_size"} & changes.keys()
        if others:
            raise ValueError(f"changes: a stage has no {min(others)} of its own there: see share and learning_rate")
        # numbers in JSON are a list
        return {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}


class RunSpec(Settings):
    """A run of a study, for any seed: the network and how it is trained."""

    data: Data = Data()
    task: TaskField = Retrieval()
    net: Net
    training: Training = Training()
    epochs: Epochs | None = None  # in place of the training's steps
    stages: tuple[Stage, ...] = ()  # empty: never trained, the features of its trunk are what is measured
    teacher: str = ""  # path
    starts_from: str = ""  # path of the run whose trained network it begins with, under a new head
    partitions: PositiveInt = 1  # of its images: seed 0 has the first, seed 1 the next, and so on around
    role: Role = "student"
    arm: Literal["", "teacher", "student"] = ""  # begins the keys of `--set` for its net and training; "": by its role
    steps_as: str = ""  # path of the run whose number of steps it takes: a control of equal budget
    rates: tuple[PositiveFloat, ...] = ()  # learning rates to choose from on validation images; empty: the training's
    tuned_with: str = ""  # path of the run whose chosen learning rate it shares; "": its own
    note: str = ""  # in what it cannot be what the paper had

    def data_of(self, seed: int) -> Data:
        """The images that a seed is trained and measured on."""
        return changed(self.data, {"partition": seed % self.partitions + 1}) if self.partitions > 1 else self.data


@dataclass(frozen=True)
class PlannedRun:
    """A run of a study with its seed, and what it is called in the table."""

    label: str
    role: Role | Literal["stage", "tuning"]  # a stage is part of a training, tuning chooses a setting: no lines
    experiment: Experiment

    @property
    def name(self) -> str:
        """Of this run alone."""
        return self.experiment.fingerprint


class Cell(Settings):
    """A number of the table, and where it stands."""

    part: str  # the sub-table's title
    row: str
    column: str
    run: str = ""  # path of the run that answers to it; "": another's result, printed beside
    metric: str = "recall@1"
    on: str = ""  # the data set that it is measured on, if it is not the one that the network is trained on
    published: float | None = None  # in [0, 1]; None where no paper has such a number
    published_interval: float | None = None  # half of its 95 % interval, in [0, 1], where one is printed beside it
    doubt: str = ""  # why nobody may rely on the published number, such as that it was not seen in print
    source: str = ""

    @property
    def key(self) -> str:
        """Names what is measured: the run, and the data set if it is another than the run's."""
        return f"{self.run}@{self.on}" if self.on else self.run

    @property
    def key_and_metric(self) -> str:
        """Names the number, too: one of several metrics of the same measurement."""
        return f"{self.key}#{self.metric}"


class Claim(Settings):
    """A claim about a study's runs, to be judged by their numbers.

    A key is a run's path in a table of lines. In a table of cells it is that of a cell: PATH, or PATH@DATA where it is
    measured on another data set, for the primary metric of the run's task; PATH#METRIC or PATH@DATA#METRIC for another.

    Comparisons are over the same seeds, and over the same trials where these are known: over new runs and new groups of
    trials at once, or over new runs alone where no counts are known for the rule of selection, or the two cells are of
    different trials. A claim with a family is corrected (Holm) together with all comparisons of its family. One
    without, which only a table of cells can have, holds where every comparison is as claimed, each by its own interval,
    and does not where any is the other way round after Holm's correction within the claim.
    """

    text: str
    better: tuple[tuple[str, str], ...]  # keys: each first one is said to be above the second
    family: str = ""

    @model_validator(mode="after")
    def _of_two(self) -> Self:
        for first, second in self.better:
            if first == second:
                raise ValueError(f"better: {first!r} is compared with itself: name two")
        return self


class Study(Settings):
    """The runs of one table, for any seeds; every seed has teachers of its own, trained from that seed."""

    name: str
    title: str  # DATA in it stands for the data set's title
    source: str = ""  # the paper
    notes: tuple[str, ...] = ()  # what a reader of the table must know; deviations from the paper among them
    settings_notes: tuple[str, ...] = ()  # likewise, but true only while no setting is changed
    variant: Mapping[str, str] = {}  # what it was built with, beside the scale: {"protocol": "paper"}
    scale: Scale = "full"
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = SEEDS  # where none are asked for
    runs: dict[str, RunSpec]  # by path, such as "rkd-da" or "cub200/rkd-da/64"; a teacher before those that it teaches
    cells: tuple[Cell, ...] = ()  # none: the table has one line per run, with all its metrics
    claims: tuple[Claim, ...] = ()
    other_data: Mapping[str, Data] = {}  # data sets that networks are measured on, and not trained
    task_terms: tuple[Term, ...] = ()  # the task loss, which stands beside every loss that compares with the teacher
    methods_in: Literal["row", "column"] = "column"  # where cells name the method
    curves_over: str = ""  # what columns count, such as "images": the picture has each row as a curve over them
    added_losses: tuple[str, ...] = ()  # paths of runs that were put beside the study's own by hand
    file: str = ""  # that it was read from; "" for those of relbench
    file_hash: str = ""  # SHA-256 of that file
    # That of the code which makes its runs, part of their fingerprints; files of code version 1 do not say it.
    code_version: Annotated[PositiveInt, Field(validate_default=True)] = 0

    @field_validator("code_version", mode="before")
    @classmethod
    def _known(cls, given: Any, info: ValidationInfo) -> Any:
        return given or (1 if info.mode == "json" else CODE_VERSION)

    @model_validator(mode="after")
    def _validate(self) -> Self:
        paths = list(self.runs)
        for path in {cell.run for cell in self.cells} - {""}:
            lookup(path, paths, "run of a cell")
        for name in {cell.on for cell in self.cells} - {""}:
            lookup(name, self.other_data, "data set of a cell")
        keys = self.cells_by_key if self.cells else self.runs
        for key in {key for claim in self.claims for pair in claim.better for key in pair}:
            lookup(key, keys, "cell of a claim" if self.cells else "run of a claim")
        if not self.cells and (len(self.data_sets), [run.role for run in self.runs.values()].count("teacher")) != (
            1,
            1,
        ):
            raise ValueError("without cells, a study compares its runs on one data set with one teacher")
        for at, path in enumerate(paths):
            self._check_paths(path, before=paths[:at])
        return self

    def _check_paths(self, path: str, before: list[str]) -> None:
        """Refuse a run that names others which are not there, or not before it where it builds on them."""
        run = self.runs[path]
        if run.teacher:
            lookup(run.teacher, before, f"teacher, before its student {path},")
        if run.starts_from:
            lookup(run.starts_from, before, f"run to start from, before {path},")
        lookup(run.tuned_with or path, self.runs, f"run to share the rate of {path}")
        lookup(run.steps_as or path, self.runs, f"run to share the steps of {path}")
        if bool(run.epochs) != bool(self.runs[run.steps_as or path].epochs):
            raise ValueError(f"{path} is as long as {run.steps_as}: both must count epochs, or both steps")

    @property
    def cells_by_key(self) -> dict[str, Cell]:
        """The cells by the keys that a claim may name them by: without a metric, a run's primary one is meant."""
        ours = [cell for cell in self.cells if cell.run]
        primary = {path: self.primary_of(path) for path in {cell.run for cell in ours}}
        keys = {cell.key: cell for cell in ours if cell.metric == primary[cell.run]}
        return keys | {cell.key_and_metric: cell for cell in ours}

    def primary_of(self, path: str) -> str:
        """The metric that a run is compared by: that of its task."""
        return find_task(self.runs[path].task).primary

    @property
    def data_sets(self) -> tuple[str, ...]:
        """Those that its networks are trained on."""
        return tuple(dict.fromkeys(run.data.name for run in self.runs.values()))

    @property
    def selection(self) -> Selection:
        """The rule of selection that all of its trainings follow; "last" where they follow several."""
        followed = {run.training.selection for run in self.runs.values() if run.stages}
        return followed.pop() if len(followed) == 1 else "last"

    @property
    def terms(self) -> list[Term]:
        """The summands of the losses of all runs, stage by stage."""
        return [term for run in self.runs.values() for stage in run.stages for term in stage.terms]

    @property
    def losses(self) -> list[str]:
        """Names of the losses that some run is trained with."""
        return list(dict.fromkeys(term.loss for term in self.terms))

    def rates_of(self, path: str) -> tuple[str, tuple[float, ...]]:
        """Path of the run that a run's learning rate is chosen with, and the rates to choose from, if any."""
        tuned = self.runs[path].tuned_with or path
        return tuned, self.runs[tuned].rates

    def with_device(self, device: Literal["cpu", "cuda"]) -> "Study":
        """A copy that runs on a device."""
        runs = {path: changed(run, {"training": changed(run.training, {"device": device})}) for path, run in self.items}
        return changed(self, {"runs": runs})

    def with_images(self, count: Callable[[Data], int]) -> "Study":
        """A copy where epochs are passes over as many training images as there are.

        Args:
            count: the number of training images that settings ask for; asked once for equal ones.
        """
        passed = {path: run.epochs.counted_on(run.data) for path, run in self.items if run.epochs}
        counts = {data: count(data) for data in dict.fromkeys(passed.values())}

        def counted(path: str, run: RunSpec) -> RunSpec:
            if not run.epochs:
                return run
            return changed(run, {"epochs": changed(run.epochs, {"images": counts[passed[path]]})})

        return changed(self, {"runs": {path: counted(path, run) for path, run in self.items}})

    @property
    def items(self) -> list[tuple[str, RunSpec]]:
        """Path and run, in order."""
        return list(self.runs.items())

    def with_contents(self, contents: Mapping[str, str]) -> "Study":
        """A copy where the data sets are those of which these are the hashes, by name."""

        def pinned(data: Data) -> Data:
            return changed(data, {"content": contents.get(data.name, data.content)})

        runs = {path: changed(run, {"data": pinned(run.data)}) for path, run in self.items}
        return changed(
            self, {"runs": runs, "other_data": {name: pinned(data) for name, data in self.other_data.items()}}
        )

    def trainings(
        self, path: str, seed: int, rate: float | None, teacher: Experiment | None, start: Experiment | None = None
    ) -> list[Experiment]:
        """The trainings of a run, stage by stage, each going on from the one before.

        Args:
            path: of the run; one that is trained.
            seed: of its random numbers.
            rate: learning rate of all stages, where it was chosen; None: the run's own.
            teacher: its teacher's run of the same seed.
            start: likewise, the run that it starts from.

        Raises:
            ValueError: the seed or a setting is impossible; one line.
        """
        run, made = self.runs[path], list[Experiment]()
        data = run.data_of(seed)
        for stage, training in zip(run.stages, self._training_of_stages(path, rate), strict=True):
            try:
                made.append(
                    Experiment(
                        data=data,
                        task=run.task,
                        net=run.net,
                        terms=stage.terms,
                        training=training,
                        seed=seed,
                        teacher=teacher,
                        initialized_from=made[-1] if made else start,
                        scale=self.scale,
                        code_version=self.code_version,
                    )
                )
            except ValidationError as error:
                raise ValueError(one_line(error)) from None
        return made

    def _training_of_stages(self, path: str, rate: float | None) -> Iterator[Training]:
        run = self.runs[path]
        length = self.runs[run.steps_as or path]
        whole, unit = (length.epochs.count, "epochs") if length.epochs else (length.training.steps, "steps")
        for stage in run.stages:
            part = round(whole * stage.share)
            if not isclose(part, whole * stage.share, rel_tol=1e-12):
                raise ValueError(f"{run.role}.{unit} = {whole}: {_whole(stage.share)}")
            learning_rate = rate or stage.learning_rate or run.training.learning_rate
            training = changed(run.training, {**stage.changes, "learning_rate": learning_rate})
            yield _in_steps(part, run, training)


def _in_steps(part: int, run: RunSpec, training: Training) -> Training:
    """A stage's training, given its length in epochs where the run counts these, else in steps."""
    if not run.epochs:
        return changed(training, {"steps": part})
    epoch = find_task(run.task).steps_of_epoch(run.epochs.images, training)
    cosine = {"rate_every": epoch} if training.schedule == "cosine" else {}
    return changed(training, {"steps": part * epoch, "validate_every": run.epochs.validate_every * epoch, **cosine})


def _whole(share: float) -> str:
    if share == 1 / 2:
        return "a method in two stages needs an even number"
    return f"a stage with a share of {share:g} needs a whole number of them"
