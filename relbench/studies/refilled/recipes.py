"""Losses, stages and recipes of REFILLED's code, which its studies share.

H.-J. Ye, S. Lu, D.-C. Zhan, CVPR 2020; TPAMI 2022, arXiv:2205.01915. Of the code there are several versions; two have
settings that are known:

    version                     batch   teacher, cross-entropy     stage 1            stage 2
    njulus/ReFilled@be649aa     128     x 0.2 at 100, 140, 180     0.1, cosine to .01 x 0.2 at 100, 140, 180
    njulus/GKD@a37fc79          256     x 0.2 at 50, 100, 150      likewise           x 0.2 at 50, 100, 150

SGD with momentum 0.9 and Nesterov, weight decay 5e-4, a learning rate of 0.1 that begins anew in the second stage, 200
epochs in each stage and for whatever has one stage; GKD trains its teachers with batches of 128. Along the cosine the
rate changes after each epoch. A method in two stages has 400 epochs so: `ce-400` is cross-entropy for as many, the
control of equal budget. Under protocol `fair` all have 200 in all their stages together.

Where runs are not what that code makes:

- Both codes keep, of each stage, the epoch that is best on test images (stage 1: of every tenth, by nearest class
  means). Here the last epoch counts; `--selection test` shows the best of every tenth epoch, of the last stage alone.
- Class centres are of the test views of the training images, there of their random views.
- Where the miner finds no tuple, that code stops; here the loss is 0.
- One seed makes all random numbers of a run; the code has 960402.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relbench.experiment import Classification, Data, Term, Training
from relbench.losses import REFILLED_PRESETS
from relbench.settings import changed
from relbench.studies.epoch_protocol import EpochProtocol, Recipe, pooled_net
from relbench.studies.study import RunSpec, Stage

CROSS_ENTROPY = Term(loss="cross_entropy")
KD = Term(loss="hinton_kd", options={"temperature": 1.0})  # as the baseline in njulus/GKD: temperature and weight 1

TASK = Classification(class_means=True)
TEACHER = "teacher"  # path
PRESETS = {"refilled": "refilled2021", "gkd": "gkd2021", "wgkd": "wgkd2021"}  # as in a path -> version
STAGE_1 = "refilled-1"  # the first stage of "refilled" alone
EPOCHS = 200  # of a stage
COSINE = {"schedule": "cosine", "final_rate": 0.1, "decay_at": ()}

SGD = Training(
    optimizer="sgd",
    momentum=0.9,
    nesterov=True,
    learning_rate=0.1,
    decay=0.2,
    weight_decay=5e-4,
    batch_size=128,
    log_test_metrics=True,
)
RATES = (0.01, 0.03, 0.1, 0.3)
DECAYS: Mapping[str, tuple[float, ...]] = {"ReFilled": (0.5, 0.7, 0.9), "GKD": (0.25, 0.5, 0.75)}  # shares of a stage
BATCHES = {"ReFilled": 128, "GKD": 256}

SOURCE = "H.-J. Ye, S. Lu, D.-C. Zhan, CVPR 2020, and TPAMI 2022, arXiv:2205.01915"
NOTES = (
    (
        "The paper's tables were not seen; numbers are those of READMEs and files of the authors' code. They are of "
        "the epoch that is best on test images; ours, of the last."
    ),
    "Claims about as many epochs, about GKD and about weights of images are questions of ours.",
)


TWO_STAGES_NOTE = (
    "Methods in two stages (refilled, gkd, wgkd) have 400 epochs, and so has ce-400; all others have 200, as in that "
    "code, KD among them."
)


def stages_of(method: str) -> tuple[Stage, ...]:
    """The trainings of a method, by its name in a path."""
    if method in PRESETS:
        preset = REFILLED_PRESETS[PRESETS[method]]
        embedding, classifier = (
            Term(loss=f"refilled_{stage}", options=dict(options))
            for stage, options in (("embedding", preset.embedding), ("classifier", preset.classifier))
        )
        return Stage(terms=(embedding,), share=0.5, changes=COSINE), Stage(terms=(classifier,), share=0.5)
    if method == STAGE_1:
        return (changed(stages_of("refilled")[0], {"share": 1.0}),)
    return (Stage(terms=(CROSS_ENTROPY, KD) if method == "kd" else (CROSS_ENTROPY,)),)


def taught(method: str) -> bool:
    """Whether a method has a teacher."""
    return method in {"kd", STAGE_1, *PRESETS}


def recipe(method: str, images: int, code: str, protocol: EpochProtocol) -> Recipe:
    """A method's recipe.

    Args:
        method: its name in a path.
        images: for training, in one pass.
        code: "ReFilled" or "GKD".
        protocol: under `fair`, all have as many epochs in all their stages together.
    """
    longer = method in {"ce-400", *PRESETS} and protocol.name == "paper"
    epochs = EPOCHS // 2 if method == STAGE_1 and protocol.name == "fair" else EPOCHS * (1 + longer)
    training = changed(SGD, {"batch_size": 128 if method == TEACHER else BATCHES[code]})
    decay_after = tuple(round(share * epochs) for share in DECAYS[code])
    return Recipe(epochs, images, training, decay_after=decay_after, rates=RATES, validate_every=10)


def methods_under(protocol: EpochProtocol, *methods: str) -> tuple[str, ...]:
    """Those that a protocol has: where all have equal budgets, nothing need be controlled."""
    return tuple(method for method in methods if method != "ce-400" or protocol.name == "paper")


def control(protocol: EpochProtocol) -> str:
    """Cross-entropy of a budget equal to that of the methods in two stages."""
    return "ce-400" if protocol.name == "paper" else "ce"


@dataclass(frozen=True)
class SameTask:
    """A teacher and students that know the same classes.

    Attributes:
        data: at full scale.
        images: for training, in one pass.
        networks: of the students, by name as printed, in printed order: the name in a path, and the trunk.
        taught_by: the teacher's name as printed.
        tuned_with: the student that learning rates are chosen with, where they are.
        normalization: of all networks; None for the trunk's usual one.
        codes: by method, whose recipe it has under `paper`; those that are not named have ReFilled's.
    """

    data: Data
    images: int
    networks: Mapping[str, tuple[str, str]]
    taught_by: str
    tuned_with: str
    normalization: str | None = None
    codes: Mapping[str, str] = field(default_factory=dict)

    def path(self, student: str, method: str) -> str:
        """Of a run; cross-entropy makes of the teacher's network the teacher."""
        if method in (TEACHER, "ce") and student == self.taught_by:
            return TEACHER
        return f"{self.networks[student][0]}/{method}"

    def runs(self, methods: tuple[str, ...], protocol: EpochProtocol) -> dict[str, RunSpec]:
        """By path: the teacher, then the students."""
        students = {
            self.path(student, method): self._run(student, method, protocol)
            for method in methods
            for student in self.networks
            if self.path(student, method) != TEACHER
        }
        return {TEACHER: self._run(self.taught_by, TEACHER, protocol)} | students

    def _run(self, student: str, method: str, protocol: EpochProtocol) -> RunSpec:
        tuned_by = "refilled" if method == STAGE_1 else method
        return protocol.run(
            recipe(method, self.images, self._code(method, protocol), protocol),
            self.data,
            pooled_net(self.networks[student][1], normalization=self.normalization),
            stages_of(method),
            task=TASK,
            role="teacher" if method == TEACHER else "student",
            teacher=TEACHER if taught(method) else "",
            tuned_with="" if method == TEACHER else self.path(self.tuned_with, tuned_by),
        )

    def _code(self, method: str, protocol: EpochProtocol) -> str:
        """Whose recipe a method has; equal budgets are of equal batches and decays, too."""
        return self.codes.get(method, "ReFilled") if protocol.name == "paper" else "ReFilled"
