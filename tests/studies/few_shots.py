"""Two small studies of few-shot learning on Glyphs: one of lines, one of cells, whose runs have two tasks."""

from collections.abc import Iterator

from relbench.experiment import Data, FewShot, Net, Term, Training
from relbench.settings import changed
from relbench.studies.distillation import Arm, distillation
from relbench.studies.study import Cell, Claim, RunSpec, Stage, Study

DATA = Data(name="glyphs", train_classes=40, test_classes=30)
TASK = FewShot(way=(5, 20), shot=1, queries=3, episodes=50, validation_episodes=10)
PROTOTYPICAL = Term(loss="prototypical")
METHODS = {
    "alone": (),
    "rkd-d": (Term(loss="rkd_distance", weight=100.0),),
    "rkd-a": (Term(loss="rkd_angle", weight=100.0),),
}
PRINTED = {(1, "teacher"): (0.491, 0.0082), (1, "rkd-d"): (0.4966, 0.0084), (5, "teacher"): (0.6687, 0.0066)}


def _arm(width: int, shot: int) -> Arm:
    length = {"steps": 6, "validate_every": 3, "learning_rate": 1e-2}
    training = Training.model_validate({**length, "batch_size": 5 * (shot + 3), "images_per_class": shot + 3})
    return Arm(net=Net(width=width, dim=None, unit_length=False), training=training)


def build_lines() -> Study:
    """One table of all metrics, each student compared with its teacher in 5-way episodes."""
    return distillation(
        name="lines-of-episodes",
        title="Distillation of few-shot learning on {data}",
        data=DATA,
        teacher=_arm(8, shot=1),
        teacher_terms=(PROTOTYPICAL,),
        student=_arm(4, shot=1),
        methods={label: (PROTOTYPICAL, *terms) for label, terms in METHODS.items()},
        pairs=[("rkd-d", "alone"), ("rkd-a", "alone")],
        task=TASK,
        task_terms=(PROTOTYPICAL,),
    )


def build_cells() -> Study:
    """A paper's table: networks are trained for 1 or 5 shots, and each is measured in 5-way and 20-way episodes."""
    return Study(
        name="cells-of-episodes",
        title="Few-shot learning, Table 9",
        source="Nobody wrote it.",
        runs=dict(_runs()),
        cells=tuple(_cells()),
        claims=tuple(_claims()),
        task_terms=(PROTOTYPICAL,),
        methods_in="row",
    )


def _runs() -> Iterator[tuple[str, RunSpec]]:
    for shot in (1, 5):
        arm, task = _arm(4, shot), changed(TASK, {"shot": shot})
        given = {"data": DATA, "task": task, "net": arm.net, "training": arm.training}
        yield f"{shot}/teacher", RunSpec(stages=(Stage(terms=(PROTOTYPICAL,)),), role="teacher", **given)
        for label in ("rkd-d", "rkd-a"):
            stages = (Stage(terms=(PROTOTYPICAL, *METHODS[label])),)
            yield f"{shot}/{label}", RunSpec(stages=stages, teacher=f"{shot}/teacher", **given)


def _cells() -> Iterator[Cell]:
    for shot in (1, 5):
        for label in ("teacher", "rkd-d", "rkd-a"):
            for way in (5, 20):
                published, interval = PRINTED.get((shot, label), (None, None)) if way == 5 else (None, None)
                yield Cell(
                    part="Glyphs",
                    row=label,
                    column=f"{way}-way {shot}-shot",
                    run=f"{shot}/{label}",
                    metric=f"{way}way_{shot}shot",
                    published=published,
                    published_interval=interval,
                )


def _claims() -> Iterator[Claim]:
    for shot in (1, 5):
        for way in (5, 20):
            pair = (f"{shot}/rkd-d#{way}way_{shot}shot", f"{shot}/teacher#{way}way_{shot}shot")
            yield Claim(text=f"RKD-D beats the teacher in {way}-way {shot}-shot", better=(pair,), family="rkd-d")
    yield Claim(text="RKD-A beats the teacher in 5-way", better=(("1/rkd-a", "1/teacher"), ("5/rkd-a", "5/teacher")))
    yield Claim(text="RKD-A beats RKD-D in 5-way 1-shot", better=(("1/rkd-a", "1/rkd-d"),))
