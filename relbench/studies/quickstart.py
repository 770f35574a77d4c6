"""The quick start: a small student against its teacher on Glyphs (after Park et al., CVPR 2019, Table 1).

A conv net of width 16 with 128 dimensions teaches one of half the width with 32 dimensions. The student gets twice the
teacher's steps, as in the authors' code (4,000 and 8,000). Losses as in the paper: triplet with distance-weighted
negatives, relational distances and angles 1:2. Two things differ. The triplet loss is kept beside every relational
one. And a control is added that the paper omits: the teacher's own recipe for as many steps as a student gets.

    relbench reproduce quickstart

18 runs (3 seeds), about five minutes on two cores.

All settings were chosen by Recall@1 on validation classes, seeds 0 and 1 (mean, in percent; students learn from a
teacher of rate 1e-3):

    teacher, 500 steps, rate 1e-3 / 3e-3 / 6e-3:                        57.9 / 61.7 / 59.2
    triplet student, unit length, rate 3e-3 / 6e-3:                     61.8 / 63.3
    triplet student, no unit length, rate 3e-3:                         54.3
    triplet + RKD-DA, unit length, rate 3e-3 / 6e-3:                    65.5 / 65.6
    triplet + RKD-DA, unit length, rate 3e-3, RKD weights x2 / x4:      64.2 / 63.3
    triplet + RKD-DA, no unit length, rate 3e-3, RKD weights x1 / x4:   60.8 / 60.1

So students are of unit length here, unlike the paper's best ones, and share the rate that was the better one of two for
the triplet loss.
"""

from relbench.experiment import Data, Net, Term, Training
from relbench.studies.distillation import Arm, distillation
from relbench.studies.study import Study

GLYPHS = Data(name="glyphs", size=28)
TEACHER = Arm(
    net=Net(trunk="conv4", width=16, dim=128),
    training=Training(steps=500, learning_rate=3e-3, validate_every=100),
)
STUDENT = Arm(
    net=Net(trunk="conv4", width=8, dim=32),
    training=Training(steps=1000, learning_rate=6e-3, validate_every=100),
)
TRIPLET = Term(loss="triplet", options={"margin": 0.2})
DISTANCE = Term(loss="rkd_distance", weight=1.0)
ANGLE = Term(loss="rkd_angle", weight=2.0)

SETTINGS_NOTES = (
    "Settings were chosen on validation classes (seeds 0 and 1), including those of teacher and triplet student.",
)


def build() -> Study:
    """The study."""
    return distillation(
        name="quickstart",
        title="Student against teacher on {data}",
        settings_notes=SETTINGS_NOTES,
        data=GLYPHS,
        teacher=TEACHER,
        teacher_terms=(TRIPLET,),
        student=STUDENT,
        methods={
            "triplet": (TRIPLET,),
            "rkd-d": (TRIPLET, DISTANCE),
            "rkd-a": (TRIPLET, ANGLE),
            "rkd-da": (TRIPLET, DISTANCE, ANGLE),
        },
        task_terms=(TRIPLET,),
        pairs=(("rkd-d", "triplet"), ("rkd-a", "triplet"), ("rkd-da", "triplet")),
        control="teacher, student's steps",
    )
