"""Floors: pixels and untrained networks, measured once, kept, checked where they are read."""

import dataclasses
import re
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from summed import Lines, summed

import relbench.analysis.floors
from relbench.analysis.floors import FloorSettings, finished_floor, floors_of, lines_of_floors, measure_floors
from relbench.analysis.results import floors_asked, read_results, tuning_plan
from relbench.counts import Counts
from relbench.data.table import Shape
from relbench.evaluation import retrieval_metrics
from relbench.experiment import Data, Experiment, FewShot, Net, Retrieval, Term, Training
from relbench.models import build_embedder
from relbench.models.pixels import RawPixels, pixels_in_words
from relbench.results.records import Entry, Machine, Row, write_record
from relbench.studies.distillation import Arm, distillation
from relbench.studies.record import StudyRecord
from relbench.tasks import find_task

KS = (1, 2, 4)
NET = Net(trunk="conv4", width=2, dim=4)
TEACHER = Experiment(data=Data(content="these"), net=NET, terms=(Term(loss="triplet"),))
STUDENT = Experiment(data=Data(content="these"), net=NET, terms=(Term(loss="pkt"),), teacher=TEACHER)


@dataclass
class Noise:
    """Small random images, four of each of six classes."""

    content: str = "these"
    data_hash: str = "h"
    shape: Shape = dataclasses.field(default_factory=lambda: Shape(channels=3, size=16))

    def __post_init__(self):
        lines = [(f"{at}", f"c{at // 4}", "test") for at in range(24)]
        self.table = pd.DataFrame(lines, columns=["name", "label", "split"])
        self.images = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(1))

    def test_batch(self, lines):
        return self.images[lines]

    def train_batch(self, lines, generator, only=None):
        raise AssertionError("nothing is trained")


@pytest.fixture
def source(monkeypatch):
    """The only data set there is; how often it was loaded stands in `loaded`."""
    source, loaded = Noise(), []
    data_set = SimpleNamespace(load=lambda *_: loaded.append(1) or source, ks=KS)
    monkeypatch.setattr(relbench.analysis.floors, "find_data_set", lambda *_: data_set)
    source.loaded = loaded
    return source


STUDY = distillation(
    name="s",
    title="t",
    data=Data(),
    teacher=Arm(net=Net(), training=Training()),
    teacher_terms=(Term(loss="triplet"),),
    student=Arm(net=NET, training=Training()),
    methods={"student": (Term(loss="pkt"),)},
)
RECORD = StudyRecord(study=STUDY, changes={}, contents={"glyphs": "these"}, seeds=(0, 1))


def measured(folder):
    """The floors of the study, measured now where they are not kept."""
    ((_, asked),) = floors_asked(RECORD).items()
    measure_floors(asked, folder, folder, "cpu", iter)
    return kept(folder)


def kept(folder):
    return lines_of_floors(read_results(RECORD, folder).floors["glyphs", Retrieval()])


def test_pixels_are_correlated():
    """Cosines of the vectors are the correlations of the images, by numpy; brightness and contrast play no part."""
    images = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    vectors = RawPixels()(images)
    assert vectors.shape == (5, 192)
    assert np.allclose(vectors @ vectors.T, np.corrcoef(images.flatten(1).numpy()), atol=1e-5)
    assert torch.allclose(RawPixels()(0.5 * images + 0.2), vectors, atol=1e-5)
    assert RawPixels()(torch.full((1, 1, 8, 8), 0.7)).abs().max() == 0  # no direction, and no division by zero
    assert torch.equal(RawPixels()((images * 255).byte()), RawPixels()((images * 255).byte().float() / 255))


def test_large_images_are_averaged_first():
    images = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    means = images.view(2, 1, 32, 2, 32, 2).mean(dim=(3, 5))
    assert torch.allclose(RawPixels()(images), RawPixels()(means), atol=1e-6)
    assert "averaged down to 32 x 32 (3 x 32 x 32 = 3,072 numbers, colour)" in pixels_in_words(3, 224)
    assert "views (1 x 28 x 28 = 784 numbers, grey)" in pixels_in_words(1, 28)


def test_floors_are_the_metrics_of_pixels_and_of_networks_before_their_first_step(source, tmp_path):
    floors = measured(tmp_path)
    labels = source.table["label"].to_numpy(dtype=str)
    images = source.images.flatten(1).numpy()
    centred = images - images.mean(axis=1, keepdims=True)
    expected = retrieval_metrics(centred / np.linalg.norm(centred, axis=1, keepdims=True), labels, KS)
    assert {name: one.mean for name, one in floors[0].metrics.items()} == expected
    networks = [build_embedder(NET, 3, seed).eval() for seed in (0, 1)]
    with torch.inference_mode():
        found = [retrieval_metrics(network(source.images).numpy(), labels, KS) for network in networks]
    means = {name: np.mean([one[name] for one in found]) for name in found[0]}
    assert {name: one.mean for name, one in floors[1].metrics.items()} == pytest.approx(means)
    assert floors[1].parameters == sum(weights.numel() for weights in networks[0].parameters())
    assert [floor.seeds for floor in floors] == [1, 2]
    assert "conv4-2/4 with random weights, as built from seeds 0 and 1" in floors[1].how


def test_floors_of_few_shot_learning_are_accuracies_in_the_episodes_of_its_runs(source, tmp_path):
    task = FewShot(way=(4, 2), queries=2, episodes=30, episode_seed=3)
    asked = floors_of(Data(content="these"), NET, (0,), task)
    measure_floors(asked, tmp_path, tmp_path, "cpu", iter)
    network, labels = build_embedder(NET, 3, 0).eval(), source.table["label"].to_numpy(dtype=str)
    for floor, seen in zip(asked, (RawPixels(), network), strict=True):
        with torch.inference_mode():
            expected, _ = find_task(task).score(seen(source.images).numpy(), labels, "test")
        assert finished_floor(floor, tmp_path).metrics == pytest.approx(expected)
        assert expected.keys() == {"4way_1shot", "4way_1shot_ci95", "2way_1shot", "2way_1shot_ci95"}


def test_they_are_measured_once_and_need_no_data_later(source, tmp_path, monkeypatch):
    first = measured(tmp_path)
    assert len(source.loaded) == 1
    assert len(list((tmp_path / "floors").glob("*.json"))) == 3

    def gone(*_):
        raise ValueError("no such data set")

    monkeypatch.setattr(relbench.analysis.floors, "find_data_set", gone)
    assert measured(tmp_path) == kept(tmp_path) == first


def test_floors_that_were_not_measured_are_said_to_be_missing():
    lines = Lines(entries=(Entry(label="teacher", role="teacher", seed=0, fingerprint=TEACHER.fingerprint),))
    found = summed(lines, {TEACHER.fingerprint: row_of(TEACHER)})
    assert found.floors == {}
    assert found.missing == ("Floors are not shown: they were not measured.",)


def test_floors_of_some_seeds_only_are_left_out(source, tmp_path):
    measured(tmp_path)
    more = RECORD.model_copy(update={"seeds": (0, 1, 2)})
    assert read_results(more, tmp_path).floors == {}


def row_of(experiment):
    metrics = {"recall@1": 0.5, "recall@2": 0.5, "recall@4": 0.5, "r_precision": 0.5, "map@r": 0.5}
    return Row(
        fingerprint=experiment.fingerprint,
        experiment=experiment,
        data_hash="h",
        parameters=1,
        selected_step=1000,
        metrics=metrics,
        validation={},
        counts=Counts(groups=("a", "b"), trials=(4, 4), correct=(2, 2)),
        history=({"step": 1000},),
        train_seconds=1,
        evaluate_seconds=1,
        peak_memory=1,
        finished="2026-01-01T00:00:00+00:00",
        machine=Machine(device="d", cores=1, system="s", versions={}, git_commit=None),
    )


def test_other_images_than_the_rows_are_refused(source, tmp_path):
    source.content = "others"
    with pytest.raises(ValueError, match="not the one that was planned for"):
        measured(tmp_path)
    source.content, source.data_hash = "these", "other files"
    run = tuning_plan(RECORD, tmp_path / "runs").run("teacher", 0)
    write_record(row_of(run), tmp_path / "runs" / run.fingerprint / "row.json")
    with pytest.raises(ValueError, match="was made with other images of glyphs than the run"):
        measured(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"seed": 0', '"seed": 7', "its settings have the fingerprint"),
        ('"recall@4"', '"recall@0"', "Recall@K falls"),
        ('"map@r": 0.', '"map@r": 7.', "is not in"),
        ('"channels"', '"canals"', "is not a readable"),
    ],
)
def test_a_damaged_record_is_refused(source, tmp_path, old, new, message):
    measured(tmp_path)
    path = tmp_path / "floors" / f"{FloorSettings(data=Data(content='these')).fingerprint}.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=f"{message}|has changed since it was written"):
        kept(tmp_path)
    path.write_text(re.sub(r',\s*"hash": "[0-9a-f]+"', "", path.read_text()))  # as earlier versions wrote it
    with pytest.raises(ValueError, match=message):
        kept(tmp_path)


def test_each_floor_has_a_file_of_its_own(tmp_path):
    asked = floors_of(Data(), NET, (0, 1))
    assert len({one.fingerprint for one in asked}) == 3
    assert finished_floor(asked[0], tmp_path) is None


def test_words_for_weights_that_are_not_random():
    assert relbench.analysis.floors._pretrained(Net(trunk="resnet18", weights="imagenet")) == "ImageNet weights"
    assert relbench.analysis.floors._pretrained(
        Net(trunk="resnet18", weights="there/mine.pt", weights_content="0" * 64)
    ) == (f"weights of mine.pt (sha256 {'0' * 64})")
