"""Studies: every experiment of every one can be built; settings are changed where they are asked to be."""

import json
import math

import pytest
from planned import plan_runs, with_control
from pydantic import ValidationError

from relbench.experiment import Classification, Data, FewShot, Net, Term, Training, flattened
from relbench.losses import find_loss
from relbench.losses.inputs import NEEDS
from relbench.models import build_embedder
from relbench.settings import changed
from relbench.studies import build_study
from relbench.studies.changes import parse_value, setting_keys, with_values
from relbench.studies.distillation import Arm, distillation
from relbench.studies.study import Cell, Claim, Epochs, RunSpec, Stage, Study
from relbench.transforms import default_of

TRIPLET, DISTANCE = Term(loss="triplet", options={"margin": 0.2}), Term(loss="rkd_distance")
OURS = ("quickstart", "glyphs-methods")


def study_of(methods=None, first_stages=None, control="longer", name="small", **given):
    study = distillation(
        name=name,
        title="A small study",
        data=Data(size=28),
        teacher=Arm(net=Net(dim=16), training=Training(steps=10, learning_rate=1e-2)),
        teacher_terms=(TRIPLET,),
        student=Arm(net=Net(dim=8), training=Training(steps=30)),
        methods=methods or {"triplet": (TRIPLET,), "rkd-d": (TRIPLET, DISTANCE)},
        first_stages=first_stages,
        **given,
    )
    return with_control(study, control) if control else study


STUDY = study_of()


def trainings(study, seed=0, path=None):
    """The raw experiments of a study's runs, or of one, by path."""
    found = {}
    for name, run in study.items:
        teacher = found[run.teacher][-1] if run.teacher else None
        found[name] = study.trainings(name, seed, None, teacher)
    return found[path] if path else {name: stages[-1] for name, stages in found.items()}


@pytest.mark.parametrize("name", OURS)
def test_every_experiment_of_every_study_can_be_built(name):
    runs = plan_runs(build_study(name), (0, 1))
    assert build_study(name).name == name
    assert build_study(name).title
    for net in {run.experiment.net for run in runs}:
        build_embedder(net, channels=1, seed=0)
    for term in (term for run in runs for term in run.experiment.terms):
        known = dict.fromkeys(NEEDS, 5)
        loss = find_loss(term.loss)
        assert callable(loss.build(**{need: known[need] for need in loss.needs} | dict(term.options)))


@pytest.mark.parametrize("name", OURS)
def test_runs_of_a_study_differ(name):
    runs = plan_runs(build_study(name), (0, 1))
    assert len({run.name for run in runs}) == len(runs)
    assert len({(run.label, run.experiment.seed) for run in runs}) == len(runs)


def test_the_quick_start_gives_every_network_the_same_training():
    study = build_study("quickstart")
    assert len(plan_runs(study, study.seeds)) == 42
    assert len({run.training for run in study.runs.values()}) == 1
    assert [path for path, run in study.items if run.net == study.runs["teacher"].net] == [
        "teacher",
        "self-distillation",
    ]
    judged = [claim.better[0] for claim in study.claims if claim.family == "students"]
    assert judged == [(path, "teacher") for path in study.runs if path != "teacher"]


def test_every_method_has_the_quick_starts_networks_and_training():
    quick, methods = build_study("quickstart"), build_study("glyphs-methods")
    assert len(methods.seeds) == 10
    trainings = {run.training for run in (*quick.runs.values(), *methods.runs.values())}
    assert len(trainings) == 1
    assert {run.net for run in methods.runs.values()} == {run.net for run in quick.runs.values()}
    pairs = [claim.better[0] for claim in methods.claims if claim.family == "pairs"]
    assert pairs == [(path, "triplet") for path in methods.runs if path not in {"teacher", "triplet"}]


def test_runs():
    runs = plan_runs(STUDY, (0, 7))
    assert [(run.label, run.role, run.experiment.seed) for run in runs] == [
        (label, role, seed)
        for seed in (0, 7)
        for label, role in (("teacher", "teacher"), ("triplet", "student"), ("rkd-d", "student"), ("longer", "control"))
    ]
    made = trainings(STUDY, 7)
    teacher, plain, distilled = (made[path] for path in ("teacher", "triplet", "rkd-d"))
    assert plain.teacher == distilled.teacher == teacher  # of the same seed
    assert {one.seed for one in made.values()} == {7}
    assert teacher.teacher is None
    spec = STUDY.runs["teacher"]
    assert (teacher.net, teacher.training, teacher.terms) == (spec.net, spec.training, (TRIPLET,))
    assert (distilled.net, distilled.training) == (STUDY.runs["rkd-d"].net, STUDY.runs["rkd-d"].training)
    assert (plain.terms, distilled.terms) == ((TRIPLET,), (TRIPLET, DISTANCE))
    assert all(one.data == Data(size=28) for one in made.values())


def test_the_longer_teacher_is_the_teacher_with_the_students_steps():
    made = trainings(STUDY, 3)
    teacher, longer = made["teacher"], made["longer"]
    assert longer == teacher.model_copy(update={"training": teacher.training.model_copy(update={"steps": 30})})
    assert longer.training.learning_rate == 1e-2


def test_no_longer_teacher():
    assert [run.role for run in plan_runs(study_of(control=None), (0,))] == ["teacher", "student", "student"]


ITSELF = study_of(self_distilled={"itself": (TRIPLET, DISTANCE)})


def test_a_self_distilled_student_is_the_teachers_network_and_training_taught_by_it():
    made = trainings(ITSELF, 3)
    teacher, itself = made["teacher"], made["itself"]
    assert (itself.net, itself.training, itself.seed) == (teacher.net, teacher.training, 3)
    assert itself.teacher == teacher
    assert itself.terms == (TRIPLET, DISTANCE)
    students = [claim.better for claim in ITSELF.claims if claim.family == "students"]
    assert students == [((label, "teacher"),) for label in ("triplet", "rkd-d", "itself")]
    assert list(ITSELF.runs) == ["teacher", "triplet", "rkd-d", "itself", "longer"]


def test_a_self_distilled_student_follows_what_is_changed_of_the_teacher():
    """Else it would no longer be the teacher's own network."""
    runs = with_values(ITSELF, {"teacher.dim": 5, "teacher.steps": 7, "student.dim": 3, "student.steps": 9}).runs
    found = {path: (run.net.dim, run.training.steps) for path, run in runs.items()}
    assert found == {"teacher": (5, 7), "triplet": (3, 9), "rkd-d": (3, 9), "itself": (5, 7), "longer": (5, 7)}


STAGED = study_of(first_stages={"rkd-d": (DISTANCE,)})


def test_a_method_in_two_stages_shares_the_steps():
    teacher, plain, first, second, longer = plan_runs(STAGED, (3,))
    assert [run.label for run in (first, second)] == ["rkd-d, first stage", "rkd-d"]
    assert [run.role for run in (teacher, plain, first, second, longer)] == [
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
    assert plain.experiment == plan_runs(STUDY, (3,))[1].experiment


def test_a_first_stage_of_a_method_that_is_not_there():
    with pytest.raises(ValueError, match="unknown method 'rkd-dd': did you mean rkd-d"):
        study_of(first_stages={"rkd-dd": (DISTANCE,)})


def test_settings_of_a_loss_hold_in_first_stages_too():
    alone = study_of({"staged": (TRIPLET,)}, {"staged": (DISTANCE,)})
    assert alone.losses == ["triplet", "rkd_distance"]
    changed_study = with_values(alone, {"terms.rkd_distance.weight": 3.0})
    first, second = changed_study.runs["staged"].stages
    assert first.terms == (Term(loss="rkd_distance", weight=3.0),)
    assert second == alone.runs["staged"].stages[1]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"steps_as": "nobody"}, "unknown run to share the steps of a 'nobody'"),
        (
            {"steps_as": "teacher", "epochs": Epochs(count=2, images=50)},
            "a is as long as teacher: both must count epochs, or both steps",
        ),
        ({"role": "student"}, "without cells, a study compares its runs on one data set with one teacher"),
        ({"data": Data(name="other")}, "without cells, a study compares its runs on one data set with one teacher"),
    ],
)
def test_impossible_studies_are_refused(given, told):
    plain = RunSpec(net=Net(), stages=(Stage(terms=(TRIPLET,)),), role="teacher")
    with pytest.raises(ValidationError, match=told):
        Study(
            name="s",
            title="t",
            runs={"teacher": plain, "a": changed(plain, {"role": "student"})}
            | {"a": changed(plain, {"role": "student"} | given)}
            if "role" not in given
            else {"a": changed(plain, given)},
        )


@pytest.mark.parametrize("name", ["steps", "validate_every", "learning_rate", "batch_size"])
def test_what_a_stage_can_not_change_is_refused(name):
    """It would be overwritten; or the next stage would begin in the middle of an epoch."""
    with pytest.raises(ValidationError, match=f"changes: a stage has no {name} of its own there"):
        Stage(terms=(TRIPLET,), changes={name: 3})


def test_a_claim_of_a_run_that_is_not_there():
    with pytest.raises(ValidationError, match="unknown run of a claim 'b'"):
        Study.model_validate({**dict(STUDY), "claims": (Claim(text="", better=(("teacher", "b"),)),)})


def test_shares_of_stages_are_whole_numbers_of_steps():
    third = (Stage(terms=(TRIPLET,), share=0.3), Stage(terms=(TRIPLET,), share=0.7))
    runs = dict(STUDY.runs) | {"rkd-d": changed(STUDY.runs["rkd-d"], {"stages": third})}
    study = changed(STUDY, {"runs": runs})
    assert [one.training.steps for one in trainings(study, path="rkd-d")] == [9, 21]
    message = "student.steps = 31: a stage with a share of 0.3 needs a whole number of them"
    assert refusal(lambda: trainings(with_values(study, {"student.steps": 31}))) == message


def refusal(call):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        call()
    return str(caught.value)


def test_an_impossible_seed_is_told_in_one_line():
    assert refusal(lambda: plan_runs(STUDY, (-1,))) == "seed = -1: Input should be greater than or equal to 0"


def test_impossible_terms_are_told_in_one_line():
    twice = study_of({"twice": (TRIPLET, TRIPLET)})
    assert "a loss may occur in `terms` only once" in refusal(lambda: plan_runs(twice, (0,)))


ARM = {
    "trunk": "resnet18",
    "width": 8,
    "weights": "imagenet",
    "dim": 64,
    "unit_length": False,
    "normalization": "cifar100",
    "steps": 7,
    "optimizer": "sgd",
    "momentum": 0.5,
    "nesterov": True,
    "schedule": "cosine",
    "final_rate": 0.5,
    "rate_every": 3,
    "frozen": True,
    "learning_rate": 0.5,
    "decay_at": (0.5, 0.75),
    "decay": 0.5,
    "weight_decay": 0.5,
    "batch_size": 64,
    "images_per_class": 2,
    "batch_norm_parts": 2,
    "validate_every": 7,
    "selection": "validation",
    "precision": "bf16-mixed",
    "channels_last": True,
    "compile": True,
    "log_test_metrics": True,
    "device": "cuda",
    "threads": 2,
}
DATA = {
    "name": "x",
    "size": 32,
    "train_classes": 7,
    "test_classes": 7,
    "train_images_per_class": 3,
    "distortion": 0.5,
    "hold_out": False,
    "resize": 40,
    "mirror": False,
    "resized_crop": True,
    "split": "images",
    "partition": 2,
    "crop": "none",
    "pad": 2,
    "padding": "reflect",
    "flip": False,
    "rotation": 20.0,
    "jitter": 0.5,
}
NEEDED = {  # by setting, others without which it can't be changed
    "momentum": {"optimizer": "sgd"},
    "nesterov": {"optimizer": "sgd", "momentum": 0.9},
    "schedule": {"decay_at": ()},
    "final_rate": {"decay_at": (), "schedule": "cosine"},
    "rate_every": {"decay_at": (), "schedule": "cosine"},
}
VALUES = {f"{arm}.{key}": value for arm in ("teacher", "student") for key, value in ARM.items()}
VALUES |= {f"data.{key}": value for key, value in DATA.items()}


def leaves(study):
    """(path or "elsewhere", group, key) -> value of every single setting of a study's runs."""
    return {
        (path, group, key): value
        for path, run in study.items
        for group in ("data", "net", "training")
        for key, value in flattened(getattr(run, group)).items()
    }


def test_every_place_can_be_changed_but_the_hash_of_the_data():
    of_training = {f"training.{key}" for key in Training.model_fields}
    assert set(setting_keys(STUDY)) == set(VALUES) | of_training
    changeable = {("data" if group == "data" else "arm", key) for _, group, key in leaves(STUDY)}
    keys = {("data" if key.startswith("data.") else "arm", key.partition(".")[2]) for key in VALUES}
    assert keys == changeable - {("data", "content")}


@pytest.mark.parametrize(("key", "value"), VALUES.items(), ids=list(VALUES))
def test_one_value_is_changed_and_no_other(key, value):
    arm, _, name = key.partition(".")
    given = {f"{arm}.{other}": needed for other, needed in NEEDED.get(name, {}).items()}
    before, after = leaves(with_values(STUDY, given)), leaves(with_values(STUDY, given | {key: value}))
    paths = {"teacher": {"teacher", "longer"}, "student": {"triplet", "rkd-d"}}.get(arm, set(STUDY.runs))
    found = {at for at in before if before[at] != after[at]}
    assert {path for path, _, _ in found} == paths
    assert {key for _, _, key in found} == {name}
    assert {json_of(after[at]) for at in found} == {json_of(value)}


def json_of(value):
    return json.dumps(value)


def test_what_all_runs_share_yields_to_what_is_said_of_a_role():
    values = {"training.steps": 50, "student.steps": 70, "training.weight_decay": 0.1}
    for given in (values, dict(reversed(values.items()))):
        runs = with_values(STUDY, given).runs
        assert [run.training.steps for run in runs.values()] == [50, 70, 70, 50]
        assert {run.training.weight_decay for run in runs.values()} == {0.1}
    assert trainings(with_values(STUDY, values))["longer"].training.steps == 70


GLYPHS = {"data.distortion": 1.0}
PHOTOS = {"data.resize": None, "data.mirror": True, "data.resized_crop": False}
SMALL = {f"data.{name}": default_of(name) for name in ("crop", "pad", "padding", "flip", "rotation", "jitter")}
STEPS = {
    f"{arm}.{name}": value
    for arm in ("teacher", "student")
    for name, value in {"schedule": "steps", "final_rate": 0.0, "rate_every": 1}.items()
}


@pytest.mark.parametrize("others", [GLYPHS | SMALL, PHOTOS | SMALL, GLYPHS | PHOTOS])
def test_all_values_at_once(others):
    """But for those of views and schedules of another kind."""
    others = others | STEPS
    after = leaves(with_values(STUDY, VALUES | others))
    found = {
        f"{'data' if group == 'data' else path}.{key}": value
        for (path, group, key), value in after.items()
        if path == "teacher" and key != "content"
    }
    expected = {key: value for key, value in (VALUES | others).items() if not key.startswith("student.")}
    assert {key: json_of(value) for key, value in found.items()} == {
        key: json_of(value) for key, value in expected.items()
    }


OF_FEW_SHOT = {
    "way": (5, 20),
    "shot": 5,
    "queries": 3,
    "episodes": 60,
    "validation_episodes": 30,
    "episode_seed": 4,
    "scorer": "logistic",
    "batch_norm": "apart",
}
OF_CLASSIFICATION = {"last_batch": "drop", "class_means": True}


@pytest.mark.parametrize(("task", "values"), [(FewShot(), OF_FEW_SHOT), (Classification(), OF_CLASSIFICATION)])
def test_the_task_of_all_runs_is_changed(task, values):
    """Each setting alone, and no other; as a command line writes it."""
    study = changed(STUDY, {"runs": {path: changed(run, {"task": task}) for path, run in STUDY.items}})
    assert {key for key in setting_keys(study) if key.startswith("task.")} == {f"task.{key}" for key in values}
    assert {*values} == type(task).model_fields.keys() - {"kind"}
    for key, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value)
        after = with_values(study, {f"task.{key}": parse_value(text)})
        assert {run.task for run in after.runs.values()} == {changed(task, {key: value})} != {task}
        assert [changed(run, {"task": task}) for run in after.runs.values()] == [*study.runs.values()]


def test_settings_of_another_task_are_unknown():
    assert "unknown setting 'task.shot'" in refusal(lambda: with_values(STUDY, {"task.shot": 5}))
    few_shot = changed(STUDY, {"runs": {path: changed(run, {"task": FewShot()}) for path, run in STUDY.items}})
    assert "unknown setting 'task.class_means'" in refusal(lambda: with_values(few_shot, {"task.class_means": True}))
    assert refusal(lambda: with_values(few_shot, {"task.way": (5, 1)})).startswith("task.way.1 = 1: Input should be")
    cells = (Cell(part="", row="", column="", run="triplet", metric="5way_1shot"),)
    table = changed(few_shot, {"cells": cells, "claims": ()})
    of_task = {key for key in setting_keys(table) if key.startswith("task.")}
    assert of_task == {f"task.{key}" for key in OF_FEW_SHOT.keys() - {"way", "shot"}}  # which name its metrics


def terms_of(study):
    return {path: one.terms for path, one in trainings(study).items()}


def test_a_loss_is_changed_wherever_it_stands():
    after = terms_of(with_values(STUDY, {"terms.triplet.margin": 0.5, "terms.rkd_distance.weight": 3}))
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
    study = with_values(STUDY, values)
    assert terms_of(study)["triplet"] == (Term(loss=name, weight=2.0, options={"alpha": 1.0}),)
    assert study.losses == [name, "rkd_distance"]
    again = terms_of(with_values(study, {f"terms.{name}.list": (1, 2)}))
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
    assert message in refusal(lambda: trainings(with_values(STUDY, {key: value})))


def test_an_unknown_setting_beside_contenders_names_a_study_that_can_be_asked_for_its_settings():
    beside = study_of(name="small+my_loss+pkt")
    assert "`relbench settings small` lists" in refusal(lambda: with_values(beside, {"x.y": 1}))


def test_students_alone():
    before, after = trainings(STUDY), trainings(with_values(STUDY, {"student.dim": 64}))
    assert [one.net.dim for one in after.values()] == [16, 64, 64, 16]
    assert after["teacher"] == before["teacher"]
    assert after["longer"] == before["longer"]


def test_the_order_of_values_does_not_matter():
    """The first alone would be impossible beside the study's optimiser."""
    pairs = [("student.momentum", 0.5), ("student.optimizer", "sgd")]
    assert with_values(STUDY, dict(pairs)) == with_values(STUDY, dict(pairs[::-1]))
    assert with_values(STUDY, dict(pairs)).runs["rkd-d"].training.momentum == 0.5
    refusal(lambda: with_values(STUDY, dict(pairs[:1])))


def test_no_values():
    assert with_values(STUDY, {}) == STUDY


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
        ("teacher.nesterov", True, "teacher: momentum and nesterov are settings of sgd"),
        ("data.size", 4, "data.size = 4: Input should be greater than or equal to 8"),
    ],
)
def test_refused(key, value, message):
    assert refusal(lambda: with_values(STUDY, {key: value})).startswith(message)


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
    message = refusal(lambda: with_values(STUDY, {"student.dim": parse_value(text)}))
    assert message.startswith("student.dim")


def test_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        STUDY.name = "x"
    with pytest.raises(AttributeError):
        plan_runs(STUDY, (0,))[0].label = "x"


def counting_epochs(**epochs):
    """The study of these tests as one of classification that counts epochs of 50 images, its batches being of 16."""
    whole = Stage(terms=(Term(loss="cross_entropy"),))
    runs = {
        path: changed(
            run,
            {
                "task": Classification(),
                "training": Training(batch_size=16),
                "stages": (whole,),
                "epochs": Epochs(count=6, images=50, **epochs),
            },
        )
        for path, run in STUDY.items
    }
    return changed(STUDY, {"runs": runs})


def first_training(study, path="triplet"):
    return trainings(study, path=path)[0].training


def test_epochs_become_steps():
    """50 images are 4 batches of 16 with the last one of 2, 3 without it; 2 batches of 32."""
    study = counting_epochs(validate_every=2)
    assert (first_training(study).steps, first_training(study).validate_every) == (24, 8)
    shorter = with_values(study, {"student.epochs": 3, "student.batch_size": 32})
    assert (first_training(shorter).steps, first_training(shorter).validate_every) == (6, 4)
    assert first_training(shorter, "teacher").steps == 24
    assert first_training(with_values(study, {"training.epochs": 3})).steps == 12
    assert first_training(study.with_images(lambda data: 170 if data == STUDY.runs["triplet"].data else 0)).steps == 66
    dropping = {path: changed(run, {"task": Classification(last_batch="drop")}) for path, run in study.items}
    assert first_training(changed(study, {"runs": dropping})).steps == 18


def test_an_epoch_of_few_images_may_have_the_steps_of_all():
    """50 images of all, of which a run is trained on 20: 4 batches an epoch, or 2."""

    def counted(data):
        return 20 if data.train_images_per_class == 5 else 50

    for of_all, steps in ((False, 12), (True, 24)):
        study = with_values(counting_epochs(of_all_images=of_all), {"data.train_images_per_class": 5})
        assert first_training(study.with_images(counted)).steps == steps
        assert {run.data.train_images_per_class for run in study.with_images(counted).runs.values()} == {5}


def test_a_stage_has_a_schedule_of_its_own_until_it_is_changed():
    """A cosine falls after each epoch."""
    study = counting_epochs()
    cosine = {"schedule": "cosine", "final_rate": 0.1}
    first, second = (Stage(terms=(TRIPLET,), share=0.5, changes=changes) for changes in (cosine, {"decay_at": (0.5,)}))
    study = changed(study, {"runs": {path: changed(run, {"stages": (first, second)}) for path, run in study.items}})
    one, two = (run.training for run in trainings(study, path="triplet"))
    assert (one.steps, one.schedule, one.final_rate, one.rate_every) == (12, "cosine", 0.1, 4)
    assert (two.steps, two.schedule, two.decay_at, two.rate_every) == (12, "steps", (0.5,), 1)
    changed_ = with_values(study, {"student.decay_at": (0.25,), "student.schedule": "steps", "student.final_rate": 0.0})
    assert {run.training.decay_at for run in trainings(changed_, path="triplet")} == {(0.25,)}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"student.epochs": 1.5}, r"student\.epochs = 1\.5: Input should be a valid integer"),
        ({"student.epochs": 0}, r"student\.epochs = 0: Input should be greater than 0"),
        ({"student.steps": 10}, r"student\.steps.*student\.epochs"),
        ({"student.batch_size": 64}, "there are 50 training images, which fill no batch of 64"),
        ({"student.batch_size": 7}, "the last batch of an epoch would be a single image"),
    ],
)
def test_epochs_that_are_no_whole_batches_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        trainings(with_values(counting_epochs(), values), path="triplet")


def test_half_an_epoch_is_refused():
    study = counting_epochs()
    halves = tuple(Stage(terms=(TRIPLET,), share=0.5) for _ in range(2))
    study = changed(study, {"runs": {path: changed(run, {"stages": halves}) for path, run in study.items}})
    message = "student.epochs = 3: a method in two stages needs an even number"
    assert refusal(lambda: trainings(with_values(study, {"student.epochs": 3}), path="triplet")) == message
