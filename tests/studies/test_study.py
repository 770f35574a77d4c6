"""Studies: every experiment of every one can be built; settings are changed where they are asked to be."""

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from relbench.experiment import Data, Net, Term, Training, flattened
from relbench.losses import find_loss
from relbench.losses.entry import NEEDS
from relbench.models import build_embedder
from relbench.resolve import plan_cells
from relbench.studies import STUDIES, Arm, Study, parse_value

TRIPLET, DISTANCE = Term(loss="triplet", options={"margin": 0.2}), Term(loss="rkd_distance")
STUDY = Study(
    name="small",
    title="A small study",
    data=Data(size=28),
    teacher=Arm(net=Net(dim=16), training=Training(steps=10, learning_rate=1e-2)),
    teacher_terms=(TRIPLET,),
    student=Arm(net=Net(dim=8), training=Training(steps=30)),
    methods={"triplet": (TRIPLET,), "rkd-d": (TRIPLET, DISTANCE)},
    equal_budget_control="longer",
)


@pytest.mark.parametrize("name", STUDIES)
def test_every_experiment_of_every_study_can_be_built(name):
    cells = plan_cells(STUDIES[name], (0, 1), "cpu", {}, Path("nowhere"))
    assert STUDIES[name].name == name
    assert STUDIES[name].title
    for net in {cell.experiment.net for cell in cells}:
        build_embedder(net, channels=1, seed=0)
    for term in (term for cell in cells for term in cell.experiment.terms):
        known = dict.fromkeys(NEEDS, 5)
        loss = find_loss(term.loss)
        assert callable(loss.build(**{need: known[need] for need in loss.needs} | dict(term.options)))


@pytest.mark.parametrize("name", STUDIES)
def test_runs_of_a_study_differ(name):
    cells = plan_cells(STUDIES[name], (0, 1), "cpu", {}, Path("nowhere"))
    assert len({cell.experiment.fingerprint for cell in cells}) == len(cells)
    assert len({(cell.label, cell.experiment.seed) for cell in cells}) == len(cells)


def test_quickstart_is_of_the_size_that_it_says():
    assert len(STUDIES["quickstart"].cells((0, 1, 2))) == 18


def test_cells():
    cells = STUDY.cells((0, 7))
    assert [(cell.label, cell.role, cell.experiment.seed) for cell in cells] == [
        (label, role, seed)
        for seed in (0, 7)
        for label, role in (("teacher", "teacher"), ("triplet", "student"), ("rkd-d", "student"), ("longer", "control"))
    ]
    teacher, plain, distilled, _ = (cell.experiment for cell in cells[4:])
    assert plain.teacher == distilled.teacher == teacher  # of the same seed
    assert teacher.teacher is None
    assert (teacher.net, teacher.training, teacher.terms) == (STUDY.teacher.net, STUDY.teacher.training, (TRIPLET,))
    assert (distilled.net, distilled.training) == (STUDY.student.net, STUDY.student.training)
    assert (plain.terms, distilled.terms) == ((TRIPLET,), (TRIPLET, DISTANCE))
    assert all(cell.experiment.data == STUDY.data for cell in cells)


def test_the_longer_teacher_is_the_teacher_with_the_students_steps():
    teacher, *_, longer = (cell.experiment for cell in STUDY.cells((3,)))
    assert longer == teacher.model_copy(update={"training": teacher.training.model_copy(update={"steps": 30})})
    assert longer.training.learning_rate == 1e-2


def test_no_longer_teacher():
    plain = STUDY.model_copy(update={"equal_budget_control": None})
    assert [cell.role for cell in plain.cells((0,))] == ["teacher", "student", "student"]


STAGED = STUDY.model_copy(update={"first_stages": {"rkd-d": (DISTANCE,)}})


def test_a_method_in_two_stages_shares_the_steps():
    teacher, plain, first, second, longer = STAGED.cells((3,))
    assert [cell.label for cell in (first, second)] == ["rkd-d, first stage", "rkd-d"]
    assert [cell.role for cell in (teacher, plain, first, second, longer)] == [
        "teacher",
        "student",
        "stage",
        "student",
        "control",
    ]
    assert second.experiment.initialized_from == first.experiment
    assert (first.experiment.terms, second.experiment.terms) == ((DISTANCE,), (TRIPLET, DISTANCE))
    assert first.experiment.teacher == second.experiment.teacher == teacher.experiment
    assert second.experiment.total_steps == plain.experiment.total_steps == 30
    assert plain.experiment == STUDY.cells((3,))[1].experiment


def test_a_first_stage_of_a_method_that_is_not_there():
    with pytest.raises(ValidationError, match="unknown method 'rkd-dd': did you mean rkd-d"):
        Study.model_validate({**dict(STUDY), "first_stages": {"rkd-dd": (DISTANCE,)}})


def test_settings_of_a_loss_hold_in_first_stages_too():
    alone = STUDY.model_copy(update={"methods": {"staged": (TRIPLET,)}, "first_stages": {"staged": (DISTANCE,)}})
    assert alone.losses() == ["triplet", "rkd_distance"]
    changed_study = alone.with_values({"terms.rkd_distance.weight": 3.0})
    assert changed_study.first_stages == {"staged": (Term(loss="rkd_distance", weight=3.0),)}
    assert changed_study.methods == alone.methods


def refusal(call):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        call()
    return str(caught.value)


def test_an_impossible_seed_is_told_in_one_line():
    assert refusal(lambda: STUDY.cells((-1,))) == "seed = -1: Input should be greater than or equal to 0"


def test_impossible_terms_are_told_in_one_line():
    twice = STUDY.model_copy(update={"methods": {"twice": (TRIPLET, TRIPLET)}})
    assert "a loss may occur in `terms` only once" in refusal(lambda: twice.cells((0,)))


ARM = {
    "trunk": "resnet18",
    "width": 8,
    "weights": "imagenet",
    "dim": 64,
    "unit_length": False,
    "steps": 7,
    "learning_rate": 0.5,
    "decay_at": (0.5, 0.75),
    "decay": 0.5,
    "weight_decay": 0.5,
    "batch_size": 64,
    "images_per_class": 2,
    "validate_every": 7,
    "selection": "validation",
    "precision": "bf16-mixed",
    "channels_last": True,
    "log_test_metrics": True,
    "device": "cuda",
    "threads": 2,
}
DATA = {
    "name": "x",
    "size": 32,
    "train_classes": 7,
    "test_classes": 7,
    "distortion": 0.5,
    "hold_out": False,
    "resize": 40,
    "mirror": False,
}
VALUES = {f"{arm}.{key}": value for arm in ("teacher", "student") for key, value in ARM.items()}
VALUES |= {f"data.{key}": value for key, value in DATA.items()}


def leaves(settings, path=()):
    """(place, value) of every single setting of a study."""
    for name, value in settings:
        if isinstance(value, Data):
            yield from (((*path, name, key), one) for key, one in flattened(value).items())
        elif isinstance(value, Arm | Net | Training):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def test_every_place_can_be_changed_but_the_hash_of_the_data():
    assert set(STUDY.places()) == set(VALUES)
    changeable = {place for place, _ in leaves(STUDY) if place[0] in ("data", "teacher", "student")}
    assert set(STUDY.places().values()) == changeable - {("data", "content")}


@pytest.mark.parametrize(("key", "value"), VALUES.items(), ids=list(VALUES))
def test_one_value_is_changed_and_no_other(key, value):
    before, after = dict(leaves(STUDY)), dict(leaves(STUDY.with_values({key: value})))
    place = STUDY.places()[key]
    assert {at for at in before if before[at] != after[at]} == {place}
    assert after[place] == value
    assert (place[0], place[-1]) == tuple(key.split("."))


@pytest.mark.parametrize("others", [{"data.distortion": 1.0}, {"data.resize": None, "data.mirror": True}])
def test_all_values_at_once(others):
    """But for those of views of another kind."""
    after = dict(leaves(STUDY.with_values(VALUES | others)))
    assert {key: after[place] for key, place in STUDY.places().items()} == VALUES | others


def terms_of(study):
    return {cell.label: cell.experiment.terms for cell in study.cells((0,))}


def test_a_loss_is_changed_wherever_it_stands():
    after = terms_of(STUDY.with_values({"terms.triplet.margin": 0.5, "terms.rkd_distance.weight": 3}))
    triplet = Term(loss="triplet", options={"margin": 0.5})
    assert after == {
        "teacher": (triplet,),
        "triplet": (triplet,),
        "rkd-d": (triplet, Term(loss="rkd_distance", weight=3.0)),
        "longer": (triplet,),
    }


def test_another_loss_in_its_place():
    name = "pml:MultiSimilarityLoss"
    values = {"terms.triplet.loss": name, "terms.triplet.weight": 2, "terms.triplet.alpha": 1.0}
    study = STUDY.with_values(values)
    assert terms_of(study)["triplet"] == (Term(loss=name, weight=2.0, options={"alpha": 1.0}),)
    assert study.losses() == [name, "rkd_distance"]
    again = terms_of(study.with_values({f"terms.{name}.list": (1, 2)}))
    assert again["triplet"][0].options == {"alpha": 1.0, "list": [1, 2]}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("terms.tripled.margin", 0.2, "unknown setting 'terms.tripled.margin': did you mean terms.triplet."),
        ("terms.triplet", 0.2, "unknown setting 'terms.triplet'"),
        ("terms", 0.2, "unknown setting 'terms'"),
        ("terms.triplet.weight", "much", "terms.triplet.weight = 'much': Input should be a valid number"),
        ("terms.triplet.loss", 3, "terms.triplet.loss = 3: Input should be a valid string"),
        ("terms.triplet.loss", "rkd_distance", "a loss may occur in `terms` only once"),
    ],
)
def test_impossible_changes_of_a_loss(key, value, message):
    assert message in refusal(lambda: STUDY.with_values({key: value}).cells((0,)))


def test_an_unknown_setting_beside_contenders_names_a_study_that_can_be_asked_for_its_settings():
    beside = STUDY.model_copy(update={"name": f"{STUDY.name}+my_loss+pkt"})
    assert f"`relbench settings {STUDY.name}` lists" in refusal(lambda: beside.with_values({"x.y": 1}))


def test_students_alone():
    before, after = STUDY.cells((0,)), STUDY.with_values({"student.dim": 64}).cells((0,))
    assert [cell.experiment.net.dim for cell in after] == [16, 64, 64, 16]
    assert after[0] == before[0]
    assert after[3] == before[3]


def test_the_order_of_values_does_not_matter():
    """Either of the two alone would be impossible beside the study's other one."""
    pairs = [("student.batch_size", 4), ("student.images_per_class", 2)]
    assert STUDY.with_values(dict(pairs)) == STUDY.with_values(dict(pairs[::-1]))
    assert STUDY.with_values(dict(pairs)).student.training.batch_size == 4
    refusal(lambda: STUDY.with_values(dict(pairs[:1])))


def test_no_values():
    assert STUDY.with_values({}) == STUDY


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("student.dimm", 64, "unknown setting 'student.dimm': did you mean student.dim"),
        ("studnet.dim", 64, "unknown setting 'studnet.dim': did you mean student.dim"),
        ("data.content", "x", "unknown setting 'data.content': "),
        ("xyz", 64, "unknown setting 'xyz': `relbench settings "),
        ("", 64, "unknown setting '': `relbench settings "),
        ("student", {}, "unknown setting 'student': "),
        ("student.dim", "64", "student.dim = '64': Input should be a valid integer"),
        ("student.dim", True, "student.dim = True: Input should be a valid integer"),
        ("teacher.learning_rate", math.nan, "teacher.learning_rate = nan: Input should be a finite number"),
        ("teacher.device", "auto", "teacher.device = 'auto': Input should be 'cpu' or 'cuda'"),
        ("teacher.batch_size", 5, "teacher: batch_size must exceed images_per_class"),
        ("data.size", 4, "data.size = 4: Input should be greater than or equal to 8"),
    ],
)
def test_refused(key, value, message):
    assert refusal(lambda: STUDY.with_values({key: value})).startswith(message)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("0.1", 0.1),
        ("1e-3", 1e-3),
        ("true", True),
        ("null", None),
        ("[0.5, 0.75]", (0.5, 0.75)),
        ("[]", ()),
        ('"64"', "64"),
        ("resnet18", "resnet18"),
        ("bf16-mixed", "bf16-mixed"),
        ("True", "True"),
        ("", ""),
    ],
)
def test_parse_value(text, value):
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", ["true", "64.0", '"64"', "NaN", "[64]", "{}"])
def test_what_is_parsed_is_checked(text):
    message = refusal(lambda: STUDY.with_values({"student.dim": parse_value(text)}))
    assert message.startswith("student.dim")


def test_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        STUDY.name = "x"
    with pytest.raises(AttributeError):
        STUDY.cells((0,))[0].label = "x"
