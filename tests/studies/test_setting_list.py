"""The settings that `relbench settings` lists are those that `--set` takes, with their values as they are."""

import pytest

from relbench.experiment import Data, Net, Training
from relbench.studies import STUDIES, TABLES, Setup, parse_value
from relbench.studies.setting_list import settings_of


@pytest.mark.parametrize("name", STUDIES)
def test_what_is_listed_can_be_set_and_changes_nothing(name):
    study = STUDIES[name]
    listed = {key: value for setting in settings_of(name) for key, value in setting.values.items()}
    assert listed.keys() >= set(study.places())
    assert {f"terms.{loss}.weight" for loss in study.losses()} <= listed.keys()
    own = {key: parse_value(value[0]) for key, value in listed.items() if len(value) == 1}
    options = {key for key in own if key.endswith(".loss")}  # another loss takes the options of this one away
    assert study.with_values({key: value for key, value in own.items() if key not in options}).data == study.data
    assert study.with_values({key: own[key] for key in study.places()}) == study


@pytest.mark.parametrize("name", TABLES)
def test_what_is_listed_of_a_printed_table_can_be_set(name):
    for setting in settings_of(name):
        for key, values in setting.values.items():
            Setup(changes={key: parse_value(values[0])})


@pytest.mark.parametrize("kind", [Data, Net, Training])
def test_every_setting_says_what_it_is(kind):
    without = [name for name, field in kind.model_fields.items() if not field.description and name != "content"]
    assert without == []


def test_choices_and_values():
    told = {next(iter(setting.values)): setting for setting in settings_of("quickstart")}
    assert told["data.size"].choices == "whole number from 8 to 1,024"
    assert told["data.train_classes"].choices == "whole number above 0 or list or null"
    assert told["data.distortion"].values == {"data.distortion": ("1.0",)}
    assert told["data.resize"].choices == "whole number from 8 to 2,048 or null"
    assert told["teacher.selection"].choices == "last, validation"
    assert told["data.hold_out"].choices == "true or false"
    assert told["terms.triplet.margin"].values == {"terms.triplet.margin": ("0.2",)}
    assert told["teacher.steps"].values == {"teacher.steps": ("500",), "student.steps": ("1000",)}
    assert {len(value) for setting in settings_of("rkd-table1") for value in setting.values.values()} == {1, 2}
