"""The task of few-shot learning, from training to a row: episodes, their counts, distillation, and what it refuses."""

import json
from typing import get_args

import numpy as np
import pytest
import torch
from tasks.signs import SIGNS, signs  # noqa: F401 - a fixture

import relbench.tasks.few_shot
from relbench.data import find_data_set
from relbench.data.table import indices_of, labels_of
from relbench.episodes import Episode
from relbench.evaluation import draw_episodes, few_shot_accuracy, few_shot_interval
from relbench.experiment import Data, Experiment, FewShot, Net, Scorer, Term, Training
from relbench.models import initial_network
from relbench.preflight import check_plan
from relbench.resolve import check_experiment
from relbench.results.run_folder import RunFolder
from relbench.run import run, run_cohort
from relbench.settings import changed
from relbench.tasks import Model, find_task
from relbench.trackers import Silent
from relbench.training.division import Layout
from relbench.training.setup import TrainingSetup
from relbench.training.stream import TrainingData
from relbench.transfer import TransferSpec, finished_transfer, transfer

pytestmark = pytest.mark.usefixtures("signs")

TEACHER = Experiment(
    task=FewShot(way=(3, 6), shot=2, queries=4, episodes=40, validation_episodes=20),
    data=Data(name="signs", size=28, content="signs"),
    net=Net(width=4, dim=None, unit_length=False),
    terms=(Term(loss="prototypical"),),
    training=Training(steps=16, batch_size=25, images_per_class=5, learning_rate=1e-2, validate_every=8),
)
STUDENT = changed(
    TEACHER, {"terms": (*TEACHER.terms, Term(loss="rkd_distance", weight=0.5), Term(loss="rkd_angle", weight=0.5))}
)
TASK = find_task(TEACHER.task)
METRICS = {"3way_2shot", "3way_2shot_ci95", "6way_2shot", "6way_2shot_ci95"}
TEST_LABELS = labels_of(SIGNS.table, indices_of(SIGNS.table, "test"))[0]


def made(experiment, folder):
    return run(experiment, folder / "runs", folder / "data", Silent())


@pytest.fixture
def trained(tmp_path):
    return made(TEACHER, tmp_path)


def accuracies(embeddings, way, seed=0):
    """One episode after the other, by the definition."""
    episodes = draw_episodes(TEST_LABELS, way, 2, 4, 40, seed)
    return [few_shot_accuracy(embeddings[support], embeddings[query])
            for support, query in zip(episodes.support, episodes.query, strict=True)]  # fmt: skip


def test_a_row_of_few_shot_learning(tmp_path, trained):
    """Its metrics are those of the stored embeddings, over the same episodes for any network."""
    embeddings = RunFolder(tmp_path / "runs", TEACHER).stored().embeddings
    assert trained.metrics.keys() == METRICS
    assert trained.primary == "3way_2shot"
    assert trained.all_counts.keys() == {"3way_2shot", "6way_2shot"}
    for way in (3, 6):
        found, counted = accuracies(embeddings, way), trained.all_counts[f"{way}way_2shot"]
        mean, half_width = few_shot_interval(found)
        assert np.allclose(np.divide(counted.correct, counted.trials), found, atol=1e-12, rtol=0)
        assert counted.groups == tuple(str(number) for number in range(40))
        assert set(counted.trials) == {way * 4}
        assert trained.metrics[f"{way}way_2shot"] == pytest.approx(mean, abs=1e-12)
        assert trained.metrics[f"{way}way_2shot_ci95"] == pytest.approx(half_width, abs=1e-12)
    assert trained.metrics["3way_2shot"] > 0.5  # by chance: 0.33
    assert {entry["step"] for entry in trained.history if "3way_2shot" in entry} == {8, 16}


def test_validation_has_episodes_of_its_own():
    """Of the validation images and from another stream, as many as are asked for, by the primary metric alone."""
    network = initial_network(TEACHER, 1)
    measured = TASK.evaluate(Model(network, torch.device("cpu")), SIGNS, "validation")
    indices = indices_of(SIGNS.table, "validation")
    embeddings = network.eval()(SIGNS.test_batch(torch.from_numpy(indices))).detach().numpy()
    episodes = draw_episodes(labels_of(SIGNS.table, indices)[0], 3, 2, 4, 20, stream="validation episodes")
    expected = [few_shot_accuracy(embeddings[support], embeddings[query])
                for support, query in zip(episodes.support, episodes.query, strict=True)]  # fmt: skip
    assert measured.metrics.keys() == {"3way_2shot", "3way_2shot_ci95"}
    assert np.divide(measured.counts.correct, measured.counts.trials).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scorer", get_args(Scorer))
def test_stored_embeddings_measured_again_are_the_row_to_the_last_bit(tmp_path, call, scorer):
    """`relbench evaluate` with the settings of a run, on the folder of the run."""
    experiment = changed(TEACHER, {"task": changed(TEACHER.task, {"scorer": scorer, "episode_seed": 5})})
    row = made(experiment, tmp_path)
    options = ("--way", "3,6", "--shot", 2, "--queries", 4, "--episodes", 40, "--seed", 5, "--scorer", scorer)
    folder = RunFolder(tmp_path / "runs", experiment).path
    done = call("evaluate", folder, "--task", "few-shot", *options, "--json")
    assert json.loads(done.out) == {scorer: row.metrics}


def test_other_episodes_are_asked_for_by_their_seed_alone(tmp_path, trained):
    """The seed of a run changes its training, not what it is asked."""
    other = changed(TEACHER, {"task": changed(TEACHER.task, {"episode_seed": 1})})
    row = made(other, tmp_path)
    assert row.embeddings_hash == trained.embeddings_hash
    embeddings = RunFolder(tmp_path / "runs", TEACHER).stored().embeddings
    assert row.metrics["3way_2shot"] == pytest.approx(np.mean(accuracies(embeddings, 3, seed=1)), abs=1e-12)
    assert row.fingerprint != trained.fingerprint
    of_seed = made(changed(TEACHER, {"seed": 1}), tmp_path)
    again = RunFolder(tmp_path / "runs", changed(TEACHER, {"seed": 1})).stored().embeddings
    assert of_seed.metrics["3way_2shot"] == pytest.approx(np.mean(accuracies(again, 3)), abs=1e-12)


def test_training_batches_are_episodes():
    """Whole classes beside each other, each image once, all of it a function of seed and step."""
    labels = torch.from_numpy(labels_of(SIGNS.table, indices_of(SIGNS.table, "train"))[0])
    sampler = TASK.sampler(labels, 3, TEACHER.training)
    for step in range(20):
        batch = sampler(step)
        by_class = labels[batch].reshape(5, 5)
        assert (by_class == by_class[:, :1]).all()
        assert len(by_class[:, 0].unique()) == 5
        assert len(batch.unique()) == 25
        assert torch.equal(batch, TASK.sampler(labels, 3, TEACHER.training)(step))
    assert not torch.equal(sampler(0), sampler(1))
    assert not torch.equal(sampler(0), TASK.sampler(labels, 4, TEACHER.training)(0))


def test_a_student_sees_its_teachers_episodes_and_comes_out_the_same_in_a_cohort(tmp_path, trained):
    student = changed(STUDENT, {"teacher": TEACHER})
    other = changed(student, {"terms": (*TEACHER.terms, Term(loss="pkt"))})
    alone = made(student, tmp_path)
    assert alone.counts.groups == trained.counts.groups
    assert alone.weights_hash != trained.weights_hash
    (tmp_path / "cohort" / "runs").mkdir(parents=True)
    made(TEACHER, tmp_path / "cohort")
    folder = tmp_path / "cohort"
    rows = run_cohort([student, other], folder / "runs", folder / "data", [Silent(), Silent()])
    together = rows[student.fingerprint]
    for name in ("history", "metrics", "counts", "other_counts", "weights_hash", "embeddings_hash"):
        assert getattr(together, name) == getattr(alone, name)


@pytest.mark.parametrize("batch_norm", ["together", "apart"])
def test_stopped_and_resumed_it_is_the_same_to_the_last_bit(tmp_path, batch_norm):
    class StoppedError(Exception):
        pass

    class Stopping(Silent):
        def step(self, done):
            if done == 11:
                raise StoppedError

    experiment = changed(TEACHER, {"task": changed(TEACHER.task, {"batch_norm": batch_norm})})
    with pytest.raises(StoppedError):
        run(experiment, tmp_path / "stopped" / "runs", tmp_path / "data", Stopping())
    resumed, whole = made(experiment, tmp_path / "stopped"), made(experiment, tmp_path / "whole")
    for name in ("history", "metrics", "counts", "other_counts", "weights_hash", "embeddings_hash"):
        assert getattr(resumed, name) == getattr(whole, name)


def test_support_images_and_queries_are_normalised_together_or_apart():
    """Apart, a row's statistics are those of its own kind; rows and maps come back in the batch's order."""
    episode, norm = Episode(way=3, shot=2, queries=4, apart=True), torch.nn.BatchNorm1d(5)
    images = torch.randn(18, 5, generator=torch.Generator().manual_seed(0))

    def features(rows):
        return norm(rows), {"layer": 2 * norm(rows)}

    data = TrainingData(5, 3, torch.arange(18) // 6, None, None, None, layout=Layout(episode))
    setup = TrainingSetup(norm, features, (), None, None, data, "")
    seen = setup.see(setup.show(torch.arange(18), images), torch.Generator())
    embeddings, maps = seen.embeddings, seen.maps
    support = torch.tensor([0, 1, 6, 7, 12, 13])
    query = torch.tensor([at for at in range(18) if at not in support])
    for rows in (support, query):
        assert torch.allclose(embeddings[rows], norm(images[rows]), atol=1e-6)
    assert torch.allclose(maps["layer"], 2 * embeddings, atol=1e-6)
    assert not torch.allclose(embeddings, norm(images), atol=1e-2)


@pytest.mark.parametrize(
    ("task", "training", "message"),
    [
        ({"shot": 5}, {}, "images_per_class = 5 leaves no queries beside 5 support images of a class: raise it"),
        ({}, {"batch_size": 27}, "batch_size = 27 is no episode of two or more classes of 5 images each"),
        ({}, {"batch_size": 45}, "a training episode has 9 classes, but there are 8: ask for fewer, or use more"),
        ({}, {"batch_size": 20, "images_per_class": 10}, "a training episode has 10 images of each class, support and"),
    ],
)
def test_impossible_training_episodes_are_refused(task, training, message):
    labels = torch.from_numpy(labels_of(SIGNS.table, indices_of(SIGNS.table, "train"))[0])
    few_shot = find_task(changed(TEACHER.task, task))
    with pytest.raises(ValueError, match=message):
        few_shot.sampler(labels, 0, changed(TEACHER.training, training))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"way": (3, 8)}, "a test episode has 8 classes, but there are 7"),
        ({"way": (5, 3)}, "a validation episode has 5 classes, but there are 4"),
        ({"queries": 8}, "a test episode has 10 images of each class, support and queries, but there is a class of 9"),
    ],
)
def test_impossible_test_episodes_are_refused(task, message):
    with pytest.raises(ValueError, match=message):
        find_task(changed(TEACHER.task, task)).check(SIGNS.table)


def test_every_task_of_a_plan_is_checked(tmp_path):
    """Be the networks, losses and batches of its runs the same."""
    impossible = changed(TEACHER, {"task": changed(TEACHER.task, {"way": (3, 8)})})
    for plan in ([impossible, TEACHER], [TEACHER, impossible]):
        with pytest.raises(ValueError, match="a test episode has 8 classes, but there are 7"):
            check_plan(plan, SIGNS.table, find_data_set("signs", tmp_path))


def test_a_split_that_shares_classes_is_refused():
    table = SIGNS.table.assign(label=SIGNS.table["label"].replace("test0", "train0"))
    with pytest.raises(ValueError, match=r"class 'train0' lies in .*: splits must share no class for few-shot: choose"):
        TASK.check(table)


@pytest.mark.parametrize("value", [{"way": ()}, {"way": (1,)}, {"way": (5, 5)}, {"episodes": 0}, {"shot": 0}])
def test_impossible_settings_are_refused(value):
    with pytest.raises(ValueError, match=next(iter(value))):
        changed(TEACHER.task, value)


def test_a_loss_of_episodes_is_for_this_task_alone():
    with pytest.raises(ValueError, match="batches of retrieval are no episodes: it is for few-shot"):
        check_experiment(Experiment(terms=(Term(loss="prototypical"),)))


def test_contradictions_in_a_file_are_found(trained):
    assert list(TASK.contradictions(trained.metrics, trained.all_counts)) == []
    for name in METRICS:
        wrong = trained.metrics | {name: trained.metrics[name] / 2}
        assert len(list(TASK.contradictions(wrong, trained.all_counts))) == 1
    assert list(TASK.contradictions(trained.metrics, {TASK.primary: trained.counts})) == [
        "it has no counts of 6way_2shot"
    ]


def test_episodes_are_drawn_and_scored_in_parts(tmp_path, trained, monkeypatch):
    """So that a million of them need not be held at once."""
    kept, calls = RunFolder(tmp_path / "runs", TEACHER).stored().embeddings, list[int]()
    monkeypatch.setattr(relbench.tasks.few_shot, "EPISODES_AT_ONCE", 7)
    metrics, counts = TASK.score(kept, TEST_LABELS, "test", calls.append)
    assert (metrics, counts) == (trained.metrics, trained.all_counts)
    assert calls == 2 * [7, 7, 7, 7, 7, 5]


def test_other_metrics_can_be_timed():
    TASK.rehearse(8, 2, torch.device("cpu"))


def test_a_network_is_measured_on_another_data_set_by_the_same_episodes(tmp_path, trained):
    """Here the one that it was trained on, so that all metrics and counts are known."""
    asked = TransferSpec.of(TEACHER, TEACHER.data)
    for measured in (transfer(asked, tmp_path, tmp_path / "data"), finished_transfer(asked, tmp_path)):
        assert measured.metrics == trained.metrics
        assert measured.all_counts == trained.all_counts
