"""The settings that `relbench settings` lists are those that `--set` takes, with their values as they are."""

import pytest

from relbench.data import resolve_transform
from relbench.experiment import TASK_SETTINGS, Data, Net, Training
from relbench.settings import changed
from relbench.studies import STUDIES, build_study
from relbench.studies.changes import parse_value, setting_keys, with_values
from relbench.studies.setting_list import settings_of
from relbench.transforms import TRANSFORM_OF


@pytest.mark.parametrize("name", STUDIES)
def test_what_is_listed_can_be_set_and_changes_nothing(name):
    study = build_study(name)
    listed = {key: value for setting in settings_of(name) for key, value in setting.values.items()}
    others = {f"data.{name}" for name, kind in TRANSFORM_OF.items() if kind not in views(study)}
    assert listed.keys() >= set(setting_keys(study)) - others
    assert listed.keys().isdisjoint(others)
    assert {f"terms.{loss}.weight" for loss in study.losses} <= listed.keys()
    own = {key: parse_value(value[0]) for key, value in listed.items() if len(value) == 1}
    options = {key for key in own if key.endswith(".loss")}  # another loss takes the options of this one away
    same = with_values(study, {key: value for key, value in own.items() if key not in options})
    assert seen(same) == seen(study)
    assert leaves(with_values(study, {key: own[key] for key in setting_keys(study) if key in own})) == leaves(study)


def seen(study):
    """The images as runs have them: with views that are named, or else the data set's usual ones."""
    return [changed(run.data, {"transform": resolve_transform(run.data)}) for run in study.runs.values()]


def views(study):
    return {type(resolve_transform(run.data)) for run in study.runs.values()}


def leaves(study):
    """Settings of all runs as they train: what is said of a stage's learning rate is the run's then."""
    return {path: [(run.data.size, run.task, run.net, run.training)] for path, run in study.items if run.stages}


@pytest.mark.parametrize("name", STUDIES)
def test_each_listed_value_can_be_set(name):
    study = build_study(name)
    for setting in settings_of(name):
        for key, values in setting.values.items():
            if not key.startswith("terms."):
                with_values(study, {key: parse_value(values[0])})


@pytest.mark.parametrize("kind", [Data, Net, Training, *TASK_SETTINGS.values()])
def test_every_setting_says_what_it_is(kind):
    hidden = {"content", "weights_content", "kind"}
    without = [name for name, field in kind.model_fields.items() if not field.description and name not in hidden]
    assert without == []


def test_choices_and_values():
    told = {next(iter(setting.values)): setting for setting in settings_of("quickstart")}
    assert told["data.size"].choices == "whole number from 8 to 1,024"
    assert told["data.train_classes"].choices == "whole number above 0 or list or null"
    assert told["data.distortion"].values == {"data.distortion": ("1.0",)}
    assert told["training.selection"].choices == "last, validation"
    assert told["data.hold_out"].choices == "true or false"
    assert told["terms.triplet.margin"].values == {"terms.triplet.margin": ("0.2",)}
    assert told["training.steps"].values == {
        "training.steps": ("1200",),
        "teacher.steps": ("1200",),
        "student.steps": ("1200",),
    }
    assert told["teacher.dim"].values == {"teacher.dim": ("128",), "student.dim": ("32",)}
    assert {"data.resize", "data.mirror", "data.crop"}.isdisjoint(told)
    of_photos = {next(iter(setting.values)): setting for setting in settings_of("rkd-table1")}
    assert of_photos["data.resize"].choices == "whole number from 8 to 2,048 or null"
    assert "data.distortion" not in of_photos
    of_table = {key: value for setting in settings_of("rkd-table1") for key, value in setting.values.items()}
    assert of_table["student.dim"] == ("16", "32", "64", "128")
    assert of_table["training.steps"] == ("4000", "8000")
    assert not [key for key in told if key.startswith("task.")]  # retrieval has none
    classes = {next(iter(setting.values)): setting for setting in settings_of("glyphs-classification")}
    assert classes["task.last_batch"].values == {"task.last_batch": ("keep",)}
    assert classes["task.last_batch"].choices == "keep, drop"
    assert classes["task.class_means"].meaning.startswith("Measure the accuracy by the nearest class mean")
    assert "data.name" not in of_table
    assert "training.device" not in of_table
