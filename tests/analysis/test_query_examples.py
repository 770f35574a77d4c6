"""Queries fixed and broken, and distances of pairs, from a results folder that is made up and small."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from summed import Lines, summed

import relbench.analysis.query_examples
from relbench.analysis.images import Outcomes
from relbench.analysis.query_examples import with_examples
from relbench.data.datasets.glyphs import GLYPHS
from relbench.data.table import Shape, indices_of
from relbench.evaluation import query_results, recall_by_class
from relbench.experiment import Experiment, Term
from relbench.report.page import page_text
from relbench.results.records import Entry, Machine, Row
from relbench.settings import changed
from relbench.tasks.retrieval import RetrievalTask

TEACHER = Experiment(terms=(Term(loss="triplet"),))
STUDENT = Experiment(terms=(Term(loss="rkd_angle"),), teacher=TEACHER)
OTHER = Experiment(terms=(Term(loss="rkd_distance"),), teacher=TEACHER)
MACHINE = Machine(device="d", cores=1, system="s", versions={}, git_commit=None)
LABELS = np.array(list("aabbcc"))
# nearest by the teacher: a0-b0, a1-c0, b1-c1; by the student: a0-a1, b0-c0, b1-c1 (a tie of c1's is b1's: lower index)
LINES = {"teacher": [0.0, 10, 0.1, 20, 10.1, 20.1], "rkd": [0.0, 0.1, 10, 20, 10.1, 20.1]}


class Pictures:
    """Grey pictures of 2 x 2 pixels that show their own line; test images begin at line 3."""

    def __init__(self, names, labels, channels=1):
        split = ["train"] * 2 + ["validation"] + ["test"] * len(names)
        self.table = pd.DataFrame(
            {"name": ["t0", "t1", "v0", *names], "label": ["x", "x", "y", *labels], "split": split}
        )
        self.shape, self.data_hash, self.channels = Shape(channels, 2), "h", channels

    def test_batch(self, lines):
        return (lines.float() / 255)[:, None, None, None].expand(-1, self.channels, 2, 2)


def names_of(count):
    return np.array([f"image {number}" for number in range(count)])


class Folder:
    """A results folder in the making."""

    def __init__(self, results):
        self.results, self.rows, self.entries = results, {}, []

    def add(self, label, experiment, embeddings, labels=LABELS, role="student", **masks):
        """Write a run; returns the path of its embeddings."""
        path = self.results / "runs" / experiment.fingerprint / "embeddings.npz"
        keep(path, embeddings, labels, **masks)
        counts = recall_by_class(query_results(np.array(embeddings), labels, (1,), **masks))
        self.rows[experiment.fingerprint] = Row(
            fingerprint=experiment.fingerprint,
            experiment=experiment,
            data_hash="h",
            parameters=1,
            selected_step=1,
            metrics={"recall@1": counts.share},
            validation={"recall@1": 0.5},
            counts=counts,
            history=({"step": 1, "recall@1": 0.5},),
            train_seconds=1,
            evaluate_seconds=1,
            peak_memory=1,
            finished="2026-01-01T00:00:00+00:00",
            machine=MACHINE,
        )
        self.entries.append(Entry(label=label, role=role, seed=experiment.seed, fingerprint=experiment.fingerprint))
        return path

    @property
    def plain(self):
        """The summary of the rows alone."""
        return summed(Lines(entries=tuple(self.entries)), self.rows).replaced(missing=())

    @property
    def summary(self):
        return with_examples(self.plain, self.results, self.results / "datasets")


def keep(path, embeddings, labels, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.array(embeddings, np.float64)
    np.savez(path, **{"embeddings": rows, "labels": labels, "names": names_of(len(rows)), **more})


def column(name):
    return np.array(LINES[name])[:, None]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture
def small(folder):
    """Teacher and student of six images on a line."""
    folder.teacher = folder.add("teacher", TEACHER, column("teacher"), role="teacher")
    folder.student = folder.add("rkd", STUDENT, column("rkd"))
    return folder


@pytest.fixture(autouse=True)
def pictures(monkeypatch):
    """A data set of six test images; a test may change it."""
    source = Pictures(names_of(6), LABELS)
    entry = replace(
        GLYPHS, table=lambda *_: source.table, load=lambda *_: source, ks=(1,), class_name="class {}".format
    )
    monkeypatch.setattr(relbench.analysis.query_examples, "find_data_set", lambda name, root: entry)
    return source


def test_a_task_that_is_not_about_neighbours(small, monkeypatch):
    """Its embeddings are not even looked at: no nearest neighbour could give its counts again."""
    monkeypatch.setattr(RetrievalTask, "by_neighbours", False)
    small.student.write_bytes(b"")
    assert (small.summary.examples, small.summary.distances) == (None, None)
    assert small.summary.missing == ()


def test_a_case_by_hand(small):
    """By the teacher no query is right; the student is right for a0 and a1 alone."""
    examples = small.summary.examples
    assert examples.counts == Outcomes(both=0, fixed=2, broken=0, neither=4)
    assert (examples.teacher, examples.student, examples.seed) == ("teacher", "rkd", 0)
    assert sorted(example.query.name for example in examples.fixed) == ["image 0", "image 1"]
    assert examples.broken == ()
    example = next(example for example in examples.fixed if example.query.name == "image 0")
    assert [neighbour.image.name for neighbour in example.teacher] == [f"image {number}" for number in (2, 1, 4, 3)]
    assert [neighbour.right for neighbour in example.teacher] == [False, True, False, False]
    assert [neighbour.image.name for neighbour in example.student] == [f"image {number}" for number in (1, 2, 4, 3)]
    assert [neighbour.right for neighbour in example.student] == [True, False, False, False]
    assert example.query.class_name == "class a"


def test_pictures_are_those_of_the_images(small, pictures):
    """Each shows its own line of the table: numbers among test images are not lines."""
    first = indices_of(pictures.table, "test")[0]
    assert first == 3
    for example in small.summary.examples.fixed:
        for image in (example.query, *(neighbour.image for neighbour in example.teacher + example.student)):
            assert image.pixels.dtype == np.uint8
            np.testing.assert_array_equal(image.pixels, np.full((2, 2, 1), first + int(image.name.split()[1])))


@pytest.mark.parametrize("batch", [torch.rand(2, 3, 4, 5), torch.randint(256, (2, 3, 4, 5), dtype=torch.uint8)])
def test_pixels_of_floats_and_of_bytes(batch):
    pixels = relbench.analysis.query_examples._pixels(batch)
    assert pixels.shape == (2, 4, 5, 3)
    scale = 255 if batch.is_floating_point() else 1
    assert abs(pixels[1, 2, 3, 0] - scale * float(batch[1, 0, 2, 3])) <= 0.5


def large(folder, count=200, masks=None):
    """Two noisy networks over 25 classes: all four outcomes happen."""
    generator = np.random.default_rng(3)
    labels = np.array([f"c{number:02d}" for number in generator.integers(0, 25, count)])
    centres = generator.standard_normal((25, 3))[[int(label[1:]) for label in labels]]
    for label, experiment, role in (("teacher", TEACHER, "teacher"), ("rkd", STUDENT, "student")):
        rows = (centres + 0.35 * generator.standard_normal((count, 3))).round(1)  # ties too
        folder.add(label, experiment, rows, labels, role, **(masks or {}))
    return labels


@pytest.fixture(params=[False, True], ids=["all ask", "masks"])
def many(request, folder, pictures):
    """A folder of 200 images, with masks that overlap in part or without."""
    every = np.arange(200)
    masks = {"query": every < 120, "gallery": every > 60} if request.param else {}
    labels = large(folder, masks=masks)
    pictures.__init__(names_of(200), labels)
    folder.masks = masks
    return folder


def test_counts_agree_with_the_rows(many):
    counts = many.summary.examples.counts
    assert min(counts.both, counts.fixed, counts.broken, counts.neither) > 0
    total = counts.both + counts.fixed + counts.broken + counts.neither
    teacher, student = (many.rows[one.fingerprint].metrics["recall@1"] for one in (TEACHER, STUDENT))
    assert (counts.both + counts.broken) / total == pytest.approx(teacher, abs=1e-12)
    assert (counts.both + counts.fixed) / total == pytest.approx(student, abs=1e-12)


def test_examples_are_of_their_kind_and_of_different_classes(many):
    examples = many.summary.examples
    assert len(examples.fixed) == len(examples.broken) == 6
    for some, of_teacher in ((examples.fixed, False), (examples.broken, True)):
        assert len({example.query.class_name for example in some}) == 6
        for example in some:
            assert (example.teacher[0].right, example.student[0].right) == (of_teacher, not of_teacher)
            for neighbour in example.teacher + example.student:
                assert neighbour.right == (neighbour.image.class_name == example.query.class_name)
                assert neighbour.image.name != example.query.name
                if many.masks:
                    assert many.masks["gallery"][int(neighbour.image.name.split()[1])]


def test_draws_take_every_class_before_any_comes_again():
    labels = np.array(["a"] * 50 + ["b", "c"])
    drawn = relbench.analysis.query_examples._drawn(np.arange(52), labels, np.random.default_rng(0))
    assert len(set(drawn.tolist())) == 6
    assert set(labels[drawn[:3]]) == {"a", "b", "c"}
    assert len(relbench.analysis.query_examples._drawn(np.arange(0), labels, np.random.default_rng(0))) == 0


def test_draws_are_fair():
    """Each query of one class is drawn about as often as another."""
    labels = np.array(["a"] * 10)
    drawn = [
        relbench.analysis.query_examples._drawn(np.arange(10), labels, np.random.default_rng(seed))
        for seed in range(400)
    ]
    assert np.bincount(np.concatenate(drawn)).min() > 200  # 240 are expected


def test_distances_are_of_all_networks_on_common_bins(many):
    distances = many.summary.distances
    assert [spread.label for spread in distances.spreads] == ["teacher", "rkd"]
    assert distances.same.measured == distances.same.total
    width = np.diff(distances.edges)
    for spread in distances.spreads:
        assert 0.998 <= np.sum(width * spread.same) <= 1 + 1e-9
        assert 0.998 <= np.sum(width * spread.other) <= 1 + 1e-9
        assert 0.5 < spread.separation < 1


def test_the_same_folder_gives_the_same_page(small):
    one, two = (page_text(small.summary) for _ in range(2))
    assert one == two
    assert "Queries that the student fixes and breaks" in one


def test_the_first_seed_and_the_best_student_are_shown(folder):
    """The first seed that both have; of two students the better one."""
    for seed in (0, 1):
        teacher = changed(TEACHER, {"seed": seed})
        folder.add("teacher", teacher, column("teacher"), role="teacher")
        folder.add("worse", changed(OTHER, {"seed": seed, "teacher": teacher}), column("teacher"))
        if seed:
            folder.add("rkd", changed(STUDENT, {"seed": seed, "teacher": teacher}), column("rkd"))
    summary = folder.summary
    assert (summary.examples.student, summary.examples.seed, summary.distances.seed) == ("rkd", 1, 1)
    assert [spread.label for spread in summary.distances.spreads] == ["teacher", "worse", "rkd"]


def test_at_most_six_networks(folder):
    """Teacher, best student, best without a teacher, control; then the next best students."""
    folder.add("teacher", TEACHER, column("teacher"), role="teacher")
    alone = Experiment(terms=(Term(loss="rkd_angle"),))
    for weight in range(1, 6):
        term = Term(loss="rkd_angle", weight=weight)
        folder.add(f"bad {weight}", changed(STUDENT, {"terms": (term,)}), column("teacher"))
    folder.add("alone", alone, column("teacher"))
    folder.add(
        "control",
        changed(TEACHER, {"seed": 0, "terms": (Term(loss="rkd_distance"),)}),
        column("teacher"),
        role="control",
    )
    folder.add("rkd", STUDENT, column("rkd"))
    labels = [spread.label for spread in folder.summary.distances.spreads]
    assert labels == ["teacher", "bad 1", "bad 2", "alone", "control", "rkd"]


def test_rows_alone(small):
    """As in a folder of results that was published without embeddings: notes that name files as the folder has them."""
    for path in (small.teacher, small.student):
        path.unlink()
    summary = small.summary
    assert (summary.examples, summary.distances) == (None, None)
    assert len(summary.missing) == 2
    assert f"runs/{TEACHER.fingerprint}/embeddings.npz of teacher is not there" in summary.missing[0]
    assert str(small.results) not in " ".join(summary.missing)
    assert "no embeddings are kept" in summary.missing[1]


def test_one_networks_embeddings_are_gone(small):
    small.student.unlink()
    summary = small.summary
    assert summary.examples is None
    assert [spread.label for spread in summary.distances.spreads] == ["teacher"]
    assert "of rkd is not there" in summary.missing[0]
    assert "not shown for rkd" in summary.missing[1]


def test_images_that_are_gone(small, monkeypatch):
    def gone(*_):
        raise ValueError("cub200 is not ready in datasets/cub200: relbench data fetch cub200")

    entry = replace(GLYPHS, table=gone, load=gone, channels=3, ks=(1,))
    monkeypatch.setattr(relbench.analysis.query_examples, "find_data_set", lambda name, root: entry)
    summary = small.summary
    assert summary.examples is None
    assert summary.distances is not None
    assert len(summary.missing) == 1
    assert "fixed and broken are not shown" in summary.missing[0]
    assert "relbench data fetch cub200" in summary.missing[0]


def test_an_image_that_can_not_be_decoded(small, pictures, monkeypatch):
    def damaged(_):
        raise ValueError("a.png can't be used: it has transparency")

    monkeypatch.setattr(pictures, "test_batch", damaged)
    summary = small.summary
    assert summary.examples is None
    assert summary.distances is not None
    assert "fixed and broken are not shown" in summary.missing[0]
    assert "a.png can't be used: it has transparency" in summary.missing[0]


def test_images_that_are_others(small, pictures):
    pictures.data_hash = "another"
    summary = small.summary
    assert summary.examples is None
    assert "another hash" in summary.missing[0]


def test_no_student(folder):
    folder.add("teacher", TEACHER, column("teacher"), role="teacher")
    summary = folder.summary
    assert summary.distances is not None
    assert summary.missing == ("Queries fixed and broken are not shown: no student is finished.",)


def test_one_class(folder):
    folder.add("teacher", TEACHER, column("teacher"), np.array(["a"] * 6), "teacher")
    summary = folder.summary
    assert summary.distances is None
    assert summary.missing[1] == "Distances of pairs are not shown: all test images are of one class."


def refused(folder, *parts):
    with pytest.raises(ValueError, match=re.escape(parts[0])) as error:
        folder.summary  # noqa: B018 - it is made when asked for
    assert "\n" not in str(error.value)
    for part in (*parts, "delete it", "delete row.json"):
        assert part in str(error.value)


def test_embeddings_of_another_run(small):
    small.teacher.write_bytes(small.student.read_bytes())
    refused(small, str(small.teacher), "'teacher'", "2 of 6 queries", "0 of 6 queries")


@pytest.mark.parametrize("length", [0, 100, 700])
def test_damaged_embeddings(small, length):
    small.student.write_bytes(small.student.read_bytes()[:length])
    refused(small, str(small.student))


@pytest.mark.parametrize(
    ("embeddings", "changes", "why"),
    [
        (np.full((6, 1), np.nan), {}, "NaN"),
        (np.ones(6), {}, "shape"),
        (column("rkd"), {"labels": LABELS[:5]}, "one per embedding"),
        (column("rkd"), {"labels": np.arange(6)}, "text"),
        (column("rkd"), {"names": names_of(5)}, "(5,)"),
        (column("rkd"), {"names": np.arange(6)}, "text"),
        (column("rkd"), {"query": np.ones(5, bool)}, "mask"),
        (column("rkd"), {"labels": np.array(list("bbaacc"))}, "in other classes"),
    ],
)
def test_embeddings_that_can_not_be(small, embeddings, changes, why):
    keep(small.student, embeddings, **{"labels": LABELS, **changes})
    refused(small, str(small.student), why)


def test_runs_that_kept_other_images(small):
    keep(small.student, column("rkd"), LABELS, names=names_of(6)[::-1])
    refused(small, str(small.student), str(small.teacher), "names")


def test_names_that_the_data_set_does_not_have(small, pictures):
    pictures.__init__(names_of(6)[::-1], LABELS)
    refused(small, str(small.teacher), "names other images")
