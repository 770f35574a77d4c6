"""REFILLED for few-shot learning, on CUB-200-2011: the protocol is ours.

    relbench reproduce refilled-few-shot --device cuda
    relbench reproduce refilled-few-shot --only '5-shot/*'

A prototypical network of a ResNet-18 teaches one of four blocks with max-pooling to tell birds apart that neither has
seen: queries of five new species, by the means of one or five images of each. Of the paper's experiment (Ye, Lu, Zhan,
TPAMI 2022, arXiv:2205.01915) neither table nor code was seen, so no number of the paper can stand beside these.

    alone       the prototypical loss
    rkd-d       and the distances among all embeddings of an episode (RKD)
    rkd-da      and half of these, and as much of their angles
    refilled    the first stage of REFILLED (njulus/ReFilled@be649aa), which trains the embedding by the teacher's
                comparisons; then the prototypical loss

REFILLED's second stage, which trains a classifier of the training classes, has no place here: new classes have no
weights in it, and prototypes take its part. All networks have equally many episodes, so refilled has half of them in
each stage, and the rate begins anew in the second.

What is known of the group's habits in few-shot learning is its FEAT (Sha-Lab/FEAT@47bdc7c): CUB among the data sets,
four blocks or a ResNet-12 as network, 10,000 test episodes. So are the data set, the student and the test here. Not so
the classes, of which FEAT draws 100, 50 and 50 for training, validation and test: here the first 100 of the data set
are trained on, but for 20 of them that are validated on, and the last 100 tested. Nor the teacher, a network that
relbench has. Photos are shown whole, resized to 92 pixels, and cropped to 84.

Training is that of public code of prototypical networks (yinboc/prototypical-network-pytorch@36ecfe6): 20,000 episodes
of 30 classes with one support image each, or of 20 with five, 15 queries of each class; Adam with a rate of 1e-3 that
is halved every 2,000; support images and queries normalised by statistics of their own. Of every 500th step the one
counts that is best on 400 validation episodes.

Nothing was chosen for this study. RKD has the weights of `glyphs-few-shot`, the best of five on its validation classes;
with weight 1 it made no difference there.
"""

from collections.abc import Iterator
from typing import Literal

from relbench.experiment import Data, FewShot, Net, Term, Training
from relbench.lookup import lookup
from relbench.losses import REFILLED_PRESETS
from relbench.settings import changed
from relbench.studies.distillation import in_halves
from relbench.studies.refilled.recipes import SOURCE, TEACHER
from relbench.studies.rkd.few_shot import ADAM, PROTOTYPICAL
from relbench.studies.study import Cell, Claim, RunSpec, Scale, Stage, Study
from relbench.transforms import PhotoTransform

RKD_D, RKD_A = Term(loss="rkd_distance", weight=60.0), Term(loss="rkd_angle", weight=30.0)
EMBEDDING = Term(loss="refilled_embedding", options=dict(REFILLED_PRESETS["refilled2021"].embedding))
ALONE = "alone"
METHODS: dict[str, tuple[Stage, ...]] = {
    ALONE: (Stage(terms=(PROTOTYPICAL,)),),
    "rkd-d": (Stage(terms=(PROTOTYPICAL, RKD_D)),),
    "rkd-da": (Stage(terms=(PROTOTYPICAL, changed(RKD_D, {"weight": 30.0}), RKD_A)),),
    "refilled": in_halves((EMBEDDING,), (PROTOTYPICAL,)),
}
TRAINING_WAYS = {1: 30, 5: 20}  # by shot: classes of a training episode
QUERIES = 15
DATA = Data(name="cub200", size=84, transform=PhotoTransform(resize=92, resized_crop=True))
TRAINING = changed(ADAM, {"validate_every": 500, "selection": "validation"})
NETS = {
    "teacher": Net(trunk="resnet18", dim=None, unit_length=False),
    "student": Net(trunk="conv4-maxpool", width=64, dim=None, unit_length=False, normalization="imagenet"),
}

TOY_WAY, TOY_QUERIES = 2, 2  # in training and test
TOY_WIDTHS = {"teacher": 6, "student": 4}
TOY = Training(steps=4, validate_every=2, selection="validation")

NOTES = (
    "The protocol is relbench's own: of the paper's experiment neither table nor code was seen.",
    "refilled has two stages of half the episodes each: its embedding, then the prototypical loss.",
    (
        "Classes are split as the data set's numbers are: of the first 100, 20 are validated on and the others trained "
        "on; the last 100 are tested. Accuracies of other splits, such as FEAT's, say nothing beside these."
    ),
    "Nothing was chosen for this study; RKD has the weights of glyphs-few-shot, chosen on validation classes there.",
)
TOY_NOTE = (
    "Scale toy: tiny networks, two classes in an episode and four episodes; only the order of runs is the study's."
)


def path_of(shot: int, method: str) -> str:
    """Of a run."""
    return f"{shot}-shot/{method}"


def _task(shot: int, scale: Scale) -> FewShot:
    if scale == "toy":
        return FewShot(way=(TOY_WAY,), shot=shot, queries=TOY_QUERIES, episodes=20, validation_episodes=10)
    return FewShot(way=(5,), shot=shot, queries=QUERIES, episodes=10_000, validation_episodes=400, batch_norm="apart")


def _training(shot: int, scale: Scale) -> Training:
    """With the batches of its episodes."""
    way, queries = (TOY_WAY, TOY_QUERIES) if scale == "toy" else (TRAINING_WAYS[shot], QUERIES)
    episode = {"images_per_class": shot + queries, "batch_size": way * (shot + queries)}
    return changed(TOY if scale == "toy" else TRAINING, episode)


def _net(role: str, scale: Scale) -> Net:
    return changed(NETS["student"], {"width": TOY_WIDTHS[role]}) if scale == "toy" else NETS[role]


def _run(shot: int, method: str, scale: Scale) -> RunSpec:
    role: Literal["teacher", "student"] = "teacher" if method == TEACHER else "student"
    return RunSpec(
        data=changed(DATA, {"size": 32, "resize": None} if scale == "toy" else {}),
        task=_task(shot, scale),
        net=_net(role, scale),
        training=_training(shot, scale),
        stages=METHODS[ALONE if method == TEACHER else method],
        teacher="" if method in {TEACHER, ALONE} else path_of(shot, TEACHER),
        role=role,
    )


def runs(scale: Scale) -> dict[str, RunSpec]:
    """By path: for each number of support images the teacher, then the students."""
    return {
        path_of(shot, method): _run(shot, method, scale) for shot in TRAINING_WAYS for method in (TEACHER, *METHODS)
    }


def cells(scale: Scale) -> Iterator[Cell]:
    """A row for each method, a column for each number of support images."""
    for method in (TEACHER, *METHODS):
        for shot in TRAINING_WAYS:
            way = _task(shot, scale).way[0]
            yield Cell(
                part="CUB-200-2011, species of birds that training never showed",
                row=method,
                column=f"{way}-way {shot}-shot",
                metric=f"{way}way_{shot}shot",
                run=path_of(shot, method),
            )


def claims() -> Iterator[Claim]:
    """Whether REFILLED helps, and more than RKD does; and whether RKD helps."""
    for better, worse in (("refilled", ALONE), ("refilled", "rkd-d"), ("refilled", "rkd-da"), ("rkd-da", ALONE)):
        for shot in TRAINING_WAYS:
            pair, beats = (path_of(shot, better), path_of(shot, worse)), f"{better} beats {worse}"
            yield Claim(text=f"{shot}-shot: {beats}", better=(pair,), family=beats)


def build(*, scale: Scale = "full") -> Study:
    """The table, or a toy of it: tiny networks and four episodes, to see that everything runs."""
    lookup(scale, ("full", "toy"), "scale")
    return Study(
        name="refilled-few-shot",
        title="REFILLED: few-shot accuracy on CUB-200-2011 by a teacher of the same training classes",
        source=f"{SOURCE}; Sha-Lab/FEAT@47bdc7c, for the test and the views",
        notes=(*((TOY_NOTE,) if scale == "toy" else ()), *NOTES),
        scale=scale,
        runs=runs(scale),
        cells=tuple(cells(scale)),
        claims=tuple(claims()),
        task_terms=(PROTOTYPICAL,),
        methods_in="row",
    )
