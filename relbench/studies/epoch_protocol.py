"""The two protocols of studies whose networks are trained by stochastic gradient descent, for epochs.

A study says how published code trains a network as a `Recipe`, its losses as stages, and takes its runs from
`EpochProtocol(name, scale).run(recipe, data, net, stages, ...)`; what readers must know of the conditions is `notes`.

`paper` is the recipe to the letter, on all training images; the metrics of test images stand in the history of every
run, as published codes show them, and are never chosen by unless `--selection test` asks for it.

`fair` is what papers rarely do: every network, the teacher too, has as many epochs as the recipe in all its stages
together; for each method a learning rate is chosen, by accuracy on validation images after the last step, seed 0;
results are of the last epoch. Validation images are held out of each class's training images, so the numbers are of
networks that saw fewer images than the paper's.

At scale `toy` either protocol is run with tiny networks, a few classes and two epochs, and two rates, to see that all
of it works. Its numbers mean nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from relbench.experiment import Classification, Data, Net, TaskSettings, Training
from relbench.lookup import lookup
from relbench.settings import changed
from relbench.studies.study import Epochs, RunSpec, Scale, Stage

PROTOCOLS, SCALES = ("paper", "fair"), ("full", "toy")

TOY_CLASSES = 4  # the first of the data set
TOY_SIDE = 64  # in pixels, at most; images that are kept at the size that networks see are no larger
TOY_EPOCHS = 2
TOY_TRAINING = {"batch_size": 16}
TOY_WIDTHS = {"teacher": 6, "student": 4}  # of conv4, by role

NOTES = {
    "paper": "Protocol paper: epochs, learning rates and views of the published code, on all training images.",
    "fair": "Protocol fair: as many epochs for every network, in all its stages together; for each method a learning "
    "rate, chosen on validation images, which are held out of each class's training images; the last epoch counts.",
}
TOY_NOTE = "Scale toy: tiny networks, a few classes and two epochs; only the order of runs is the protocol's."


def pooled_net(trunk: str, **settings: object) -> Net:
    """A network that is classified on its pooled features, which keep their lengths: the head is its one linear layer.

    Args:
        trunk: its name.
        settings: what else is said of the network, such as its normalization.
    """
    return Net.model_validate({"trunk": trunk, "dim": None, "unit_length": False, **settings})


@dataclass(frozen=True)
class Recipe:
    """How published code trains a network.

    Attributes:
        epochs: passes over the training images, in all stages together.
        images: for training, in one pass, as published.
        training: all that is not counted in epochs: optimiser, learning rate, decay, batch size.
        decay_after: epochs after which the learning rate is multiplied by `training.decay`.
        rates: learning rates to choose from under protocol fair.
        validate_every: epochs between two validations.
        of_all_images: whether an epoch has the steps of all images, though a run is trained on a few of each class.
    """

    epochs: int
    images: int
    training: Training
    decay_after: tuple[int, ...] = ()
    rates: tuple[float, ...] = ()
    validate_every: int = 1
    of_all_images: bool = False

    @property
    def decaying(self) -> Training:
        """The training with its decays, as shares of the epochs."""
        return changed(self.training, {"decay_at": tuple(epoch / self.epochs for epoch in self.decay_after)})


@dataclass(frozen=True)
class EpochProtocol:
    """Under what conditions a study of epochs is made.

    Attributes:
        name: "paper", as published; or "fair", equal budgets.
        scale: "full"; or "toy", whose numbers only show that everything runs.

    Raises:
        ValueError: there is no such protocol or scale.
    """

    name: str = "paper"
    scale: Scale = "full"

    def __post_init__(self) -> None:
        """Refuse what there is not."""
        lookup(self.name, PROTOCOLS, "protocol")
        lookup(self.scale, SCALES, "scale")

    def run(  # noqa: PLR0913 - one argument per part of the run
        self,
        recipe: Recipe,
        data: Data,
        net: Net,
        stages: tuple[Stage, ...],
        *,
        task: TaskSettings = Classification(),  # noqa: B008 - frozen
        role: Literal["teacher", "student"] = "student",
        teacher: str = "",
        tuned_with: str = "",
        note: str = "",
    ) -> RunSpec:
        """A network of a study.

        Args:
            recipe: of its training.
            data: at full scale, with the views of the published code.
            net: at full scale.
            stages: its losses; under `fair` all stages share the epochs equally, and have one learning rate.
            task: what it is for.
            role: a teacher, or a student that teaches nobody.
            teacher: path of its teacher.
            tuned_with: path of the run whose learning rate it shares, where rates are chosen; "": its own.
            note: in what it cannot be what the paper had.

        Raises:
            ValueError: there are no rates to choose from under `fair`.
        """
        return RunSpec(
            data=self.data(data),
            task=task,
            net=self.net(net, role),
            training=self.training(recipe),
            epochs=self.epochs(recipe),
            stages=self.stages(stages),
            teacher=teacher,
            role=role,
            rates=self.rates(recipe),
            tuned_with=tuned_with,
            note=note,
        )

    def data(self, data: Data) -> Data:
        """A data set as networks see it."""
        toy: Mapping[str, Any] = {}
        if self.scale == "toy":
            classes = TOY_CLASSES if data.split == "images" else None
            toy = {"size": min(data.size, TOY_SIDE), "train_classes": classes, "test_classes": classes}
        return changed(data, {"hold_out": self.name == "fair", **toy})

    def net(self, net: Net, role: Literal["teacher", "student"]) -> Net:
        """A network at this scale."""
        if self.scale == "full":
            return net
        return changed(net, {"trunk": "conv4", "width": TOY_WIDTHS[role], "weights": "random"})

    def training(self, recipe: Recipe) -> Training:
        """A recipe's training at this scale."""
        return changed(recipe.decaying, TOY_TRAINING if self.scale == "toy" else {})

    def epochs(self, recipe: Recipe) -> Epochs:
        """A recipe's length at this scale."""
        toy = self.scale == "toy"
        return Epochs(
            count=TOY_EPOCHS if toy else recipe.epochs,
            images=recipe.images,
            validate_every=1 if toy else recipe.validate_every,
            of_all_images=recipe.of_all_images,
        )

    def stages(self, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        """The trainings of a method; under `fair` they share the epochs, and have one learning rate."""
        equal = {"share": 1 / len(stages), "learning_rate": None}
        return tuple(changed(stage, equal) for stage in stages) if self.name == "fair" else stages

    def rates(self, recipe: Recipe) -> tuple[float, ...]:
        """Learning rates to choose from; none where the recipe's is taken as it is."""
        if self.name == "paper":
            return ()
        if not recipe.rates:
            raise ValueError("protocol fair chooses learning rates, but the recipe has none to choose from")
        return recipe.rates[:: 2 if self.scale == "toy" else 1]

    def notes(self, *of_paper: str) -> tuple[str, ...]:
        """What a reader must know of these conditions; `of_paper` is true under the published ones alone."""
        if self.scale == "toy":
            return (TOY_NOTE,)
        return (NOTES[self.name], *(of_paper if self.name == "paper" else ()))
