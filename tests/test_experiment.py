"""Settings: what is refused, and that the fingerprint names everything that can change a result."""

import copy
import hashlib
import json
import pickle
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError, create_model

from relbench.experiment import (
    CODE_VERSION,
    TASK_SETTINGS,
    Classification,
    Data,
    Experiment,
    FewShot,
    Net,
    TaskSettings,
    Term,
    Training,
    flattened,
)
from relbench.settings import LONGEST_SHOWN, Settings, changed, one_line
from relbench.transforms import TRANSFORM_OF, GlyphTransform, PhotoTransform, SmallTransform


class Sorting(TaskSettings):
    """A task of the tests."""

    kind: Literal["sorting"] = "sorting"
    ways: tuple[int, ...] = (2,)


TEACHER = Experiment(terms=(Term(loss="triplet", options={"margin": 0.2}),))
STUDENT = Experiment(terms=(Term(loss="rkd_distance"), Term(loss="rkd_angle", weight=2.0)), teacher=TEACHER)

OTHER = {  # for every setting a second value
    Data: {"name": "x", "size": 32, "train_classes": 7, "test_classes": ("a", "b"), "content": "abc"}
    | {"split": "images", "partition": 2, "hold_out": False, "transform": GlyphTransform(distortion=0.5)}
    | {"train_images_per_class": 3},
    GlyphTransform: {"distortion": 0.5},
    PhotoTransform: {"resize": 40, "mirror": False, "resized_crop": True},
    SmallTransform: {"crop": "none", "pad": 2, "padding": "reflect", "flip": False, "rotation": 20.0, "jitter": 0.5},
    Net: {"trunk": "resnet18", "width": 8, "weights": "imagenet", "dim": 64, "unit_length": False}
    | {"normalization": "cifar100", "weights_content": "0" * 64},
    Term: {"loss": "x", "weight": 3.0, "options": {"x": 1}, "layers": ("stage4",), "source": "text", "revision": 2},
    Training: {
        "steps": 7,
        "optimizer": "sgd",
        "momentum": 0.5,
        "nesterov": True,
        "learning_rate": 0.5,
        "schedule": "cosine",
        "final_rate": 0.5,
        "rate_every": 3,
        "decay_at": (0.5, 0.75),
        "decay": 0.5,
        "weight_decay": 0.5,
        "frozen": True,
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
    },
    Experiment: {
        "task": Sorting(),
        "seed": 1,
        "teacher": TEACHER,
        "initialized_from": TEACHER,
        "scale": "toy",
        "code_version": 3,
    },
}
NEEDED = {  # by setting, others without which it can't have that value
    "momentum": {"optimizer": "sgd"},
    "nesterov": {"optimizer": "sgd", "momentum": 0.9},
    "final_rate": {"schedule": "cosine"},
    "rate_every": {"schedule": "cosine"},
}


def variants(settings):
    """(path, copy) for every single setting, however deep, changed alone."""
    for name, value in settings:
        if name == "transform":
            inner = [(key, kind(**{key: OTHER[kind][key]})) for key, kind in TRANSFORM_OF.items()]
        elif isinstance(value, Settings) and not isinstance(value, TaskSettings):
            inner = variants(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Settings):
            inner = in_tuple(value)
        else:
            inner = [("", OTHER[type(settings)][name])]
        for path, other in inner:
            yield f"{name}.{path}", settings.model_copy(update={name: other})


def in_tuple(values):
    for number, value in enumerate(values):
        for path, other in variants(value):
            yield f"{number}.{path}", (*values[:number], other, *values[number + 1 :])


def refusal(settings, values):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        changed(settings, values)
    return str(caught.value)


@pytest.mark.parametrize("kind", [Data, GlyphTransform, PhotoTransform, SmallTransform, Net, Term, Training])
def test_every_setting_has_a_second_value_that_is_allowed(kind):
    usual = Term(loss="triplet") if kind is Term else kind()
    assert set(OTHER[kind]) == set(kind.model_fields) - {"kind"}
    for name, value in OTHER[kind].items():
        first = changed(usual, NEEDED.get(name, {}))
        assert getattr(changed(first, {name: value}), name) == value != getattr(first, name)


def test_fingerprint_changes_with_every_single_setting():
    prints = {path: variant.fingerprint for path, variant in variants(STUDENT)}
    # data, net, training; terms; task, seed, scale, version; the student's first stage, the teacher's two
    assert len(prints) == 2 * (19 + 7 + 23) + 3 * 6 + 2 * 4 + 3
    assert {"teacher.training.decay_at.", "initialized_from.", "terms.0.layers.", "terms.1.source."} <= prints.keys()
    assert "terms.1.options." in prints
    assert len({STUDENT.fingerprint, *prints.values()}) == 1 + len(prints)


def test_a_task_is_read_by_its_kind(monkeypatch):
    """From JSON, too, where a tuple is a list; its own settings are hashed, and retrieval, the default, is not."""
    monkeypatch.setitem(TASK_SETTINGS, "sorting", Sorting)
    sorting = [changed(STUDENT, {"task": Sorting(ways=ways)}) for ways in [(2,), (2, 5)]]
    assert [Experiment.model_validate_json(one.model_dump_json()) for one in sorting] == sorting
    assert changed(STUDENT, {"task": {"kind": "sorting", "ways": (2, 5)}}) == sorting[1]
    assert len({one.fingerprint for one in (STUDENT, *sorting)}) == 3
    assert changed(STUDENT, {"task": {"kind": "retrieval"}}).fingerprint == STUDENT.fingerprint
    assert changed(STUDENT, {"task": {}}) == STUDENT
    assert refusal(STUDENT, {"task": {"kind": "sorting", "way": 5}}) == "task: way = 5: Extra inputs are not permitted"


def test_an_unknown_task():
    assert (
        refusal(STUDENT, {"task": {"kind": "sorting"}})
        == "task: unknown kind of task 'sorting': known are classification, few-shot, retrieval"
    )


@pytest.mark.parametrize(
    "values",
    [
        {"teacher": None},
        {"initialized_from": STUDENT},
        {"terms": STUDENT.terms[:1]},
        {"terms": STUDENT.terms[::-1]},
        {"terms": (*STUDENT.terms, Term(loss="triplet"))},
    ],
)
def test_fingerprint_changes_with_the_shape(values):
    assert changed(STUDENT, values).fingerprint != STUDENT.fingerprint


def test_fingerprint_names_what_a_run_goes_on_from():
    """By that run's own fingerprint; and a teacher is not mistaken for a first stage."""
    first = changed(STUDENT, {"training": Training(steps=7)})
    second = changed(STUDENT, {"initialized_from": first})
    prints = {one.fingerprint for one in (STUDENT, first, second, changed(first, {"initialized_from": first}))}
    assert len(prints) == 4
    alike = changed(TEACHER, {"initialized_from": TEACHER}), changed(TEACHER, {"teacher": TEACHER})
    assert alike[0].fingerprint != alike[1].fingerprint
    written = f'{{"recipe":2,"start":"{TEACHER.fingerprint}","terms":[{{"layers":["stage4"],"loss":"x"}}]}}'
    staged = Experiment(terms=(Term(loss="x", layers=("stage4",)),), initialized_from=TEACHER)
    assert staged.fingerprint == hashlib.sha256(written.encode()).hexdigest()[:16]


def test_what_a_run_builds_on():
    assert TEACHER.dependencies == {}
    assert STUDENT.dependencies == {"teacher": TEACHER}
    assert changed(STUDENT, {"initialized_from": STUDENT}).dependencies == {"teacher": TEACHER, "first stage": STUDENT}


def test_steps_of_earlier_stages_count():
    first = changed(STUDENT, {"training": Training(steps=7)})
    second = changed(STUDENT, {"training": Training(steps=5), "initialized_from": first})
    third = changed(STUDENT, {"training": Training(steps=1), "initialized_from": second})
    assert [one.total_steps for one in (first, second, third)] == [7, 12, 13]
    assert third.stages == (first, second, third)
    assert second.training.steps == 5


def test_a_teacher_of_an_earlier_stage_counts():
    """The last one that there was."""
    alone = changed(STUDENT, {"teacher": None})
    assert alone.last_teacher is TEACHER.last_teacher is None
    assert STUDENT.last_teacher == changed(alone, {"initialized_from": STUDENT}).last_teacher == TEACHER
    other = changed(TEACHER, {"seed": 5})
    assert changed(STUDENT, {"initialized_from": changed(STUDENT, {"teacher": other})}).last_teacher == TEACHER


@pytest.mark.parametrize("values", [{"seed": 1}, {"net": Net(dim=64)}])
def test_a_run_goes_on_with_its_own_network_and_seed(values):
    assert "equal" in refusal(STUDENT, {"initialized_from": changed(STUDENT, values)})


def test_fingerprint_is_the_same_for_equal_settings():
    twin = Experiment.model_validate_json(STUDENT.model_dump_json())
    assert twin == STUDENT
    assert twin.fingerprint == STUDENT.fingerprint
    assert changed(STUDENT, {}).fingerprint == STUDENT.fingerprint
    assert Term(loss="x", weight=2) == Term(loss="x", weight=2.0)  # a whole number is made a float


def test_fingerprint_ignores_the_order_of_names():
    options = {"a": 1, "b": {"c": 2, "d": 3}}
    turned = {"b": {"d": 3, "c": 2}, "a": 1}
    first, second = (Experiment(terms=(Term(loss="x", options=given),)) for given in (options, turned))
    assert first.fingerprint == second.fingerprint
    backwards = json.dumps(dict(reversed(STUDENT.model_dump(mode="json").items())))
    assert Experiment.model_validate_json(backwards).fingerprint == STUDENT.fingerprint


def test_fingerprint_is_pinned():
    """Who changes this makes all finished runs worthless: count CODE_VERSION up if that is meant."""
    teacher = '{"recipe":2,"terms":[{"loss":"triplet","options":{"margin":0.2}}]}'
    assert TEACHER.fingerprint == hashlib.sha256(teacher.encode()).hexdigest()[:16]
    terms = '[{"loss":"rkd_distance"},{"loss":"rkd_angle","weight":2.0}]'
    student = f'{{"recipe":2,"teacher":"{TEACHER.fingerprint}","terms":{terms}}}'
    assert STUDENT.fingerprint == hashlib.sha256(student.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("settings", "hashed"),
    [
        ({"transform": GlyphTransform(distortion=0.5)}, '{"distortion":0.5}'),
        ({"transform": PhotoTransform(resize=40, mirror=False)}, '{"mirror":false,"resize":40}'),
        ({"name": "x", "transform": PhotoTransform(resize=40)}, '{"name":"x","resize":40}'),
        ({"train_classes": 7, "test_classes": ("b", "a")}, '{"test_classes":["b","a"],"train_classes":7}'),
    ],
)
def test_fingerprints_hash_views_beside_the_other_settings_of_data(settings, hashed):
    """As earlier versions have them, with defaults left out."""
    experiment = changed(TEACHER, {"data": Data(**settings)})
    written = f'{{"data":{hashed},"recipe":2,"terms":[{{"loss":"triplet","options":{{"margin":0.2}}}}]}}'
    assert experiment.fingerprint == hashlib.sha256(written.encode()).hexdigest()[:16]
    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment


@pytest.mark.parametrize("transform", [None, GlyphTransform(), PhotoTransform(), SmallTransform()])
def test_usual_views_leave_a_run_its_name(transform):
    experiment = changed(TEACHER, {"data": Data(transform=transform)})
    assert experiment.fingerprint == TEACHER.fingerprint
    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment


@pytest.mark.parametrize(
    ("written", "transform"),
    [
        ({"resize": None, "distortion": 1.0, "mirror": True}, None),
        ({"resize": None, "distortion": 0.0, "mirror": True}, GlyphTransform(distortion=0.0)),
        ({"resize": 40, "distortion": 1.0, "mirror": True}, PhotoTransform(resize=40)),
        ({"resize": None, "distortion": 1.0, "mirror": False}, PhotoTransform(mirror=False)),
        ({"distortion": 0.5}, GlyphTransform(distortion=0.5)),
        ({"mirror": True}, PhotoTransform()),
        ({}, None),
    ],
)
def test_views_are_read_beside_the_other_settings_of_data(written, transform):
    """As `--set` and files of earlier versions have them; and so tables show them."""
    data = Data.model_validate_json(json.dumps({"name": "x", **written}))
    assert data == Data(name="x", transform=transform) == changed(Data(name="x"), written)
    shown = flattened(data)
    which = ("train_classes", "test_classes", "train_images_per_class", "split", "partition", "hold_out")
    assert list(shown) == ["name", "size", *which, *TRANSFORM_OF, "content"]
    assert shown == shown | {"name": "x", "resize": None, "distortion": 1.0, "mirror": True, **written}


def test_few_images_of_each_class_are_other_images_of_the_same_classes():
    """What a class's number means stays, so logits of teacher and student can be compared."""
    few = Data(train_images_per_class=5)
    assert few.label_space == Data().label_space
    assert len({each.images_in_use for each in (few, Data(), Data(train_images_per_class=6))}) == 3


def test_views_are_changed_one_setting_at_a_time():
    data = changed(changed(Data(), {"resize": 40}), {"mirror": False})
    assert data.transform == PhotoTransform(resize=40, mirror=False)
    assert changed(data, {"mirror": True, "distortion": 1.0}).transform == PhotoTransform(resize=40)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            {},
            {"distortion": 0.5, "resize": 40},
            "resize is a setting of photos, and so none of glyphs: leave it out",
        ),
        ({"resize": 40}, {"distortion": 0.5}, "distortion is a setting of glyphs, and so none of photos: leave it out"),
        ({"distortion": 0.5}, {"mirror": False}, "mirror is a setting of photos, and so none of glyphs: leave it out"),
    ],
)
def test_views_of_two_kinds_are_refused(first, second, message):
    assert message in refusal(changed(Data(), first), second)


def test_defaults_are_pinned():
    """They are left out of the fingerprint: who changes one must count CODE_VERSION up, who adds one adds it here."""
    data = {"name": "glyphs", "size": 28, "train_classes": None, "test_classes": None, "content": ""}
    data |= {"split": "classes", "partition": 1, "hold_out": True, "transform": None, "train_images_per_class": None}
    assert GlyphTransform().model_dump() == {"kind": "glyphs", "distortion": 1.0}
    assert PhotoTransform().model_dump() == {"kind": "photos", "resize": None, "mirror": True, "resized_crop": False}
    small = {"kind": "small", "crop": "pad", "pad": 4, "padding": "zero", "flip": True, "rotation": 0.0, "jitter": 0.0}
    assert SmallTransform().model_dump() == small
    net = {"trunk": "conv4", "width": None, "weights": "random", "weights_content": "", "dim": 128, "unit_length": True}
    net |= {"normalization": None}
    training = {
        "steps": 1000,
        "optimizer": "adam",
        "momentum": 0.0,
        "nesterov": False,
        "learning_rate": 0.001,
        "schedule": "steps",
        "final_rate": 0.0,
        "rate_every": 1,
        "decay_at": (),
        "decay": 0.1,
        "weight_decay": 0.0,
        "frozen": False,
        "batch_size": 128,
        "images_per_class": 5,
        "batch_norm_parts": 1,
        "validate_every": 250,
        "selection": "last",
        "precision": "32-true",
        "channels_last": False,
        "compile": False,
        "log_test_metrics": False,
        "device": "cpu",
        "threads": 1,
    }
    term = {"loss": "x", "weight": 1.0, "options": {}, "layers": (), "source": "", "revision": 1}
    expected = {"data": data, "net": net, "terms": (term,), "training": training, "seed": 0}
    expected |= {"task": {"kind": "retrieval"}, "teacher": None, "initialized_from": None, "scale": "full"}
    assert Experiment(terms=(Term(loss="x"),)).model_dump() == {**expected, "code_version": CODE_VERSION}
    assert CODE_VERSION == 2
    assert Classification().model_dump() == {"kind": "classification", "last_batch": "keep", "class_means": False}
    few_shot = {"kind": "few-shot", "way": (5,), "shot": 1, "queries": 15, "episodes": 1000}
    few_shot |= {"validation_episodes": 400, "episode_seed": 0, "scorer": "prototypes", "batch_norm": "together"}
    assert FewShot().model_dump() == few_shot


def test_fingerprint_leaves_out_what_has_its_default():
    """So a setting that is added next year does not rename the runs of this year."""
    written_out = Experiment.model_validate_json(TEACHER.model_dump_json())
    assert "training" in written_out.model_fields_set
    assert written_out.fingerprint == TEACHER.fingerprint
    later = create_model("Later", __base__=Experiment, precision_of_losses=(str, "float32"))
    assert later(**dict(TEACHER)).fingerprint == TEACHER.fingerprint
    assert later(**dict(TEACHER), precision_of_losses="float64").fingerprint != TEACHER.fingerprint


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        (Training(), {"stepps": 3}, "stepps = 3: Extra inputs are not permitted"),
        (Training(), {"steps": "3"}, "steps = '3': Input should be a valid integer"),
        (Training(), {"steps": True}, "steps = True: Input should be a valid integer"),
        (Training(), {"steps": 3.0}, "steps = 3.0: Input should be a valid integer"),
        (Training(), {"steps": 0}, "steps = 0: Input should be greater than or equal to 1"),
        (Training(), {"steps": None}, "steps = None: Input should be a valid integer"),
        (Training(), {"learning_rate": "1e-3"}, "learning_rate = '1e-3': Input should be a valid number"),
        (Training(), {"learning_rate": True}, "learning_rate = True: Input should be a valid number"),
        (Training(), {"learning_rate": float("nan")}, "learning_rate = nan: Input should be a finite number"),
        (Training(), {"learning_rate": float("inf")}, "learning_rate = inf: Input should be a finite number"),
        (Training(), {"learning_rate": -0.1}, "learning_rate = -0.1: Input should be greater than 0"),
        (Training(), {"weight_decay": -0.1}, "weight_decay = -0.1: Input should be greater than or equal to 0"),
        (Training(), {"learning_rate": 1e300}, "learning_rate = 1e+300: Input should be less than or equal to 1"),
        (Training(), {"weight_decay": 1e300}, "weight_decay = 1e+300: Input should be less than or equal to 1"),
        (Training(), {"decay": 1e300}, "decay = 1e+300: Input should be less than or equal to 1"),
        (Training(), {"decay": 1.5}, "decay = 1.5: Input should be less than or equal to 1"),
        (Term(loss="x"), {"weight": 1e39}, "weight = 1e+39: Input should be less than or equal to 1"),
        (Training(), {"decay_at": [0.5]}, "decay_at = [0.5]: Input should be a valid tuple"),
        (Training(), {"decay_at": (0.5, 1.5)}, "decay_at.1 = 1.5: Input should be less than or equal to 1"),
        (Training(), {"device": "tpu"}, "device = 'tpu': Input should be 'cpu' or 'cuda'"),
        (Net(), {"unit_length": 1}, "unit_length = 1: Input should be a valid boolean"),
        (Net(), {"width": 0}, "width = 0: Input should be greater than or equal to 1"),
        (Net(), {"trunk": 4}, "trunk = 4: Input should be a valid string"),
        (Data(), {"size": 4}, "size = 4: Input should be greater than or equal to 8"),
        (Data(), {"distortion": 3}, "distortion = 3: Input should be less than or equal to 2"),
        (Data(), {"distortion": True}, "distortion = True: Input should be a valid number"),
        (Data(), {"mirror": 1}, "mirror = 1: Input should be a valid boolean"),
        (Data(), {"transform": {"kind": "sounds"}}, "settings: Input tag 'sounds' found using 'kind' does not match"),
        (Data(), {"transform": 5, "distortion": 0.5}, "settings = 5: Input should be a valid dictionary"),
        (Data(), {"transform": {"kind": ["x"]}, "mirror": False}, "settings: mirror is a setting of photos"),
        (Data(), {"train_classes": 0}, "train_classes = 0: Input should be greater than 0"),
        (Data(), {"train_classes": "3"}, "train_classes = '3': Input should be a valid integer"),
        (Data(), {"train_classes": (1,)}, "train_classes.0 = 1: Input should be a valid string"),
        (Net(), {"width": 3_000_000}, "width = 3000000: Input should be less than or equal to 1024"),
        (Term(loss="x"), {"weight": 0.0}, "weight = 0.0: Input should be greater than 0"),
        (Term(loss="x"), {"options": {"a": float("nan")}}, "options.a.float = nan: Input should be a finite number"),
        (Term(loss="x"), {"options": {"a": {1}}}, "options.a = {1}: input was not a valid JSON value"),
        (STUDENT, {"terms": ()}, "terms = (): Tuple should have at least 1 item after validation, not 0"),
        (STUDENT, {"seed": -1}, "seed = -1: Input should be greater than or equal to 0"),
        (STUDENT, {"seed": 2**31}, "seed = 2147483648: Input should be less than 2147483648"),
        (STUDENT, {"code_version": 0}, "code_version = 0: Input should be greater than 0"),
        (STUDENT, {"net": {"dimm": 3}}, "net.dimm = 3: Extra inputs are not permitted"),
        (STUDENT, {"teacher": {"terms": TEACHER.terms, "net": {"dim": 0}}}, "teacher.net.dim = 0: Input should be"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_refused(settings, values, message):
    assert refusal(settings, values).startswith(message)


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        (Training(), {"decay_at": (0.75, 0.5)}, "decay_at must increase"),
        (Training(), {"decay_at": (0.5, 0.5)}, "decay_at must increase"),
        (STUDENT, {"terms": (Term(loss="x"), Term(loss="x", weight=2))}, "a loss may occur in `terms` only once"),
    ],
)
def test_impossible_together(settings, values, message):
    assert message in refusal(settings, values)


def test_all_that_is_wrong_is_told_in_one_line():
    with pytest.raises(ValidationError) as caught:
        Training(steps="many", nope=1)
    line = one_line(caught.value)
    assert line == "steps = 'many': Input should be a valid integer; nope = 1: Extra inputs are not permitted"


def test_a_long_value_is_cut_short():
    message = refusal(Training(), {"device": "x" * 5000})
    assert message.startswith("device = 'xxx")
    assert len(message) < LONGEST_SHOWN + 60


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.floats()) | st.binary()


@given(key=st.sampled_from([*Training.model_fields, "nope"]), value=VALUES)
def test_whatever_is_given_is_taken_as_it_is_or_refused_in_one_line(key, value):
    try:
        answer = getattr(changed(Training(), {key: value}), key)
    except ValueError as error:
        answer = error
    if isinstance(answer, ValueError):
        assert key in str(answer)
        assert len(str(answer).splitlines()) == 1
    else:
        assert answer == value


@pytest.mark.parametrize(
    "settings", [Data(), Net(), Term(loss="x"), Training(), STUDENT], ids=lambda one: type(one).__name__
)
def test_frozen(settings):
    for name in type(settings).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(settings, name, getattr(settings, name))


def test_changed_makes_a_copy():
    before = STUDENT.model_dump()
    other = changed(STUDENT, {"seed": 5})
    assert (other.seed, other.teacher, other.terms) == (5, STUDENT.teacher, STUDENT.terms)
    assert STUDENT.model_dump() == before


def test_options_are_copied():
    options = {"margin": 0.2, "list": [1]}
    term = Term(loss="x", options=options)
    options["margin"], options["list"][0] = 3, 3
    assert term.options == {"margin": 0.2, "list": [1]}


def test_fingerprint_form():
    prints = [changed(STUDENT, {"seed": seed}).fingerprint for seed in range(20)]
    assert all(len(name) == 16 and set(name) <= set("0123456789abcdef") for name in prints)
    assert all(one != two for one, two in pairwise(sorted(prints)))


def test_a_fingerprint_that_is_known_stays_with_its_experiment():
    """It is computed once, and is part of nothing that a copy, a file or a comparison sees."""
    asked, fresh = changed(STUDENT, {"seed": 5}), changed(STUDENT, {"seed": 5})
    name = asked.fingerprint
    assert asked == fresh
    assert asked.model_dump_json() == fresh.model_dump_json()
    assert dict(asked) == dict(fresh)
    others = [changed(asked, {"seed": 6}), asked.model_copy(update={"seed": 6})]
    assert {other.fingerprint for other in others} == {changed(STUDENT, {"seed": 6}).fingerprint}
    same = [copy.copy(asked), copy.deepcopy(asked), pickle.loads(pickle.dumps(asked)), asked]
    assert {other.fingerprint for other in same} == {name} == {fresh.fingerprint}
