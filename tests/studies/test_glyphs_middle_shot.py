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


def test_the_teacher_is_that_of_the_label_spaces_and_students_of_all_typefaces_differ_in_their_batches():
    assert STUDY.runs["teacher"] == SPACES.runs["teacher"]
    for method in METHODS:
        here, there = (last_of(*place) for place in ((STUDY, f"k4/{method}"), (SPACES, f"other/{method}")))
        for name in ("data", "net", "terms", "task"):
            assert getattr(here, name) == getattr(there, name)
        assert (here.training.batch_size, there.training.batch_size) == (100, 128)


def test_refilled_is_left_out_where_no_batch_has_two_images_of_a_letter():
    assert {path for path in STUDY.runs if path.endswith("/refilled")} == {"k2/refilled", "k3/refilled", "k4/refilled"}
    assert {cell.run for cell in STUDY.cells} == {*STUDY.runs}
    asked = {path for claim in STUDY.claims for pair in claim.better for path in pair}
    assert asked == {*STUDY.runs} - {"teacher"}


@pytest.mark.parametrize("method", METHODS)
def test_students_differ_in_their_typefaces_and_not_in_their_steps(method):
    images = {1: 200, 2: 400, 3: 600, None: 800}

    def count(data: Data) -> int:
        return images[data.train_images_per_class]

    counted = STUDY.with_images(count)
    shots = {1: 1, 2: 2, 3: 3, 4: None}
    if method == "refilled":
        del shots[1]
    found = [last_of(counted, f"k{shot}/{method}") for shot in shots]
    assert [run.data.train_images_per_class for run in found] == [*shots.values()]
    assert len({changed(run.data, {"train_images_per_class": None}) for run in found}) == 1
    assert {run.total_steps for run in found} == {60 * 8}  # 800 images are 8 batches of 100
    assert not any(count(run.data) % run.training.batch_size for run in found)  # whole batches, whatever their number
