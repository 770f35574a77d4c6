"""Few typefaces of each letter on Glyphs: what differs between the students."""

import pytest

from relbench.experiment import Data
from relbench.settings import changed
from relbench.studies import build_study

STUDY, SPACES = build_study("glyphs-middle-shot"), build_study("glyphs-label-spaces")
METHODS = ("cross-entropy", "rkd-d", "sp", "pkt", "refilled")


def last_of(study, path):
    teacher = study.trainings("teacher", 0, None, None)[-1]
    return study.trainings(path, 0, None, teacher)[-1]


def test_the_teacher_and_the_students_of_all_typefaces_are_those_of_the_label_spaces():
    assert STUDY.runs["teacher"] == SPACES.runs["teacher"]
    for method in METHODS:
        assert last_of(STUDY, f"k4/{method}").fingerprint == last_of(SPACES, f"other/{method}").fingerprint


@pytest.mark.parametrize("method", METHODS)
def test_students_differ_in_their_typefaces_and_not_in_their_steps(method):
    images = {1: 200, 2: 400, 3: 600, None: 800}

    def count(data: Data) -> int:
        return images[data.train_images_per_class]

    counted = STUDY.with_images(count)
    found = [last_of(counted, f"k{shot}/{method}") for shot in (1, 2, 3, 4)]
    assert [run.data.train_images_per_class for run in found] == [1, 2, 3, None]
    assert len({changed(run.data, {"train_images_per_class": None}) for run in found}) == 1
    assert {run.total_steps for run in found} == {60 * 7}  # 800 images are 7 batches of 128
