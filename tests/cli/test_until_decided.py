"""Seeds that are added until every verdict is decided: the options, what is refused, and the loop of looks."""

from dataclasses import replace
from pathlib import Path

import pytest
from summed import Lines
from tiny import TINY

import relbench.cli.make_study
from relbench.cli.job import Job
from relbench.cli.make_study import _run_looks
from relbench.cli.options import RunOptions, Until
from relbench.cli.until_decided import refuse_another_rule, rule_of, with_looks
from relbench.results.records import Entry
from relbench.studies.record import FILE, read_study

ENTRIES = (Entry(label="teacher", role="teacher", seed=0, fingerprint="0" * 16),)
RECORD = Lines(entries=ENTRIES).record


def asked(most=20, margin=0.005, **given):
    rule = rule_of((0, 1, 2), Until(most, margin)).model_copy(update=given)
    return RECORD.model_copy(update={"until_decided": rule, "seeds": rule.seeds_now})


def test_the_studys_own_seeds_come_first():
    rule = rule_of((10, 11, 12), Until(8, 0.01))
    assert (rule.seeds, rule.looks, rule.margin) == (tuple(range(10, 18)), (5, 8), 0.01)
    assert rule_of(tuple(range(30)), Until(12, 0.0)).seeds == tuple(range(12))
    assert (rule.seeds_now, rule.seeds_seen) == (tuple(range(10, 15)), ())
    later = rule.model_copy(update={"made": 1})
    assert (len(later.seeds_now), len(later.seeds_seen)) == (8, 5)
    ended = rule.model_copy(update={"made": 2})
    assert ended.seeds_now == ended.seeds_seen == rule.seeds


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (RECORD, asked()),  # a fixed number of seeds, after looks
        (asked(30), asked()),
        (asked(margin=0.01), asked()),
    ],
)
def test_another_rule_is_refused(now, before):
    with pytest.raises(ValueError, match=r"--max-seeds 20 --margin 0\.5, or name another folder"):
        refuse_another_rule(now, before, Path("here"))


def test_other_seeds_of_its_own_are_named():
    """Not the command that was just given."""
    other = asked(seeds=tuple(range(5, 25)))
    with pytest.raises(ValueError, match="own begin with 5 now: give it its former seeds"):
        refuse_another_rule(other, asked(), Path("here"))


def test_the_same_rule_goes_on_and_other_data_sets_are_refused():
    refuse_another_rule(asked(), asked(made=2), Path("here"))
    refuse_another_rule(asked(), RECORD, Path("here"))
    refuse_another_rule(RECORD, RECORD, Path("here"))
    assert asked().merged(asked(made=2)).until_decided.made == 2
    other = RECORD.model_copy(update={"contents": {"glyphs": "", "cub200": ""}})
    with pytest.raises(ValueError, match="here holds results of cub200 and glyphs"):
        refuse_another_rule(asked(), other, Path("here"))


def test_what_was_seen_before_is_kept(tmp_path):
    """Only finished runs were seen."""
    merged = asked().merged(RECORD)
    assert with_looks(merged, RECORD, tmp_path).until_decided.after == ()
    assert with_looks(merged, RECORD, tmp_path).seeds == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(("decided_after", "looks"), [(1, [5]), (2, [5, 8]), (9, [5, 8, 12, 20])])
def test_looks_follow_until_all_is_decided(monkeypatch, tmp_path, decided_after, looks):
    """Each look has its runs made, and is kept in the record."""
    made = []

    def run(job, followers):
        assert job.seeds == job.record.seeds
        made.append(len(job.seeds))
        return job, False

    def decided(record, folder):
        return record.until_decided.made in (decided_after, len(record.until_decided.looks))

    monkeypatch.setattr(relbench.cli.make_study, "_run", run)
    monkeypatch.setattr(relbench.cli.make_study, "_measure_elsewhere", lambda job: False)
    monkeypatch.setattr(relbench.cli.make_study, "is_decided", decided)
    options = RunOptions(None, "cpu", tmp_path, tmp_path, 1, {}, until=Until(20, 0.005))
    job = Job(asked(), ("teacher",), tmp_path, options, ())
    after, failed = _run_looks(job, ())
    assert (made, failed) == (looks, False)
    assert len(after.record.seeds) == looks[-1]
    assert read_study(tmp_path).until_decided.made == len(looks)
    again, _ = _run_looks(replace(job, record=read_study(tmp_path)), ())
    assert made == looks  # nothing more is made
    assert again.record == after.record


def test_a_look_with_a_failed_run_is_not_made(monkeypatch, tmp_path):
    monkeypatch.setattr(relbench.cli.make_study, "_run", lambda job, followers: (job, True))
    monkeypatch.setattr(relbench.cli.make_study, "_measure_elsewhere", lambda job: False)
    options = RunOptions(None, "cpu", tmp_path, tmp_path, 1, {}, until=Until(20, 0.005))
    job, failed = _run_looks(Job(asked(), ("teacher",), tmp_path, options, ()), ())
    assert failed
    assert job.record.until_decided.made == 0
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-seeds", "9"], "--max-seeds and --margin belong to --seeds until-decided"),
        (["--seeds", "0,1", "--margin", "1"], "--max-seeds and --margin belong to --seeds until-decided"),
        (["--seeds", "until-decided", "--max-seeds", "4"], "the first look has 5"),
        (["--seeds", "until-decided", "--only", "rkd-d"], "leave --only out"),
        (["--seeds", "until-decided", "--margin", "-1"], "--margin -1 must be points"),
        (["--seeds", "until-decded"], "give whole numbers with commas between, such as 0,1,2, or until-decided"),
    ],
)
def test_what_is_refused(call, tmp_path, options, words):
    found = call("reproduce", "quickstart", "--dry-run", "--results", tmp_path, *options)
    assert found.code == 2
    assert words in found.error
    assert found.error.count("\n") == 1


def test_a_dry_run_says_the_least_and_the_most(call, tmp_path):
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    rule = ("--seeds", "until-decided", "--max-seeds", "8")
    found = call("reproduce", "quickstart", "--dry-run", "--results", tmp_path, *rule, *settings)
    assert found.code == 0
    least, most = found.out.index("at least 5 seeds:"), found.out.index("at most 8 seeds:")
    assert least < found.out.index("30 runs to make") < most < found.out.index("48 runs to make")


def test_a_look_is_made_though_a_rate_failed_that_is_no_candidate_any_more(monkeypatch, tmp_path):
    """All runs that are left are finished; the command still tells that something failed."""
    monkeypatch.setattr(relbench.cli.make_study, "_run", lambda job, followers: (job, True))
    monkeypatch.setattr(relbench.cli.make_study, "_measure_elsewhere", lambda job: False)
    monkeypatch.setattr(relbench.cli.make_study, "is_finished", lambda run, folder: True)
    monkeypatch.setattr(relbench.cli.make_study, "is_decided", lambda record, folder: record.until_decided.made == 1)
    options = RunOptions(None, "cpu", tmp_path, tmp_path, 1, {}, until=Until(20, 0.005))
    job, failed = _run_looks(Job(asked(), ("teacher",), tmp_path, options, ()), ())
    assert failed
    assert read_study(tmp_path).until_decided.made == job.record.until_decided.made == 1
