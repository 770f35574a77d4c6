"""Label spaces on CIFAR-100 are those of GKD's code, by the order that is assumed."""

import csv
from importlib.resources import files
from pathlib import Path

import pytest

from relbench.resolve import resolve
from relbench.settings import changed
from relbench.studies import build_study
from relbench.studies.refilled.label_spaces import CLASSES, NEW, ORDER, label_space

FULL, TOY = build_study("refilled-label-spaces"), build_study("refilled-label-spaces", {"scale": "toy"})
SHARED = Path(__file__).parents[4] / "shared" / "splits"  # where the order came from, if it is there
LINES = list(
    csv.DictReader(
        files("relbench.studies.refilled").joinpath("cifar_fs_order.csv").read_text(encoding="utf-8").splitlines()
    )
)
FINE = {line["name"]: int(line["fine_label"]) for line in LINES}


def test_the_order_is_one_of_all_classes():
    assert sorted(FINE.values()) == list(range(100))
    assert len(set(ORDER)) == len(ORDER) == 100
    assert sorted(FINE, key=FINE.__getitem__) == sorted(FINE)  # fine labels are the places of the sorted names


def test_the_order_is_that_of_the_parts_of_cifar_fs_each_sorted():
    parts = [line["cifar_fs_split"] for line in LINES]
    assert parts == ["train"] * 64 + ["val"] * 16 + ["test"] * 20
    for part in ("train", "val", "test"):
        labels = [int(line["fine_label"]) for line in LINES if line["cifar_fs_split"] == part]
        assert labels == sorted(labels)


@pytest.mark.parametrize("new", NEW)
def test_so_many_classes_are_new(new):
    teacher, student = set(label_space(0)), set(label_space(new))
    assert len(teacher) == len(student) == CLASSES
    assert len(student - teacher) == new


@pytest.mark.parametrize("new", NEW)
def test_numbers_are_ranks_among_the_fine_labels_as_published(new):
    """Classes are numbered as their names are sorted: the same as by fine label."""
    if not SHARED.is_dir():
        pytest.skip("the lists of label spaces that these were compared with are not here")
    lines = csv.DictReader((SHARED / "refilled_label_spaces_cifar100.csv").read_text(encoding="utf-8").splitlines())
    told = [line for line in lines if int(line["new_classes"]) == new]
    for role, classes in (("teacher", label_space(0)), ("student", label_space(new))):
        published = {line["name"]: int(line["y"]) for line in told if line["role"] == role}
        assert {name: rank for rank, name in enumerate(sorted(classes))} == published


@pytest.mark.parametrize("study", [FULL, TOY], ids=["full", "toy"])
def test_each_run_has_the_classes_of_its_place(study):
    whole = CLASSES if study is FULL else CLASSES // 10
    for path, run in study.items:
        new = int(path.partition("/")[0].removeprefix("m")) if path != "teacher" else 0
        assert run.data.train_classes == run.data.test_classes == label_space(new, study.scale)
        common = set(run.data.train_classes) & set(study.runs["teacher"].data.train_classes)
        assert (len(run.data.train_classes), len(common)) == (whole, whole - new * whole // CLASSES)


def test_kd_is_there_where_all_classes_are_the_teachers_and_refused_elsewhere():
    assert {path.partition("/")[0] for path in FULL.runs if path.endswith("/kd")} == {"m0"}
    (teacher,) = FULL.trainings("teacher", 0, None, None)
    (kd,) = FULL.trainings("m0/wrn-16-1/kd", 0, None, teacher)
    assert resolve(kd, "kd").teacher
    (other,) = FULL.trainings("m10/wrn-16-1/ce", 0, None, None)
    with pytest.raises(ValueError, match="compares logits class by class, but the teacher was trained on other"):
        resolve(changed(kd, {"data": other.data}), "kd")


def test_where_no_class_is_the_teachers_its_head_gives_weights_alone():
    *_, last = FULL.trainings("m50/wrn-16-1/wgkd", 0, None, FULL.trainings("teacher", 0, None, None)[0])
    found = resolve(last, "wgkd")
    assert found.terms[0].options["weighted"] is True
    assert not set(found.data.train_classes) & set(found.teacher.data.train_classes)
