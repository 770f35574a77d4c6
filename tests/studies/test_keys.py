"""What a key that is not known was meant to be."""

import pytest

from relbench.studies import build_study
from relbench.studies.changes import setting_keys
from relbench.studies.keys import ALIASES, known_key, nearest_keys

KEYS = [
    *setting_keys(build_study("quickstart")),
    "terms.triplet.weight",
    "terms.rkd_angle.weight",
    "terms.rkd_distance.weight",
]
RATES = ["teacher.learning_rate", "student.learning_rate", "training.learning_rate"]


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("training.lr", ["training.learning_rate"]),
        ("lr", RATES),
        ("student.LR", ["student.learning_rate"]),
        ("student.learnin_rate", ["student.learning_rate"]),
        ("learning-rate", RATES),
        ("data.image_size", ["data.size"]),
        ("net.embedding_dim", ["student.dim", "teacher.dim"]),
        ("student.dmi", ["student.dim"]),
        ("studnt.epochs", ["student.steps", "teacher.steps", "training.steps"]),
        ("terms.rkd_angel.weight", ["terms.rkd_angle.weight", "terms.triplet.weight", "terms.rkd_distance.weight"]),
        ("nothing.like", []),
    ],
)
def test_the_nearest_keys(key, nearest):
    assert sorted(nearest_keys(key, KEYS)) == sorted(nearest)


def test_an_alias_means_a_setting():
    assert set(ALIASES.values()) <= {key.rpartition(".")[2] for key in KEYS}


def test_a_known_key_is_returned_and_others_never_list_all():
    assert known_key("data.size", KEYS, "quickstart") == "data.size"
    with pytest.raises(ValueError, match=r"unknown setting 'x\.y': `relbench settings quickstart` lists all settings$"):
        known_key("x.y", KEYS, "quickstart")


@pytest.mark.parametrize(
    ("key", "now"),
    [
        ("protocol.steps", "training.steps"),
        ("protocol.watch_test", "training.log_test_metrics"),
        ("student.watch_test", "student.log_test_metrics"),
    ],
)
def test_a_key_of_an_earlier_version_is_told_its_name(key, now):
    with pytest.raises(ValueError, match=f"^unknown setting '{key}': it is called {now} now; `relbench settings"):
        known_key(key, KEYS, "quickstart")


@pytest.mark.parametrize(
    ("key", "option"),
    [("training.device", "--device"), ("student.selection", "--selection"), ("data.name", "--dataset")],
)
def test_a_setting_that_is_an_option_of_the_command_is_said_to_be(key, option):
    keys = setting_keys(build_study("rkd-table1"))
    with pytest.raises(ValueError, match=f"^unknown setting '{key}': this study takes {option} instead; "):
        known_key(key, keys, "rkd-table1")
