"""Draft."""

from relbench.experiment import Data, Net, Protocol, Term
from relbench.studies.study import Arm, Study

TRIPLET = Term(loss="triplet", options={"margin": 0.2})
CLASSIFIER = Term(loss="cross_entropy", weight=0.1)

STUDY = Study(
    name="glyphs-methods",
    title="Every relational method on Glyphs",
    notes=(),
    data=Data(name="glyphs", size=28),
    teacher=Arm(
        net=Net(trunk="conv4", width=16, dim=128),
        protocol=Protocol(steps=500, learning_rate=3e-3, validate_every=100),
    ),
    teacher_terms=(TRIPLET, Term(loss="probe")),
    student=Arm(
        net=Net(trunk="conv4", width=8, dim=32),
        protocol=Protocol(steps=1000, learning_rate=6e-3, validate_every=100),
    ),
    methods={
        "triplet": (TRIPLET,),
        "rkd-d": (TRIPLET, Term(loss="rkd_distance")),
        "rkd-a": (TRIPLET, Term(loss="rkd_angle")),
        "rkd-da": (TRIPLET, Term(loss="rkd_distance", weight=1.0), Term(loss="rkd_angle", weight=2.0)),
        "darkrank": (TRIPLET, Term(loss="hard_darkrank")),
        "fitnet": (TRIPLET, Term(loss="fitnet")),
        "attention": (TRIPLET, Term(loss="attention_transfer")),
        "sp": (TRIPLET, Term(loss="similarity_preserving")),
        "pkt": (TRIPLET, Term(loss="pkt")),
        "cc": (TRIPLET, Term(loss="correlation_congruence")),
        "nst": (TRIPLET, Term(loss="neuron_selectivity")),
        "cross-entropy": (TRIPLET, CLASSIFIER),
        "kd": (TRIPLET, CLASSIFIER, Term(loss="hinton_kd", options={"temperature": 4.0})),
        "refilled-embedding": (TRIPLET, Term(loss="refilled_embedding")),
        "refilled": (Term(loss="refilled_classifier"),),
    },
    first_stages={"refilled": (Term(loss="refilled_embedding"),)},
    longer_teacher="teacher, student's steps",
)
