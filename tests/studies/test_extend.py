"""Losses beside a study's own: found, named, placed beside the task loss or in its place."""

import pytest

from relbench.studies.extend import find_added_loss, try_own_losses, with_added_losses
from relbench.studies.quickstart import STUDY, TRIPLET

RELATIONAL = """
def pull(student, teacher):
    return (student.norm(dim=1) - teacher.detach().norm(dim=1)).square().mean() + student.mean() ** 2
"""
SUPERVISED = "def spread(embeddings, labels):\n    return embeddings.var(dim=0).sum()\n"
DETACHED = "def constant(student, teacher):\n    return (student.detach() - 1).square().mean()\n"


@pytest.fixture
def loss_file(tmp_path):
    def write(text):
        path = tmp_path / "my_loss.py"
        path.write_text(text)
        return path

    return write


def test_a_loss_from_a_file_keeps_its_source(loss_file):
    one = find_added_loss(f"{loss_file(RELATIONAL)}:pull", 2.5)
    assert one.label == "pull"
    assert (one.term.loss, one.term.source, one.term.weight) == ("my_loss:pull", RELATIONAL, 2.5)


@pytest.mark.parametrize(
    ("spec", "label", "name"),
    [("pkt", "pkt", "pkt"), ("pml:MultiSimilarityLoss", "MultiSimilarityLoss", "pml:MultiSimilarityLoss")],
)
def test_a_loss_by_name(spec, label, name):
    one = find_added_loss(spec, 1.0)
    assert (one.label, one.term.loss, one.term.source) == (label, name, "")


@pytest.mark.parametrize(
    ("spec", "weight", "message"),
    [
        ("pkd", 1.0, "unknown loss 'pkd': did you mean pkt"),
        ("nowhere.py:pull", 1.0, "nowhere.py"),
        ("probe", 1.0, "the loss probe does not train the student"),
        ("pkt", 0.0, "--weight must be a finite number above 0, not 0.0"),
        ("pkt", float("nan"), "weight"),
        ("pkt", 1e300, r"^weight = 1e\+300: Input should be less than or equal to \d+$"),
    ],
)
def test_what_is_no_contender(spec, weight, message):
    with pytest.raises(ValueError, match=message) as refusal:
        find_added_loss(spec, weight)
    assert "\n" not in str(refusal.value)


def test_a_loss_that_takes_a_teacher_stands_beside_the_task_loss(loss_file):
    one = find_added_loss(f"{loss_file(RELATIONAL)}:pull", 1.0)
    assert with_added_losses(STUDY, [one], alone=False).methods["pull"] == (TRIPLET, one.term)
    assert with_added_losses(STUDY, [one], alone=True).methods["pull"] == (one.term,)


def test_a_loss_without_a_teacher_takes_the_task_losses_place(loss_file):
    one = find_added_loss(f"{loss_file(SUPERVISED)}:spread", 1.0)
    assert with_added_losses(STUDY, [one], alone=False).methods["spread"] == (one.term,)


def test_the_rest_of_the_study_stays_and_every_other_student_is_compared_with():
    two = [find_added_loss(name, 1.0) for name in ("pkt", "hard_darkrank")]
    compared = with_added_losses(STUDY, two, alone=False)
    assert compared.name == "quickstart+pkt+hard_darkrank"
    assert {label: compared.methods[label] for label in STUDY.methods} == STUDY.methods
    own = {frozenset(pair) for pair in compared.pairs if "pkt" in pair}
    assert own == {frozenset(("pkt", other)) for other in (*STUDY.methods, "hard_darkrank")}
    assert set(STUDY.pairs) <= set(compared.pairs)
    assert len({frozenset(pair) for pair in compared.pairs}) == len(compared.pairs)  # no two of them twice
    assert compared.added_losses == ("pkt", "hard_darkrank")
    (words,) = compared.own_notes
    assert words.endswith("whose notes do not cover them: pkt (weight 1), hard_darkrank (weight 1).")
    for seed_cells in (compared.cells((0,)), STUDY.cells((0,))):
        assert seed_cells[0].experiment == STUDY.cells((0,))[0].experiment


@pytest.mark.parametrize("names", [["pkt", "pkt"], ["pml:MultiSimilarityLoss", "pml:MultiSimilarityLoss"]])
def test_two_of_one_name(names):
    with pytest.raises(ValueError, match="is already the name of a method in the table: rename the loss"):
        with_added_losses(STUDY, [find_added_loss(name, 1.0) for name in names], alone=False)


def test_the_name_of_a_baseline(loss_file):
    one = find_added_loss(f"{loss_file(RELATIONAL.replace('pull', 'triplet'))}:triplet", 1.0)
    with pytest.raises(ValueError, match="'triplet' is already the name of a method"):
        with_added_losses(STUDY, [one], alone=False)


def test_own_losses_are_tried_in_the_shapes_of_the_study(loss_file):
    try_own_losses(STUDY)
    good = find_added_loss(f"{loss_file(RELATIONAL)}:pull", 1.0)
    try_own_losses(with_added_losses(STUDY, [good], alone=False))
    bad = find_added_loss(f"{loss_file(DETACHED)}:constant", 1.0)
    with pytest.raises(ValueError, match="my_loss:constant"):
        try_own_losses(with_added_losses(STUDY, [bad], alone=False))
