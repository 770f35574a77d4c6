"""Every relational method on Glyphs: the quick start's networks, budgets and task loss, and seventeen ways to distil.

    relbench reproduce glyphs-methods

66 runs (3 seeds). The committed result has five seeds (`--seeds 0,1,2,3,4`).

Networks, steps, rates and batches are the quick start's: conv4 of width 16 with 128 dimensions teaches one of half the
width with 32 dimensions; students get 1,000 steps at a rate that was chosen for the triplet loss. Every method stands
beside the triplet loss, but REFILLED's two stages, which are as published: its own loss first, then a classifier. A
method in two stages has half of the steps for each. `probe` gives the teacher the logits that two methods ask for, and
leaves it the network that the triplet loss alone would have made.

Each method's weight is the best of three by Recall@1 on validation classes, seed 0 (in percent, below), one training
each: the weight at which its gradient to a student, 300 steps into the training by the triplet loss, is about as long
as that loss's gradient, a quarter of it, and a sixteenth. So every method had the same budget of tuning, and a small
one; layers, temperatures and the like stayed at their defaults. The triplet student had {TRIPLET} there.

{WEIGHTS}

Not tuned: rkd-crd-zoo has the weights by which a widely used library knows RKD; fitnet-untrained has fitnet's weight
and the projection that the RKD authors' code never trains; fitnet-2-stages is their way to train FitNet, for which a
weight says nothing; refilled has its preset gkd2021. kd has cross-entropy at 0.25 beside it.
"""

from relbench.experiment import Data, Net, Protocol, Term
from relbench.studies.study import Arm, Study

TRIPLET = Term(loss="triplet", options={"margin": 0.2})
FITNET = Term(loss="fitnet", weight=3.0)
METHODS = {
    "triplet": (),
    "rkd-d": (Term(loss="rkd_distance", weight=2.0),),
    "rkd-a": (Term(loss="rkd_angle", weight=2.0),),
    "rkd-da": (Term(loss="rkd_distance", weight=1.0), Term(loss="rkd_angle", weight=2.0)),
    "rkd-crd-zoo": (Term(loss="rkd_distance", weight=25.0), Term(loss="rkd_angle", weight=50.0)),
    "darkrank": (Term(loss="hard_darkrank", weight=0.025, options={"alpha": 3.0, "beta": 3.0}),),
    "fitnet": (FITNET,),
    "fitnet-untrained": (Term(loss="fitnet", weight=3.0, options={"trained": False}),),
    "fitnet-2-stages": (),
    "attention": (Term(loss="attention_transfer", weight=2.5),),
    "sp": (Term(loss="similarity_preserving", weight=140.0),),
    "pkt": (Term(loss="pkt", weight=150.0),),
    "cc": (Term(loss="correlation_congruence", weight=0.1),),
    "nst": (Term(loss="neuron_selectivity", weight=0.5),),
    "cross-entropy": (Term(loss="cross_entropy", weight=0.06),),
    "kd": (Term(loss="cross_entropy", weight=0.25), Term(loss="hinton_kd", weight=0.4, options={"temperature": 4.0})),
    "refilled-1": (Term(loss="refilled_embedding", weight=0.25),),
}
REFILLED = Term(loss="refilled_classifier", options={"weight": 1.0})

STUDY = Study(
    name="glyphs-methods",
    title="Every relational method on Glyphs",
    notes=(
        "Every student but refilled is trained with the triplet loss, and its method beside it.",
        "Two stages of half the steps: fitnet-2-stages (FitNet, then triplet), refilled (embedding, then classifier).",
        "Each weight is the best of three on validation classes, by one seed.",
        "Not tuned: rkd-crd-zoo, fitnet-untrained, fitnet-2-stages and refilled.",
    ),
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
    methods={label: (TRIPLET, *terms) for label, terms in METHODS.items()} | {"refilled": (REFILLED,)},
    first_stages={"fitnet-2-stages": (FITNET,), "refilled": (Term(loss="refilled_embedding"),)},
    beside=(TRIPLET,),
    pairs=tuple((label, "triplet") for label in (*METHODS, "refilled") if label != "triplet"),
    longer_teacher="teacher, student's steps",
)
