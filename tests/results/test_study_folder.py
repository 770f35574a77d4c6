"""No request replaces what another one has finished."""

from pathlib import Path

import pytest

from relbench.analysis.results import tuning_plan
from relbench.cli.job import folder_of, joined, record_of
from relbench.cli.make_study import _make
from relbench.cli.options import RunOptions
from relbench.grid.plan import planned_runs
from relbench.results.records import read_record, write_record
from relbench.results.study_folder import folder_name, own_folder
from relbench.studies import build_study
from relbench.studies.record import FILE, StudyRecord

QUICKSTART = build_study("quickstart")


@pytest.fixture
def told(monkeypatch):
    """What the user is told of folders."""
    words = []
    monkeypatch.setattr("relbench.cli.job.tell", words.append)
    return words


def options_of(results, data, seeds=(0,), *, dry_run=False, only=(), **changes):
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    return RunOptions(tuple(seeds), "cpu", results, data, 1, changes, dry_run, only=only)


def asked(options, study=QUICKSTART):
    record, _ = record_of(study, study.data_sets, options)
    return record


def fingerprints(record, seeds=None):
    runs = planned_runs(tuning_plan(record, Path("nowhere")), record.paths, seeds or record.seeds)
    return [run.name for run in runs]


def begun(options, study=QUICKSTART):
    """The folder of a request, with its record; and all its runs finished, as far as their folders can tell."""
    folder = folder_of(asked(options, study), options, {})
    record = joined(asked(options, study), folder, tells=True)
    write_record(record, folder / FILE)
    for name in fingerprints(record, options.seeds):
        (folder / "runs" / name).mkdir(parents=True, exist_ok=True)
        (folder / "runs" / name / "row.json").touch()
    return folder


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "quickstart"),
        ({"data.name": "emoji"}, "quickstart-data.name=emoji"),
        ({"student.steps": 10, "data.hold_out": False}, "quickstart-data.hold_out=false,student.steps=10"),
        (
            {"student.width": None, "student.learning_rate": 1e-3},
            "quickstart-student.learning_rate=0.001,student.width=null",
        ),
    ],
)
def test_a_folder_is_named_by_what_was_changed(changes, name):
    assert folder_name("quickstart", changes) == name


@pytest.mark.parametrize("value", ["../../etc", "a b", "$(reboot)", "x" * 300, "a\nb", "[v2]"])
def test_what_is_no_plain_name_is_hashed(value):
    name = folder_name("quickstart", {"data.name": value})
    assert name.startswith("quickstart-")
    assert len(name) == len("quickstart-") + 8
    assert name != folder_name("quickstart", {"data.name": value + "x"})


@pytest.mark.parametrize("study", ["..", "../../out", "mine-../../out", "/tmp/out", "-x", ".hidden", "a b"])
def test_no_name_of_a_study_leads_out_of_the_results(study):
    """A file's variant, of which anything may stand there, is part of the name."""
    name = folder_name(study, {})
    assert Path(name).name == name
    assert name[0] not in ".-"
    assert " " not in name
    assert name != folder_name(f"{study} ", {})


def test_many_losses_are_still_a_name():
    assert len(folder_name("+".join(["quickstart", *["a_loss_of_a_long_name"] * 20]), {})) < 100


def test_other_settings_go_to_another_folder(tmp_path, told):
    """The issue's case: `reproduce quickstart --set data.name=emoji` replaced the quick start's report."""
    first, other = options_of(tmp_path, tmp_path), options_of(tmp_path, tmp_path, student__dim=64)
    assert begun(first) == tmp_path / "quickstart"
    before = (tmp_path / "quickstart" / FILE).read_bytes()
    assert begun(other) == tmp_path / "quickstart-student.dim=64"
    assert begun(other) == tmp_path / "quickstart-student.dim=64"
    assert (tmp_path / "quickstart" / FILE).read_bytes() == before
    assert told == []


def test_the_same_request_finds_its_folder_again_whatever_the_seeds(tmp_path, told):
    for seeds in ((0, 1), (0,), (5,), (0, 1, 2)):
        assert begun(options_of(tmp_path, tmp_path, seeds)) == tmp_path / "quickstart"
    assert not any("left alone" in words for words in told)


def test_fewer_seeds_take_nothing_out_of_the_report(tmp_path, told):
    folder = begun(options_of(tmp_path, tmp_path, (0, 1, 2)))
    begun(options_of(tmp_path, tmp_path, (1,)))
    assert read_record(StudyRecord, folder / FILE) == asked(options_of(tmp_path, tmp_path, (0, 1, 2)))
    assert told == ["runs of seed 0 and 2 were finished before with the same settings, and stay in the report"]


def test_what_was_asked_for_but_not_finished_is_not_kept(tmp_path, told):
    folder = begun(options_of(tmp_path, tmp_path, (0, 1)))
    for name in fingerprints(asked(options_of(tmp_path, tmp_path, (1,)))):
        (folder / "runs" / name / "row.json").unlink()
    record = joined(asked(options_of(tmp_path, tmp_path, (0,))), folder, tells=True)
    assert record.seeds == (0,)
    assert told == []


def test_a_folder_of_another_device_or_data_is_left_alone(tmp_path, told):
    """What no setting names, such as a data set that was added anew, makes other runs as well."""
    folder = begun(options_of(tmp_path, tmp_path))
    record = asked(options_of(tmp_path, tmp_path))
    write_record(record.model_copy(update={"contents": {"glyphs": "0" * 16}}), folder / FILE)
    before = (folder / FILE).read_bytes()
    other = begun(options_of(tmp_path, tmp_path))
    assert other.parent == tmp_path
    assert other.name.startswith("quickstart-")
    assert (folder / FILE).read_bytes() == before
    assert told == [
        f"{folder} holds results of other settings, device, data or losses, and is left alone: these go to {other}"
    ]
    assert begun(options_of(tmp_path, tmp_path)) == other


@pytest.mark.parametrize("name", ["plan.json", "request.json"])
def test_a_folder_of_an_earlier_version_is_gone_on_with(tmp_path, told, name):
    """Its runs are found again by their names; its own record is not read."""
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / name).write_text("{")
    assert begun(options_of(tmp_path, tmp_path)) == tmp_path / "quickstart"
    assert told == []


def test_where_both_names_are_taken_it_is_refused(tmp_path):
    (tmp_path / "quickstart-12345678").mkdir()
    with pytest.raises(ValueError, match="quickstart-12345678 holds results of other settings: move it away"):
        own_folder(tmp_path, "quickstart", "12345678abcdef00", lambda _: True, print)


TABLE = build_study("glyphs-table1", {"scale": "toy"})


def plan_table(options, told):
    told.clear()
    _make(TABLE, options, {})
    return [words for words in told if "left alone" in words]


def test_a_table_of_other_settings_or_images_goes_to_another_folder(tmp_path, told, monkeypatch):
    monkeypatch.setattr("relbench.cli.make_study.show_plan", lambda *_: None)
    options = options_of(tmp_path, tmp_path, dry_run=True, only=("*/triplet/16",))
    folder = tmp_path / "glyphs-table1-paper-toy"
    contents = dict.fromkeys(TABLE.data_sets, "")
    record = StudyRecord(study=TABLE, changes={}, contents=contents, seeds=(0,))
    write_record(record, folder / FILE)
    assert plan_table(options, told) == []
    other_steps = options_of(tmp_path, tmp_path, dry_run=True, training__steps=6)
    assert plan_table(other_steps, told) == []  # a name of its own
    other = dict.fromkeys(contents, "other images")
    write_record(record.model_copy(update={"contents": other}), folder / FILE)
    (words,) = plan_table(options, told)
    assert words.startswith(f"{folder} holds results of other settings")


def test_images_that_are_only_measured_on_must_be_the_same_too():
    one = StudyRecord(study=TABLE, changes={}, contents={"a": "1"}, seeds=(0,))
    with_dogs, with_others = (one.model_copy(update={"other_contents": {"dogs": name}}) for name in ("1", "2"))
    assert with_dogs.merged(with_others) is None
    assert one.merged(with_dogs).other_contents == {"dogs": "1"}
    unknown = one.model_copy(update={"contents": {"a": ""}})
    assert unknown.merged(one).contents == one.merged(unknown).contents == {"a": "1"}


def test_a_damaged_record_is_called_what_it_is(tmp_path):
    (tmp_path / FILE).write_text("{")
    with pytest.raises(ValueError, match=r"study\.json is not a readable study record \(EOF"):
        read_record(StudyRecord, tmp_path / FILE)
