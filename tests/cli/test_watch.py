"""What runs, as it is shown: at any width, into files, as JSON, and how it ends."""

import dataclasses
import io
import json
import re
from pathlib import Path

import pytest

from relbench.analysis.under_way import Failed, StudyProgress, UnderWay
from relbench.cli import watching
from relbench.cli.console import Terminal

RUN = UnderWay(
    label="cub200/rkd-da/64",
    seed=3,
    fingerprint="0123456789abcdef",
    phase="training",
    done=1200,
    steps=20_000,
    steps_per_second=2.0,
    seconds_left=9400.0,
    loss=0.12345678,
    last={"step": 1200.0, "loss/triplet": 0.25, "validation/recall@1": 0.4567},
    machine="node-7.cluster.example.org",
    process=31_337,
    seconds_since=3.2,
    killed=False,
)
KILLED = dataclasses.replace(RUN, label="teacher", killed=True, seconds_since=600.0, last={}, loss=None)
VALIDATING = dataclasses.replace(RUN, label="a", phase="validating", seconds_since=None, steps_per_second=None)
STUDY = StudyProgress(
    Path("results/one"),
    planned=12,
    finished=4,
    under_way=(RUN, KILLED, VALIDATING),
    failed=(Failed("rkd-d", 0, "fedcba9876543210", f"ValueError: {'too long ' * 30}\x1b[31m"),),
    lost=1,
)
BROKEN = StudyProgress(Path("results/two"), error="study.json is not readable")
OVER = StudyProgress(Path("results/three"), planned=3, finished=3)


def shown(width):
    console = Terminal(file=io.StringIO(), width=width)
    console.print(watching.tables([STUDY, BROKEN, OVER], width))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 160])
def test_tables(width):
    lines = shown(width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "results/one: 4 of 12 runs finished, 2 under way, 1 perhaps killed, 3 waiting, 1 failed, 1 that" in text
    speed, where = (" 2", " 31337 on node-7.cluster.example.org") if width == 160 else ("", "")
    numbers = " 0.1235 45.7 %" if width > 60 else ""
    assert f"cub200/rkd-da/64 3 1,200/20,000{speed} 2.6 h{numbers}{where} 3 s" in text
    assert f"teacher 3 1,200/20,000{speed} killed?{where} 10 min" in text
    assert f"a 3 1,200/20,000 validating{numbers}{where} clock?" in text
    assert "failed rkd-d, seed 0: ValueError: too long" in text
    assert text.endswith("results/two: study.json is not readable results/three: 3 of 3 runs finished")
    assert len(lines) == (8 if width == 160 else 9)  # a failure is cut short, a heading is not


@pytest.fixture
def looks(monkeypatch):
    """What is seen, look after look; after that somebody presses Ctrl-C."""

    def see(*each):
        seen = iter(each)
        monkeypatch.setattr(watching.Watch, "look", lambda self: next(seen))
        monkeypatch.setattr(watching.time, "sleep", lambda _: None)

    def stop(*each):
        see(*each)
        left = iter(each[1:])

        def sleep(_):
            if next(left, None) is None:
                raise KeyboardInterrupt

        monkeypatch.setattr(watching.time, "sleep", sleep)

    return see, stop


def moved(study, done):
    return dataclasses.replace(study, under_way=(dataclasses.replace(RUN, done=done, seconds_since=float(done)),))


def test_it_ends_when_nothing_is_left(call, looks):
    """Into a file, numbers that move are no news."""
    looks[0]([moved(STUDY, 1)], [moved(STUDY, 2)], [OVER])
    done = call("watch", "results")
    assert (done.code, done.error) == (0, "")
    assert re.findall(r"(\d+) of (\d+) runs finished", done.out) == [("4", "12"), ("3", "3")]


def test_a_failed_run_is_told_by_the_exit_code(call, looks):
    over = dataclasses.replace(STUDY, planned=6, under_way=())
    assert over.is_over
    looks[0]([over])
    assert call("watch", "results").code == 1
    looks[0]([over])
    assert call("watch", "results", "--once").code == 0


def test_ctrl_c(call, looks):
    looks[1]([STUDY], [STUDY])
    done = call("watch", "results")
    assert (done.code, done.error) == (130, "relbench: no longer watched; the runs go on\n")
    assert done.out.count("of 12 runs finished") == 1


def test_json(call, looks):
    still = dataclasses.replace(moved(STUDY, 2), under_way=(dataclasses.replace(RUN, done=2, seconds_since=9.0),))
    looks[0]([moved(STUDY, 1)], [moved(STUDY, 2)], [still], [OVER])
    lines = call("watch", "results", "--json").out.splitlines()
    told = [json.loads(line) for line in lines]
    assert [study["under_way"][0]["done"] if study["under_way"] else None for (study,) in told] == [1, 2, None]
    assert (told[0][0]["folder"], told[0][0]["waiting"], told[2][0]["is_over"]) == ("results/one", 5, True)
    looks[0]([STUDY, BROKEN])
    (first, second) = json.loads(call("watch", "results", "--once", "--json").out)
    assert first["under_way"][0]["last"]["validation/recall@1"] == 0.4567
    assert second["error"] == "study.json is not readable"


def test_in_a_terminal_the_table_is_drawn_in_one_place(call, looks, monkeypatch):
    console = Terminal(file=io.StringIO(), width=100, force_terminal=True)
    monkeypatch.setattr(watching, "out", console)
    looks[0]([moved(STUDY, 11)], [moved(STUDY, 22)], [OVER])
    assert call("watch", "results").code == 0
    text = console.file.getvalue()
    assert "11/20,000" in text
    assert "22/20,000" in text
    assert "\x1b[1A" in text  # the cursor goes up, over what was drawn before


def test_a_folder_without_results_is_refused(call, tmp_path):
    done = call("watch", tmp_path)
    assert done.code == 2
    assert done.error.startswith(f"relbench: {tmp_path} holds no results")
    assert done.error.count("\n") == 1
