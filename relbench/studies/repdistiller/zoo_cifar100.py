"""RepDistiller's benchmark: accuracy on CIFAR-100 of 13 students by the methods of relbench's zoo.

    relbench reproduce zoo-cifar100 --only 'resnet32x4/resnet8x4/*' --device cuda
    relbench reproduce zoo-cifar100 --only '*/kd' --only '*/rkd' --protocol fair

The tables of the README of HobbitLong/RepDistiller@b84f547, which are those of Contrastive Representation Distillation
(Tian, Krishnan, Isola, ICLR 2020, arXiv:1910.10699): seven students of their teacher's architecture, six of another.
Each is trained without a teacher and by KD, FitNet, AT, SP, CC, RKD, PKT and NST; 6 teachers, 9 students alone and 104
taught. VID, AB, FT, FSP and CRD are printed beside, and not trained here. 184 numbers; the README prints a teacher's in
each column, as here.

Protocol `paper` is that code (train_teacher.py, train_student.py, scripts/run_cifar_distill.sh): 240 epochs, batches of
64, the last one smaller; SGD with momentum 0.9, without Nesterov; weight decay 5e-4; a learning rate of 0.05, of 0.01
for MobileNetV2 and both ShuffleNets, times 0.1 after 150, 180 and 210 epochs; images padded by 4 black pixels, cropped
and mirrored, normalised by constants of CIFAR-100. Its README's results are of the last epoch, a comment there says.
KD is 0.1 cross-entropy + 0.9 KD; the others are cross-entropy + their own weight times the method. "Stage" is its list
of features without stem and pooled vector: FitNet compares the second, SP the last, AT and NST all of them, RKD, PKT
and CC the pooled vector, which RKD takes as it is. The maps of wide ResNets are taken before normalisation and ReLU.

Where it is not what the authors did: they say of no number from how many seeds it is. CC there has a trained layer of
128 dimensions on either side, here one from the student's dimensions to the teacher's. The regressor of FitNet keeps no
running statistics, which training never uses. Losses depart in small things, which docstrings say (`losses/`).

Under protocol `fair` a learning rate is chosen for a method with the student resnet8x4 of resnet32x4, and used for all
students that begin at 0.05 in `paper`; with ShuffleNetV1 of resnet32x4 for the others. All teachers have the rate that
is best for resnet32x4.

Claims are what its numbers show of all its pairs.

Elsewhere, by another recipe, the same networks reached 68.83 % (resnet20), 70.16 % (resnet32) and 72.63 % (resnet56)
without a teacher (chenyaofo/pytorch-cifar-models@786c162).
"""

from collections.abc import Iterator

from relbench.experiment import Data, Term, Training
from relbench.settings import changed
from relbench.studies.epoch_protocol import EpochProtocol, Recipe, pooled_net
from relbench.studies.published import Published, read_published
from relbench.studies.study import Cell, Claim, RunSpec, Scale, Stage, Study
from relbench.transforms import SmallTransform

TRUNKS = {  # as printed -> ours
    "wrn-40-2": "wrn-40-2",
    "wrn-40-1": "wrn-40-1",
    "wrn-16-2": "wrn-16-2",
    "resnet110": "resnet110",
    "resnet56": "resnet56",
    "resnet32": "resnet32",
    "resnet20": "resnet20",
    "resnet32x4": "resnet32x4",
    "resnet8x4": "resnet8x4",
    "vgg13": "vgg13",
    "vgg8": "vgg8",
    "ResNet50": "resnet50-cifar",
    "MobileNetV2": "mobilenetv2-0.5-repdistiller",
    "ShuffleNetV1": "shufflenetv1-repdistiller",
    "ShuffleNetV2": "shufflenetv2-repdistiller",
}
FOUR_STAGES = ("vgg13", "vgg8", "ResNet50", "MobileNetV2")  # all others have three
SLOW = ("MobileNetV2", "ShuffleNetV1", "ShuffleNetV2")  # begin at a lower learning rate
PAIRS = {  # by table, teachers and students
    "same architecture family": (
        ("wrn-40-2", "wrn-16-2"),
        ("wrn-40-2", "wrn-40-1"),
        ("resnet56", "resnet20"),
        ("resnet110", "resnet20"),
        ("resnet110", "resnet32"),
        ("resnet32x4", "resnet8x4"),
        ("vgg13", "vgg8"),
    ),
    "different architecture family": (
        ("vgg13", "MobileNetV2"),
        ("ResNet50", "MobileNetV2"),
        ("ResNet50", "vgg8"),
        ("resnet32x4", "ShuffleNetV1"),
        ("resnet32x4", "ShuffleNetV2"),
        ("wrn-40-2", "ShuffleNetV1"),
    ),
}
TUNED_WITH = {False: ("resnet32x4", "resnet8x4"), True: ("resnet32x4", "ShuffleNetV1")}  # by whether it is slow

CROSS_ENTROPY = Term(loss="cross_entropy")
TEACHER, STUDENT = "Teacher (CE)", "Student (CE)"
METHODS = ("KD", "FitNet", "AT", "SP", "CC", "RKD", "PKT", "NST")  # of relbench's zoo
BESIDE = ("VID", "AB", "FT", "FSP", "CRD")


def terms_of(method: str, stages: int) -> tuple[Term, ...]:
    """The loss of a method between networks of so many stages."""
    maps = tuple(f"stage{number}" for number in range(1, stages + 1))
    if method == "KD":
        return changed(CROSS_ENTROPY, {"weight": 0.1}), Term(loss="hinton_kd", weight=0.9, options={"temperature": 4.0})
    added = {
        "FitNet": (Term(loss="fitnet_regressor", weight=100.0, layers=("stage2",)),),
        "AT": (Term(loss="attention_transfer", weight=1000.0, layers=maps),),
        "SP": (Term(loss="similarity_preserving", weight=3000.0, layers=maps[-1:]),),
        "CC": (Term(loss="correlation_congruence", weight=0.02),),
        "RKD": (Term(loss="rkd_distance", weight=25.0), Term(loss="rkd_angle", weight=50.0)),
        "PKT": (Term(loss="pkt", weight=30000.0),),
        "NST": (Term(loss="neuron_selectivity", weight=50.0, layers=maps),),
    }
    return CROSS_ENTROPY, *added[method]


def _recipe(rate: float, rates: tuple[float, ...]) -> Recipe:
    training = Training(
        optimizer="sgd",
        momentum=0.9,
        learning_rate=rate,
        decay=0.1,
        weight_decay=5e-4,
        batch_size=64,
        log_test_metrics=True,
    )
    return Recipe(240, 50_000, training, decay_after=(150, 180, 210), rates=rates, validate_every=10)


RECIPES = {  # by whether it is slow
    False: _recipe(0.05, (0.005, 0.015, 0.05, 0.15)),
    True: _recipe(0.01, (0.001, 0.003, 0.01, 0.03)),
}
DATA = Data(name="cifar100", size=32, split="images", transform=SmallTransform())


def _path(teacher: str, student: str, method: str) -> str:
    """Of a run; a network that is trained without a teacher is the same in all its pairs."""
    if method == TEACHER:
        return f"teacher/{teacher}"
    return f"alone/{student}" if method == STUDENT else f"{teacher}/{student}/{method.lower()}"


def runs(protocol: EpochProtocol) -> Iterator[tuple[str, RunSpec]]:
    """Path and run: all teachers, all students that have none, then those that are taught."""
    pairs = [pair for table in PAIRS.values() for pair in table]
    for method in (TEACHER, STUDENT, *METHODS):
        for teacher, student in pairs:
            yield _path(teacher, student, method), run_of(teacher, student, method, protocol)


def run_of(teacher: str, student: str, method: str, protocol: EpochProtocol) -> RunSpec:
    """The run that answers to a number."""
    network = teacher if method == TEACHER else student
    slow, taught = network in SLOW, method in METHODS
    stages = 4 if network in FOUR_STAGES else 3
    terms = terms_of(method, stages) if taught else (CROSS_ENTROPY,)
    return protocol.run(
        RECIPES[slow],
        DATA,
        pooled_net(TRUNKS[network], normalization="cifar100"),
        (Stage(terms=terms),),
        role="teacher" if method == TEACHER else "student",
        teacher=_path(teacher, student, TEACHER) if taught else "",
        tuned_with=_path(*TUNED_WITH[slow], method),
    )


def cells(told: tuple[Published, ...]) -> Iterator[Cell]:
    """The numbers as the README prints them: a row for each method, a column for each pair."""
    printed = {(line.fields["setting"], *_printed(line)): line for line in told}
    for part, pairs in PAIRS.items():
        for method in (TEACHER, STUDENT, *METHODS, *BESIDE):
            for teacher, student in pairs:
                line = printed.get((part, teacher, teacher if method == TEACHER else student, method))
                if line:
                    yield Cell(
                        part=part.capitalize(),
                        row=method,
                        column=f"{teacher} to {student}",
                        metric="accuracy",
                        run="" if method in BESIDE else _path(teacher, student, method),
                        published=line.value,
                        source=line.source,
                    )


def _printed(line: Published) -> tuple[str, str, str]:
    return line.fields["teacher"], line.fields["student"], line.fields["method"]


def _claim(text: str, better: str, worse: tuple[str, ...], students: tuple[str, ...] = ()) -> Claim:
    """That a row is better than others, in the columns of all students or of some."""
    pairs = [pair for table in PAIRS.values() for pair in table if pair[1] in (students or TRUNKS)]
    return Claim(
        text=text,
        better=tuple((_path(*pair, better), _path(*pair, other)) for other in worse for pair in pairs),
    )


CLAIMS = (
    _claim("KD is better than training without a teacher", "KD", (STUDENT,)),
    _claim("SP is better than training without a teacher", "SP", (STUDENT,)),
    _claim("KD is better than RKD", "KD", ("RKD",)),
    _claim("SP is better than RKD", "SP", ("RKD",)),
    _claim("PKT is better than RKD", "PKT", ("RKD",)),
    _claim("KD is better than CC", "KD", ("CC",)),
    _claim("AT and FitNet harm MobileNetV2", STUDENT, ("AT", "FitNet"), ("MobileNetV2",)),
    _claim("No student beats its teacher", TEACHER, METHODS),
)
NOTES = (
    "VID, AB, FT, FSP and CRD, which are not among relbench's losses, are as printed: none of them is trained here.",
    "CC projects the student's embeddings to the teacher's dimensions; RepDistiller's projects both to 128.",
)
FAIR_NOTE = (
    "A method's learning rate is chosen with resnet8x4 of resnet32x4, for MobileNetV2 and the ShuffleNets with "
    "ShuffleNetV1 of resnet32x4; all teachers have that of resnet32x4."
)


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The tables under a protocol, at a scale."""
    under = EpochProtocol(protocol, scale)
    told = tuple(line for line in read_published("sp_repdistiller") if line.fields["setting"] in PAIRS)
    return Study(
        name="zoo-cifar100",
        title="RepDistiller's benchmark: accuracy on CIFAR-100",
        source="Y. Tian, D. Krishnan, P. Isola, ICLR 2020, arXiv:1910.10699; HobbitLong/RepDistiller@b84f547, README",
        notes=(*under.notes(), *((FAIR_NOTE,) if protocol == "fair" else ()), *NOTES),
        variant={"protocol": protocol},
        scale=scale,
        runs=dict(runs(under)),
        cells=tuple(cells(told)),
        claims=CLAIMS,
        task_terms=(CROSS_ENTROPY,),
        methods_in="row",
    )
