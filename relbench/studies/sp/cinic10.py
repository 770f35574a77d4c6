"""Similarity-Preserving Knowledge Distillation (Tung and Mori, ICCV 2019, arXiv:1907.09682) on CINIC-10.

    relbench reproduce sp-cinic10 --device cuda

ShuffleNetV2 students of width 0.5 and 1.0 and teachers of width 1.0 and 2.0: the student alone, by KD, by attention
transfer and by SP. The paper's table was not seen: none of its numbers is printed here. Rows of "another's code"
have those of PkuDavidGuan/Distillation@c2c0316, a public code that follows it; taught students of two of its three
pairs are above their teachers, by up to 4 points, so its teachers seem to be of another training than those that
taught.

Protocol `paper` is that code, as the only one whose settings are known: the training part alone, as there (nothing is
chosen by the validation part); 140 epochs, batches of 96, SGD with momentum 0.9 and Nesterov, weight decay 5e-4, a
learning rate of 0.01, times 0.1 after 100 and 120 epochs; crops of random areas, mirrored, normalised by the data set's
constants. KD is 0.8 cross-entropy + 0.2 KD at temperature 16; SP, with weight 3000, is the sum over the stem and the
three stages. Where it is not that code:

- Its ShuffleNetV2 has biases and normalises before each convolution. Here it is torchvision's, with a stem of 3x3
  pixels and stride 1 and no pooling after it.
- Its attention is of plain sums over channels, with weight 30; here it is that of its own authors, of squares, with
  weight 1000, on the three stages.
- It keeps the epoch that is best on test images: `--selection test` shows that rule, of every tenth epoch.
"""

from collections.abc import Iterator

from relbench.experiment import Data, Term, Training
from relbench.settings import changed
from relbench.studies.epoch_protocol import EpochProtocol, Recipe, pooled_net
from relbench.studies.published import read_published
from relbench.studies.sp import pairs
from relbench.studies.sp.methods import CROSS_ENTROPY, METHODS, SOURCE, UNSEEN, kd, terms_of
from relbench.studies.sp.pairs import ALONE, TEACHER
from relbench.studies.study import Cell, RunSpec, Scale, Stage, Study
from relbench.transforms import SmallTransform

PAIRS = (("2.0", "1.0"), ("2.0", "0.5"), ("1.0", "0.5"))  # widths of teacher and student
TUNED_WITH = PAIRS[2]
PRINTED = {ALONE: "Student (CE)", TEACHER: "Teacher (CE)", **{method: method for method in METHODS}}

SGD = Training(
    optimizer="sgd",
    momentum=0.9,
    nesterov=True,
    learning_rate=0.01,
    decay=0.1,
    weight_decay=5e-4,
    batch_size=96,
    log_test_metrics=True,
)
RECIPE = Recipe(140, 90_000, SGD, decay_after=(100, 120), rates=(0.003, 0.01, 0.03, 0.1), validate_every=10)
DATA = Data(name="cinic10", size=32, split="images", transform=SmallTransform(crop="resized"))
MAPS = ("stage1", "stage2", "stage3")
PART = "CINIC-10, accuracy"
STEM = "stem"  # that networks of toy scale have not

NOTES = (
    *UNSEEN,
    "Trained on the training part alone under either protocol: 90,000 images.",
    "The networks are torchvision's with a stem of stride 1; those of the code whose settings these are have biases.",
)
UNRELIABLE = (
    "Unreliable: by another's code (PkuDavidGuan/Distillation@c2c0316), some of whose students are far above the "
    "teachers that it prints; best epoch on test images."
)
FAIR_NOTE = (
    "A method's learning rate is chosen with width 0.5 of 1.0; of networks that have no teacher, with width 0.5. "
    "Validation images are the data set's own part: none are taken out of the training part."
)


def _terms(method: str, scale: Scale) -> tuple[Term, ...]:
    if method == "KD":
        return kd(temperature=16.0, share=0.2)
    if method == "AT":
        return terms_of(method, MAPS)
    layers = MAPS if scale == "toy" else (STEM, *MAPS)
    return CROSS_ENTROPY, Term(loss="similarity_preserving", weight=3000.0, layers=layers)


def runs(protocol: EpochProtocol) -> dict[str, RunSpec]:
    """By path."""

    def make(network: str, method: str = "", teacher: str = "", tuned_with: str = "") -> RunSpec:
        run = protocol.run(
            RECIPE,
            DATA,
            pooled_net(f"shufflenetv2-{network}-cifar", normalization="cinic10"),
            (Stage(terms=_terms(method, protocol.scale) if method else (CROSS_ENTROPY,)),),
            role="teacher" if not method and pairs.teaches(network, PAIRS) else "student",
            teacher=teacher,
            tuned_with=tuned_with,
        )
        return changed(run, {"data": changed(run.data, {"hold_out": True})})

    return pairs.runs(PAIRS, TUNED_WITH, make)


def cells() -> Iterator[Cell]:
    """A row for each pair and a column for each method: ours, then those that others print."""
    printed = {
        (told.fields["teacher"], told.fields["student"], told.fields["method"]): told
        for told in read_published("sp_repdistiller")
        if told.fields["dataset"] == "CINIC-10"
    }
    for pair in PAIRS:
        row = f"ShuffleNetV2-{pair[1]} of ShuffleNetV2-{pair[0]}"
        for column in pairs.COLUMNS:
            yield Cell(part=PART, row=row, column=column, metric="accuracy", run=pairs.path(pair, column))
        for column in pairs.COLUMNS:
            network = pair[0] if column == TEACHER else pair[1]
            told = printed[f"Sh.NetV2-{pair[0]}", f"Sh.NetV2-{network}", PRINTED[column]]
            yield Cell(
                part=PART,
                row=f"{row}, another's code",
                column=column,
                metric="accuracy",
                published=told.value,
                doubt=UNRELIABLE,
                source=told.source,
            )


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The table under a protocol, at a scale."""
    under = EpochProtocol(protocol, scale)
    return Study(
        name="sp-cinic10",
        title="Similarity-Preserving Knowledge Distillation: accuracy on CINIC-10",
        source=SOURCE,
        notes=(*under.notes(), *((FAIR_NOTE,) if protocol == "fair" else ()), *NOTES),
        variant={"protocol": protocol},
        scale=scale,
        runs=runs(under),
        cells=tuple(cells()),
        claims=(
            pairs.claim("SP is better than training without a teacher", "SP", ALONE, PAIRS),
            pairs.claim("SP is better than KD", "SP", "KD", PAIRS),
            pairs.claim("SP is better than attention transfer", "SP", "AT", PAIRS),
        ),
        task_terms=(CROSS_ENTROPY,),
    )
