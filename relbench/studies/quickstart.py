"""The quick start: a small student against its teacher on Glyphs (after Park et al., CVPR 2019, Table 1).

A conv net of width 16 with 128 dimensions teaches one of half the width with 32 dimensions. Losses as in the paper:
triplet with distance-weighted negatives, relational distances and angles 1:2, student embeddings not of unit length.
Two things that the paper does not have: the triplet loss is kept beside every relational one, and the teacher's own
recipe is also trained for as many steps as a student gets.

    relbench reproduce quickstart

18 runs (3 seeds); about six minutes on two cores. Every setting was chosen on validation classes.
"""

from relbench.experiment import Data, Net, Protocol, Term
from relbench.studies.study import Arm, Study

TRIPLET = Term(loss="triplet", options={"margin": 0.2})
DISTANCE = Term(loss="rkd_distance", weight=1.0)
ANGLE = Term(loss="rkd_angle", weight=2.0)

STUDY = Study(
    name="quickstart",
    title="Student against teacher on Glyphs",
    data=Data(name="glyphs", size=28),
    teacher=Arm(
        net=Net(trunk="conv4", width=16, dim=128),
        protocol=Protocol(steps=1000, learning_rate=1e-3),
    ),
    teacher_terms=(TRIPLET,),
    student=Arm(
        net=Net(trunk="conv4", width=8, dim=32, unit_length=False),
        protocol=Protocol(steps=3000, learning_rate=3e-3),
    ),
    methods={
        "triplet": (TRIPLET,),
        "rkd-d": (TRIPLET, DISTANCE),
        "rkd-a": (TRIPLET, ANGLE),
        "rkd-da": (TRIPLET, DISTANCE, ANGLE),
    },
    longer_teacher="teacher, student's steps",
)
