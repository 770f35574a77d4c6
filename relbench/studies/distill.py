"""One teacher and one student of anybody's: the student alone, and by each of some methods, as a study.

Conditions are those of protocol fair of the papers' tables: the same number of steps for every network, and for each a
learning rate that is chosen on validation images. Weights of methods are those that the studies of Glyphs have found
for their networks, as nothing is chosen for others here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relbench.data import data_set_names, find_photos, find_rendered, seen_by
from relbench.experiment import Classification, Data, FewShot, Net, Retrieval, Splitting, TaskSettings, Term
from relbench.lookup import lookup
from relbench.losses import LOSSES, find_loss
from relbench.models import find_trunk
from relbench.plain_text import listed
from relbench.settings import changed, short_hash, validated
from relbench.studies import glyphs_classification, glyphs_few_shot, glyphs_methods, quickstart
from relbench.studies.distillation import Arm, distillation
from relbench.studies.extend import FILE, find_added_loss
from relbench.studies.rkd.protocol import RATES
from relbench.studies.study import DATA, Study

Terms = tuple[Term, ...]
STEPS = 2000
GREY, COLOURED = 28, 224  # usual sides in pixels, of rendered characters and of photos
LONGEST = 80  # letters of a name
VALIDATIONS = 5  # in a training
HEAD_RATE = 1e-3  # of a head on features that stay as they are, if nothing else is said
PROBE, CROSS_ENTROPY = Term(loss="probe"), Term(loss="cross_entropy")


@dataclass(frozen=True)
class Kind:
    """What is usual for a task.

    Attributes:
        task: its settings.
        alone: what the student without a teacher is called.
        loss: of the task.
        methods: by name, what stands beside that loss.
        study: that the weights of these methods are from.
        split: what the sides of the data set's split do not share.
        teacher_dim: dimensions of the teacher's embedding; None for the trunk's features.
        student_dim: likewise.
        unit_length: whether embeddings are scaled to it.
        batch: images in a batch, and of each class.
    """

    task: TaskSettings
    alone: str
    loss: Term
    methods: Mapping[str, Terms]
    study: str
    split: Splitting = "classes"
    teacher_dim: int | None = None
    student_dim: int | None = None
    unit_length: bool = False
    batch: tuple[int, int] = (128, 5)


KINDS = {
    "retrieval": Kind(
        task=Retrieval(),
        alone="triplet",
        loss=quickstart.TRIPLET,
        methods=glyphs_methods.METHODS,
        study="glyphs-methods",
        teacher_dim=512,
        student_dim=128,
        unit_length=True,
    ),
    "classification": Kind(
        task=Classification(),
        split="images",
        alone="cross-entropy",
        loss=CROSS_ENTROPY,
        methods=glyphs_classification.METHODS,
        study="glyphs-classification",
    ),
    "few-shot": Kind(
        task=FewShot(),
        alone="prototypical",
        loss=glyphs_few_shot.PROTOTYPICAL,
        methods=glyphs_few_shot.HALF,
        study="glyphs-few-shot",
        batch=(64, 2),
    ),
}


@dataclass(frozen=True)
class Asked:
    """What somebody asks for; None leaves a choice to what is usual.

    Attributes:
        teacher: the trunk of its network.
        student: likewise.
        data: name of the data set.
        methods: names, see `methods_of`.
        kind: the task, one of `KINDS`.
        steps: of every network.
        rate: learning rate of every network; None: chosen for each on validation images.
        size: side of the images in pixels.
        dim: dimensions of the student's embedding.
        teacher_dim: likewise.
        teacher_weights: weights that it begins with.
        student_weights: likewise.
        as_is: whether the teacher's weights are left as they are.
    """

    teacher: str
    student: str
    data: str
    methods: Sequence[str]
    kind: str = "retrieval"
    steps: int = STEPS
    rate: float | None = None
    size: int | None = None
    dim: int | None = None
    teacher_dim: int | None = None
    teacher_weights: str | None = None
    student_weights: str | None = None
    as_is: bool = False


@dataclass(frozen=True)
class Distillation:
    """The same with every choice made.

    Attributes:
        teacher: its network.
        student: likewise.
        data: the images.
        kind: what is usual for the task.
        methods: by name, what stands beside the task's loss.
        steps: of every network.
        rate: of every network; None: chosen for each.
        as_is: whether the teacher's weights are left as they are.
    """

    teacher: Net
    student: Net
    data: Data
    kind: Kind
    methods: Mapping[str, Terms]
    steps: int
    rate: float | None
    as_is: bool

    @property
    def needs_head(self) -> bool:
        """Whether the teacher's logits are looked at."""
        entries = (find_loss(term.loss, term.source) for terms in self.methods.values() for term in terms)
        return self.kind.loss == CROSS_ENTROPY or any("teacher_classifier" in entry.requires for entry in entries)


def distilled(asked: Asked, root: Path) -> Study:
    """The study: the teacher, the student alone, and the student by each method.

    Args:
        asked: what is asked for.
        root: holds all data sets.

    Raises:
        ValueError: there is no such trunk, data set, task or method, or a setting is impossible; one line.
    """
    return _study(_chosen(asked, root))


def _chosen(asked: Asked, root: Path) -> Distillation:
    kind = KINDS[lookup(asked.kind, KINDS, "task")]
    lookup(asked.data, data_set_names(root), "data set")
    size = usual_size(asked.data, root, (asked.teacher, asked.student)) if asked.size is None else asked.size

    def net(trunk: str, weights: str | None, dim: int | None) -> Net:
        chosen = usual_weights(trunk, asked.data, root) if weights is None else weights
        return validated(Net, {"trunk": trunk, "weights": chosen, "dim": dim, "unit_length": kind.unit_length})

    if asked.as_is and asked.teacher_dim is not None:
        raise ValueError("--teacher-as-is has the trunk's features as they are: leave --teacher-dim out")
    teacher_dim = kind.teacher_dim if asked.teacher_dim is None else asked.teacher_dim
    return Distillation(
        teacher=net(asked.teacher, asked.teacher_weights, None if asked.as_is else teacher_dim),
        student=net(asked.student, asked.student_weights, kind.student_dim if asked.dim is None else asked.dim),
        data=validated(Data, {"name": asked.data, "size": size, "split": kind.split}),
        kind=kind,
        methods=methods_of(asked.methods, kind),
        steps=asked.steps,
        rate=asked.rate,
        as_is=asked.as_is,
    )


def methods_of(names: Sequence[str], kind: Kind) -> dict[str, Terms]:
    """Methods by name, each as the terms that stand beside the task's loss.

    Args:
        names: of methods of the task's study; of losses that compare with a teacher; or FILE.py:NAME, which is
            executed.
        kind: what is usual for the task.

    Raises:
        ValueError: there is no such method, it has no teacher, or it is named twice; one line.
    """
    found: dict[str, Terms] = {}
    for name in names:
        label, terms = _method(name, kind)
        if label in found:
            raise ValueError(f"the method {label} is named twice: leave one out")
        found[label] = terms
    return found


def _method(name: str, kind: Kind) -> tuple[str, Terms]:
    known = {label: terms for label, terms in kind.methods.items() if any(map(_compares, terms))}
    if name in known:
        return name, known[name]
    if FILE.search(name):
        added = find_added_loss(name, 1.0)
        if not _compares(added.term):
            raise ValueError(f"the loss {name} does not compare with a teacher, so it distils nothing")
        return added.label, (added.term,)
    losses = [
        loss for loss, entry in LOSSES.items() if entry.needs_teacher and entry.trains_student and not entry.required
    ]
    with_values = {term.loss: label for label, terms in known.items() for term in terms}
    lookup(name, dict.fromkeys([*known, *losses]), "method", with_values)
    return name, (Term(loss=name),)


def _compares(term: Term) -> bool:
    return find_loss(term.loss, term.source).needs_teacher


def usual_size(name: str, root: Path, trunks: Sequence[str]) -> int:
    """Side of the images in pixels, if nothing else is said: the data set's, as far as all trunks take it.

    Args:
        name: of the data set.
        root: holds all data sets.
        trunks: their names.
    """
    rendered = find_rendered(name)
    side = None if rendered else find_photos(name, root).side
    usual = side or (GREY if rendered and rendered.channels == 1 else COLOURED)
    entries = [find_trunk(trunk) for trunk in trunks]
    least = max(entry.smallest for entry in entries)
    most = min((entry.largest for entry in entries if entry.largest), default=usual)
    return min(max(usual, least), max(most, least))


def usual_weights(trunk: str, name: str, root: Path) -> str:
    """Weights that a trunk begins with, if nothing else is said: ImageNet's for photos, where it has some.

    Random ones for images that are rendered, or as small as CIFAR's, and where ImageNet has the classes of the test.
    """
    photos = not find_rendered(name) and find_photos(name, root).side is None
    return "imagenet" if photos and find_trunk(trunk).weights and "imagenet" not in seen_by(name) else "random"


def _study(chosen: Distillation) -> Study:
    kind = chosen.kind
    methods = {kind.alone: (kind.loss,)} | {label: (kind.loss, *terms) for label, terms in chosen.methods.items()}
    return distillation(
        name=_name(chosen),
        title=f"{chosen.student.short_name} taught by {chosen.teacher.short_name} on {DATA}",
        notes=tuple(_as_is_notes(chosen)),
        settings_notes=tuple(_notes(chosen)),
        data=chosen.data,
        task=kind.task,
        teacher=_teacher(chosen),
        teacher_terms=_teacher_terms(chosen),
        student=_arm(chosen, chosen.student),
        methods=methods,
        task_terms=(kind.loss,),
        pairs=[(label, kind.alone) for label in chosen.methods],
    )


def _name(chosen: Distillation) -> str:
    """Of its folder of results, too: letters that need no quotes anywhere."""
    words = (chosen.data.name, chosen.teacher.trunk, chosen.student.trunk, *chosen.methods)
    name = "-".join(("distill", *(re.sub(r"[^\w.]+", "-", word) for word in words)))
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}-{short_hash({'name': name})[:8]}"


def _teacher_terms(chosen: Distillation) -> Terms:
    loss = chosen.kind.loss
    if chosen.as_is or loss == CROSS_ENTROPY:
        return (CROSS_ENTROPY,)  # which trains a head
    return (loss, PROBE) if chosen.needs_head else (loss,)


def _teacher(chosen: Distillation) -> Arm:
    """The teacher; one that is used as it is has a head alone to train, for a single step where nobody looks at it."""
    arm = _arm(chosen, chosen.teacher)
    if not chosen.as_is:
        return arm
    if chosen.teacher.weights == "random":
        raise ValueError("--teacher-as-is, but its weights are random: choose --teacher-weights imagenet, or a file")
    length = {} if chosen.needs_head else {"steps": 1, "validate_every": 1}
    how = {"frozen": True, "learning_rate": HEAD_RATE if chosen.rate is None else chosen.rate, **length}
    return changed(arm, {"training": changed(arm.training, how), "rates": ()})


def _arm(chosen: Distillation, net: Net) -> Arm:
    images, of_a_class = chosen.kind.batch
    training = {
        "steps": chosen.steps,
        "batch_size": images,
        "images_per_class": of_a_class,
        "validate_every": max(1, chosen.steps // VALIDATIONS),
        **({} if chosen.rate is None else {"learning_rate": chosen.rate}),
    }
    return Arm(
        net=net,
        training=changed(quickstart.TRAINING, training),
        rates=_rates(net.weights) if chosen.rate is None else (),
    )


def _rates(weights: str) -> tuple[float, ...]:
    """What a network with these weights chooses its learning rate from."""
    return RATES["random" if weights == "random" else "imagenet"]


def _notes(chosen: Distillation) -> Iterator[str]:
    kind = chosen.kind
    yield (
        f"Every network has {chosen.steps:,} steps of {kind.batch[0]} images at {chosen.data.size} px; its learning "
        "rate falls to a fifth after 60 % of them, and again after 85 %."
    )
    yield _rate_note(chosen)
    teacher, student = _called(chosen.teacher.weights), _called(chosen.student.weights)
    yield f"Weights at the beginning: {teacher} (teacher), {student} (students)."
    if chosen.student == chosen.teacher:
        yield f"The student has its teacher's network: {kind.alone}, which has no teacher, is the teacher again."
    known = [label for label in chosen.methods if label in kind.methods]
    if known:
        yield (
            f"Weights of {listed(known)} beside the task loss are those of the study {kind.study}, chosen there on "
            "Glyphs: none was chosen for these networks and images."
        )
    others = [label for label in chosen.methods if label not in kind.methods]
    if others:
        yield f"Weight of {listed(others)} beside the task loss: 1, chosen by nobody."


def _called(weights: str) -> str:
    """Weights in a note: a file without its folder."""
    return Path(weights).name


def _rate_note(chosen: Distillation) -> str:
    if chosen.rate is not None:
        return f"The learning rate {chosen.rate:g} was set for all networks, and chosen by nobody."
    trained = [chosen.student] if chosen.as_is else [chosen.teacher, chosen.student]
    sets = dict.fromkeys(_rates(net.weights) for net in trained)
    words = " or ".join(", ".join(f"{rate:g}" for rate in rates) for rates in sets)
    return f"Each network and method has the best learning rate of {words} on validation images, seed 0."


def _as_is_notes(chosen: Distillation) -> Iterator[str]:
    if not chosen.as_is:
        return
    features = f"its trunk's features{', scaled to unit length,' if chosen.teacher.unit_length else ''}"
    head = "and nothing else" if chosen.needs_head else "for a single step, and nobody looks at it"
    yield (
        f"The teacher is used as it is ({_called(chosen.teacher.weights)}): {features} are what teaches. Its runs "
        f"train a linear head on them, {head}."
    )
