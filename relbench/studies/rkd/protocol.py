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

from dataclasses import dataclass
from typing import Literal

from relbench.experiment import Data, Net, Training
from relbench.lookup import lookup
from relbench.settings import changed
from relbench.studies.rkd.recipes import SCHEDULES, STAGES, Schedule
from relbench.studies.study import RunSpec, Scale, Stage

PROTOCOLS, SCALES = ("paper", "fair"), ("full", "toy")

RATES = {"imagenet": (1e-5, 3e-5, 1e-4, 3e-4), "random": (1e-4, 3e-4, 1e-3, 3e-3)}  # by the weights that it starts from

TOY_CLASSES = {"glyphs-textured": 12}  # of each side; with all of them even a toy would take long
TOY_WIDTHS = {"resnet50": 6, "resnet18": 4, "googlenet": 4}

NOTES = {
    "paper": "Protocol paper: steps, rates and crops of the authors' code, trained on all training classes; rates drop "
    "when PyTorch 1.0, as far as is known, dropped them: an epoch later than in later versions.",
    "fair": "Protocol fair: the same number of steps for every network; for each method a learning rate, chosen with "
    "one of its networks on validation classes, which are a fifth of the training classes and not trained on.",
}
TOY_NOTE = "Scale toy: tiny images, networks and batches, and a few steps; only the order of runs is the protocol's."


@dataclass(frozen=True)
class Epochs:
    """A schedule of the authors'."""

    count: int
    steps: int  # of each
    rate: float
    decay: float
    decay_after: tuple[int, ...]  # epochs

    def training(self) -> Training:
        """As settings of a run."""
        return Training(
            steps=self.count * self.steps,
            learning_rate=self.rate,
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
class Protocol:
    """Under what conditions a table is made.

    Attributes:
        name: "paper", the authors' own; or "fair", equal budgets.
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

    def run(
        self,
        method: str,
        data: str,
        net: Net,
        *,
        role: Literal["teacher", "student"] = "student",
        teacher: str = "",
        tuned_with: str = "",
        note: str = "",
    ) -> RunSpec:
        """A network of a table, as its method trains it.

        Args:
            method: one of `STAGES`.
            data: name of the data set.
            net: at full scale.
            role: a teacher, or a student that teaches nobody.
            teacher: path of its teacher.
            tuned_with: path of the run whose learning rate it shares, where rates are chosen.
            note: in what it cannot be what the paper had.
        """
        fair = self.name == "fair"
        return RunSpec(
            data=self.data(data),
            net=self.net(net),
            training=self.training("student" if fair else SCHEDULES[method], data),
            stages=self.stages(method),
            teacher=teacher,
            role=role,
            rates=RATES[net.weights][:: 2 if self.scale == "toy" else 1] if fair else (),
            tuned_with=tuned_with,
            note=note,
        )

    def data(self, name: str) -> Data:
        """A data set as networks see it."""
        toy = TOY_CLASSES.get(name) if self.scale == "toy" else None
        return Data(
            name=name,
            size=32 if self.scale == "toy" else 224,
            hold_out=self.name == "fair",
            train_classes=toy,
            test_classes=toy,
        )

    def net(self, net: Net) -> Net:
        """A network at this scale."""
        if self.scale == "full":
            return net
        return changed(net, {"trunk": "conv4", "width": TOY_WIDTHS[net.trunk], "weights": "random"})

    def training(self, schedule: Schedule, data: str) -> Training:
        """How a script of the authors' trains on a data set, at this scale."""
        toy = {"steps": 4, "batch_size": 8, "images_per_class": 2, "validate_every": 2}
        return changed(epochs(schedule, data).training(), toy if self.scale == "toy" else {})

    def stages(self, method: str) -> tuple[Stage, ...]:
        """The trainings of a method; under `fair` they share the steps, and have one learning rate."""
        stages = STAGES[method]
        equal = {"share": 1 / len(stages), "learning_rate": None}
        return tuple(changed(stage, equal) for stage in stages) if self.name == "fair" else stages

    def notes(self, *of_paper: str) -> tuple[str, ...]:
        """What a reader must know of these conditions; `of_paper` is true under the authors' own alone."""
        if self.scale == "toy":
            return (TOY_NOTE,)
        return (NOTES[self.name], *(of_paper if self.name == "paper" else ()))
