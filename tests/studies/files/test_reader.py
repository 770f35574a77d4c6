"""Studies that people write: what is wrong in a file is named with its place, and what was probably meant."""

import copy
import re
import tomllib

import pytest
import tomli_w

import relbench.models.trunks
from relbench.experiment import Term
from relbench.settings import changed
from relbench.studies import build_study
from relbench.studies.files import find_study, read_study_file, study_text

BY_HAND = """
name = "my-birds"
title = "My methods on {data}"
task_terms = ["triplet"]

[data]
train_classes = 40
test_classes = 12

[training]
steps = 4

[teacher]
width = 4
dim = "null"
steps = 6

[student]
width = 2
dim = 8

[terms.triplet]
margin = 0.2

[terms.rkd_angle]
weight = 2.0

[runs.teacher]
role = "teacher"
terms = ["triplet"]

[runs.alone]
terms = ["triplet"]

[runs.rkd-da]
terms = ["triplet", "rkd_distance", { loss = "rkd_angle", weight = 3.0 }]
dim = 4
"""


@pytest.fixture(autouse=True)
def _no_libraries(monkeypatch):
    """Nearest names are looked for among the house's: libraries of networks take seconds to load."""
    monkeypatch.setattr(relbench.models.trunks, "LIBRARIES", {})


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "mine.toml").write_text(text)
        return read_study_file(tmp_path / "mine.toml")

    return read


def test_later_tables_win(read):
    study = read(BY_HAND)
    teacher, alone, taught = study.runs.values()
    assert [run.training.steps for run in study.runs.values()] == [6, 4, 4]
    assert (teacher.net.dim, alone.net.dim, taught.net.dim) == (None, 8, 4)
    assert {run.data for run in study.runs.values()} == {teacher.data}
    assert (teacher.data.train_classes, teacher.data.name) == (40, "glyphs")
    triplet, angle = Term(loss="triplet", options={"margin": 0.2}), Term(loss="rkd_angle", weight=3.0)
    assert taught.stages[0].terms == (triplet, Term(loss="rkd_distance"), angle)
    assert study.task_terms == (triplet,)


def test_a_student_has_the_only_teacher_and_is_said_to_beat_it(read):
    study = read(BY_HAND + '[table]\npairs = [["rkd-da", "alone"]]\n')
    assert [run.teacher for run in study.runs.values()] == ["", "teacher", "teacher"]
    assert [claim.better for claim in study.claims] == [
        (("alone", "teacher"),),
        (("rkd-da", "teacher"),),
        (("rkd-da", "alone"),),
    ]


def test_epochs_are_counted_as_set_says_them(read):
    text = BY_HAND.replace("steps = 4", "epochs = 3\nrates = [0.1, 0.2]").replace(
        "[data]", '[task]\nkind = "classification"\n[data]\nsplit = "images"'
    )
    runs = read(text).runs.values()
    assert {run.epochs.count for run in runs} == {3}
    assert {run.rates for run in runs} == {(0.1, 0.2)}
    assert {run.task.kind for run in runs} == {"classification"}


def test_what_was_read_is_written_alike(read):
    study = read(BY_HAND)
    again = read(study_text(study))
    assert changed(again, {"file_hash": study.file_hash}) == study


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("steps = 4", "lr = 4", r"\[training\] has an unknown setting 'lr': did you mean learning_rate\?"),
        ("steps = 4", "steps = 4.5", r"\[training\] steps = 4.5: Input should be a valid integer"),
        ("steps = 6", "steps = 0", r"\[teacher\] steps = 0: Input should be greater than or equal to 1"),
        ("steps = 4", 'device = "cuda"', r"\[training\] has an unknown setting 'device': .*--device"),
        ("width = 2", 'trunk = "conv5"', r"\[student\] .*unknown trunk 'conv5'"),
        (
            "train_classes = 40",
            "train_clases = 40",
            r"\[data\] has an unknown setting 'train_clases': did you mean train",
        ),
        ("train_classes = 40", "distortion = 9.0", r"\[data\] distortion = 9.0: .*less than or equal to 2"),
        ("dim = 4", "dimensions = 4", r"\[runs.rkd-da\] has an unknown setting 'dimensions': did you mean dim\?"),
        ("dim = 4", "data.sise = 4", r"\[runs.rkd-da\] data has an unknown setting 'sise': did you mean size\?"),
        (
            "dim = 4",
            'teacher = "teachr"',
            r"unknown teacher, before its student rkd-da, 'teachr': did you mean teacher",
        ),
        ('"rkd_distance"', '"rkd_distanc"', r"\[runs.rkd-da\] terms: unknown loss 'rkd_distanc': did you mean rkd_dis"),
        ('"rkd_distance"', '{ loss = "pkt", tau = 1 }', r"\[runs.rkd-da\] terms: loss 'pkt' has no option 'tau'"),
        (
            '"rkd_distance"',
            '"my_loss.py:Mine"',
            r"no study's file has code executed: .*relbench compare my_loss.py:Mine",
        ),
        ("[terms.rkd_angle]", "[terms.rkd_angel]", r"\[terms.rkd_angel\] unknown loss .*did you mean rkd_angle "),
        ('name = "my-birds"', "", r"name: Field required"),
        ('name = "my-birds"', 'name = "../birds"', r"name = '../birds' is to name a folder"),
        ('name = "my-birds"', 'title = "again"', r"is no TOML: Cannot overwrite a value \(at line 3, column \d+\)"),
        ("[runs.alone]", "[runs.alone", r"is no TOML: .* \(at line \d+, column \d+\)"),
        ("[runs.alone]", "[runs.alone]\nstages = []", r"\[runs.alone\] needs terms, .* or stages"),
        ("[student]", "[students]", r"has an unknown setting 'students': did you mean student\?"),
        ('title = "', 'seed = [0]\ntitle = "', r"has an unknown setting 'seed': did you mean seeds\?"),
        (
            'role = "teacher"',
            'role = "techer"',
            r"\[runs.teacher\] role = 'techer': Input should be 'teacher', 'student'",
        ),
        ('task_terms = ["triplet"]', 'seeds = ["a"]', r"seeds.0 = 'a': Input should be a valid integer"),
        (
            "[terms.rkd_angle]",
            "[terms.pkt]\nweight = 2.0\n[terms.rkd_angle]",
            r"unknown loss of the runs, in \[terms\]: 'pkt': known are rkd_angle",
        ),
        ("[runs.alone]", '[runs."alone@home"]', r"'alone@home' can't name a run"),
        ('task_terms = ["triplet"]', "task_terms = 1", r"toml: task_terms is 1: write a list in brackets"),
        ('task_terms = ["triplet"]', "seeds = []", r"seeds = \[\]: Tuple should have at least 1 item"),
        ("[runs.teacher]", "runs = 3\n[run.teacher]", r"unknown setting"),
        (
            "[data]",
            '[table]\npairs = [["alone", "alone"]]\n[data]',
            r"\[table\] pairs has .* each pair of two",
        ),
        (
            "[data]",
            '[table]\npairs = [["alone", "rkd-da"], ["rkd-da", "alone"]]\n[data]',
            r"\[table\] pairs has \['alone', 'rkd-da'\]: name each pair of two runs once",
        ),
        (
            "[data]",
            '[table]\nclaims = [{ text = "a", family = "b", better = [["alone", "alone"]] }]\n[data]',
            r"\[table\] claims, number 1, better: 'alone' is compared with itself: name two",
        ),
    ],
)
def test_one_line_says_what_is_wrong_and_where(read, old, new, told):
    assert old in BY_HAND
    with pytest.raises(ValueError, match=told) as refused:
        read(BY_HAND.replace(old, new, 1))
    assert re.match(r".*mine\.toml: ", str(refused.value))
    assert "\n" not in str(refused.value)


def test_a_table_of_cells_says_which_cell(read):
    cells = (
        '[table]\ncells = [{ part = "", row = "", column = "", run = "alone" }, { part = "", rwo = "", column = "" }]\n'
    )
    with pytest.raises(
        ValueError, match=r"\[table\] cells, number 2, has an unknown setting 'rwo': did you mean row\?"
    ):
        read(BY_HAND + cells)
    with pytest.raises(ValueError, match="unknown run of a cell 'alon': did you mean alone"):
        read(BY_HAND + cells.partition(", { part")[0].replace("alone", "alon") + "]\n")


@pytest.mark.parametrize("text", ["\0", "a = " + "[" * 5000, "name = 1\n", 'runs = "x"\n', "\xff", ""])
def test_no_study_at_all(tmp_path, text):
    (tmp_path / "mine.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"mine\.toml: "):
        read_study_file(tmp_path / "mine.toml")


def test_the_mark_of_some_editors_is_no_part_of_a_study(tmp_path):
    (tmp_path / "mine.toml").write_text(BY_HAND, encoding="utf-8-sig", newline="\r\n")
    assert read_study_file(tmp_path / "mine.toml").name == "my-birds"


def test_a_changed_study_needs_another_name(tmp_path):
    text = study_text(build_study("quickstart"))
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("steps = 1200", "steps = 600"))
    with pytest.raises(ValueError, match="name = 'quickstart' is that of a study of relbench"):
        find_study(str(path))
    path.write_text(text.replace("steps = 1200", "steps = 600").replace('"quickstart"', '"mine"'))
    study = find_study(str(path))
    assert (study.name, study.runs["rkd-d"].training.steps) == ("mine", 600)
    path.write_text(path.read_text().replace('"glyphs"', '"glyps"'))
    with pytest.raises(ValueError, match=r"mine.toml: \[runs.teacher\] unknown data set 'glyps': did you mean glyphs"):
        find_study(str(path), root=tmp_path)
    with pytest.raises(ValueError, match="leave --scale out"):
        find_study(str(path), {"scale": "toy"})


def test_losses_from_files_are_not_written(read):
    study = read(BY_HAND)
    own = changed(study, {"task_terms": (Term(loss="mine", source="def mine(student, teacher): ..."),)})
    with pytest.raises(ValueError, match="the loss mine is in a file of its own"):
        study_text(own)


def places(table, before=()):
    for key, value in table.items() if isinstance(table, dict) else enumerate(table):
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from places(value, (*before, key))


def put(content, place, value):
    changed = copy.deepcopy(content)
    table = changed
    for key in place[:-1]:
        table = table[key]
    table[place[-1]] = value
    return changed


@pytest.mark.parametrize("value", [[], {}, -1, "null", "x\ny", float("nan"), [["x"]]])
def test_whatever_stands_anywhere_is_read_or_refused_in_a_line(read, value):
    content = tomllib.loads(BY_HAND + '[table]\npairs = [["rkd-da", "alone"]]\n[task]\nkind = "retrieval"\n')
    tried = refused = accepted = 0
    for place in places(content):
        try:
            study = read(tomli_w.dumps(put(content, place, value)))
        except ValueError as error:
            refused += str(error).count("\n") == 0
        else:
            accepted += changed(read(study_text(study)), {"file_hash": study.file_hash}) == study
        tried += 1
    assert tried == refused + accepted
    assert refused > accepted
