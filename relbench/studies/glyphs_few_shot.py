"""Few-shot classification on Glyphs: does distillation help to tell characters that no network was trained on?

    relbench reproduce glyphs-few-shot

200 runs (5 seeds, 10 to 14).

Characters stand for classes, as in Omniglot: 858 to train on, 215 to validate on, 1,074 for the test, each with twelve
images, one of each typeface. A conv net of width 16 teaches its own network, trained anew, and students of half its
width; every network has the same 400 steps, at a rate that falls along a cosine (refilled in two stages of 200, and
prototypical-short 200 in all: what refilled's second stage does without its first). A method stands beside the
prototypical loss, and teacher and student see the same episode. A network trained with one support image of a class, or
five, is tested with as many. Test episodes have seven queries of a class: five support images leave no more. Support
images and queries share their batch statistics; views are distorted, as in all studies of Glyphs.

The teacher's own network starts from the teacher's first weights and sees the teacher's episodes: without a term that
compares the two it would be the teacher to the last bit. So it has no row without distillation, and what is told apart
here is the term's effect on that one training; another teacher than the network's own earlier training is not tried.

All settings were chosen by accuracy on validation characters, in 600 episodes of seven queries (five in those marked
*), in percent: 5-way, 20-way. Means of seeds 0 and 1, or seed 0 alone where that is said:

    400 steps of Adam, rate                             1e-2        2e-2              1e-2        2e-2
    1-shot, 64-way with 1 query,    width 16:           88.2 69.3   88.4 69.6    8:   85.0 63.4   82.1 58.8
    1-shot, 32-way with 3 queries:                      87.5 67.9   87.1 66.7         81.5 57.7   80.5 56.5
    5-shot, 21-way with 1 query:                        92.1 76.8   90.5 73.0         88.9 70.0   87.7 67.9
    5-shot, 16-way with 3 queries:                      94.6 82.3   94.5 81.9         92.2 76.7   92.5 76.7
    5-shot, 12-way with 5 queries:                      94.2 80.8                     92.8 77.9
    1-shot, 64-way, rate 3e-3 / 3e-2, seed 0 *:         85.4 64.7 / 86.8 67.1         78.9 53.7 / 81.2 57.4
    conv4-maxpool of width 16 / 32, 64-way, seed 0:     87.6 67.8 / 92.9 78.9

conv4-maxpool takes one and a half times the processor time of conv4 at width 16, and three and a half times at 32.

Each method's weight is the best of five in 1-shot episodes of validation characters, by the mean of 5-way and 20-way
accuracy, and of seeds 0 and 1: that at which its gradient to a student, 160 steps into the training at a constant rate
by the prototypical loss, is about as long as that loss's gradient, a quarter, a sixteenth and a sixty-fourth of it, and
four times as much. Self-distillation tried the same five. 5-shot networks have the weights that were chosen for 1-shot.
By weight, in percent; the teacher has 88.2 69.3, the student without a teacher 85.0 63.4. The teacher's own network:

    rkd-d      1: 88.3 69.6       4: 89.1 70.9       15: 89.9 72.3
               60: 89.9 72.5      240: 88.8 70.3
    rkd-da     1: 88.2 69.3       4: 89.5 71.3       15: 90.0 72.4
               60: 90.6 73.7      240: 89.2 71.1
    fitnet     3: 88.4 69.8       12: 89.2 70.9      48: 90.0 72.5
               190: 89.3 71.1     760: 86.6 66.5
    attention  0.6: 87.9 68.6     2.5: 88.7 69.9     10: 89.4 71.5
               40: 89.3 71.5      160: 88.5 69.7

Students of half the width:

    rkd-d      1: 84.8 62.9       4: 85.3 64.0       15: 86.3 65.8
               60: 87.5 67.7      240: 85.9 64.9
    rkd-a      0.8: 85.0 63.5     3: 85.7 64.4       12: 86.7 66.4
               50: 87.7 67.8      200: 87.6 68.1
    rkd-da     1: 84.9 63.3       4: 84.9 63.2       15: 86.4 65.4
               60: 87.8 68.5      240: 86.5 66.4
    darkrank   0.001: 83.9 61.9   0.004: 83.7 61.3   0.017: 83.0 60.1
               0.07: 77.7 51.7    0.28: 71.2 42.0
    fitnet     3: 85.2 63.8       12: 85.9 65.2      48: 87.1 67.4
               190: 86.7 66.1     760: 84.5 63.0
    attention  0.6: 84.8 63.2     2.5: 85.8 64.9     10: 85.3 63.9
               40: 87.0 67.3      160: 83.8 61.6
    sp         100: 84.6 63.1     400: 84.3 62.6     1,600: 85.2 63.9
               6,500: 85.5 64.2   26,000: 81.7 57.8
    pkt        1,800: 84.0 61.4   7,000: 84.3 62.2   29,000: 85.8 64.8
               115,000: 87.2 66.8  460,000: 87.4 67.5
    cc         0.03: 85.5 64.1    0.125: 84.5 62.6   0.5: 87.2 67.4
               2: 85.8 64.5       8: 82.2 59.1
    nst        0.4: 85.0 63.4     1.5: 86.3 65.5     6: 86.4 65.8
               24: 85.7 64.5      96: 82.9 59.8

rkd-d and rkd-a look at embeddings of any length, attention and nst at maps; fitnet at the embedding alone. rkd-da's
weight is that of half the sum of both terms. rkd-a's and pkt's best is at the upper end of the five, darkrank's at the
lower: its scores are cubes of distances, which embeddings of free length make large. refilled has no weight to tune, as
each of its two stages has a single loss, of which Adam ignores the scale.

Networks are far from converged: after the result of the other 190 runs was known, and with nothing chosen by it,
trainings of 800 steps by the prototypical loss alone were looked at on validation characters. They reach 93.2 79.7
(width 16) and 91.0 74.9 (width 8) in 1-shot, more than any method in 400 steps, which a distilled network has in
addition to its teacher's 400; in 5-shot, 97.0 88.4 (width 16). So prototypical-long was put into the study: the
teacher's network with the steps of both. Its four claims stand alone, and change no other claim's correction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from relbench.experiment import Data, FewShot, Net, Term, Training
from relbench.lookup import lookup
from relbench.studies.distillation import in_halves
from relbench.studies.study import Cell, Claim, RunSpec, Scale, Stage, Study

SHOTS = (1, 5)
WAYS = (5, 20)
QUERIES = 7  # of each class in a test episode: what five support images leave of a class's twelve images
SEEDS = tuple(range(10, 15))
ALONE, SHORT, LONG, REFILLED = "prototypical", "prototypical-short", "prototypical-long", "refilled"
PROTOTYPICAL = Term(loss="prototypical")

Terms = tuple[Term, ...]
DISTANCE_AND_ANGLE = (Term(loss="rkd_distance", weight=30.0), Term(loss="rkd_angle", weight=30.0))  # 60 (D + A) / 2
FITNET = Term(loss="fitnet", weight=48.0, layers=("embedding",))
SELF: dict[str, Terms] = {  # of the teacher's own network, taught by it
    "rkd-d": (Term(loss="rkd_distance", weight=60.0),),
    "rkd-da": DISTANCE_AND_ANGLE,
    "fitnet": (FITNET,),
    "attention": (Term(loss="attention_transfer", weight=10.0),),
}
HALF: dict[str, Terms] = {  # of students of half the teacher's width
    "rkd-d": (Term(loss="rkd_distance", weight=60.0),),
    "rkd-a": (Term(loss="rkd_angle", weight=200.0),),
    "rkd-da": DISTANCE_AND_ANGLE,
    "darkrank": (Term(loss="hard_darkrank", weight=0.001, options={"alpha": 3.0, "beta": 3.0}),),
    "fitnet": (FITNET,),
    "attention": (Term(loss="attention_transfer", weight=40.0),),
    "sp": (Term(loss="similarity_preserving", weight=6500.0),),
    "pkt": (Term(loss="pkt", weight=460000.0),),
    "cc": (Term(loss="correlation_congruence", weight=0.5),),
    "nst": (Term(loss="neuron_selectivity", weight=6.0),),
}
REFILLED_EMBEDDING = Term(loss="refilled_embedding", options={"unit_length": True})

TAUGHT = "the teacher's own network taught by rkd-da"
SELF_PART = "The teacher's own network, trained anew and taught by it"
HALF_PART = "Students of half the teacher's width"
NOTES = (
    "Accuracy in episodes of test characters, of which no network saw any; the same episodes for all.",
    "Networks trained with one support image answer the columns 1-shot, those trained with five the columns 5-shot.",
    "prototypical is trained without a teacher; of the teacher's own network that would be the teacher itself.",
    "refilled has two stages of half the steps each: its embedding, then the prototypical loss.",
    "prototypical-short has half of the steps: as many as refilled's second stage.",
    "prototypical-long is the teacher's network with twice the steps: as many as a teacher and its student together.",
    "No network is near the end of what it could learn: see prototypical-long.",
)
SETTINGS_NOTES = (
    "Each weight is the best of five in 1-shot episodes of validation characters, with seeds 0 and 1.",
    "5-shot networks have the weights that were chosen for 1-shot.",
)


@dataclass(frozen=True)
class _Size:
    teacher: int  # width
    student: int
    steps: int
    images: Mapping[int, tuple[int, int]]  # of a training episode, by shot: of a class, and in all
    characters: int | None  # to train on, and to test on
    episodes: int  # of the test, and in validation


SIZES = {
    "full": _Size(16, 8, 400, {1: (2, 128), 5: (8, 128)}, characters=None, episodes=600),
    "toy": _Size(3, 2, 2, {1: (2, 12), 5: (8, 24)}, characters=24, episodes=10),
}


def build(*, scale: Scale = "full") -> Study:
    """The study, or a toy of it: tiny networks and two steps, to see that everything runs."""
    size = SIZES[lookup(scale, SIZES, "scale")]
    return Study(
        name="glyphs-few-shot",
        title="Distillation beside prototypical networks on Glyphs: few-shot accuracy on new characters",
        source="the form of RKD's tables 5 and 6 (arXiv:1904.05068), on characters; no printed numbers",
        notes=NOTES,
        settings_notes=SETTINGS_NOTES,
        scale=scale,
        seeds=SEEDS,
        runs={path: run for shot in SHOTS for path, run in _runs(shot, size)},
        cells=tuple(cell for shot in SHOTS for cell in _cells(shot)),
        claims=tuple(claim for shot in SHOTS for way in WAYS for claim in _claims(shot, way)),
        task_terms=(PROTOTYPICAL,),
        methods_in="row",
    )


def _teacher(shot: int) -> str:
    return f"{shot}-shot/teacher"


def _long(shot: int) -> str:
    """Path of the teacher's network with the steps of a teacher and its student together."""
    return f"{shot}-shot/{LONG}"


def _own(shot: int, method: str) -> str:
    """Path of the teacher's own network, taught by it."""
    return f"{shot}-shot/self/{method}"


def _half(shot: int, method: str) -> str:
    return f"{shot}-shot/half/{method}"


def _students() -> dict[str, tuple[Stage, ...]]:
    """Stages of the students of half the teacher's width, by method."""
    own = (PROTOTYPICAL,)
    taught = {method: (Stage(terms=(*own, *terms)),) for method, terms in HALF.items()}
    short = {SHORT: in_halves(own), REFILLED: in_halves((REFILLED_EMBEDDING,), own)}
    return {ALONE: (Stage(terms=own),), **taught, **short}


def _runs(shot: int, size: _Size) -> Iterator[tuple[str, RunSpec]]:
    """The networks of a number of support images."""
    teacher = _teacher(shot)
    yield teacher, _run(shot, size, size.teacher, (Stage(terms=(PROTOTYPICAL,)),), role="teacher")
    long = (Stage(terms=(PROTOTYPICAL,), share=2),)
    yield _long(shot), _run(shot, size, size.teacher, long, arm="teacher")
    for method, terms in SELF.items():
        beside = (Stage(terms=(PROTOTYPICAL, *terms)),)
        yield _own(shot, method), _run(shot, size, size.teacher, beside, teacher=teacher, arm="teacher")
    for method, stages in _students().items():
        yield _half(shot, method), _run(shot, size, size.student, stages, teacher=teacher)


def _run(shot: int, size: _Size, width: int, stages: tuple[Stage, ...], **given: str) -> RunSpec:
    of_a_class, images = size.images[shot]
    task = FewShot(way=WAYS, shot=shot, queries=QUERIES, episodes=size.episodes, validation_episodes=size.episodes)
    training = Training(
        steps=size.steps,
        learning_rate=1e-2,
        schedule="cosine",
        batch_size=images,
        images_per_class=of_a_class,
        validate_every=size.steps,
        channels_last=True,
    )
    how = {
        "data": Data(name="glyphs", size=28, train_classes=size.characters, test_classes=size.characters),
        "task": task,
        "net": Net(trunk="conv4", width=width, dim=None, unit_length=False),
        "training": training,
    }
    return RunSpec.model_validate({"stages": stages, **how, **given})


def _cells(shot: int) -> Iterator[Cell]:
    """A row for each method, a column for each number of classes; the teacher stands in both parts."""
    for part, paths in _parts(shot).items():
        for row, path in paths.items():
            for way in WAYS:
                column = f"{way}-way {shot}-shot"
                yield Cell(part=part, row=row, column=column, run=path, metric=_metric(way, shot))


def _parts(shot: int) -> dict[str, dict[str, str]]:
    """Paths by row, of each part of the table."""
    teacher = {"teacher": _teacher(shot)}
    return {
        SELF_PART: teacher | {method: _own(shot, method) for method in SELF} | {LONG: _long(shot)},
        HALF_PART: teacher | {method: _half(shot, method) for method in _students()},
    }


def _metric(way: int, shot: int) -> str:
    return f"{way}way_{shot}shot"


def _claims(shot: int, way: int) -> Iterator[Claim]:
    """Does the teacher's own network beat it, and do students beat the one without a teacher?

    And is the paper's method, whose student costs its teacher's training as well, worth more than the longer training?
    """
    teacher = _teacher(shot)
    for method in SELF:
        yield _beats(shot, way, f"{method} beats the teacher", _own(shot, method), teacher, SELF_PART)
    for method in (*HALF, REFILLED):
        yield _beats(shot, way, f"{method} beats {ALONE}", _half(shot, method), _half(shot, ALONE), HALF_PART)
    yield _beats(shot, way, f"{REFILLED} beats {SHORT}", _half(shot, REFILLED), _half(shot, SHORT), HALF_PART)
    yield _beats(shot, way, f"{TAUGHT} beats {LONG}", _own(shot, "rkd-da"), _long(shot), "")


def _beats(shot: int, way: int, text: str, better: str, worse: str, part: str) -> Claim:
    metric = _metric(way, shot)
    return Claim(
        text=f"{way}-way {shot}-shot: {text}", better=((f"{better}#{metric}", f"{worse}#{metric}"),), family=part
    )
