"""The task of classification, from training to a row: heads, epochs, class means, and what it refuses."""

import numpy as np
import pytest
import torch
from tasks.patterns import CLASSES, Patterns, pattern_set

import relbench.data.datasets.rendered
from relbench.data.table import indices_of, labels_of
from relbench.experiment import Classification, Data, Experiment, Net, Term, Training
from relbench.models import build_classifier, build_embedder, embedding_size
from relbench.resolve import check_experiment
from relbench.results.run_folder import RunFolder, load_trained
from relbench.run import run
from relbench.settings import changed
from relbench.tasks import Model, find_task
from relbench.trackers import Silent

TRAINING = Training(
    optimizer="sgd", momentum=0.9, nesterov=True, learning_rate=0.05, weight_decay=5e-4, decay_at=(0.5,), decay=0.2,
    steps=24, batch_size=9, validate_every=12,
)  # fmt: skip
TEACHER = Experiment(
    task=Classification(class_means=True),
    data=Data(name="patterns", size=28, content="patterns"),
    net=Net(width=4, dim=None, unit_length=False),
    terms=(Term(loss="cross_entropy"),),
    training=TRAINING,
)
TASK = find_task(TEACHER.task)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def patterns(monkeypatch):
    source = Patterns()
    monkeypatch.setitem(relbench.data.datasets.rendered.RENDERED, "patterns", pattern_set(source))
    return source


@pytest.fixture
def trained(tmp_path):
    return run(TEACHER, tmp_path / "runs", tmp_path / "data", Silent())


def test_a_row_of_classification(tmp_path, trained):
    names = {"accuracy", "top5", "class_accuracy", "likelihood", "calibration_error", "ncm_accuracy"}
    assert trained.metrics.keys() == names
    assert 0.5 < trained.metrics["accuracy"] == trained.counts.share
    assert trained.metrics["top5"] == 1.0  # there are four classes
    assert (trained.counts.groups, trained.counts.trials) == (CLASSES, (6, 6, 6, 6))
    assert trained.metrics["class_accuracy"] == pytest.approx(trained.metrics["accuracy"])  # equally many of each
    assert {entry["step"] for entry in trained.history if "accuracy" in entry} == {12, 24}
    network = build_embedder(TEACHER.net, 1, 0)
    assert trained.parameters == sum(each.numel() for each in network.parameters()) + 32 * 4 + 4
    assert RunFolder(tmp_path / "runs", TEACHER).stored().embeddings.shape == (24, 32)


def test_metrics_are_those_of_the_head_on_the_test_images(tmp_path, trained, patterns):
    """By the definition: logits of each image of the test, and inner products with means of the training images."""
    found = load_trained(TEACHER, tmp_path / "runs", 1, "teacher")
    network, head = found.network.eval(), found.classifier.eval()
    with torch.no_grad():
        features = {split: network(patterns.test_batch(torch.from_numpy(indices_of(patterns.table, split))))
                    for split in ("train", "test")}  # fmt: skip
        numbers = {split: labels_of(patterns.table, indices_of(patterns.table, split))[0] for split in features}
        answers = head(features["test"]).argmax(dim=1).numpy()
    assert trained.metrics["accuracy"] == np.mean(answers == numbers["test"])
    means = [features["train"][numbers["train"] == number].mean(dim=0) for number in range(4)]
    nearest = torch.stack([features["test"] @ (mean / mean.norm()) for mean in means], dim=1).argmax(dim=1)
    assert trained.metrics["ncm_accuracy"] == np.mean(nearest.numpy() == numbers["test"])


def test_a_network_without_a_head_is_measured_by_class_means(tmp_path, trained, patterns):
    network = load_trained(TEACHER, tmp_path / "runs", 1, "teacher").network
    found = TASK.evaluate(Model(network, CPU), patterns, "test")
    assert found.metrics["accuracy"] == found.metrics["ncm_accuracy"] == trained.metrics["ncm_accuracy"]


def test_a_stage_whose_losses_take_no_logits_is_measured_by_class_means(tmp_path, trained):
    """Its step is chosen by them, too: no head was trained, and an untrained one would answer by chance."""
    training = changed(TRAINING, {"selection": "validation", "validate_every": 4})
    stage = changed(TEACHER, {"terms": (Term(loss="rkd_distance"),), "training": training, "teacher": TEACHER})
    row = run(stage, tmp_path / "runs", tmp_path / "data", Silent())
    assert load_trained(stage, tmp_path / "runs", 1, "first stage").classifier is None
    assert row.metrics["accuracy"] == row.metrics["ncm_accuracy"] > 0.5
    found = {entry["step"]: entry["accuracy"] for entry in row.history if "accuracy" in entry}
    assert found[row.selected_step] == max(found.values()) > 0.5
    assert row.parameters == trained.parameters - (32 * 4 + 4)


def test_soft_labels_need_a_teacher_whose_head_was_trained():
    teacher = changed(TEACHER, {"terms": (Term(loss="triplet"),)})
    kd = Term(loss="hinton_kd", options={"temperature": 4.0})
    student = changed(TEACHER, {"terms": (Term(loss="cross_entropy"), kd), "teacher": teacher})
    with pytest.raises(ValueError, match=r"but the teacher has none: add the loss probe .* to the teacher's terms"):
        check_experiment(student)


def test_stopped_and_resumed_it_is_the_same_to_the_last_bit(tmp_path, trained):
    """In the middle of an epoch, and after the rate has fallen: momentum and schedule are in the checkpoint."""

    class StoppedError(Exception):
        pass

    class Stopping(Silent):
        def step(self, done):
            if done == 8:
                raise StoppedError

    with pytest.raises(StoppedError):
        run(TEACHER, tmp_path / "stopped", tmp_path / "data", Stopping())
    row = run(TEACHER, tmp_path / "stopped", tmp_path / "data", Silent())
    for name in ("history", "metrics", "counts", "weights_hash", "embeddings_hash"):
        assert getattr(row, name) == getattr(trained, name)


def test_a_frozen_network_trains_its_head_alone(tmp_path, trained):
    """From the network that is there: no weight and no running mean of it moves, and the head is a new one."""
    training = changed(TRAINING, {"frozen": True, "learning_rate": 0.5})
    probe = changed(TEACHER, {"training": training, "initialized_from": TEACHER})
    row = run(probe, tmp_path / "runs", tmp_path / "data", Silent())
    first, second = (load_trained(each, tmp_path / "runs", 1, "network") for each in (TEACHER, probe))
    before, after = first.network.state_dict(), second.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(first.classifier.weight, second.classifier.weight)
    assert row.metrics["ncm_accuracy"] == trained.metrics["ncm_accuracy"]
    assert row.metrics["accuracy"] > 0.5


@pytest.mark.parametrize("net", [Net(width=4, dim=None), Net(width=4, dim=24), Net(trunk="resnet18", dim=None)])
def test_the_head_is_as_wide_as_the_embedding(net):
    size = embedding_size(net, 32)
    assert size == build_embedder(net, 3, 0)(torch.rand(2, 3, 32, 32)).shape[1]
    assert build_classifier(net, 32, 7, 0).weight.shape == (7, size)
    assert net.short_name.endswith("/24") == (net.dim == 24)


def test_impossible_tables_are_refused(patterns):
    table = patterns.table
    with pytest.raises(
        ValueError, match=r"class 'dots' lies in 'train', by image .* but not in 'test'.*: choose data.split = images"
    ):
        TASK.check(table[(table["split"] != "test") | (table["label"] != "dots")])
    with pytest.raises(ValueError, match="classification needs at least 2 classes, but there is only 'dots'"):
        TASK.check(table[table["label"] == "dots"])


def test_a_batch_may_have_fewer_images_than_images_per_class():
    """That setting has no say here."""
    assert len(TASK.sampler(torch.zeros(8), 0, changed(TRAINING, {"batch_size": 4}))(0)) == 4


def test_contradictions_in_a_file_are_found(trained):
    assert list(TASK.contradictions(trained.metrics, {"accuracy": trained.counts})) == []
    wrong = trained.metrics | {"accuracy": 0.25, "top5": 0.1}
    assert len(list(TASK.contradictions(wrong, {"accuracy": trained.counts}))) == 2
    assert list(TASK.contradictions(trained.metrics | {"likelihood": 1.5}, {})) == ["likelihood = 1.5 is not in [0, 1]"]


def test_other_metrics_can_be_timed():
    TASK.rehearse(8, 200, CPU)


def test_a_frozen_network_without_a_head_has_nothing_to_train():
    frozen = changed(TEACHER, {"training": changed(TRAINING, {"frozen": True}), "terms": (Term(loss="triplet"),)})
    with pytest.raises(ValueError, match="frozen = true trains the head alone, but no loss takes its logits"):
        check_experiment(frozen)
