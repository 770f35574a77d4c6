"""Few-shot classification on Glyphs: does distillation help to tell characters that no network was trained on?

    relbench reproduce glyphs-few-shot

204 runs (6 seeds, 10 to 15).

Characters stand for classes, as in Omniglot: 858 to train on, 215 to validate on, 1,074 for the test, each with twelve
images, one of each typeface. A conv net of width 16 teaches its own network, trained anew, and students of half its
width; every network has the same steps at the same rate. A method stands beside the prototypical loss, teacher and
student see the same episode, and a network trained with one support image of a class (or five) is tested with as many.
Test episodes have seven queries of a class, as five support images leave no more.

The teacher's own network starts from the teacher's first weights and sees the teacher's episodes: without a term that
compares the two it would be the teacher, so that its row is that of the student without a teacher, too.

The weights are preliminary: those at which a method's gradient to a student is about as long as the prototypical
loss's.
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
SEEDS = tuple(range(10, 16))
ALONE, SHORT, REFILLED = "prototypical", "prototypical-short", "refilled"
PROTOTYPICAL = Term(loss="prototypical")

Terms = tuple[Term, ...]
SELF: dict[str, Terms] = {  # taught by their own network
    "rkd-d": (Term(loss="rkd_distance", weight=60.0),),
    "rkd-da": (Term(loss="rkd_distance", weight=30.0), Term(loss="rkd_angle", weight=30.0)),
    "fitnet": (Term(loss="fitnet", weight=190.0, layers=("embedding",)),),
    "attention": (Term(loss="attention_transfer", weight=10.0),),
}
HALF: dict[str, Terms] = {  # half as wide as their teacher
    "rkd-d": (Term(loss="rkd_distance", weight=60.0),),
    "rkd-a": (Term(loss="rkd_angle", weight=50.0),),
    "rkd-da": (Term(loss="rkd_distance", weight=30.0), Term(loss="rkd_angle", weight=30.0)),
    "darkrank": (Term(loss="hard_darkrank", weight=0.017, options={"alpha": 3.0, "beta": 3.0}),),
    "fitnet": (Term(loss="fitnet", weight=190.0, layers=("embedding",)),),
    "attention": (Term(loss="attention_transfer", weight=10.0),),
    "sp": (Term(loss="similarity_preserving", weight=6500.0),),
    "pkt": (Term(loss="pkt", weight=115000.0),),
    "cc": (Term(loss="correlation_congruence", weight=2.0),),
    "nst": (Term(loss="neuron_selectivity", weight=24.0),),
}
REFILLED_EMBEDDING = Term(loss="refilled_embedding", options={"unit_length": True})

SELF_PART = "The teacher's own network, trained anew and taught by it"
HALF_PART = "Students of half the teacher's width"
NOTES = (
    "Accuracy in episodes of test characters, of which no network saw any; the same episodes for all.",
    "Networks trained with one support image answer the columns 1-shot, those trained with five the columns 5-shot.",
    "prototypical is trained without a teacher; of the teacher's own network that would be the teacher itself.",
    "refilled has two stages of half the steps each: its embedding, then the prototypical loss.",
    "prototypical-short has half of the steps: as many as refilled's second stage.",
)
SETTINGS_NOTES = ("The weights of methods are preliminary.",)


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
        SELF_PART: teacher | {method: _own(shot, method) for method in SELF},
        HALF_PART: teacher | {method: _half(shot, method) for method in _students()},
    }


def _metric(way: int, shot: int) -> str:
    return f"{way}way_{shot}shot"


def _claims(shot: int, way: int) -> Iterator[Claim]:
    """Does the teacher's own network beat it, and do students beat the one without a teacher?"""
    teacher = _teacher(shot)
    for method in SELF:
        yield _beats(shot, way, f"{method} beats the teacher", _own(shot, method), teacher, SELF_PART)
    for method in (*HALF, REFILLED):
        yield _beats(shot, way, f"{method} beats {ALONE}", _half(shot, method), _half(shot, ALONE), HALF_PART)
    yield _beats(shot, way, f"{REFILLED} beats {SHORT}", _half(shot, REFILLED), _half(shot, SHORT), HALF_PART)


def _beats(shot: int, way: int, text: str, better: str, worse: str, part: str) -> Claim:
    metric = _metric(way, shot)
    return Claim(
        text=f"{way}-way {shot}-shot: {text}", better=((f"{better}#{metric}", f"{worse}#{metric}"),), family=part
    )
