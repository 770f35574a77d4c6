"""Settings of a run: frozen, validated, and named by their fingerprint.

Everything that can change a result is a setting here and nowhere else; what only changes when or where it is computed
(the results folder, the number of runs at once) is not. A misspelt or impossible setting is refused when it is written.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    FiniteFloat,
    JsonValue,
    PositiveInt,
    SerializeAsAny,
    Tag,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import to_json

from relbench.settings import Settings, one_line, renamed, short_hash, under_former_names
from relbench.transforms import TRANSFORM_OF, Transform, default_of, gathered

# Counts up whenever the code changes the results of unchanged settings beyond rounding, which differs between machines
# anyway; old runs are then not reused. Where a single loss changes, `Term.revision` counts up instead.
CODE_VERSION = 2

EMBEDDING = "embedding"  # the name of the last layer, which retrieval compares

LARGEST = 1e30  # float32, in which networks are trained, holds ten times this
PositiveFloat = Annotated[FiniteFloat, Field(gt=0, le=LARGEST)]
Fraction = Annotated[FiniteFloat, Field(ge=0, le=1)]
Precision = Literal["32-true", "tf32", "bf16-mixed"]


def _kind_of_selection(value: object) -> str:
    return "class names" if isinstance(value, list | tuple) else "number of classes"


ClassSelection = Annotated[
    Annotated[PositiveInt, Tag("number of classes")] | Annotated[tuple[str, ...], Tag("class names")],
    Discriminator(_kind_of_selection),
]
"""Classes of a split: the first of them, or those of these names."""

Splitting = Literal["classes", "images"]
"""What the sides of a split do not share: classes, or images of the same classes."""


class Data(Settings, use_attribute_docstrings=True):
    """The images, and how they are shown."""

    name: str = "glyphs"
    """The data set; `relbench list` names them."""
    size: Annotated[int, Field(ge=8, le=1024)] = 28
    """Side of the network's input in pixels."""
    train_classes: ClassSelection | None = None
    """Train on some classes of the split only: the number of the first, or their names; null for all."""
    test_classes: ClassSelection | None = None
    """Test on some classes of the split only: the number of the first, or their names; null for all."""
    train_images_per_class: PositiveInt | None = None
    """Train on so many images of each class only, the same for all seeds; null for all."""
    split: Splitting = "classes"
    """What training never sees of the test: its classes, for retrieval and few-shot; or other images of the same."""
    partition: Annotated[int, Field(ge=1, le=100)] = 1
    """The partition of the images, where a data set has several, as DTD has ten."""
    hold_out: bool = True
    """Hold what is validated on out of training: classes, or a part of each class's images where `split` is images;
    false trains on all, as papers do, and validates on none."""
    transform: Annotated[Transform, Field(discriminator="kind")] | None = None
    """Views of the images; the data set's usual ones are filled in when a run is planned."""
    content: str = ""  # hash of the data set's manifest: filled in when a run is planned

    @property
    def label_space(self) -> Mapping[str, object]:
        """The settings that decide which classes are trained on, and so what a class's number means.

        Numbers follow the sorted names of the classes, whatever the order in which they were named.
        """
        names = self.train_classes
        return {
            "name": self.name,
            "split": self.split,
            "train_classes": tuple(sorted(names)) if isinstance(names, tuple) else names,
            "hold_out": self.split == "classes" and self.hold_out,
            "content": self.content,
        }

    @property
    def images_in_use(self) -> tuple[object, ...]:
        """What decides which images of which classes lie in which split; the rest is how they are shown."""
        classes = self.train_classes, self.test_classes
        return self.name, self.split, self.partition, *classes, self.train_images_per_class, self.hold_out

    @model_validator(mode="before")
    @classmethod
    def _with_transform(cls, given: Any) -> Any:
        """Take a transform's settings beside the data set's, too."""
        if not isinstance(given, Mapping):
            return given
        beside = {name: value for name, value in given.items() if name in TRANSFORM_OF}
        own = {name: value for name, value in given.items() if name not in TRANSFORM_OF}
        return own | ({"transform": gathered(own.get("transform"), beside)} if beside else {})

    @field_validator("train_classes", "test_classes", mode="before")
    @classmethod
    def _of_json(cls, given: Any, info: ValidationInfo) -> Any:
        """Names in JSON are a list; pydantic does not see that they come from there."""
        return tuple(given) if isinstance(given, list) and info.mode == "json" else given


def flattened(settings: Settings) -> dict[str, Any]:
    """Settings by name, as JSON has them; those of a transform stand beside the data set's, at defaults if it has none.

    So tables and `--set` have them, with one column for each setting of any kind of data set.
    """
    values = settings.model_dump(mode="json")
    if isinstance(settings, Net):
        values.pop("weights_content")
    if not isinstance(settings, Data):
        return values
    content, transform = values.pop("content"), values.pop("transform") or {}
    return values | {name: transform.get(name, default_of(name)) for name in TRANSFORM_OF} | {"content": content}


SETTINGS_OF_DATA: Mapping[str, type[Settings]] = {
    **{name: Data for name in Data.model_fields if name not in {"transform", "content"}},
    **TRANSFORM_OF,
}
"""The settings of data that `--set` takes, and what holds each."""


Normalization = Literal["imagenet", "cifar100", "cifar10", "cifar10-at", "cinic10", "tiny-imagenet"]
"""Names of the means and deviations that published codes normalise images by (`relbench.models.normalization`)."""


NAMED_WEIGHTS = ("random", "imagenet")
WEIGHT_FILES = (".safetensors", ".pt", ".pth")


def _known_weights(value: str) -> str:
    if value not in NAMED_WEIGHTS and not value.endswith(WEIGHT_FILES):
        raise ValueError(f"choose {' or '.join(NAMED_WEIGHTS)}, or a file that ends with {', '.join(WEIGHT_FILES)}")
    return value


Weights = Annotated[
    str,
    AfterValidator(_known_weights),
    WithJsonSchema({"anyOf": [{"enum": NAMED_WEIGHTS}, {"type": f"the path of a file ({', '.join(WEIGHT_FILES)})"}]}),
]
"""Initial weights of a trunk, by name or from a file."""


class Net(Settings, use_attribute_docstrings=True):
    """An embedding network: trunk, linear layer, optional unit length."""

    trunk: str = "conv4"
    """The network below the embedding; `relbench list --trunks TEXT` searches them."""
    width: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Channels of the first block, where the trunk can be scaled; null elsewhere."""
    weights: Weights = "random"
    """The weights that the trunk starts from: a library's own, or those of a file, read without executing it."""
    weights_content: str = ""  # SHA-256 of the file's content: filled in when a run is planned
    dim: Annotated[int, Field(ge=1, le=8192)] | None = 128
    """Dimensions of the embedding; null for the trunk's features as they are, without a linear layer."""
    unit_length: bool = True
    """Scale embeddings to unit length."""
    normalization: Normalization | None = None
    """Mean and deviation by which images are normalised before the trunk; null for the trunk's usual ones."""

    @property
    def weights_file(self) -> str:
        """The path of the file that the weights are read from; "" where they come from no file of the user's."""
        return "" if self.weights in NAMED_WEIGHTS else self.weights

    @property
    def short_name(self) -> str:
        """The network's name in tables: trunk, width where it has one, dimensions where it has them: conv4-16/128."""
        width, dim = ("" if self.width is None else f"-{self.width}"), ("" if self.dim is None else f"/{self.dim}")
        return f"{self.trunk}{width}{dim}"


SETTINGS_OF_NET = tuple(name for name in Net.model_fields if name != "weights_content")
"""The settings of a network that `--set` takes."""


class Term(Settings, use_attribute_docstrings=True):
    """A term of the objective: a loss by name, its weight, its options."""

    loss: str
    """Another loss in its place; `relbench list` names them."""
    weight: PositiveFloat = 1.0
    """Factor of the loss in the objective."""
    options: dict[str, JsonValue] = {}  # noqa: RUF012 - pydantic copies it
    layers: tuple[str, ...] = ()  # the loss's usual ones are filled in when a run is planned
    """Layers whose maps are compared, each with the teacher's of that name; empty for the loss's usual ones."""
    source: str = ""  # Python text of a loss that is not relbench's
    revision: PositiveInt = 1  # of the loss's code, where it changed the run's numbers; filled in when a run is planned


class Training(Settings, use_attribute_docstrings=True):
    """The training of a network, and the selection of a step."""

    steps: Annotated[int, Field(ge=1, le=10**8)] = 1000
    """Training steps, one batch each."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam, or stochastic gradient descent."""
    momentum: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.0
    """Momentum of sgd."""
    nesterov: bool = False
    """Nesterov's momentum, for sgd."""
    learning_rate: PositiveFloat = 1e-3
    """The learning rate at the beginning."""
    schedule: Literal["steps", "cosine"] = "steps"
    """The learning rate falls by `decay` at each of `decay_at`, or along half a cosine to `final_rate`."""
    final_rate: Fraction = 0.0
    """Cosine: the learning rate at the end, as a share of that at the beginning."""
    rate_every: PositiveInt = 1
    """Cosine: steps between two changes of the learning rate; an epoch, where it changes after epochs."""
    decay_at: tuple[Fraction, ...] = ()
    """Shares of the steps after which the learning rate is multiplied by `decay`, such as [0.5, 0.75]."""
    decay: Annotated[FiniteFloat, Field(gt=0, le=1)] = 0.1
    """Factor of the learning rate at each of `decay_at`."""
    weight_decay: Annotated[FiniteFloat, Field(ge=0, le=LARGEST)] = 0.0
    """Factor of the weights that is added to their gradients (L2), on all parameters."""
    frozen: bool = False
    """Train the head alone: the network stays as it begins, and in evaluation mode."""
    batch_size: Annotated[int, Field(ge=2, le=2**16)] = 128
    """Images in a batch."""
    images_per_class: Annotated[int, Field(ge=2)] = 5
    """Images of each class in a batch."""
    batch_norm_parts: PositiveInt = 1
    """Equal parts of a batch that are normalised by batch statistics of their own, as on that many GPUs."""
    validate_every: PositiveInt = 250
    """Steps between two validations; a checkpoint is written at each."""
    selection: Literal["last", "validation"] = "last"
    """The step that counts: the last, or the best on validation images, by the task's primary metric."""
    precision: Precision = "32-true"
    """Precision of the computation; 32-true uses no TF32 in products or convolutions."""
    channels_last: bool = False
    """Memory layout of images and weights; true is faster with some GPUs and precisions."""
    compile: bool = False
    """Compile the networks by torch.compile: takes a while at the first step, and changes numbers by rounding."""
    log_test_metrics: Annotated[bool, renamed("log_test_metrics")] = False
    """Measure the test images at each validation, too, to show the effect of choosing by them."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the run computes; `--device` sets it for all runs."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Threads on the CPU; their number changes the order of sums, and so the last digits."""

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if list(self.decay_at) != sorted(set(self.decay_at)):
            raise ValueError("decay_at must increase")
        self._check_optimizer()
        if self.batch_norm_parts > self.batch_size // 2:
            raise ValueError("batch_norm_parts leaves parts of a single image: lower it, or raise batch_size")
        return self

    def _check_optimizer(self) -> None:
        if self.optimizer == "adam" and (self.momentum or self.nesterov):
            raise ValueError("momentum and nesterov are settings of sgd: choose optimizer = sgd, or leave them out")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov = true needs a momentum above 0")
        if self.schedule == "cosine" and self.decay_at:
            raise ValueError("schedule = cosine has no steps: leave decay_at empty")
        if self.schedule == "steps" and (self.final_rate or self.rate_every != 1):
            raise ValueError("final_rate and rate_every are for schedule = cosine: leave them out")


class TaskSettings(Settings):
    """The task of a run. Every task has its own settings, distinguished by `kind`; their code is in `tasks`."""

    kind: str

    @property
    def hashed(self) -> dict[str, Any]:
        """The task as fingerprints hash it: the kind, and the settings that differ from their defaults."""
        return {"kind": self.kind, **self.model_dump(mode="json", exclude_defaults=True)}


class Retrieval(TaskSettings):
    """Retrieval among images of classes that were not seen in training."""

    kind: Literal["retrieval"] = "retrieval"


class Classification(TaskSettings, use_attribute_docstrings=True):
    """Classification of new images of the classes that were trained on."""

    kind: Literal["classification"] = "classification"
    last_batch: Literal["keep", "drop"] = "keep"
    """What becomes of an epoch's last batch where it is smaller than the others."""
    class_means: bool = False
    """Measure the accuracy by the nearest class mean of embeddings, too, which needs no head."""


Scorer = Literal["prototypes", "centred", "nearest", "logistic"]
"""The classifiers that support images can make of embeddings (`relbench.evaluation.few_shot`)."""


class FewShot(TaskSettings, use_attribute_docstrings=True):
    """Classification among a few classes that were not seen in training, given a few images of each: an episode.

    A training episode is a batch: `images_per_class` of a training are the support images and the queries of each of
    its classes, and `batch_size` is as many times that as it has classes.
    """

    kind: Literal["few-shot"] = "few-shot"
    way: tuple[Annotated[int, Field(ge=2)], ...] = (5,)
    """Classes of a test episode; with several numbers each is measured, and networks are compared by the first."""
    shot: PositiveInt = 1
    """Support images of each class, in training and in the test."""
    queries: PositiveInt = 15
    """Query images of each class in a test episode."""
    episodes: Annotated[int, Field(ge=2, le=10**6)] = 1000
    """Test episodes."""
    validation_episodes: Annotated[int, Field(ge=2, le=10**6)] = 400
    """Validation episodes."""
    episode_seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of test and validation episodes: they are the same for every run, whatever its seed."""
    scorer: Scorer = "prototypes"
    """What classifies the queries of a test episode."""
    batch_norm: Literal["together", "apart"] = "together"
    """Whether support images and queries of a training episode are normalised by the same batch statistics."""

    @field_validator("way", mode="before")
    @classmethod
    def _of_json(cls, given: Any, info: ValidationInfo) -> Any:
        """Numbers in JSON are a list."""
        return tuple(given) if isinstance(given, list) and info.mode == "json" else given

    @field_validator("way")
    @classmethod
    def _once(cls, way: tuple[int, ...]) -> tuple[int, ...]:
        if not way or len(set(way)) < len(way):
            raise ValueError("name a number of classes, or several of them, each once")
        return way


TASK_SETTINGS: dict[str, type[TaskSettings]] = {
    "retrieval": Retrieval,
    "classification": Classification,
    "few-shot": FewShot,
}
"""Settings of all tasks, by kind."""


def _of_its_kind(given: object, info: ValidationInfo) -> object:
    """Settings of a task, by the class that their kind names: a union that stays open, and needs no second member."""
    if not isinstance(given, Mapping):
        return given
    kind = given.get("kind", "retrieval")
    if kind not in TASK_SETTINGS:
        raise ValueError(f"unknown kind of task {kind!r}: known are {', '.join(sorted(TASK_SETTINGS))}")
    settings = TASK_SETTINGS[kind]
    try:
        return settings.model_validate_json(to_json(given)) if info.mode == "json" else settings.model_validate(given)
    except ValidationError as error:
        raise ValueError(one_line(error)) from None


TaskField = Annotated[SerializeAsAny[TaskSettings], BeforeValidator(_of_its_kind)]
"""A field that holds the settings of any task."""


MEMO = "_fingerprint"


class Experiment(Settings):
    """A run, from images to a row of results."""

    __slots__ = (MEMO,)  # asked for again and again; neither a setting nor copied to an experiment that differs

    task: TaskField = Retrieval()

    data: Data = Data()
    net: Net = Net()
    terms: Annotated[tuple[Term, ...], Field(min_length=1)]
    training: Annotated[Training, renamed("training")] = Training()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    teacher: "Experiment | None" = None
    # an earlier stage: its weights and, on the same images, its place in the batches; or a run of other images
    initialized_from: Annotated["Experiment | None", renamed("initialized_from")] = None
    scale: Literal["full", "toy"] = "full"  # toy: tiny networks and few steps, to see that everything runs
    code_version: Annotated[PositiveInt, renamed("code_version")] = CODE_VERSION  # that of the code which ran it

    @model_validator(mode="after")
    def _validate(self) -> Self:
        names = [term.loss for term in self.terms]
        if len(set(names)) != len(names):
            raise ValueError("a loss may occur in `terms` only once: add up its weights")
        first = self.initialized_from
        if first and (first.net, first.seed) != (self.net, self.seed):
            raise ValueError("a run continues with the network and the seed that it starts from: make them equal")
        return self

    @property
    def dependencies(self) -> dict[str, "Experiment"]:
        """Runs that must be finished before this run can begin, by their part in it."""
        given = {"teacher": self.teacher, "first stage": self.initialized_from}
        return {name: run for name, run in given.items() if run}

    @property
    def stages(self) -> tuple["Experiment", ...]:
        """The trainings that lead to the result, this run's own last."""
        return (*(self.initialized_from.stages if self.initialized_from else ()), self)

    @property
    def total_steps(self) -> int:
        """Steps of training behind the result, those of earlier stages included."""
        return sum(stage.training.steps for stage in self.stages)

    @property
    def begins_at(self) -> int:
        """The place of its first step in the batches: after those of earlier stages, which saw the same images."""
        first = self.initialized_from
        return first.begins_at + first.training.steps if first and first.data == self.data else 0

    @property
    def last_teacher(self) -> "Experiment | None":
        """The teacher of the last stage that had one."""
        return next((stage.teacher for stage in reversed(self.stages) if stage.teacher), None)

    @property
    def fingerprint(self) -> str:
        """The name of the run's folder and row: 16 hexadecimal digits of the hash of all settings, the teacher's too.

        Settings that have their default value are left out, so that a setting added later leaves old runs their names.
        A default that changes must therefore count `CODE_VERSION` up.
        """
        known: str | None = getattr(self, MEMO, None)
        if known is None:
            known = self._hashed()
            object.__setattr__(self, MEMO, known)
        return known

    def _hashed(self) -> str:
        runs = {"teacher": self.teacher, "initialized_from": self.initialized_from}
        settings = self.model_dump(mode="json", exclude={*runs, "code_version", "task"}, exclude_defaults=True)
        settings |= {"code_version": self.code_version} | hashed_task(self.task)
        settings |= {name: run.fingerprint for name, run in runs.items() if run}
        if "training" in settings:
            settings["training"] = under_former_names(settings["training"])
        return short_hash(under_former_names(settings))


def hashed_task(task: TaskSettings) -> dict[str, Any]:
    """The task as fingerprints hash it: retrieval, the default, is left out."""
    return {} if task == Retrieval() else {"task": task.hashed}


def task_columns(task: TaskSettings) -> dict[str, Any]:
    """All settings of a task by dotted name, for tables; none of retrieval, as in tables of earlier versions."""
    return {f"task.{name}": value for name, value in flattened(task).items()} if hashed_task(task) else {}
