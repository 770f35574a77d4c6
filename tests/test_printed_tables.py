"""The tables of a paper as a user makes them, at toy scale: tiny archives of the real layouts, every command."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from data.archives import MAKERS
from data.tiny_cards import tiny_card

from relbench.analysis.results import tuning_plan
from relbench.data import find_data_set
from relbench.experiment import Data
from relbench.grid.plan import planned_runs
from relbench.grid.tuning import TuningPlan
from relbench.results.records import Row, read_record, write_record
from relbench.settings import changed
from relbench.studies import build_study
from relbench.studies.record import FILE, read_study
from relbench.transfer import Transfer

CLASSES, IMAGES = 8, {"cub200": 4, "cars196": 4, "sop": 130}
LAYOUTS = {"cub200": "cub200", "cars196": "cars196-A", "sop": "sop"}
KS = {"cub200": (1, 2, 4, 8), "cars196": (1, 2, 4, 8), "sop": (1, 10, 100, 1000)}
TOY = ("--device", "cpu", "--scale", "toy", "--jobs", "1", "--seeds", "0")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The three data sets, unpacked in place, and what their lists must give."""
    root = tmp_path_factory.mktemp("real")
    truths = {
        name: MAKERS[layout](_made(root / name), classes=CLASSES, images=IMAGES[name])
        for name, layout in LAYOUTS.items()
    }
    return root, truths


def _made(folder):
    folder.mkdir()
    return folder


@pytest.fixture
def data(world, cards):
    """The folder of data sets, with cards that say what is in it."""
    root, truths = world
    files = {name: {file.name: file for file in (root / name).glob("*.mat")} for name in truths}
    cards(*(changed(tiny_card(name, truth, files[name]), {"ks": KS[name]}) for name, truth in truths.items()))
    return root


@pytest.fixture
def make(call, data, tmp_path):
    """Make a table at toy scale."""

    def make(table, *options, results=tmp_path / "results"):
        return call("reproduce", table, *TOY, "--data", data, "--results", results, *options)

    return make


def cells(folder):
    return pd.read_csv(folder / "cells.csv", keep_default_na=False, na_values=[""])


def rows(folder):
    found = [read_record(Row, path) for path in folder.glob("runs/*/row.json")]
    return {row.fingerprint: row for row in found}


def told(folder):
    """What rows say that must not depend on when and how a run was made."""
    plain = ("metrics", "validation", "counts", "history", "selected_step", "data_hash")
    return {name: [getattr(row, field) for field in plain] for name, row in rows(folder).items()}


FILES = ("table.md", "table.tex", "cells.csv", "floors.csv", "claims.csv", "cells.png", "report.html")


def check_files(folder, name, numbers):
    """The files are there, say what scale they are of, and print the paper's numbers."""
    assert all((folder / file).stat().st_size for file in FILES)
    frame = cells(folder)
    assert len(frame) == numbers
    assert set(frame["scale"]) == {"toy"}
    floors = pd.read_csv(folder / "floors.csv")
    assert set(floors["floor"]) == {"raw pixels", "untrained network"}
    assert floors["mean"].between(0, 1).all()
    assert frame["paper"].tolist() == [cell.published for cell in build_study(name).cells]
    assert "toy" in (folder / "table.md").read_text().splitlines()[0].lower()
    return frame


@pytest.mark.slow
def test_table_1_whole_then_nothing_again(make, tmp_path):
    made = make("rkd-table1")
    assert made.code == 0, made.error
    folder = tmp_path / "results" / "rkd-table1-paper-toy"
    frame = check_files(folder, "rkd-table1", 82)
    assert frame.filter(like="last_mean").notna().all(axis=None)
    found = rows(folder)
    assert len(found) == 82 + 8
    assert {row.experiment.scale for row in found.values()} == {"toy"}
    before = {file: (folder / file).read_bytes() for file in FILES}
    times = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/*")}
    again = make("rkd-table1")
    assert "90 of 90 runs are finished already" in again.out
    assert times == {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/*")}
    assert before == {file: (folder / file).read_bytes() for file in FILES}
    shutil.rmtree(folder / "runs" / next(iter(found)))
    one_more = make("rkd-table1")
    assert "89 of 90 runs are finished already" in one_more.out
    assert told(folder).keys() == found.keys()


@pytest.mark.slow
def test_table_1_cell_by_cell_is_the_same_table(make, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    selections = ("cub200/rkd-da/16", "cub200/fitnet/16", "cub200/teacher/512")
    only = [part for path in selections for part in ("--only", path)]
    assert make("rkd-table1", "--dataset", "cub200", *only, results=whole).code == 0
    for path in selections:
        made = make("rkd-table1", "--dataset", "cub200", "--only", path, results=parts)
        assert made.code == 0, made.error
        folder = parts / "rkd-table1-paper-toy"
        filled = cells(folder).set_index("path")["last_mean"].notna()
        assert filled[path]
        assert len(filled) == 41  # the other data set was not asked for
    assert told(whole / folder.name) == told(folder)
    assert (whole / folder.name / "cells.csv").read_bytes() == (folder / "cells.csv").read_bytes()


@pytest.mark.slow
def test_seeds_add_up_and_make_intervals_and_answers(make, tmp_path):
    options = ("--dataset", "cars196", "--only", "cars196/rkd-da/64", "--only", "cars196/rkd-da/128")
    folder = tmp_path / "results" / "rkd-table1-paper-toy"
    assert make("rkd-table1", *options).code == 0
    assert cells(folder).set_index("path").loc["cars196/rkd-da/64", "last_seeds"] == 1
    claims = pd.read_csv(folder / "claims.csv")
    assert set(claims["answer"]) == {"not shown"}
    assert make("rkd-table1", *options, "--seeds", "1,2").code == 0
    line = cells(folder).set_index("path").loc["cars196/rkd-da/64"]
    assert line["last_seeds"] == 3
    assert line["last_95_low"] < line["last_mean"] < line["last_95_high"]
    by_seed = {row.experiment.seed: row for row in rows(folder).values() if row.experiment.net.dim == 64}
    assert line["last_mean"] == pytest.approx(sum(row.metrics["recall@1"] for row in by_seed.values()) / 3)


@pytest.mark.slow
def test_fair_chooses_rates_on_validation_classes(make, tmp_path):
    made = make(*("rkd-table1", "--protocol", "fair"), *("--only", "cub200/rkd-da/16", "--only", "cub200/fitnet/64"))
    assert made.code == 0, made.error
    folder = tmp_path / "results" / "rkd-table1-fair-toy"
    found = rows(folder)
    record = read_study(folder)
    tuning = TuningPlan(record.pinned, lambda run: found.get(run.fingerprint))
    planned_runs(tuning, record.paths, (0,))
    assert set(tuning.choices) == {"cub200/teacher/512", "cub200/rkd-da/64", "cub200/fitnet/64"}
    for path, choice in tuning.choices.items():
        tuned = [found[run.fingerprint] for run in tuning.tuning_runs([path])]
        assert len(tuned) == 2
        best = max(tuned, key=lambda row: (row.validation["recall@1"], -row.experiment.training.learning_rate))
        assert choice.rate == best.experiment.training.learning_rate
    assert {row.experiment.total_steps for row in found.values() if not is_first_stage(row, found)} == {4}
    assert all(row.experiment.data.hold_out for row in found.values())
    assert "Learning rate of cub200/rkd-da/64" in (folder / "table.md").read_text()
    before = told(folder)
    again = make(*("rkd-table1", "--protocol", "fair"), *("--only", "cub200/rkd-da/16", "--only", "cub200/fitnet/64"))
    assert again.code == 0
    assert told(folder) == before


def is_first_stage(row, found):
    starts = {
        other.experiment.initialized_from.fingerprint for other in found.values() if other.experiment.initialized_from
    }
    return row.fingerprint in starts


def in_the_way(folder, run):
    """A file where the run's folder belongs: it fails, as it would on a broken disk."""
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    (folder / "runs" / run.fingerprint).touch()
    return folder / "runs" / run.fingerprint


FAIR = ("rkd-table1", "--protocol", "fair", "--only", "cub200/rkd-d/64")


@pytest.fixture
def candidates(data):
    """The first runs under fair: the teacher's rates."""
    contents = {"cub200": find_data_set("cub200", data).content(data)}
    study = build_study("rkd-table1", {"protocol": "fair", "scale": "toy"}).with_contents(contents)
    return TuningPlan(study, lambda _: None).tuning_runs(["cub200/teacher/512"])


@pytest.mark.slow
def test_a_candidate_that_failed_by_chance_is_made_again(make, candidates, tmp_path):
    folder = tmp_path / "results" / "rkd-table1-fair-toy"
    stone = in_the_way(folder, candidates[0])
    failed = make(*FAIR)
    assert failed.code == 1
    assert cells(folder)["last_mean"].isna().all()  # no rate was chosen from what is left
    stone.unlink()
    assert make(*FAIR).code == 0
    (note,) = [
        line for line in (folder / "table.md").read_text().splitlines() if "Learning rate of cub200/teacher" in line
    ]
    assert all(f"at {run.training.learning_rate:g}" in note for run in candidates)


@pytest.mark.slow
def test_a_teacher_of_a_later_seed_that_fails_takes_its_students_along(make, candidates, tmp_path):
    folder = tmp_path / "results" / "rkd-table1-fair-toy"
    for run in candidates:
        in_the_way(folder, changed(run, {"seed": 1}))
    made = make(*FAIR, "--seeds", "0,1")
    assert made.code == 1
    assert cells(folder).set_index("path").loc["cub200/rkd-d/64", "last_seeds"] == 1


@pytest.mark.slow
def test_three_rules_of_selection(make, call, tmp_path):
    options = ("--only", "cub200/rkd-d/16")
    made = make("rkd-table1", *options, "--set", "data.hold_out=true", "--selection", "all")
    assert made.code == 0, made.error
    folder = tmp_path / "results" / "rkd-table1-paper-toy-data.hold_out=true"
    line = cells(folder).set_index("path").loc["cub200/rkd-d/16"]
    row = next(row for row in rows(folder).values() if row.experiment.teacher)
    assert line["last_mean"] == row.metrics["recall@1"]
    assert line["validation_mean"] == row.metrics_at("validation")[1]["recall@1"]
    assert line["test_peeking_mean"] == max(one.get("test.recall@1", 0) for one in row.history)
    assert line["test_peeking_mean"] >= line["last_mean"]
    text = (folder / "table.md").read_text()
    assert "peeking" in text
    assert "data.hold\\_out = True" in text
    assert call("report", folder, "--selection", "test").code == 0
    assert "test_peeking_mean" in cells(folder)
    assert "last_mean" not in cells(folder)


@pytest.mark.slow
def test_table_2_teaches_itself(make, tmp_path):
    made = make("rkd-table2")
    assert made.code == 0, made.error
    frame = check_files(tmp_path / "results" / "rkd-table2-paper-toy", "rkd-table2", 12)
    assert frame["last_mean"].notna().all()


@pytest.mark.slow
def test_table_3_has_other_papers_rows_and_every_k(make, tmp_path):
    made = make("rkd-table3")
    assert made.code == 0, made.error
    frame = check_files(tmp_path / "results" / "rkd-table3-paper-toy", "rkd-table3", 108)
    ours = frame["path"].notna()
    assert frame.loc[ours, "last_mean"].notna().all()
    assert frame.loc[~ours, "last_mean"].isna().all()
    assert frame.loc[ours & (frame["metric"] == "recall@1000"), "last_mean"].between(0.5, 1).all()
    google = frame["path"].fillna("").str.contains("googlenet")
    assert frame.loc[google, "note"].str.contains("another training").all()


@pytest.mark.slow
def test_figure_3_measures_finished_runs_elsewhere(make, call, data, tmp_path):
    assert make("rkd-table1", "--only", "cars196/rkd-da/128").code == 0
    made = make("rkd-fig3")
    assert made.code == 0, made.error
    assert "2 finished runs are taken over" in made.out
    folder = tmp_path / "results" / "rkd-fig3-paper-toy"
    frame = check_files(folder, "rkd-fig3", 12)
    measured = frame.set_index(["row", "column"])["last_mean"].unstack()
    assert measured.loc[["Cars 196", "CUB-200-2011"]].notna().all(axis=None)
    assert measured.loc[["Stanford Dog", "CIFAR-100"]].isna().all(axis=None)
    assert "dogs" in made.out
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json") if path.name != FILE}
    images = tmp_path / "dogs"
    MAKERS["cub200"](_made(images), classes=6, images=4)
    added = call("data", "add", "dogs", images / "CUB_200_2011" / "images", "--data", data)
    assert added.code == 0, added.error
    assert make("rkd-fig3").code == 0
    measured = cells(folder).set_index(["row", "column"])["last_mean"].unstack()
    assert measured.loc["Stanford Dog"].notna().all()
    assert all(path.stat().st_mtime_ns == then for path, then in times.items())
    shutil.rmtree(data / "dogs")
    check_without_dogs(make, call, folder)


def check_without_dogs(make, call, folder):
    """What was measured stays, what can't be any more is left out; what is of other images is refused."""
    assert make("rkd-fig3", "--seeds", "1").code == 0
    assert cells(folder).set_index(["row", "column"])["last_seeds"].unstack().loc["Stanford Dog"].tolist() == [1, 1, 1]
    edited = next(folder.glob("transfers/*.json"))
    write_record(read_record(Transfer, edited).model_copy(update={"data_hash": "0"}), edited)
    refused = call("report", folder)
    assert refused.code == 2
    assert "was made with other images of" in refused.error


@pytest.mark.slow
def test_an_image_that_cannot_be_read_leaves_its_cells_empty(make, data, tmp_path):
    assert make("rkd-fig3").code == 0
    folder = tmp_path / "results" / "rkd-fig3-paper-toy"
    for transfer in folder.glob("transfers/*.json"):
        transfer.unlink()
    image = (
        data
        / "cub200"
        / str(find_data_set("cub200", data).load(Data(name="cub200", size=32), data, iter).table["name"].iloc[-1])
    )
    content = image.read_bytes()
    image.write_bytes(content[:200])
    made = make("rkd-fig3")
    image.write_bytes(content)
    assert made.code == 1
    assert f"failed on cub200: {image} can't be decoded" in made.out
    measured = cells(folder).set_index(["row", "column"])["last_mean"].unstack()
    assert measured.loc["Cars 196"].notna().all()
    assert measured.loc["CUB-200-2011"].isna().all()


def test_rows_of_other_conditions_do_not_get_in(make, call, tmp_path):
    options = ("--only", "cub200/triplet/16")
    assert make("rkd-table1", *options).code == 0
    folder = tmp_path / "results" / "rkd-table1-paper-toy"
    others = ("data.resize=40", "training.steps=6")
    for change in others:
        elsewhere = tmp_path / change
        assert make("rkd-table1", *options, "--set", change, results=elsewhere).code == 0
        for path in (elsewhere / f"{folder.name}-{change}" / "runs").iterdir():
            shutil.copytree(path, folder / "runs" / path.name)
    own = cells(folder)
    assert call("report", folder).code == 0
    assert cells(folder).equals(own)
    assert "2 finished runs of this folder have other settings" in (folder / "table.md").read_text()
    (mine,) = (path for path in folder.glob("runs/*") if path.name in told_of(folder, own))
    other = next(path for path in folder.glob("runs/*") if path != mine)
    shutil.copyfile(other / "row.json", mine / "row.json")  # under the name of the right one
    refused = call("report", folder)
    assert refused.code == 2
    assert "is the row of another experiment" in refused.error


def told_of(folder, frame):
    """Fingerprints of the runs whose numbers stand in the table."""
    tuning = tuning_plan(read_study(folder), folder / "runs")
    return {tuning.run(path, 0).fingerprint for path in frame.loc[frame["last_mean"].notna(), "path"]}


def test_other_images_are_refused(make, call, tmp_path):
    assert make("rkd-table1", "--only", "cub200/triplet/16", "--only", "cub200/triplet/32").code == 0
    folder = tmp_path / "results" / "rkd-table1-paper-toy"
    row = next(folder.glob("runs/*/row.json"))
    write_record(read_record(Row, row).model_copy(update={"data_hash": "0" * 64}), row)
    refused = call("report", folder)
    assert refused.code == 2
    assert "was made with other images of cub200 than" in refused.error


def test_the_plan_comes_before_the_work(make, tmp_path):
    planned = make("rkd-table1", "--dataset", "cub200", "--only", "cub200/fitnet/16", "--runs")
    assert planned.code == 0, planned.error
    for words in ("cub200/teacher/512", "cub200/fitnet/16, first stage", "to do", "3 runs to make, "):
        assert words in planned.out
    assert not (tmp_path / "results").exists()
    assert make("rkd-table1", "--only", "cub200/teacher/512").code == 0
    planned = make("rkd-table1", "--dataset", "cub200", "--only", "cub200/fitnet/16", "--dry-run")
    assert "finished" in planned.out


def test_a_whole_table_can_be_planned(make):
    planned = make("rkd-table1", "--dry-run")
    assert planned.code == 0, planned.error
    assert "90 runs to make, " in planned.out


def test_data_that_no_selected_cell_needs_may_be_missing(call, cards, world, tmp_path):
    root, truths = world
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cub200").symlink_to(root / "cub200")
    cards(*(tiny_card(name, truths[name], {}) for name in ("cub200", "cars196")))
    where = ("--data", tmp_path / "data", "--results", tmp_path / "results")
    made = call("reproduce", "rkd-table1", *TOY, *where, "--only", "cub200/triplet/16")
    assert made.code == 0, made.error


def test_a_plan_needs_no_data(call, cards, world, tmp_path):
    planned = call("reproduce", "rkd-table2", *TOY, "--data", tmp_path, "--results", tmp_path, "--runs")
    assert planned.code == 0, planned.error
    assert "relbench data fetch" in planned.out
    assert "sop/gen3/512" in planned.out


def test_a_plan_under_fair_says_what_is_not_known_yet(make):
    planned = make("rkd-table1", "--protocol", "fair", "--only", "cub200/rkd-a/16", "--runs")
    assert planned.code == 0, planned.error
    assert "cub200/teacher/512 at 1e-05" in planned.out
    assert "waits for a learning rate to be chosen" in planned.out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--only", "cub200/*/65"), "--only 'cub200/*/65' matches no run of rkd-table1: did you mean"),
        (("--dataset", "sop"), "unknown data set of rkd-table1 'sop'"),
        (("--dataset", "cub2000"), "did you mean cub200"),
        (("--protocol", "fare"), "unknown protocol 'fare': did you mean fair"),
        (("--scale", "tiny"), "unknown scale 'tiny'"),
        (("--selection", "best"), "unknown selection 'best'"),
        (("--selection", "val"), "set data.hold_out=true, or choose a protocol that holds them out"),
        (("--set", "student.dmi=64"), "unknown setting 'student.dmi': did you mean student.dim"),
        (("--set", "training.steps=-1"), "training.steps = -1"),
        (
            ("--set", "training.learning_rate=NaN"),
            "training.learning_rate = nan: Input should be a finite number",
        ),
        (("--set", "training.decay=1e300"), "training.decay = 1e+300: Input should be less than or equal to 1"),
        (("--seeds", "0,0"), "seeds = 0, 0: name at least one, each once"),
        (("--seeds", "-1"), "seed = -1: Input should be greater than or equal to 0"),
        (("--dataset", ""), "unknown data set of rkd-table1 ''"),
        (
            ("--protocol", "fair", "--set", "data.hold_out=false"),
            "(protocol fair) chooses rates on what it holds out",
        ),
        (("--selection", "test", "--set", "training.log_test_metrics=false"), "leave --selection out"),
    ],
)
def test_bad_input_is_one_line(make, tmp_path, options, told):
    refused = make("rkd-table1", *options)
    assert refused.code == 2
    assert told in refused.error
    assert len(refused.error.strip().splitlines()) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("data.size=64", "data.resize=32"), "can't crop 64 px from images of 32 px: set data.size to less"),
        (("data.distortion=0.5",), "data.distortion = 0.5 is for glyphs"),
        (("data.test_classes=1",), "Recall@K is asked for K = "),
        (("training.batch_size=512",), "classes"),
        (("data.train_classes=99",), "data.train_classes = 99"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_a_plan_refuses_what_the_runs_refuse(make, tmp_path, settings, told):
    options = [part for setting in settings for part in ("--set", setting)]
    planned, made = (make("rkd-table1", "--only", "cub200/triplet/16", *options, *dry) for dry in (["--dry-run"], []))
    assert (planned.code, planned.error) == (made.code, made.error)
    assert planned.code == 2
    assert told in planned.error
    assert len(planned.error.strip().splitlines()) == 1


def test_a_crop_larger_than_the_image_is_refused_before_the_data_is_there(call, tmp_path):
    options = ("--set", "data.size=64", "--set", "data.resize=32", "--dry-run")
    planned = call("reproduce", "rkd-table1", *TOY, "--data", tmp_path, "--results", tmp_path, *options)
    assert (planned.code, "can't crop 64 px from images of 32 px" in planned.error) == (2, True)


def test_a_missing_data_set_says_which_command_brings_it(call, tmp_path):
    refused = call("reproduce", "rkd-table1", *TOY, "--data", tmp_path, "--results", tmp_path)
    assert refused.code == 2
    assert "relbench data fetch cub200" in refused.error
    assert len(refused.error.strip().splitlines()) == 1


def test_missing_weights_say_where_to_put_them(call, data, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    options = ("--set", "data.size=32", "--set", "training.batch_size=8", "--set", "training.images_per_class=2")
    where = ("--data", data, "--results", tmp_path / "results", "--only", "cub200/teacher/512", "--seeds", "0")
    refused = call("reproduce", "rkd-table1", *options, *where)
    assert refused.code == 2
    assert f"put that file into {tmp_path / 'torch'}/hub/checkpoints" in refused.error
    assert len(refused.error.strip().splitlines()) == 1


@pytest.mark.parametrize("damage", ["{", '{"study": "rkd-table1", "version": 0}'])
def test_a_damaged_record_is_one_line(make, call, tmp_path, damage):
    folder = tmp_path / "results" / "rkd-table1-paper-toy"
    folder.mkdir(parents=True)
    (folder / FILE).write_text(damage)
    for refused in (make("rkd-table1", "--only", "cub200/triplet/16"), call("report", folder)):
        assert refused.code == 2
        assert f"{folder / FILE} is not a readable study record" in refused.error
        assert len(refused.error.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["request.json", "plan.json"])
def test_a_folder_of_an_older_format_is_gone_on_with(make, call, tmp_path, name):
    folder = tmp_path / "results" / "rkd-table1-paper-toy"
    folder.mkdir(parents=True)
    (folder / name).write_text("{}")
    refused = call("report", folder)
    assert refused.code == 2
    assert f"was written by an earlier version ({name}): run the command that made it again" in refused.error
    assert len(refused.error.strip().splitlines()) == 1
    assert make("rkd-table1", "--only", "cub200/triplet/16").code == 0
    assert call("report", folder).code == 0


def test_rows_of_an_older_format_are_one_line(make, call, tmp_path):
    assert make("rkd-table1", "--only", "cub200/triplet/16").code == 0
    folder = tmp_path / "results" / "rkd-table1-paper-toy"
    (row,) = folder.glob("runs/*/row.json")
    row.write_text(row.read_text().replace('"metrics"', '"scores"'))
    for refused in (make("rkd-table1", "--only", "cub200/triplet/16"), call("report", folder)):
        assert refused.code == 2
        assert f"{row} is not a readable row" in refused.error
        assert len(refused.error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--dataset", "cub200"), "unknown data set of quickstart 'cub200': known are glyphs"),
        (
            ("--protocol", "fair"),
            "quickstart has no --protocol, as it is made in one way only: leave it out",
        ),
        (("--scale", "toy"), "quickstart has no --scale"),
        (("--only", "rdk-d"), "--only 'rdk-d' matches no run of quickstart: did you mean rkd-d"),
        (("--selection", "val"), "--selection val: quickstart compares its runs class by class"),
        (("--selection", "best"), "unknown selection 'best'"),
    ],
)
def test_what_a_study_of_lines_cannot_be_asked_is_one_line(call, options, told):
    refused = call("reproduce", "quickstart", *options)
    assert refused.code == 2
    assert told in refused.error
    assert len(refused.error.strip().splitlines()) == 1


def test_options_of_every_study(call, tmp_path):
    where = ("--data", tmp_path, "--results", tmp_path, "--runs", "--seeds", "0")
    planned = call("reproduce", "quickstart", "--dataset", "glyphs", "--only", "rkd-d*", *where)
    assert planned.code == 0, planned.error
    assert "3 runs to make" in planned.out  # with the teacher that they are compared with
    alone = call("reproduce", "quickstart", "--only", "triplet", *where)
    assert "2 runs to make" in alone.out  # likewise, though the triplet loss looks at no teacher


TEXTURED = ("glyphs-table1", "--scale", "toy", "--seeds", "0", "--only", "*/rkd-d?/16", "--only", "*/fitnet/16")


@pytest.mark.slow
def test_killed_and_restarted_it_repeats_nothing_and_changes_nothing(call, tmp_path):
    data, name = ("--data", tmp_path / "data"), "glyphs-table1-paper-toy"
    assert call("reproduce", *TEXTURED, "--jobs", "1", *data, "--results", tmp_path / "whole").code == 0
    command = [sys.executable, "-m", "relbench", "reproduce", *TEXTURED, "--jobs", "2"]
    where = ["--data", str(tmp_path / "data"), "--results", str(tmp_path / "killed")]
    folder = tmp_path / "killed" / name
    process = subprocess.Popen([*command, *where], stdout=subprocess.DEVNULL, start_new_session=True)
    while len(list(folder.glob("runs/*/row.json"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/row.json")}
    assert len(finished) < 4
    assert call("reproduce", *TEXTURED, "--jobs", "1", *data, "--results", tmp_path / "killed").code == 0
    assert all(path.stat().st_mtime_ns == then for path, then in finished.items())
    assert told(folder) == told(tmp_path / "whole" / name)
    assert (folder / "cells.csv").read_bytes() == (tmp_path / "whole" / name / "cells.csv").read_bytes()


@pytest.mark.slow
def test_glyphs_table_1_prints_nobodys_numbers(call, tmp_path):
    where = ("--data", tmp_path / "data", "--results", tmp_path / "results")
    made = call("reproduce", *TEXTURED[:5], *("--only", "*/teacher/*"), *("--jobs", "1"), *where)
    assert made.code == 0, made.error
    frame = cells(tmp_path / "results" / "glyphs-table1-paper-toy")
    assert frame["paper"].isna().all()
    assert frame.set_index("path")["last_mean"].notna().sum() == 1


@pytest.mark.slow
def test_a_loss_beside_a_table_has_cells_of_its_own(call, tmp_path):
    where = ("--data", tmp_path / "data", "--results", tmp_path / "results", "--jobs", "1", "--seeds", "0")
    options = ("--scale", "toy", "--only", "*/rkd-d/16", "--only", "*/16/pkt", *where)
    made = call("compare", "pkt", "--study", "glyphs-table1", *options)
    assert made.code == 0, made.error
    frame = cells(tmp_path / "results" / "glyphs-table1+pkt-paper-toy").set_index("path")
    mine = frame.loc["glyphs-textured/rkd-d/16/pkt"]
    assert (mine["row"], mine["column"]) == ("ResNet18-16", "pkt (as RKD-D)")
    assert 0 <= mine["last_mean"] <= 1
    filled = set(frame.index[frame["last_mean"].notna()])
    assert filled == {
        "glyphs-textured/teacher/512",
        "glyphs-textured/rkd-d/16",
        "glyphs-textured/rkd-d/16/pkt",
        "glyphs-textured/attention/16/pkt",  # of unit length, as the first such student
    }
