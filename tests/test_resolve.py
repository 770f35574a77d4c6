"""From a study to runs: what cannot be is refused before any work."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from planned import plan_runs, with_control

import relbench.data
from relbench.data import find_data_set
from relbench.data.datasets.glyphs import GLYPHS
from relbench.experiment import Data, FewShot, Net, Retrieval, Term, Training
from relbench.lookup import lookup
from relbench.losses import LOSSES
from relbench.models import TRUNKS
from relbench.resolve import check_experiment, check_unseen, resolve, resolve_device
from relbench.settings import changed
from relbench.studies.changes import parse_value
from relbench.studies.distillation import Arm, distillation
from relbench.transforms import GlyphTransform, PhotoTransform

NOWHERE = Path("nowhere")
TRIPLET = Term(loss="triplet", options={"margin": 0.2})


def study_of(methods=None, teacher_terms=(TRIPLET,), first_stages=None):
    study = distillation(
        name="small",
        title="A small study",
        settings_notes=("a note",),
        data=Data(size=28),
        teacher=Arm(net=Net(dim=16), training=Training(steps=10)),
        teacher_terms=teacher_terms,
        student=Arm(net=Net(dim=8), training=Training(steps=30)),
        methods=methods or {"triplet": (TRIPLET,), "rkd-d": (TRIPLET, Term(loss="rkd_distance"))},
        first_stages=first_stages,
    )
    return with_control(study, "longer")


STUDY = study_of()


def planned(values=None, study=STUDY, seeds=(0,), device="cpu"):
    return plan_runs(study, seeds, device, values)


def refusal(call):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        call()
    return str(caught.value)


@pytest.fixture
def gpu(monkeypatch):
    """Torch sees a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.fixture
def no_gpu(monkeypatch):
    """Torch sees none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_runs_are_pinned_and_possible():
    runs = planned(seeds=(0, 5))
    labels = (("teacher", "teacher"), ("triplet", "student"), ("rkd-d", "student"), ("longer", "control"))
    assert [(run.label, run.role, run.experiment.seed) for run in runs] == [
        (label, role, seed) for seed in (0, 5) for label, role in labels
    ]
    for run in runs:
        assert run.experiment.data.content == find_data_set("glyphs", NOWHERE).content(NOWHERE)
        assert run.experiment.training.device == "cpu"
        check_experiment(run.experiment)


def test_only_runs_that_look_at_the_teacher_have_one():
    """A student without a relational term need not wait for a teacher, nor be run again for another one."""
    teacher, plain, distilled, longer = (cell.experiment for cell in planned())
    assert distilled.teacher == teacher
    assert plain.teacher is None
    assert longer.teacher is None
    other = [cell.experiment for cell in planned({"teacher.steps": 20})]
    assert other[1] == plain
    assert other[2].fingerprint != distilled.fingerprint


def test_views_are_filled_in_and_leave_runs_their_names():
    """Those of the data set, in the run and all that it builds on; other ones are refused before any work."""
    cells = planned()
    teacher, _, distilled, _ = (cell.experiment for cell in cells)
    assert [teacher.data.transform, distilled.data.transform, distilled.teacher.data.transform] == [
        GlyphTransform()
    ] * 3
    plain = changed(teacher, {"data": changed(teacher.data, {"transform": None})})
    assert plain.fingerprint == teacher.fingerprint
    assert resolve(plain, "teacher") == teacher
    photos = changed(plain, {"data": changed(plain.data, {"name": "cub200"})})
    assert resolve(photos, "teacher").data.transform == PhotoTransform()
    with pytest.raises(ValueError, match=r"^teacher: data.resize = 64 is for photos: glyphs has no such setting$"):
        planned({"data.resize": 64})


def test_a_changed_data_set_changes_every_run(monkeypatch):
    before = {cell.experiment.fingerprint for cell in planned()}
    monkeypatch.setitem(relbench.data.RENDERED, "glyphs", replace(GLYPHS, content=lambda _: "other"))
    assert not before & {cell.experiment.fingerprint for cell in planned()}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data.name": "glyph"}, "unknown data set 'glyph': did you mean glyphs?"),
        (
            {"data.name": "svhn"},
            "unknown data set 'svhn': known are cars196, cifar10, cifar100, cinic10, cub200, dtd, glyphs",
        ),
        ({"student.trunk": "googlnet"}, "triplet: unknown trunk 'googlnet': did you mean googlenet"),
        (
            {"teacher.trunk": "efficientnet_b0"},
            "teacher: unknown trunk 'efficientnet_b0': did you mean torchvision:efficientnet_b0",
        ),
        (
            {"teacher.trunk": "resnet18", "teacher.width": 8, "data.size": 32},
            "teacher: width = 8, but the width of the trunk resnet18 is fixed: set it to null",
        ),
        (
            {"student.weights": "imagenet"},
            "triplet: weights = imagenet, but there are none for the trunk conv4: choose random",
        ),
        (
            {"student.trunk": "resnet18"},
            "triplet: data.size = 28 pixels, but the trunk resnet18 needs 32 or more",
        ),
        (
            {"teacher.trunk": "vgg8", "teacher.width": None, "data.size": 64},
            "teacher: data.size = 64 pixels, but the trunk vgg8 takes 63 or fewer",
        ),
        ({"student.dim": 0}, "student.dim = 0: Input should be greater than or equal to 1"),
        ({"student.dimm": 3}, "unknown setting 'student.dimm': did you mean student.dim"),
        ({"student.device": "tpu"}, "student.device = 'tpu': Input should be 'cpu' or 'cuda'"),
        ({"student.precision": "tf32"}, "triplet: precision = tf32 is for a GPU: on the CPU choose 32-true"),
        ({"teacher.precision": "tf32"}, "teacher: precision = tf32 is for a GPU: on the CPU choose 32-true"),
    ],
)
def test_refused_values(no_gpu, values, message):
    assert refusal(lambda: planned(values)).startswith(message)


def test_precisions_that_a_device_has(gpu):
    assert planned({"student.precision": "bf16-mixed"}, device="cpu")
    assert planned({"student.precision": "tf32", "teacher.precision": "tf32"}, device="cuda")


def with_method(*terms, **given):
    return study_of({"method": terms}, **given)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ((Term(loss="tripplet"),), "method: unknown loss 'tripplet': did you mean triplet?"),
        ((Term(loss="pml:NoSuchLoss"),), "method: "),
        ((Term(loss="triplet", options={"margn": 0.2}),), "method: loss 'triplet' has no option 'margn': did you mean"),
        ((Term(loss="triplet", options={"margin": "big"}),), "method: loss 'triplet': option 'margin' is 'big', but"),
        ((TRIPLET, Term(loss="triplet")), "settings: a loss may occur in `terms` only once"),
        ((), "terms = (): Tuple should have at least 1 item"),
        (
            (TRIPLET, Term(loss="rkd_distance", layers=("stage4",))),
            "method: the loss rkd_distance compares embeddings, not layers: leave layers out",
        ),
        (
            (Term(loss="triplet", layers=("stage4",)),),
            "method: the loss triplet compares embeddings, not layers: leave layers out",
        ),
        (
            (TRIPLET, Term(loss="fitnet", layers=("stage4", "stage5"))),
            "method: unknown layer of conv4 for the loss fitnet 'stage5': did you mean stage4",
        ),
        (
            (TRIPLET, Term(loss="fitnet", layers=("stage4", "stage3", "stage4"))),
            "method: the loss fitnet has layers stage4, stage3, stage4: name each once",
        ),
        (
            (Term(loss="cross_entropy"), Term(loss="hinton_kd", options={"temperature": 4.0})),
            "method: the loss hinton_kd compares with the output of the teacher's classifier, but",
        ),
    ],
)
def test_refused_terms(terms, message):
    assert refusal(lambda: planned(study=with_method(*terms))).startswith(message)


def test_a_relational_loss_without_a_teacher():
    study = study_of(teacher_terms=(Term(loss="rkd_angle"),))
    assert refusal(lambda: planned(study=study)) == (
        "teacher: the loss rkd_angle compares with a teacher, but there is none: give the run a teacher"
    )


@pytest.mark.parametrize("loss", [name for name, entry in LOSSES.items() if entry.needs_teacher])
def test_no_loss_that_needs_a_teacher_is_given_to_one_that_has_none(loss):
    options = {"temperature": 4.0} if loss == "hinton_kd" else {}
    study = study_of(teacher_terms=(TRIPLET, Term(loss=loss, options=options)))
    assert refusal(lambda: planned(study=study)).startswith(f"teacher: the loss {loss} compares with a teacher, but")


@pytest.mark.parametrize("name", ["teacher", "initialized_from"])
@pytest.mark.parametrize("term", [Term(loss="rkd_distance"), Term(loss="fitnet", layers=("stage4",))])
def test_what_a_run_builds_on_is_checked_too(name, term):
    (student,) = (cell.experiment for cell in planned() if cell.label == "rkd-d")
    net = Net(trunk="none")
    own = {"net": net} if name == "initialized_from" else {}
    broken = changed(student.teacher, {"net": net})
    changes = {"terms": (term,), name: broken, **own}
    assert refusal(lambda: check_experiment(changed(student, changes))).startswith("unknown trunk 'none'")


def method(*terms, values=None, first=()):
    """The planned run of a method beside a teacher with a classifier."""
    stages = {"method": first} if first else {}
    staged = with_method(*terms, teacher_terms=(TRIPLET, Term(loss="probe")), first_stages=stages)
    (cell,) = (cell for cell in planned(values, staged) if cell.label == "method")
    return cell.experiment


@pytest.mark.parametrize(
    ("loss", "layers"),
    [
        ("triplet", ()),
        ("rkd_angle", ()),
        ("cross_entropy", ()),
        ("refilled_classifier", ()),
        ("similarity_preserving", ("stage4",)),
        ("attention_transfer", ("stage2", "stage3", "stage4")),
        ("fitnet", ("stage2", "stage3", "stage4", "embedding")),
    ],
)
def test_layers_are_filled_in(loss, layers):
    """So the fingerprint says what was compared, also after another list becomes the usual one."""
    assert method(Term(loss=loss)).terms[0].layers == layers
    assert method(Term(loss=loss, layers=layers)).fingerprint == method(Term(loss=loss)).fingerprint


def test_a_run_whose_numbers_a_loss_changed_is_another_run():
    """Hard DarkRank's gradient was wrong on long embeddings; at unit length it was right, and those runs stand."""
    darkrank = Term(loss="hard_darkrank")
    at_unit_length = method(darkrank)
    assert at_unit_length.terms[0].revision == 1
    assert at_unit_length.terms[0] == darkrank
    free = method(darkrank, values={"student.unit_length": False})
    assert free.terms[0].revision == 2
    before = changed(free, {"terms": (darkrank,)})  # what a row of that time says of itself
    assert before.fingerprint != free.fingerprint
    others = method(Term(loss="rkd_angle"), values={"student.unit_length": False})
    assert others.terms[0].revision == 1


def test_layers_that_are_named_stay():
    staged = method(Term(loss="fitnet", layers=("embedding",)), first=(Term(loss="fitnet"),))
    assert staged.terms[0].layers == ("embedding",)
    assert staged.initialized_from.terms[0].layers == ("stage2", "stage3", "stage4", "embedding")


@pytest.mark.parametrize(
    ("value", "layers"),
    [('["stage4"]', ("stage4",)), ('["stage1", "embedding"]', ("stage1", "embedding")), ("[]", None)],
)
def test_layers_can_be_set(value, layers):
    experiment = method(TRIPLET, Term(loss="fitnet"), values={"terms.fitnet.layers": parse_value(value)})
    assert experiment.terms[1].layers == (layers or ("stage2", "stage3", "stage4", "embedding"))
    assert experiment.terms[1].options == {}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("stage4", "terms.fitnet.layers = 'stage4': Input should be a valid tuple"),
        ('["stage4", 3]', "terms.fitnet.layers.1 = 3: Input should be a valid string"),
        ('["stage9"]', "method: unknown layer of conv4 for the loss fitnet 'stage9': did you mean stage4"),
    ],
)
def test_layers_that_can_not_be_set(value, message):
    values = {"terms.fitnet.layers": parse_value(value)}
    assert refusal(lambda: method(Term(loss="fitnet"), values=values)).startswith(message)


def test_a_layer_must_be_there_in_the_teacher_too(monkeypatch):
    headless = replace(TRUNKS["resnet18"], layers={"stage1": "network.layer1"})
    monkeypatch.setitem(TRUNKS, "resnet18", headless)
    values = {"data.size": 32, "teacher.trunk": "resnet18"}
    message = "method: unknown layer of resnet18 for the loss fitnet 'stage2': did you mean stage1?"
    assert refusal(lambda: method(Term(loss="fitnet"), values=values)) == message


@pytest.mark.parametrize("terms", [("hinton_kd", {"temperature": 4.0}), ("refilled_classifier", {"weighted": True})])
def test_a_teacher_with_a_classifier_says_what_it_thinks(terms):
    loss, options = terms
    assert method(Term(loss=loss, options=options)).teacher.terms[1].loss == "probe"


def with_teachers_data(experiment, **values):
    """The run, its teacher trained on other images."""
    teacher = changed(experiment.teacher, {"data": changed(experiment.teacher.data, values)})
    return changed(experiment, {"teacher": teacher})


def test_a_teacher_whose_features_are_places_takes_images_of_its_own_size():
    run = method(Term(loss="rkd_distance"), values={"teacher.trunk": "conv4-maxpool"})
    check_experiment(run)
    assert refusal(lambda: check_experiment(with_teachers_data(run, size=32))) == (
        "the teacher, conv4-maxpool trained on images of 32 pixels, takes no images of 28: make data.size equal, or "
        "choose another trunk"
    )
    check_experiment(with_teachers_data(method(Term(loss="rkd_distance")), size=32))  # a mean over places takes any


HKD = Term(loss="hinton_kd", options={"temperature": 4.0})


@pytest.mark.parametrize(
    "values",
    [
        {"name": "glyphs-textured"},
        {"train_classes": 100},
        {"train_classes": ("a", "b")},
        {"hold_out": False},
        {"content": "other"},
    ],
    ids=lambda values: next(iter(values)),
)
def test_soft_labels_are_those_of_the_same_classes(values):
    """As many logits would be compared without complaint where the numbers of classes are equal."""
    (name,) = values
    message = refusal(lambda: check_experiment(with_teachers_data(method(HKD), **values)))
    assert message.startswith("the loss hinton_kd compares logits class by class, but the teacher was trained on other")
    assert f"(its data.{name} differs)" in message


def test_soft_labels_of_a_teacher_of_another_split():
    student = method(HKD)
    classified = changed(student, {"data": changed(student.data, {"split": "images"})})
    with pytest.raises(ValueError, match=r"its data\.split differs"):
        check_experiment(classified)


@pytest.mark.parametrize("task", [Retrieval(), FewShot()])
@pytest.mark.parametrize("part", ["teacher", "initialized_from"])
def test_whoever_saw_the_test_classes_teaches_nobody_who_is_tested_on_them(part, task):
    """Neither a student nor a stage after it, whatever it was trained for; nor is such a network measured on them."""
    base = method(Term(loss="rkd_distance")).teacher
    seen = changed(base, {"data": changed(base.data, {"split": "images"})})
    run = changed(base, {"task": task, "training": {"batch_size": 100}, "terms": ({"loss": "rkd_distance"},)})
    run = changed(run, {"teacher": base, part: seen})
    named = {"teacher": "teacher", "initialized_from": "first stage"}[part]
    said = "data.split = images, but then it is trained on the test classes of glyphs, which must be new to a network"
    assert refusal(lambda: check_experiment(run)) == f"the {named}'s {said}: set it to classes"
    assert refusal(lambda: check_unseen(seen, base.data)) == f"{said}: set it to classes"
    check_experiment(changed(run, {part: base}))
    check_experiment(changed(run, {part: changed(seen, {"data": {"name": "glyphs-textured"}})}))
    check_experiment(changed(run, {"data": {"split": "images"}, "task": Retrieval()}))


def test_soft_labels_of_the_same_classes_of_other_images():
    both = {"split": "images", "train_classes": ("b", "a"), "hold_out": False}
    student = method(HKD)
    student = changed(student, {"data": changed(student.data, both)})
    teacher = {"split": "images", "train_classes": ("a", "b"), "hold_out": True, "test_classes": 5, "partition": 3}
    check_experiment(with_teachers_data(student, **teacher))
    with pytest.raises(ValueError, match=r"its data\.train_classes differs"):
        check_experiment(with_teachers_data(student, **teacher | {"train_classes": ("a", "c")}))


@pytest.mark.parametrize(
    "name", [name for name, entry in LOSSES.items() if entry.needs_teacher and name != "hinton_kd"]
)
def test_all_other_losses_take_a_teacher_of_other_classes(name):
    options = {"weighted": True} if name == "refilled_classifier" else {}
    check_experiment(with_teachers_data(method(Term(loss=name, options=options)), train_classes=100))


OWN_SOFT_LABELS = """\
def soft(student_logits, teacher_logits):
    return (student_logits - teacher_logits.detach()).square().mean()

def free(student_logits, teacher, teacher_logits=None):
    return student_logits.square().mean() + 0 * teacher.detach().sum()
"""


def test_a_users_loss_of_logits_is_held_to_the_same():
    soft, free = (Term(loss=f"my_loss:{name}", source=OWN_SOFT_LABELS) for name in ("soft", "free"))
    check_experiment(method(soft))
    message = refusal(lambda: check_experiment(with_teachers_data(method(soft), train_classes=100)))
    assert message.startswith("the loss my_loss:soft compares logits class by class, but the teacher was trained on")
    check_experiment(with_teachers_data(method(free), train_classes=100))  # it can do without them
    without = study_of({"method": (TRIPLET, soft)})
    assert refusal(lambda: planned(study=without)).startswith(
        "method: the loss my_loss:soft compares with the output of the teacher's classifier, but the teacher has none"
    )


def test_a_second_stage_follows_the_first():
    values = {"student.decay_at": (0.5,)}
    second = method(Term(loss="refilled_classifier"), values=values, first=(Term(loss="refilled_embedding"),))
    first = second.initialized_from
    assert (first.training.steps, second.training.steps, second.total_steps) == (15, 15, 30)
    assert first.teacher == second.teacher
    assert first.training == second.training
    assert [term.loss for term in first.terms] == ["refilled_embedding"]


def test_each_stage_has_a_teacher_only_if_it_looks_at_one():
    second = method(Term(loss="rkd_distance"), first=(TRIPLET,))
    assert second.teacher
    assert second.initialized_from.teacher is None
    second = method(TRIPLET, first=(Term(loss="rkd_distance"),))
    assert second.teacher is None
    assert second.initialized_from.teacher


def test_first_stages_are_runs_of_their_own():
    runs = planned(study=with_method(TRIPLET, first_stages={"method": (Term(loss="rkd_distance"),)}))
    assert [(run.label, run.role) for run in runs] == [
        ("teacher", "teacher"),
        ("method, first stage", "stage"),
        ("method", "student"),
        ("longer", "control"),
    ]
    assert runs[2].experiment.initialized_from == runs[1].experiment


def test_a_method_in_two_stages_needs_an_even_number_of_steps():
    terms = {"first": (Term(loss="rkd_distance"),), "values": {"student.steps": 9}}
    message = "student.steps = 9: a method in two stages needs an even number"
    assert refusal(lambda: method(TRIPLET, **terms)) == message


def test_a_first_stage_is_refused_like_any_other():
    message = "method, first stage: loss 'rkd_distance' has no option 'x'"
    assert refusal(lambda: method(TRIPLET, first=(Term(loss="rkd_distance", options={"x": 1}),))).startswith(message)


@pytest.mark.parametrize(("seeds", "shown"), [((), "none"), ((0, 1, 0), "0, 1, 0")])
def test_seeds_none_or_twice(seeds, shown):
    assert refusal(lambda: planned(seeds=seeds)) == f"seeds = {shown}: name at least one, each once"


@pytest.mark.parametrize(("seed", "why"), [(-1, "greater than or equal to 0"), (2**31, "less than 2147483648")])
def test_seed_out_of_range(seed, why):
    assert refusal(lambda: planned(seeds=(0, seed))) == f"seed = {seed}: Input should be {why}"


def test_device_without_a_gpu(no_gpu):
    assert (resolve_device("auto"), resolve_device("cpu")) == ("cpu", "cpu")
    assert {cell.experiment.training.device for cell in planned(device="cuda")} == {"cuda"}  # planned, not run


def test_device_with_a_gpu(gpu):
    assert [resolve_device(device) for device in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    assert {cell.experiment.training.device for cell in planned(device="auto")} == {"cuda"}


def test_unknown_device():
    assert refusal(lambda: resolve_device("gpu")) == "unknown device 'gpu': did you mean cuda?"
    assert refusal(lambda: planned(device="mps")) == "unknown device 'mps': known are auto, cpu, cuda"


def test_a_device_that_is_set_wins(gpu):
    devices = [cell.experiment.training.device for cell in planned({"student.device": "cpu"}, device="cuda")]
    assert devices == ["cuda", "cpu", "cpu", "cuda"]


def test_known_gives_the_name():
    assert lookup("a", iter(["b", "a"]), "letter") == "a"
    assert refusal(lambda: lookup("z", iter(["b", "a"]), "letter")) == "unknown letter 'z': known are a, b"
