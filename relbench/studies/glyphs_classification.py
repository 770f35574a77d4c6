"""Every method at classification on Glyphs: letters of a family of typefaces that training never showed.

    relbench reproduce glyphs-classification

The weights are those of the papers, and not tuned yet.
"""

from pydantic import JsonValue

from relbench.experiment import Classification, Data, Net, Term, Training
from relbench.studies.distillation import Arm, distillation
from relbench.studies.study import Epochs, Study

CLASSES = 400
LETTERS = Data(name="glyphs", size=28, split="images", train_classes=CLASSES, test_classes=CLASSES)
EPOCHS = Epochs(count=60, images=4 * CLASSES, validate_every=10)
TRAINING = Training(
    optimizer="sgd",
    momentum=0.9,
    learning_rate=0.6,
    weight_decay=5e-4,
    schedule="cosine",
    batch_size=128,
    channels_last=True,
)
TEACHER = Arm(net=Net(trunk="conv4", width=16, dim=None, unit_length=False), training=TRAINING, epochs=EPOCHS)
STUDENT = Arm(net=Net(trunk="conv4", width=8, dim=None, unit_length=False), training=TRAINING, epochs=EPOCHS)
CROSS_ENTROPY = Term(loss="cross_entropy")
UNIT_LENGTH: dict[str, JsonValue] = {"unit_length": True}  # RKD's authors scale the features to it where they classify
METHODS = {
    "cross-entropy": (),
    "hkd": (Term(loss="hinton_kd", weight=1.0, options={"temperature": 4.0}),),
    "rkd-d": (Term(loss="rkd_distance", weight=25.0, options=UNIT_LENGTH),),
    "rkd-a": (Term(loss="rkd_angle", weight=50.0, options=UNIT_LENGTH),),
    "rkd-da": (
        Term(loss="rkd_distance", weight=25.0, options=UNIT_LENGTH),
        Term(loss="rkd_angle", weight=50.0, options=UNIT_LENGTH),
    ),
    "sp": (Term(loss="similarity_preserving", weight=3000.0),),
    "attention": (Term(loss="attention_transfer", weight=1000.0),),
    "fitnet": (Term(loss="fitnet_regressor", weight=100.0),),
    "pkt": (Term(loss="pkt", weight=30000.0),),
    "cc": (Term(loss="correlation_congruence", weight=0.02),),
    "nst": (Term(loss="neuron_selectivity", weight=50.0),),
}
REFILLED = (Term(loss="refilled_embedding", options=UNIT_LENGTH), Term(loss="refilled_classifier"))
SEEDS = (0, 1, 2, 3, 4)


def build() -> Study:
    """The study."""
    return distillation(
        name="glyphs-classification",
        title="Every method at classification of {data}",
        seeds=SEEDS,
        data=LETTERS,
        task=Classification(),
        teacher=TEACHER,
        teacher_terms=(CROSS_ENTROPY,),
        student=STUDENT,
        methods={label: (CROSS_ENTROPY, *terms) for label, terms in METHODS.items()} | {"refilled": REFILLED[1:]},
        first_stages={"refilled": REFILLED[:1]},
        self_distilled={"self-distillation": (CROSS_ENTROPY, *METHODS["hkd"])},
        task_terms=(CROSS_ENTROPY,),
        pairs=tuple((label, "cross-entropy") for label in (*METHODS, "refilled") if label != "cross-entropy"),
    )
