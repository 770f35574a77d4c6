"""Rows and plans: what is written is read back to the last bit, and anything else is refused."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from relbench.counts import Counts
from relbench.experiment import Classification, Data, Experiment, Term, flattened
from relbench.results.frame import as_frame, setting_columns
from relbench.results.records import (
    Entry,
    Machine,
    Row,
    read_record,
    read_row,
    write_record,
)
from relbench.settings import changed
from relbench.transforms import TRANSFORM_OF, GlyphTransform, PhotoTransform

TEACHER = Experiment(terms=(Term(loss="triplet", options={"margin": 0.2}),))
STUDENT = Experiment(terms=(Term(loss="rkd_distance", weight=1 / 3),), seed=3, teacher=TEACHER)
AWKWARD = (0.1, 1 / 3, 5e-324, -0.0, 1.7976931348623157e308, 2**-1074 * 3, 0.1 + 0.2)


def row(experiment, recall=0.5):
    return Row(
        fingerprint=experiment.fingerprint,
        experiment=experiment,
        data_hash="d" * 64,
        parameters=97392,
        selected_step=6,
        metrics={"recall@1": recall, "map@r": 0.25},
        validation={"recall@1": 0.75},
        counts=Counts(groups=("0041", "été ✓"), trials=(12, 12), correct=(5, 7)),
        history=tuple({"step": float(step), "loss": value} for step, value in enumerate(AWKWARD)),
        train_seconds=12.5,
        evaluate_seconds=0.1,
        peak_memory=2**34 + 1,
        finished="2024-02-29T12:00:00+00:00",
        machine=Machine(device="a CPU", cores=2, system="a system", versions={"torch": "2.6.0"}, git_commit=None),
    )


def refusal(read):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        read()
    assert len(str(caught.value)) < 600
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    """Where a row lies."""
    place = tmp_path / "row.json"
    write_record(row(STUDENT), place)
    return place


def edit(path, change, *, hashed=False):
    """Change what a file says; unless it stays `hashed`, it then is one of an earlier version."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    if not hashed:
        del content["hash"]
    path.write_text(json.dumps(content), encoding="utf-8")


def test_round_trip(path):
    read = read_row(path, STUDENT.fingerprint)
    assert read == row(STUDENT)
    assert read.experiment.teacher == TEACHER
    for entry, value in zip(read.history, AWKWARD, strict=True):
        assert entry["loss"].hex() == value.hex()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_comes_back_to_the_last_bit(tmp_path_factory, value):
    place = tmp_path_factory.getbasetemp() / "number.json"
    place.write_text(row(TEACHER, value).model_dump_json(), encoding="utf-8")
    assert read_record(Row, place).metrics["recall@1"].hex() == value.hex()


def test_written_twice_is_the_same_file(path):
    before = path.read_bytes()
    write_record(read_row(path, STUDENT.fingerprint), path)
    assert path.read_bytes() == before


def test_a_changed_digit_is_seen(path):
    """A number that contradicts nothing else in the row."""
    edit(path, lambda content: content["metrics"].update({"map@r": content["metrics"]["map@r"] / 2}), hashed=True)
    message = refusal(lambda: read_row(path, STUDENT.fingerprint))
    assert message.startswith(f"{path} is not a readable row (its content has changed since it was written")


def test_the_layout_of_the_file_is_free(path):
    edit(path, lambda content: None, hashed=True)
    assert read_row(path, STUDENT.fingerprint) == row(STUDENT)


def test_rows_of_earlier_versions_have_no_hash(path):
    edit(path, lambda content: None)
    assert read_row(path, STUDENT.fingerprint) == row(STUDENT)


@pytest.mark.parametrize("tenth", range(10))
def test_truncated(path, tenth):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * tenth // 10])
    message = refusal(lambda: read_row(path, STUDENT.fingerprint))
    assert message.startswith(f"{path} is not a readable row (")
    assert message.endswith("delete it, and run the study again to restore it")


def test_truncated_within_a_letter(path):
    content = path.read_bytes()
    path.write_bytes(content[: content.index("é".encode()) + 1])
    assert refusal(lambda: read_row(path, STUDENT.fingerprint)).startswith(f"{path} is not a readable row (")


@pytest.mark.parametrize("content", [b"\x00" * 3000, b"\xff\xfe", b"[]", b"null", b"{}"], ids=repr)
def test_damaged(path, content):
    path.write_bytes(content)
    assert refusal(lambda: read_row(path, STUDENT.fingerprint)).startswith(f"{path} is not a readable row (")


def test_row_of_another_experiment(path):
    message = refusal(lambda: read_row(path, TEACHER.fingerprint))
    assert f"{path} is the row of another experiment ({STUDENT.fingerprint}, expected {TEACHER.fingerprint})" in message


def test_row_whose_settings_were_edited(path):
    edit(path, lambda content: content["experiment"].update(seed=4))
    edited = changed(STUDENT, {"seed": 4}).fingerprint
    message = f"{path} contradicts itself: its settings have the fingerprint {edited}"
    assert refusal(lambda: read_row(path, STUDENT.fingerprint)).startswith(message)


def test_row_whose_name_was_edited(path):
    edit(path, lambda content: content.update(fingerprint="0" * 16))
    assert "another experiment" in refusal(lambda: read_row(path, STUDENT.fingerprint))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda content: content.update(accuracy=1.0), "accuracy = 1.0: Extra inputs"),
        (lambda content: content["experiment"]["net"].update(depth=3), "experiment.net.depth = 3: Extra inputs"),
        (lambda content: content.pop("parameters"), "parameters: Field required"),
        (lambda content: content["metrics"].update({"recall@1": "high"}), "metrics.recall@1 = 'high': "),
        (
            lambda content: content["experiment"].update(code_version=0),
            "experiment.code_version = 0: Input should be greater",
        ),
    ],
)
def test_not_such_a_record(path, change, where):
    edit(path, change)
    assert where in refusal(lambda: read_row(path, STUDENT.fingerprint))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda content: content["metrics"].update({"recall@1": 0.75}),
            "recall@1 is not what its counts add up to, 0.5",
        ),
        (lambda content: content["metrics"].pop("recall@1"), "recall@1 is not what its counts add up to, 0.5"),
        (lambda content: content["counts"].update(correct=[6, 7]), "recall@1 is not what its counts add up to, 0.54"),
        (lambda content: content["metrics"].update({"map@r": 1.5}), "map@r = 1.5 is not in [0, 1]"),
        (lambda content: content["validation"].update({"recall@1": -0.1}), "recall@1 = -0.1 is not in [0, 1]"),
        (lambda content: content.update(history=[]), "the selected step 6 is missing from its history"),
        (lambda content: content.update(selected_step=7), "the selected step 7 is missing from its history"),
        (lambda content: content["metrics"].update({"recall@2": 0.0001}), "Recall@K falls where K grows"),
        (lambda content: content["history"][-1].update({"test.recall@1": 1.5}), "test.recall@1 = 1.5 is not in [0, 1]"),
        (
            lambda content: content["history"][-1].update({"test.recall@1": 0.999}),
            "its metrics differ from those in its history at step",
        ),
    ],
)
def test_row_that_contradicts_itself(path, change, why):
    edit(path, change)
    message = refusal(lambda: read_row(path, STUDENT.fingerprint))
    assert message.startswith(f"{path} contradicts itself: ")
    assert why in message


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ({"correct": [5]}, "counts: groups, trials and correct must be of one length"),
        ({"groups": [], "trials": [], "correct": []}, "of one length, above 0"),
        ({"correct": [5, 13]}, "more correct trials than trials"),
        ({"correct": [-1, 13]}, "more correct trials than trials"),
        ({"trials": [12, 0], "correct": [12, 0]}, "or none at all"),
    ],
)
def test_counts_that_cannot_be(path, counts, why):
    edit(path, lambda content: content["counts"].update(counts))
    message = refusal(lambda: read_row(path, STUDENT.fingerprint))
    assert message.startswith(f"{path} is not a readable row (")
    assert why in message


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_not_finite_cannot_become_a_row(value):
    """JSON has no such numbers: the row could be written, but not read."""
    with pytest.raises(ValidationError, match="finite"):
        row(TEACHER, value)


def test_unknown_field():
    with pytest.raises(ValidationError, match="Extra inputs"):
        Entry(label="a", role="teacher", seed=0, fingerprint="f", colour="red")


def test_unknown_role():
    with pytest.raises(ValidationError, match="'teacher', 'student' or 'control'"):
        Entry(label="a", role="pupil", seed=0, fingerprint="f")


def test_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        row(TEACHER).parameters = 3


ENTRIES = (
    Entry(label="rkd-d", role="student", seed=3, fingerprint=STUDENT.fingerprint),
    Entry(label="teacher", role="teacher", seed=0, fingerprint=TEACHER.fingerprint),
)


def test_frame():
    rows = {one.fingerprint: row(one, recall) for one, recall in ((TEACHER, 0.5), (STUDENT, 0.625))}
    frame = as_frame(ENTRIES, rows)
    others = {*TRANSFORM_OF, "train_images_per_class"} - {"distortion"}  # all images are trained on
    data = [f"data.{name}" for name in flattened(TEACHER.data) if name not in others]
    net = [f"net.{name}" for name in ("trunk", "width", "weights", "dim", "unit_length", "normalization")]
    seldom = {"batch_norm_parts", "compile"}  # at their defaults
    training = [f"training.{name}" for name in type(TEACHER.training).model_fields if name not in seldom]
    assert list(frame.columns) == [
        *("study_label", "role", "seed", "fingerprint", "teacher", "recall@1", "map@r", "validation.recall@1"),
        *(*data, *net, *training, "terms", "data_hash", "weights", "parameters", "selected_step"),
        *("train_seconds", "evaluate_seconds", "peak_memory", "finished"),
        *("code_version", "device_name", "cores", "system", "git_commit", "version.torch"),
    ]
    assert frame["study_label"].tolist() == ["rkd-d", "teacher"]  # the order of the entries
    assert frame["recall@1"].tolist() == [0.625, 0.5]
    assert frame["teacher"].tolist() == [TEACHER.fingerprint, ""]
    assert frame["seed"].tolist() == [3, 0]
    assert frame["peak_memory"].tolist() == [2**34 + 1] * 2
    assert json.loads(frame["terms"][0]) == [{"loss": "rkd_distance", "weight": 1 / 3, "options": {}}]
    fewer = changed(TEACHER, {"data": changed(TEACHER.data, {"train_images_per_class": 3})})
    assert setting_columns(fewer)["data.train_images_per_class"] == 3
    parts = changed(TEACHER, {"training": changed(TEACHER.training, {"batch_norm_parts": 2})})
    assert setting_columns(parts)["training.batch_norm_parts"] == 2


@pytest.mark.parametrize(("name", "kind"), [("glyphs", GlyphTransform), ("cub200", PhotoTransform)])
def test_columns_of_views_are_those_of_the_data_sets_kind(name, kind):
    """At their defaults, whether the file says them or not; none of views that the data set does not make."""
    columns = setting_columns(changed(TEACHER, {"data": Data(name=name)}))
    found = {key.removeprefix("data."): value for key, value in columns.items()}
    shown = {key: value for key, value in found.items() if key in TRANSFORM_OF}
    assert shown == {key: value for key, value in kind().model_dump().items() if key != "kind"}
    assert columns == setting_columns(changed(TEACHER, {"data": Data(name=name, transform=kind())}))


def test_a_task_that_draws_no_classes_has_no_column_of_images_of_a_class():
    columns = setting_columns(changed(TEACHER, {"task": Classification(last_batch="drop")}))
    assert "training.images_per_class" in setting_columns(TEACHER)
    assert "training.images_per_class" not in columns
    assert (columns["task.kind"], columns["task.last_batch"]) == ("classification", "drop")


def test_a_row_from_before_weights_were_noted(path):
    edit(path, lambda content: content.pop("weights"))
    assert read_row(path, STUDENT.fingerprint) == row(STUDENT)


def test_frame_says_where_weights_come_from():
    rows = {one.fingerprint: row(one) for one in (TEACHER, STUDENT)}
    rows[TEACHER.fingerprint] = row(TEACHER).model_copy(update={"weights": "somewhere (file.pth)"})
    assert as_frame(ENTRIES, rows)["weights"].tolist() == ["", "somewhere (file.pth)"]


def test_frame_of_a_second_stage():
    """What it goes on from, and its layers; runs without such things have no such columns, as before they existed."""
    term = Term(loss="fitnet", layers=("stage4",), source="text")
    staged = changed(STUDENT, {"initialized_from": STUDENT, "terms": (term,)})
    entries = (Entry(label="a", role="student", seed=3, fingerprint="x"),)
    frame = as_frame(entries, {"x": row(staged)})
    assert frame["initialized_from"].tolist() == [STUDENT.fingerprint]
    (written,) = json.loads(frame["terms"][0])
    assert (written["layers"], written["source"]) == (["stage4"], "text")
    assert not {"initialized_from", "total_steps"} & set(as_frame(entries, {"x": row(STUDENT)}))


def test_frame_of_a_second_stage_names_steps_and_teacher_of_the_first():
    """Though the second has no teacher; steps stay whole beside runs that have only one stage."""
    staged = changed(STUDENT, {"initialized_from": STUDENT, "teacher": None})
    entries = [Entry(label=name, role="student", seed=3, fingerprint=name) for name in ("staged", "other")]
    frame = as_frame(entries, {"staged": row(staged), "other": row(STUDENT)})
    assert frame["teacher"].tolist() == [TEACHER.fingerprint] * 2
    assert frame["training.steps"].tolist() == [1000, 1000]
    assert frame["total_steps"].to_csv(index=False).split() == ["total_steps", "2000", '""']


def trained(selection, history, selected):
    """A row of a run whose history has these (recall@1 on validation classes, on test classes) at steps 2, 4, ..."""
    entries = [{"step": float(step), "loss": 1.0} for step in range(1, 2 * len(history) + 1)]
    for entry, (validation, test) in zip(entries[1::2], history, strict=True):
        entry.update({} if validation is None else {"recall@1": validation})
        entry.update({} if test is None else {"test.recall@1": test, "test.map@r": test / 2})
    training = changed(TEACHER.training, {"selection": selection, "log_test_metrics": history[0][1] is not None})
    values = {"selected_step": selected, "history": tuple(entries), "metrics": {"recall@1": 0.5, "map@r": 0.25}}
    return row(changed(TEACHER, {"training": training})).model_copy(update=values)


WATCHED = ((0.3, 0.7), (0.6, 0.4), (0.6, 0.8), (0.1, 0.8), (0.2, 0.5))
OWN = {"recall@1": 0.5, "map@r": 0.25}


def at(step):
    test = WATCHED[step // 2 - 1][1]
    return step, {"recall@1": test, "map@r": test / 2}


@pytest.mark.parametrize(
    ("selection", "selected", "expected"),
    [
        ("last", 10, {"last": (10, OWN), "validation": at(4), "test": at(6)}),
        ("validation", 4, {"last": at(10), "validation": (4, OWN), "test": at(6)}),
    ],
)
def test_measured_by_each_rule(selection, selected, expected):
    """The first of equal ones."""
    found = trained(selection, WATCHED, selected)
    assert {rule: found.metrics_at(rule) for rule in expected} == expected
    assert type(found.metrics_at("test")[0]) is int


@pytest.mark.parametrize(
    ("selection", "history", "selected", "known"),
    [
        ("last", [(validation, None) for validation, _ in WATCHED], 10, {"last"}),
        ("last", [(0.5, None), (0.6, None)], 4, {"last"}),  # the same step, but the row of another seed could not tell
        ("validation", [(0.5, None), (0.6, None)], 4, {"validation"}),
        ("last", [(None, test) for _, test in WATCHED], 10, {"last", "test"}),
        ("last", [(None, None)], 2, {"last"}),
    ],
)
def test_what_a_row_can_not_tell(selection, history, selected, known):
    found = trained(selection, history, selected)
    assert {rule for rule in ("last", "validation", "test") if found.metrics_at(rule)} == known
    assert found.metrics_at(selection) == (selected, OWN)
