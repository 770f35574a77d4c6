"""No request replaces what another one has finished."""

import pytest

from relbench.cli.making import RunOptions
from relbench.cli.study_tables import _folder_of, _with_earlier_seeds
from relbench.cli.table_commands import Asked, make_table
from relbench.grid.tuning import Request
from relbench.resolve import as_plan, plan_cells
from relbench.results.records import read_record, write_record
from relbench.results.study_folder import folder_name, own_folder
from relbench.studies import STUDIES, TABLES

QUICKSTART = STUDIES["quickstart"]


@pytest.fixture
def told(monkeypatch):
    """What the user is told of folders."""
    words = []
    monkeypatch.setattr("relbench.cli.study_tables.tell", words.append)
    monkeypatch.setattr("relbench.cli.table_commands.tell", words.append)
    return words


def call_of(results, data, seeds=(0,), *, dry_run=False, **changes):
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    return RunOptions(tuple(seeds), "cpu", results, data, 1, changes, dry_run)


def planned(call, study=QUICKSTART):
    return as_plan(study, plan_cells(study, call.seeds, call.device, call.changes, call.data), call.changes)


def begun(call, study=QUICKSTART):
    """The folder of a request, with its plan; and all its runs finished, as far as a plan can tell."""
    folder = _folder_of(study, call, call.changes)
    plan = _with_earlier_seeds(planned(call, study), folder)
    write_record(plan, folder / "plan.json")
    for entry in plan.entries:
        (folder / "runs" / entry.fingerprint).mkdir(parents=True, exist_ok=True)
        (folder / "runs" / entry.fingerprint / "row.json").touch()
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


def test_many_losses_are_still_a_name():
    assert len(folder_name("+".join(["quickstart", *["a_loss_of_a_long_name"] * 20]), {})) < 100


def test_other_settings_go_to_another_folder(tmp_path, told):
    """The issue's case: `reproduce quickstart --set data.name=emoji` replaced the quick start's report."""
    first, other = call_of(tmp_path, tmp_path), call_of(tmp_path, tmp_path, student__dim=64)
    assert begun(first) == tmp_path / "quickstart"
    before = (tmp_path / "quickstart" / "plan.json").read_bytes()
    assert begun(other) == tmp_path / "quickstart-student.dim=64"
    assert begun(other) == tmp_path / "quickstart-student.dim=64"
    assert (tmp_path / "quickstart" / "plan.json").read_bytes() == before
    assert told == []


def test_the_same_request_finds_its_folder_again_whatever_the_seeds(tmp_path, told):
    for seeds in ((0, 1), (0,), (5,), (0, 1, 2)):
        assert begun(call_of(tmp_path, tmp_path, seeds)) == tmp_path / "quickstart"
    assert not any("left alone" in words for words in told)


def test_fewer_seeds_take_nothing_out_of_the_report(tmp_path, told):
    folder = begun(call_of(tmp_path, tmp_path, (0, 1, 2)))
    begun(call_of(tmp_path, tmp_path, (1,)))
    entries = read_record(type(planned(call_of(tmp_path, tmp_path))), folder / "plan.json").entries
    assert entries == planned(call_of(tmp_path, tmp_path, (0, 1, 2))).entries
    assert told == ["runs of seed 0 and 2 were finished before with the same settings, and stay in the report"]


def test_what_was_asked_for_but_not_finished_is_not_kept(tmp_path, told):
    folder = begun(call_of(tmp_path, tmp_path, (0, 1)))
    for entry in planned(call_of(tmp_path, tmp_path, (1,))).entries:
        (folder / "runs" / entry.fingerprint / "row.json").unlink()
    plan = _with_earlier_seeds(planned(call_of(tmp_path, tmp_path, (0,))), folder)
    assert {entry.seed for entry in plan.entries} == {0}
    assert told == []


def test_a_folder_of_another_device_or_data_is_left_alone(tmp_path, told):
    """What no setting names, such as a data set that was added anew, changes fingerprints as well."""
    folder = begun(call_of(tmp_path, tmp_path))
    plan = planned(call_of(tmp_path, tmp_path))
    entries = [entry.model_copy(update={"fingerprint": "0" * 16}) for entry in plan.entries]
    write_record(plan.model_copy(update={"entries": tuple(entries)}), folder / "plan.json")
    before = (folder / "plan.json").read_bytes()
    other = begun(call_of(tmp_path, tmp_path))
    assert other.parent == tmp_path
    assert other.name.startswith("quickstart-")
    assert (folder / "plan.json").read_bytes() == before
    assert told == [
        f"{folder} holds results of other settings, device, data or losses, and is left alone: these go to {other}"
    ]
    assert begun(call_of(tmp_path, tmp_path)) == other


def test_where_both_names_are_taken_it_is_refused(tmp_path):
    (tmp_path / "quickstart-12345678").mkdir()
    with pytest.raises(ValueError, match="quickstart-12345678 holds results of other settings: move it away"):
        own_folder(tmp_path, "quickstart", "12345678abcdef00", lambda _: True, print)


TABLE = ("glyphs-table1", {"scale": "toy", "only": ("*/triplet/16",)})


def plan_table(call, told, **asked):
    told.clear()
    make_table(TABLES[TABLE[0]], call, Asked(**(TABLE[1] | asked)))
    return [words for words in told if "left alone" in words]


def test_a_printed_table_of_other_settings_or_images_goes_to_another_folder(tmp_path, told, monkeypatch):
    monkeypatch.setattr("relbench.cli.table_commands.show_plan", lambda *_: None)
    call = call_of(tmp_path, tmp_path, dry_run=True)
    folder = tmp_path / "glyphs-table1-paper-toy"
    contents = dict.fromkeys(TABLES[TABLE[0]].data_sets, "")
    request = Request(
        study=TABLE[0], protocol="paper", scale="toy", device="cpu", changes={}, contents=contents, seeds=(0,)
    )
    write_record(request, folder / "request.json")
    assert plan_table(call, told) == []
    assert plan_table(call_of(tmp_path, tmp_path, dry_run=True, training__steps=6), told) == []  # a name of its own
    other = dict.fromkeys(contents, "other images")
    write_record(request.model_copy(update={"contents": other}), folder / "request.json")
    (words,) = plan_table(call, told)
    assert words.startswith(f"{folder} holds results of other settings")


def test_images_that_are_only_measured_on_must_be_the_same_too():
    one = Request(study="t", protocol="paper", scale="toy", device="cpu", changes={}, contents={"a": "1"}, seeds=(0,))
    with_dogs, with_others = (one.model_copy(update={"elsewhere": {"dogs": name}}) for name in ("1", "2"))
    assert with_dogs.merged(with_others) is None
    assert one.merged(with_dogs).elsewhere == {"dogs": "1"}
    unknown = one.model_copy(update={"contents": {"a": ""}})
    assert unknown.merged(one).contents == one.merged(unknown).contents == {"a": "1"}
