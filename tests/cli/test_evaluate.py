"""`relbench evaluate` for tasks other than the usual one: what it prints, and what it refuses in one line."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from relbench.cli.evaluate import OPTIONS
from relbench.evaluation import (
    classification_metrics,
    draw_episodes,
    few_shot_interval,
    query_results,
    retrieval_metrics,
    right_queries,
)
from relbench.evaluation.episode_scorers import SCORERS
from relbench.experiment import FewShot
from relbench.tasks import TASKS

LABELS = np.repeat([f"class {label}" for label in range(8)], 9)
ROWS = (np.random.default_rng(0).standard_normal((8, 5))[np.arange(72) // 9] +
        np.random.default_rng(1).standard_normal((72, 5))).astype(np.float32)  # fmt: skip
SMALL = ("--task", "few-shot", "--queries", "4", "--episodes", "30")


@pytest.fixture
def file(tmp_path):
    np.savez(tmp_path / "both.npz", embeddings=ROWS, labels=LABELS)
    return tmp_path / "both.npz"


def by_definition(way, shot, scorer, seed=0):
    right = right_queries(ROWS, draw_episodes(LABELS, way, shot, 4, 30, seed), scorer)
    return few_shot_interval(right / (4 * way))


def test_several_numbers_of_classes_and_images_by_every_scorer(call, file):
    done = call("evaluate", file, *SMALL, "--way", "3,8", "--shot", "1,5", "--scorer", "all", "--seed", "7", "--json")
    assert done.code == 0
    assert json.loads(done.out) == {
        scorer: {
            f"{way}way_{shot}shot{name}": by_definition(way, shot, scorer, seed=7)[place]
            for shot in (1, 5)
            for way in (3, 8)
            for place, name in enumerate(("", "_ci95"))
        }
        for scorer in SCORERS
    }


def test_a_table_of_accuracies(call, file):
    done = call("evaluate", file, *SMALL, "--way", "5,8", "--scorer", "nearest,centred")
    header, *lines = [line for line in done.out.splitlines() if "nearest" in line or "-way" in line]
    assert header.index("nearest") < header.index("centred")
    for way, line in zip((5, 8), lines, strict=True):
        assert f"{way}-way 1-shot accuracy" in line
        for scorer in ("nearest", "centred"):
            mean, half_width = by_definition(way, 1, scorer)
            assert f"{100 * mean:.2f} ± {100 * half_width:.2f}" in line
    assert "±: 1.96 standard errors over 30 episodes" in done.out


def test_two_files(call, tmp_path, file):
    np.save(tmp_path / "e.npy", ROWS)
    np.save(tmp_path / "l.npy", LABELS)
    pair = call("evaluate", tmp_path / "e.npy", tmp_path / "l.npy", *SMALL, "--json")
    assert pair.out == call("evaluate", file, *SMALL, "--json").out


def test_queries_and_gallery_are_all_the_same_to_episodes(call, tmp_path, file):
    """As in In-Shop, whose queries and gallery are of the same classes."""
    np.savez(tmp_path / "split.npz", embeddings=ROWS, labels=LABELS, query=np.arange(72) % 2 == 0,
             gallery=np.arange(72) % 2 == 1)  # fmt: skip
    found = [call("evaluate", path, *SMALL, "--json").out for path in (file, tmp_path / "split.npz")]
    assert found[0] == found[1]


def test_what_is_left_out_is_as_in_a_run():
    usual = FewShot()
    assert OPTIONS["few-shot"] == {
        "way": ",".join(map(str, usual.way)),
        "shot": str(usual.shot),
        "queries": str(usual.queries),
        "episodes": str(usual.episodes),
        "seed": str(usual.episode_seed),
        "scorer": usual.scorer,
    }
    assert OPTIONS.keys() <= TASKS.keys()


def test_retrieval_may_be_named(call, file):
    done = call("evaluate", file, "--task", "retrieval", "--k", "2", "--json")
    found = {"queries": 72, "gallery": 72, "classes": 8}
    assert json.loads(done.out) == {**retrieval_metrics(ROWS, LABELS, (2,)), **found}


def test_the_help_names_every_scorer_and_task(call):
    said = " ".join(call("evaluate", "--help").out.split())
    assert [name for name in (*SCORERS, *OPTIONS, "1.96 standard errors") if name not in said] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--k", "1"], "--k is an option of retrieval, not of few-shot: leave it out, or choose --task retrieval"),
        (["--way", "9"], "both.npz: a test episode has 9 classes, but there are 8: ask for fewer, or use more"),
        (
            ["--shot", "6"],
            "both.npz: a test episode has 10 images of each class, support and queries, but there is a c",
        ),
        (["--way", "1"], "--way 1: give 2 or more"),
        (["--way", "5,5"], "way = (5, 5): "),
        (["--way", "five"], "--way = 'five': give whole numbers"),
        (["--shot", "0"], "--shot 0: give 1 or more"),
        (["--queries", "0"], "--queries 0: give 1 or more"),
        (["--queries", "3,4"], "--queries = '3,4': give a single number"),
        (["--episodes", "0"], "--episodes 0: give 2 or more"),
        (["--seed", "-1"], "episode_seed = -1: "),
        (["--scorer", "nearest,proto"], "unknown scorer 'proto': did you mean prototypes?"),
        (["--task", "classification"], "--queries is an option of few-shot, not of classification: leave it out"),
        (["--ignore", "camera"], "--ignore is an option of retrieval, not of few-shot: leave it out"),
        (["--by-class"], "--by-class says nothing of few-shot, whose episodes mix classes: leave it out"),
        (["--task", "fewshot"], "unknown task 'fewshot': did you mean few-shot?"),
    ],
)
def test_refusals_are_one_line(call, file, options, message):
    done = call("evaluate", file, *SMALL, *options)
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith("relbench: ")
    assert message in done.error
    assert done.error.count("\n") == 1


@pytest.mark.parametrize(("option", "value"), [("--way", "5"), ("--seed", "0"), ("--scorer", "all")])
def test_options_of_episodes_are_refused_for_retrieval(call, file, option, value):
    done = call("evaluate", file, option, value)
    assert done.code == 2
    assert done.error == (
        f"relbench: {option} is an option of few-shot, not of retrieval: leave it out, or choose --task few-shot\n"
    )


@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        (np.full((72, 2), np.nan), LABELS, "NaN or infinity, first in row 0"),
        (ROWS, LABELS[1:], "labels have the shape (71,), but there are 72 embeddings"),
        (ROWS[:, 0], LABELS, "shape"),
        (ROWS.astype(bool), LABELS, "float16, float32 or float64"),
        (ROWS, np.arange(72) + 0.5, "labels must be whole numbers"),
    ],
)
def test_bad_contents_name_the_file(call, tmp_path, embeddings, labels, message):
    np.savez(tmp_path / "bad.npz", embeddings=embeddings, labels=labels)
    done = call("evaluate", tmp_path / "bad.npz", *SMALL)
    assert done.code == 2
    assert f"{tmp_path / 'bad.npz'}: " in done.error
    assert message in done.error
    assert done.error.count("\n") == 1


def test_a_gallery_in_shards_has_the_same_numbers(call, tmp_path):
    np.save(tmp_path / "e.npy", ROWS)
    np.save(tmp_path / "l.npy", LABELS)
    files = (tmp_path / "e.npy", tmp_path / "l.npy")
    wanted = retrieval_metrics(ROWS, LABELS, (1, 20))
    for options in (("--memory", "64GB"), ("--devices", "1")):
        done = call("evaluate", *files, "--k", "1,20", "--json", *options)
        assert done.code == 0
        assert json.loads(done.out).items() >= wanted.items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--memory", "many"], "--memory many: give a number of bytes, such as 4GB, 500MB or 2GiB"),
        (["--memory", "1MB"], "both.npz: 1.0 MB of memory are too few: "),
        (["--devices", "0"], "--devices 0: give 1 or more"),
        (["--devices", "99"], "--devices 99: this machine has "),
        (["--cluster", "auto", "--devices", "1"], "--devices is of this machine"),
        (
            ["--task", "few-shot", "--memory", "4GB"],
            "--memory is an option of retrieval, not of few-shot: leave it out",
        ),
    ],
)
def test_options_of_shards_are_refused_in_one_line(call, file, options, message):
    done = call("evaluate", file, *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.error
    assert done.error.count("\n") == 1


CAMERAS = np.arange(72) % 9 // 3


@pytest.fixture
def halves(tmp_path):
    """Queries and gallery in files of their own: as arrays, and as a table."""
    asking = np.arange(72) % 3 == 0
    for name, part in (("q", asking), ("g", ~asking)):
        np.save(tmp_path / f"{name}.npy", ROWS[part])
        np.savez(tmp_path / f"{name}.npz", embeddings=ROWS[part], labels=LABELS[part], camera=CAMERAS[part])
        columns = {f"e{place}": ROWS[part, place] for place in range(5)}
        pd.DataFrame({"label": LABELS[part], "camera": CAMERAS[part], **columns}).to_parquet(
            tmp_path / f"{name}.parquet"
        )
        np.save(tmp_path / f"{name}_camera.npy", CAMERAS[part])
    return tmp_path, {"query": asking, "gallery": ~asking}


@pytest.mark.parametrize("options", [(), ("--memory", "64GB")])
def test_queries_and_a_gallery_in_files_of_their_own(call, halves, options):
    folder, masks = halves
    wanted = retrieval_metrics(ROWS, LABELS, (1, 3), **masks, ignore=CAMERAS)
    q, g = folder / "q.npy", folder / "g.npy"
    named = ("--ignore", folder / "q_camera.npy", "--gallery-ignore", folder / "g_camera.npy")
    for files in (
        (folder / "q.npz", "--gallery", folder / "g.npz", "--ignore", "camera"),
        (folder / "q.parquet", "--gallery", folder / "g.npz", "--ignore", "camera"),
        (q, folder / "q.parquet", "--gallery", g, "--gallery-labels", folder / "g.parquet", *named),
    ):
        done = call("evaluate", *files, "--k", "1,3", "--json", *options)
        assert (done.code, done.error) == (0, "")
        found = json.loads(done.out)
        assert found.items() >= {**wanted, "queries": 24, "gallery": 48, "classes": 8}.items()
        assert found["ignored"] == {"items": 24 * 2, "queries_without_positives": 0}
    done = call("evaluate", folder / "q.npz", "--gallery", folder / "g.npz", "--ignore", "camera", *options)
    assert "ignored are 2.0 gallery images per query on average, and nothing is left to find for 0 queries" in done.out


def test_a_line_per_class_the_worst_first(call, halves):
    folder, masks = halves
    done = call("evaluate", folder / "q.npz", "--gallery", folder / "g.npz", "--k", "2,1", "--by-class")
    results = query_results(ROWS, LABELS, (1, 2), **masks)
    assert "24 queries of 8 classes, gallery of 48 images" in done.out
    lines = [re.split(r"\s{2,}", line.strip()) for line in done.out.splitlines() if line.startswith(" class ")][1:]
    assert [float(line[3]) for line in lines] == sorted(float(line[3]) for line in lines)
    assert len(lines) == 8
    for name, queries, correct, at_2, at_1, r_precision, map_at_r in lines:
        own = results.labels == name
        assert (int(queries), int(correct)) == (3, results.correct_at(2)[own].sum())
        shares = (results.correct_at(2), results.correct_at(1), results.r_precision, results.average_precision)
        printed = (at_2, at_1, r_precision, map_at_r)
        assert printed == tuple(f"{100 * share[own].mean():.2f}" for share in shares)
    done = call("evaluate", folder / "q.npz", "--gallery", folder / "g.npz", "--by-class", "--json")
    by_class = json.loads(done.out)["by_class"]
    assert [each["class"] for each in by_class] == sorted(set(LABELS.tolist()))
    assert {each["queries"] for each in by_class} == {3}


def test_logits_of_a_classifier(call, tmp_path):
    numbers = np.arange(72) // 9
    logits = np.random.default_rng(0).standard_normal((72, 8)) + np.eye(8)[numbers]
    np.save(tmp_path / "logits.npy", logits)
    np.save(tmp_path / "numbers.npy", numbers)
    done = call("evaluate", tmp_path / "logits.npy", tmp_path / "numbers.npy", "--task", "classification", "--json")
    assert json.loads(done.out) == {**classification_metrics(logits, numbers), "queries": 72, "classes": 8}
    done = call("evaluate", tmp_path / "logits.npy", tmp_path / "numbers.npy", "--task", "classification")
    assert "72 images of 8 classes" in done.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gallery", "{}/q.npz"], "q.npz is the file of the queries, each of which would find itself: leave it out"),
        (["--gallery-labels", "x.npy"], "--gallery-labels says something of a gallery: name its file with --gallery"),
        (["--gallery-ignore", "x.npy"], "--gallery-ignore says something of a gallery: name its file with --gallery"),
        (["--gallery", "{}/g.npz", "--ignore", "x.npy"], "--ignore and --gallery-ignore are two files"),
        (["--gallery", "{}/g.npz", "--gallery-ignore", "x.npy"], "--ignore and --gallery-ignore are two files"),
        (["--gallery", "{}/none.npz"], "none.npz can't be read: No such file"),
        (
            ["--gallery", "{}/g.npz", "--ignore", "shot"],
            "q.npz holds no array 'shot' (it holds embeddings, labels, camera)",
        ),
        (["--label-column", "shot"], "q.npz holds no array 'shot'"),
        (["--task", "classification"], "q.npz holds no array 'logits' (it holds embeddings, labels, camera)"),
        (
            ["--task", "classification", "--ignore", "camera"],
            "--ignore is an option of retrieval, not of classification",
        ),
    ],
)
def test_files_that_make_no_sense_are_refused_in_one_line(call, halves, options, message):
    folder, _ = halves
    done = call("evaluate", folder / "q.npz", *(option.format(folder) for option in options))
    assert (done.code, done.out) == (2, "")
    assert message in done.error
    assert done.error.count("\n") == 1
