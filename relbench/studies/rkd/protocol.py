"""The two protocols under which the tables of Relational Knowledge Distillation can be made.

`paper` is the authors' code, lenscloth/RKD@0a6c3c0, as its examples call it (run.py, run_distill.py,
run_distill_fitnet.py). An epoch is a number of random batches, not a pass over the data:

    script for         epochs  steps each  rate   times      after epochs   on Stanford Online Products
    teachers           40      100         1e-5   0.5        25, 30, 35     40 epochs of 1,000
    students           80      100         1e-4   0.1        40, 60         120 epochs of 500, after 40, 80
    FitNet's stage 1   80      100         1e-5   0.1        40, 60         likewise

Adam, weight decay 1e-5 on all parameters, batches of 128 images, 5 of each class (26 classes, the last cut to 3), on
all training classes. Images are resized to 256 x 256 whatever their aspect, a crop of 224 x 224 is drawn and mirrored
half of the time, one crop for teacher and student; each network normalises it by itself. Recall is measured on
embeddings as they come out of the network. All in float32. The learning rate falls after 25 epochs: their README names
PyTorch 1.0, which, as far as we know (it was not run), lets it fall so where `scheduler.step()` opens the epoch, as in
their code; from PyTorch 1.1 on it falls one epoch earlier.

`fair` is what the paper did not do: every network, the teacher and the triplet students too, gets as many steps as the
paper's students in all its stages together, the same decay, and for each method the best learning rate of four, by
Recall@1 on validation classes after the last step, seed 0. A rate is chosen once for a method, with the student of 64
dimensions (in Table 2 with generation 1, in Table 3 with 128 dimensions of each trunk), and used for all of its
students. A fifth of the training classes is held out for that, so the numbers are of networks that saw fewer classes
than the paper's.

At scale `toy` either protocol is run with tiny images and networks for a few steps, and two rates, to see that all of
it works. Its numbers mean nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from relbench.experiment import SETTINGS_OF_DATA, Data, Net, SettingsType, Training, changed
from relbench.results.records import Selection
from relbench.studies.keys import known_key
from relbench.studies.printed import Network, Schedule

ProtocolName = Literal["paper", "fair"]
Scale = Literal["full", "toy"]
PROTOCOLS: tuple[ProtocolName, ...] = ("paper", "fair")
SCALES: tuple[Scale, ...] = ("full", "toy")
SELECTIONS: tuple[Selection, ...] = ("last", "validation", "test")

FITNET_RATE = 1e-5  # of its first stage
RATES = {"imagenet": (1e-5, 3e-5, 1e-4, 3e-4), "random": (1e-4, 3e-4, 1e-3, 3e-3)}  # by the weights that it starts from
TUNING_SEED = 0

TOY_CLASSES = {"glyphs-textured": 12}  # of each side; it has so many that even a toy would take long
TOY_WIDTHS = {"resnet50": 6, "resnet18": 4, "googlenet": 4}


@dataclass(frozen=True)
class Epochs:
    """A schedule of the authors'."""

    count: int
    steps: int  # of each
    rate: float
    decay: float
    decay_after: tuple[int, ...]  # epochs

    def protocol(self, rate: float | None = None) -> Training:
        """As settings of a run."""
        return Training(
            steps=self.count * self.steps,
            learning_rate=rate or self.rate,
            decay=self.decay,
            decay_at=tuple(epoch / self.count for epoch in self.decay_after),
            weight_decay=1e-5,
            batch_size=128,
            images_per_class=5,
            validate_every=self.steps,
            log_test_metrics=True,
        )


TEACHER = Epochs(count=40, steps=100, rate=1e-5, decay=0.5, decay_after=(25, 30, 35))
STUDENT = Epochs(count=80, steps=100, rate=1e-4, decay=0.1, decay_after=(40, 60))
LARGE_TEACHER = Epochs(count=40, steps=1000, rate=1e-5, decay=0.5, decay_after=(25, 30, 35))
LARGE_STUDENT = Epochs(count=120, steps=500, rate=1e-4, decay=0.1, decay_after=(40, 80))


def epochs(schedule: Schedule, data: str) -> Epochs:
    """The schedule of one of the scripts on a data set."""
    large = {"teacher": LARGE_TEACHER, "student": LARGE_STUDENT}
    return (large if data == "sop" else {"teacher": TEACHER, "student": STUDENT})[schedule]


@dataclass(frozen=True)
class Setup:
    """Under what conditions a table is made.

    Attributes:
        protocol: the authors', or equal budgets.
        scale: at toy scale, numbers only show that everything runs.
        device: "cpu" or "cuda".
        changes: settings that are not the protocol's, by key: "data.KEY" or "training.KEY".
        contents: what the data sets hold, by name: the hash of their manifests.

    Raises:
        ValueError: there is no such setting.
    """

    protocol: ProtocolName = "paper"
    scale: Scale = "full"
    device: Literal["cpu", "cuda"] = "cpu"
    changes: Mapping[str, Any] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        keys = [f"data.{key}" for key in SETTINGS_OF_DATA if key != "name"]
        keys += [f"training.{key}" for key in Training.model_fields if key not in {"device", "selection"}]
        for key in self.changes:
            known_key(key, keys, "TABLE")
        if self.protocol == "fair":
            _refuse_unfair(self.changes)

    def data(self, name: str) -> Data:
        """A data set as its networks see it."""
        toy = TOY_CLASSES.get(name) if self.scale == "toy" else None
        data = Data(
            name=name,
            size=32 if self.scale == "toy" else 224,
            hold_out=self.protocol == "fair",
            train_classes=toy,
            test_classes=toy,
            content=self.contents.get(name, ""),
        )
        return self._changed(data, "data")

    def net(self, net: Net) -> Net:
        """A network at this scale."""
        if self.scale == "full":
            return net
        return changed(net, {"trunk": "conv4", "width": TOY_WIDTHS[net.trunk], "weights": "random"})

    def stages(self, network: Network, rate: float | None = None) -> tuple[Training, ...]:
        """How a network is trained: its first stage, if it has one, and its last.

        Args:
            network: of the table; with a recipe.
            rate: learning rate of all stages, where it is chosen; None: the protocol's.

        Raises:
            ValueError: a changed setting is impossible.
        """
        assert network.recipe is not None
        schedule: Schedule = network.recipe.schedule if self.protocol == "paper" else "student"
        own = self._changed(self._sized(epochs(schedule, network.data).protocol(rate)), "training")
        if not network.recipe.first:
            return (own,)
        if self.protocol == "fair":
            if own.steps % 2:
                raise ValueError(f"training.steps = {own.steps}: a method in two stages needs an even number")
            return (changed(own, {"steps": own.steps // 2}),) * 2
        given = "training.learning_rate" in self.changes
        return (own if given else changed(own, {"learning_rate": FITNET_RATE})), own

    def rates(self, network: Network) -> tuple[float, ...]:
        """Learning rates to choose from; none where the protocol says which."""
        if self.protocol == "paper":
            return ()
        return RATES[network.net.weights][:: 2 if self.scale == "toy" else 1]

    def _sized(self, protocol: Training) -> Training:
        here = {"device": self.device}
        toy = {"steps": 4, "batch_size": 8, "images_per_class": 2, "validate_every": 2}
        return changed(protocol, here | (toy if self.scale == "toy" else {}))

    def _changed(self, settings: SettingsType, group: str) -> SettingsType:
        mine = {key.partition(".")[2]: value for key, value in self.changes.items() if key.startswith(f"{group}.")}
        try:
            return changed(settings, mine) if mine else settings
        except ValueError as error:
            raise ValueError(f"{group}.{error}".replace(".settings: ", ": ")) from None


def _refuse_unfair(changes: Mapping[str, Any]) -> None:
    """Under `fair` there are validation classes, and rates are chosen on them."""
    if changes.get("data.hold_out") is False:
        raise ValueError("data.hold_out = false: protocol fair chooses rates on the classes that it holds out")
    if "training.learning_rate" in changes:
        raise ValueError("training.learning_rate: protocol fair chooses it; use --protocol paper to set one")
