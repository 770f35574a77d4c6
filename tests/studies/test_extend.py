"""Losses beside a study's own: found, named, placed beside the task loss or in its place."""

import pytest
from planned import plan_runs

from relbench.experiment import Data, FewShot, Net, Term
from relbench.settings import changed
from relbench.studies import build_study
from relbench.studies.extend import find_added_loss, try_own_losses, with_added_losses
from relbench.studies.quickstart import TRIPLET
from relbench.studies.study import Cell, RunSpec, Stage, Study

STUDY = build_study("quickstart")

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
    assert terms_of(with_added_losses(STUDY, [one], alone=False), "pull") == (TRIPLET, one.term)
    assert terms_of(with_added_losses(STUDY, [one], alone=True), "pull") == (one.term,)


def test_a_loss_without_a_teacher_takes_the_task_losses_place(loss_file):
    one = find_added_loss(f"{loss_file(SUPERVISED)}:spread", 1.0)
    assert terms_of(with_added_losses(STUDY, [one], alone=False), "spread") == (one.term,)


def pairs_of(study):
    return [claim.better[0] for claim in study.claims if claim.family == "pairs"]


def test_the_rest_of_the_study_stays_and_every_other_student_is_compared_with():
    two = [find_added_loss(name, 1.0) for name in ("pkt", "hard_darkrank")]
    study = with_added_losses(STUDY, two, alone=False)
    assert study.name == "quickstart+pkt+hard_darkrank"
    assert {path: study.runs[path] for path in STUDY.runs} == STUDY.runs
    assert list(study.runs) == [*STUDY.runs, "pkt", "hard_darkrank"]
    students = [path for path, run in STUDY.items if run.role == "student"]
    own = {frozenset(pair) for pair in pairs_of(study) if "pkt" in pair}
    assert own == {frozenset(("pkt", other)) for other in (*students, "hard_darkrank")}
    assert set(pairs_of(STUDY)) <= set(pairs_of(study))
    assert len({frozenset(pair) for pair in pairs_of(study)}) == len(pairs_of(study))  # no two of them twice
    assert study.added_losses == ("pkt", "hard_darkrank")
    (words,) = study.notes
    assert words.endswith("whose notes do not cover them: pkt (weight 1), hard_darkrank (weight 1).")
    assert plan_runs(study, (0,))[0] == plan_runs(STUDY, (0,))[0]


def test_a_loss_gets_the_students_network_not_that_of_one_that_is_the_teachers_own():
    one = find_added_loss("pkt", 1.0)
    given = STUDY.runs["rkd-d"]
    itself = changed(STUDY.runs["teacher"], {"role": "student", "arm": "teacher", "teacher": "teacher"})
    study = changed(STUDY, {"runs": {"teacher": STUDY.runs["teacher"], "itself": itself, "rkd-d": given}, "claims": ()})
    added = with_added_losses(study, [one], alone=False).runs["pkt"]
    assert (added.net, added.training, added.arm) == (given.net, given.training, "")


def test_a_new_student_is_judged_in_the_family_of_the_students():
    study = with_added_losses(STUDY, [find_added_loss("pkt", 1.0)], alone=False)
    judged = [claim.better[0] for claim in study.claims if claim.family == "students"]
    assert judged == [(path, "teacher") for path, run in study.items if run.role == "student"]


def terms_of(study, path):
    (stage,) = study.runs[path].stages
    return stage.terms


def test_in_a_table_a_loss_is_trained_once_per_network_and_data_set():
    table = build_study("rkd-table1", {"protocol": "fair"})
    study = with_added_losses(table, [find_added_loss("pkt", 1.0)], alone=False)
    nets = [(study.runs[path].data.name, study.runs[path].net) for path in study.added_losses]
    assert len(set(nets)) == len(nets) == 2 * 4 * 2  # data sets, dimensions, with unit length and without
    assert set(nets) == {(run.data.name, run.net) for run in table.runs.values() if run.teacher}
    for path in study.added_losses:
        run, template = study.runs[path], table.runs[path.removesuffix("/pkt")]
        assert (run.net, run.data, run.teacher) == (template.net, template.data, template.teacher)
        assert (run.training, run.rates) == (template.training, template.rates)
        assert run.stages[0].terms == (TRIPLET, find_added_loss("pkt", 1.0).term)
        assert study.rates_of(path)[0].endswith("/64/pkt")  # as the method's own networks share a rate


def test_in_a_table_its_cells_stand_beside_those_of_the_network_that_it_has():
    table = build_study("rkd-table3")
    study = with_added_losses(table, [find_added_loss("pkt", 1.0)], alone=False)
    added = [cell for cell in study.cells if cell.run in study.added_losses]
    assert len(added) == sum(cell.run != "" for cell in table.cells) == 36
    assert {cell.published for cell in added} == {None}
    assert {(cell.part, cell.column, cell.metric) for cell in added} == {
        (cell.part, cell.column, cell.metric) for cell in table.cells if cell.run
    }
    assert {cell.row for cell in added} == {
        f"pkt (as RKD-DA, {net})" for net in ("GoogLeNet-128", "GoogLeNet-512", "ResNet50-128")
    }
    assert len({(cell.part, cell.row, cell.column) for cell in study.cells}) == len(study.cells)
    assert study.claims == table.claims  # the teacher has no cell there to be compared with


def test_a_claim_asks_whether_it_beats_the_teacher_of_a_table():
    study = with_added_losses(build_study("rkd-table2"), [find_added_loss("pkt", 1.0)], alone=False)
    (claim,) = [claim for claim in study.claims if claim.text.startswith("sop: students of pkt")]
    assert claim.better == (("sop/gen3/512/pkt", "sop/gen2/512"),)


def test_without_a_student_of_a_teacher_nothing_can_be_put_beside():
    alone = STUDY.model_copy(update={"runs": {"teacher": STUDY.runs["teacher"]}, "claims": ()})
    with pytest.raises(ValueError, match="quickstart has no student with a teacher, and so takes no further losses"):
        with_added_losses(alone, [find_added_loss("pkt", 1.0)], alone=False)


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


EPISODES = """
def pull(support, query):
    assert (support.shape[:2], query.shape[:2]) == ((5, 2), (5, 3))
    return (query - support.mean(dim=1, keepdim=True)).square().mean()
"""


def test_losses_of_episodes_are_for_few_shot_studies(loss_file):
    """There they take the place of the study's own, as they know no teacher."""
    one = find_added_loss(f"{loss_file(EPISODES)}:pull", 1.0)
    added = with_added_losses(STUDY, [one], alone=False)
    assert terms_of(added, "pull") == (one.term,)
    with pytest.raises(ValueError, match=r"loss 'my_loss:pull' compares queries with support .* it is for few-shot\Z"):
        try_own_losses(added)
    training = {"batch_size": 25, "images_per_class": 5}
    few_shot = {
        path: changed(run, {"task": FewShot(shot=2), "training": changed(run.training, training)})
        for path, run in added.runs.items()
    }
    try_own_losses(changed(added, {"runs": few_shot}))


def test_claims_of_a_table_of_episodes_are_of_the_primary_metric_of_each_run():
    """Runs of two tasks, each measured twice: a claim for each task, and cells for all four metrics."""
    data, pkt = Data(name="glyphs"), Stage(terms=(Term(loss="pkt"),))
    runs, cells = {}, []
    for shot in (1, 5):
        task = FewShot(way=(5, 20), shot=shot)
        teacher = RunSpec(
            data=data, task=task, net=Net(), stages=(Stage(terms=(Term(loss="triplet"),)),), role="teacher"
        )
        student = RunSpec(data=data, task=task, net=Net(), stages=(pkt,), teacher=f"{shot}/teacher")
        runs |= {f"{shot}/teacher": teacher, f"{shot}/pkt": student}
        for name in ("teacher", "pkt"):
            for way in (5, 20):
                at = {"row": name, "column": f"{way}-way {shot}-shot", "metric": f"{way}way_{shot}shot"}
                cells.append(Cell(part="", run=f"{shot}/{name}", **at))
    table = Study(name="t", title="T", runs=runs, cells=tuple(cells), methods_in="row")
    study = with_added_losses(table, [find_added_loss("rkd_angle", 1.0)], alone=False)
    assert [(claim.text, claim.better) for claim in study.claims] == [
        (
            "glyphs, 5-way 1-shot accuracy: students of rkd_angle beat their teacher",
            (("1/pkt/rkd_angle", "1/teacher"),),
        ),
        (
            "glyphs, 5-way 5-shot accuracy: students of rkd_angle beat their teacher",
            (("5/pkt/rkd_angle", "5/teacher"),),
        ),
    ]
    added = [(cell.row, cell.column, cell.run) for cell in study.cells if cell.run in study.added_losses]
    assert added == [
        ("rkd_angle", f"{way}-way {shot}-shot", f"{shot}/pkt/rkd_angle") for shot in (1, 5) for way in (5, 20)
    ]


def test_a_table_of_self_distillation_takes_further_losses():
    """Its students are their teachers' own networks, and there are no others."""
    study = with_added_losses(build_study("rkd-table5"), [find_added_loss("pkt", 1.0)], alone=False)
    for shot in (1, 5):
        run = study.runs[f"rkd-d/{shot}-shot/pkt"]
        assert [term.loss for stage in run.stages for term in stage.terms] == ["prototypical", "pkt"]
        assert (run.teacher, run.task.shot, run.net) == (f"teacher/{shot}-shot", shot, study.runs[run.teacher].net)
    places = {(cell.column, cell.metric) for cell in study.cells if cell.row == "pkt"}
    assert places == {(f"{way}-way {shot}-shot", f"{way}way_{shot}shot") for way in (5, 20) for shot in (1, 5)}


def test_what_is_claimed_of_a_tables_student_is_claimed_of_the_loss_with_its_network():
    """In every column that the study claims it in, as a family of its own: no other verdict depends on it."""
    given = build_study("glyphs-few-shot")
    study = with_added_losses(given, [find_added_loss("pml:MultiSimilarityLoss", 1.0)], alone=False)
    assert study.claims[: len(given.claims)] == given.claims
    added = study.claims[len(given.claims) :]
    columns = [f"{way}-way {shot}-shot" for shot in (1, 5) for way in (5, 20)]
    against = [claim for claim in added if claim.family]
    assert [claim.text for claim in against] == [f"{at}: MultiSimilarityLoss beats prototypical" for at in columns]
    assert against[1].better == (
        ("1-shot/half/prototypical/MultiSimilarityLoss#20way_1shot", "1-shot/half/prototypical#20way_1shot"),
    )
    assert len({claim.family for claim in against}) == 1
    assert not {claim.family for claim in against} & {claim.family for claim in given.claims}
    teachers = [claim.text for claim in added if not claim.family]
    assert teachers == [
        f"glyphs, 5-way {shot}-shot accuracy: students of MultiSimilarityLoss beat their teacher" for shot in (1, 5)
    ]


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("rkd-table5", [f"{way}-way {shot}-shot: hard_darkrank beats" for shot in (1, 5) for way in (5, 20)]),
        ("glyphs-label-spaces", ["glyphs: students of", "same letters: hard_darkrank beats cross-entropy"]),
        ("rkd-table4", ["cifar100: students of", "tiny-imagenet: students of"]),
    ],
)
def test_no_claim_is_made_twice_nor_one_that_says_more_than_what_beats_what(name, texts):
    given = build_study(name)
    added = with_added_losses(given, [find_added_loss("hard_darkrank", 1.0)], alone=False).claims[len(given.claims) :]
    for claim, text in zip(added, texts, strict=False):
        assert claim.text.startswith(text)
    assert len({claim.better for claim in added}) == len(added)
