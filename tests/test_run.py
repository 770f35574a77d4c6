"""One run, from images to a row."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from planned import plan_runs, quickstart_with
from tiny import TINY
from told import Steps

import relbench.models.pretrained
import relbench.models.trunks
import relbench.run
import relbench.training.trainer
from relbench.data.datasets.glyphs import GLYPHS
from relbench.evaluation import retrieval_metrics
from relbench.experiment import Term
from relbench.models import Embedder, build_embedder
from relbench.results.checkpoint import save_checkpoint, weights_hash
from relbench.run import RunFolder, run
from relbench.settings import changed
from relbench.studies import build_study
from relbench.studies.quickstart import TRIPLET
from relbench.tasks.retrieval import RetrievalTask
from relbench.trackers import Silent
from relbench.training import DivergedError
from relbench.training.computing import TF32

QUICKSTART = build_study("quickstart")
WITH_WEIGHTS = (  # losses with weights of their own, from maps and from a classifier
    TRIPLET,
    Term(loss="fitnet"),
    Term(loss="correlation_congruence"),
    Term(loss="cross_entropy"),
    Term(loss="hinton_kd", options={"temperature": 4.0}),
)
WITH_CLASSIFIER = quickstart_with(
    {"weights": WITH_WEIGHTS, "staged": (TRIPLET, Term(loss="refilled_classifier"))},
    teacher_terms=(TRIPLET, Term(loss="probe")),
    first_stages={"staged": (Term(loss="fitnet", layers=("stage4",)),)},
)


def planned(study, prefix="", **values):
    cells = plan_runs(study, (0,), values=TINY | {"training.channels_last": False} | values)
    return {prefix + cell.label: cell.experiment for cell in cells}


CELLS = planned(QUICKSTART) | planned(WITH_CLASSIFIER, "probed, ", **{"student.steps": 18})


class Stop(Exception):  # noqa: N818 - stands for a kill
    pass


ignore = Silent()


@pytest.fixture(scope="module")
def done(tmp_path_factory, data_folder):
    """Finished teachers and students."""
    runs = tmp_path_factory.mktemp("runs")
    probed = ("teacher", "weights", "staged, first stage", "staged")
    labels = ("teacher", "rkd-da", *(f"probed, {label}" for label in probed))
    rows = {label: run(CELLS[label], runs, data_folder, ignore) for label in labels}
    return runs, rows


def test_the_row_says_what_was_run(done):
    runs, rows = done
    row = rows["rkd-da"]
    assert row.experiment == CELLS["rkd-da"]
    assert row.fingerprint == CELLS["rkd-da"].fingerprint
    assert RunFolder(runs, CELLS["rkd-da"]).finished() == row
    assert row.selected_step == 9
    assert [entry["step"] for entry in row.history if "recall@1" in entry] == [3, 6, 9]
    assert set(row.history[-1]) == {"step", "triplet", "rkd_distance", "rkd_angle", "recall@1"}
    assert row.validation == {"recall@1": row.history[-1]["recall@1"]}
    assert row.weights == ""
    assert row.train_seconds > 0
    assert 10**8 < row.peak_memory < 10**11
    assert row.machine.versions["torch"] == torch.__version__.partition("+")[0]


def test_the_row_keeps_the_hashes_of_what_its_numbers_rest_on(done):
    runs, rows = done
    hashes = {label: weights_hash(RunFolder(runs, row.experiment).state()) for label, row in rows.items()}
    assert {label: row.weights_hash for label, row in rows.items()} == hashes
    assert len(set(hashes.values())) == len(rows)
    for row in rows.values():
        assert RunFolder(runs, row.experiment).stored().hash == row.embeddings_hash
    assert rows["teacher"].dependencies == {}
    assert rows["rkd-da"].dependencies == {"teacher": hashes["teacher"]}
    assert rows["probed, staged"].dependencies == {
        "teacher": hashes["probed, teacher"],
        "first stage": hashes["probed, staged, first stage"],
    }


@pytest.mark.parametrize(("label", "changed_run"), [("rkd-da", "teacher"), ("probed, staged", "first stage")])
def test_nobody_is_taught_by_other_weights_than_the_rows(done, tmp_path, data_folder, label, changed_run):
    """One bit of a mantissa: loaded, it would make another student, and nothing would say so."""
    experiment = CELLS[label]
    for one in experiment.dependencies.values():
        shutil.copytree(RunFolder(done[0], one).path, tmp_path / one.fingerprint)
    folder = RunFolder(tmp_path, experiment.dependencies[changed_run])
    state = folder.state()
    next(iter(state["network"].values())).flatten()[:1].view(torch.int32).bitwise_xor_(1)
    save_checkpoint(state, folder.checkpoint)  # with the hash of what it now holds
    with pytest.raises(ValueError, match=rf"\A{folder.checkpoint} does not hold the weights of {folder.row}.+\Z"):
        run(experiment, tmp_path, data_folder, ignore)


def test_metrics_are_those_of_the_kept_embeddings(done):
    runs, rows = done
    with np.load(RunFolder(runs, CELLS["rkd-da"]).embeddings) as kept:
        assert kept["embeddings"].shape == (12 * 12, 8)
        ks = GLYPHS.ks
        assert retrieval_metrics(kept["embeddings"], kept["labels"], ks, backend="torch") == rows["rkd-da"].metrics
        nearest = [
            kept["labels"][min((sum((a - b) ** 2), j) for j, b in enumerate(kept["embeddings"]) if j != i)[1]]
            for i, a in enumerate(kept["embeddings"].astype(float))
        ]
        assert rows["rkd-da"].metrics["recall@1"] == np.mean(np.array(nearest) == kept["labels"])


def test_class_counts_add_up_to_recall(done):
    row = done[1]["rkd-da"]
    assert sum(row.counts.correct) / sum(row.counts.trials) == row.metrics["recall@1"]
    assert len(row.counts.groups) == 12
    assert set(row.counts.trials) == {12}


def test_parameters_are_the_networks(done):
    network = build_embedder(CELLS["rkd-da"].net, channels=1, seed=0)
    assert done[1]["rkd-da"].parameters == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("label", ["rkd-da", "probed, weights", "probed, staged"])
def test_killed_and_resumed_equals_uninterrupted(done, tmp_path, data_folder, label):
    """The student is stopped between two checkpoints; its weights, embeddings and metrics come out bit for bit."""
    runs, rows = done
    experiment = CELLS[label]
    for one in experiment.dependencies.values():
        (tmp_path / one.fingerprint).symlink_to(RunFolder(runs, one).path)

    def stop(step):
        if step == 5:
            raise Stop

    with pytest.raises(Stop):
        run(experiment, tmp_path, data_folder, Steps(stop))
    seen = []
    again = run(experiment, tmp_path, data_folder, Steps(seen.append))
    assert seen == list(range(3, experiment.training.steps + 1))
    first, second = (RunFolder(place, experiment) for place in (runs, tmp_path))
    assert np.array_equal(np.load(first.embeddings)["embeddings"], np.load(second.embeddings)["embeddings"])
    for part in ("network", "losses"):
        weights = [one.state()[part] for one in (first, second)]
        assert weights[0].keys() == weights[1].keys()
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    same = ("metrics", "history", "counts", "validation", "data_hash", "selected_step")
    assert all(getattr(again, name) == getattr(rows[label], name) for name in same)


def test_projections_and_classifier_are_kept_with_the_network(done):
    kept = RunFolder(done[0], CELLS["probed, weights"]).state()["losses"]
    assert {name: tuple(value.shape) for name, value in kept.items()} == {
        "trainable.fitnet@stage2.weight": (8, 4),
        "trainable.fitnet@stage3.weight": (16, 8),
        "trainable.fitnet@stage4.weight": (32, 16),
        "trainable.fitnet@embedding.weight": (16, 8),
        "trainable.correlation_congruence.projection.weight": (16, 8),
        "trainable.correlation_congruence.projection.bias": (16,),
        "classifier.weight": (40, 8),
        "classifier.bias": (40,),
    }


def test_a_teacher_with_a_probe_is_the_same_teacher(done):
    """To the last bit: so the probe is no part of what a study compares."""
    runs, rows = done
    plain, probed = (RunFolder(runs, CELLS[label]).state() for label in ("teacher", "probed, teacher"))
    assert all(torch.equal(value, plain["network"][name]) for name, value in probed["network"].items())
    assert probed["losses"].keys() == {"classifier.weight", "classifier.bias"}
    assert rows["probed, teacher"].metrics == rows["teacher"].metrics
    assert rows["probed, teacher"].parameters == rows["teacher"].parameters  # it answers no query


def test_a_second_stage_goes_on_where_the_first_one_ended(done, tmp_path, data_folder, monkeypatch):
    """With the batches and views that a run of all the steps would have seen next."""
    runs, rows = done
    second = CELLS["probed, staged"]
    assert (second.training.steps, second.initialized_from.training.steps, second.total_steps) == (9, 9, 18)
    assert set(rows["probed, staged"].history[-1]) == {"step", "triplet", "refilled_classifier", "recall@1"}
    assert set(rows["probed, staged, first stage"].history[-1]) == {"step", "fitnet", "recall@1"}
    for one in second.dependencies.values():
        (tmp_path / one.fingerprint).symlink_to(RunFolder(runs, one).path)
    seen, stream = [], relbench.training.trainer.stream
    monkeypatch.setattr(relbench.training.trainer, "stream", lambda *given: seen.append(given[1:]) or stream(*given))
    again = run(second, tmp_path, data_folder, ignore)
    assert seen == [(second.seed, 9, 18)]
    assert again.weights_hash == rows["probed, staged"].weights_hash


def test_a_second_stage_needs_the_first(tmp_path, data_folder, done):
    second = CELLS["probed, staged"]
    (tmp_path / second.teacher.fingerprint).symlink_to(RunFolder(done[0], second.teacher).path)
    with pytest.raises(ValueError, match=r"the first stage's checkpoint .* is missing"):
        run(second, tmp_path, data_folder, ignore)


OWN = "def f(student, teacher): return (student.mean() - teacher.detach().mean()).square()\n"


@pytest.mark.parametrize(
    ("term", "step", "kept"),
    [
        (Term(loss="my_loss:f", source=OWN), 3, False),
        (Term(loss="my_loss:f", source=OWN), 9, True),  # finished but for the evaluation
        (Term(loss="rkd_distance"), 3, True),
    ],
)
def test_an_interrupted_training_with_an_own_loss_begins_anew(tmp_path, monkeypatch, term, step, kept):
    folder = RunFolder(tmp_path, changed(CELLS["rkd-d"], {"terms": (term,)}))
    folder.path.mkdir()
    folder.checkpoint.write_text("")
    monkeypatch.setattr(RunFolder, "state", lambda _: {"step": step})
    relbench.run._begin_anew_with_own_losses(folder.experiment, folder)
    assert folder.checkpoint.exists() == kept


def test_what_an_own_loss_breaks_in_training_is_one_line():
    own = changed(CELLS["rkd-d"], {"terms": (Term(loss="my_loss:f", source=OWN),)})
    words = "training with my_loss:f failed: KeyError: 'x'"
    with pytest.raises(ValueError, match=words), relbench.run.own_losses_named(own):
        raise KeyError("x")
    with pytest.raises(DivergedError), relbench.run.own_losses_named(own):
        raise DivergedError("too fast")
    with pytest.raises(KeyError), relbench.run.own_losses_named(CELLS["rkd-d"]):
        raise KeyError("x")


def test_the_students_gradient_depends_on_the_teacher(done, data_folder, tmp_path):
    """Another teacher, another student: the distillation is not idle."""
    runs, rows = done
    other = changed(CELLS["rkd-da"], {"teacher": changed(CELLS["teacher"], {"seed": 7})})
    run(other.teacher, runs, data_folder, ignore)
    assert run(other, runs, data_folder, ignore).history[-1] != rows["rkd-da"].history[-1]


def test_missing_teacher(tmp_path, data_folder):
    with pytest.raises(ValueError, match=r"teacher's checkpoint .* is missing"):
        run(CELLS["rkd-da"], tmp_path, data_folder, ignore)


def test_selection_by_validation(tmp_path, data_folder):
    training = changed(CELLS["teacher"].training, {"selection": "validation"})
    row = run(changed(CELLS["teacher"], {"training": training}), tmp_path, data_folder, ignore)
    best = max(entry["recall@1"] for entry in row.history if "recall@1" in entry)
    assert row.validation["recall@1"] == best


@pytest.mark.parametrize("loss", ["pml:ProxyAnchorLoss", "pml:MultiSimilarityLoss"])
def test_losses_of_pytorch_metric_learning(tmp_path, data_folder, loss):
    term = changed(CELLS["teacher"].terms[0], {"loss": loss, "options": {}})
    row = run(changed(CELLS["teacher"], {"terms": (term,)}), tmp_path, data_folder, ignore)
    assert row.history[-1][loss] > 0


def test_a_pretrained_trunk_of_torchvision(tmp_path, data_folder, monkeypatch):
    """The row says where its weights come from; those of this test are random ones that lie in that place."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(relbench.models.trunks, "_had", relbench.models.trunks._had.__wrapped__)
    monkeypatch.setattr(relbench.models.pretrained, "_digest", lambda *_: "f37072fd" + "0" * 56)
    file = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    torch.save(torchvision.models.get_model("resnet18", weights=None).state_dict(), file)
    net = changed(CELLS["teacher"].net, {"trunk": "resnet18", "width": None, "weights": "imagenet"})
    training = changed(CELLS["teacher"].training, {"steps": 1, "batch_size": 10})
    row = run(changed(CELLS["teacher"], {"net": net, "training": training}), tmp_path, data_folder, ignore)
    assert row.parameters > 11_000_000
    assert row.weights == "torchvision resnet18 IMAGENET1K_V1 (resnet18-f37072fd.pth)"


def switches():
    """Torch's, for the whole process."""
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def test_a_run_computes_in_its_own_precision(tmp_path, data_folder):
    seen = []
    assert switches() != TF32["32-true"]  # torch's own default
    run(CELLS["teacher"], tmp_path, data_folder, Steps(lambda _: seen.append(switches())))
    assert set(seen) == {TF32["32-true"]}


def test_channels_last_changes_rounding_alone(done, tmp_path, data_folder, monkeypatch):
    """Student and teacher both; the row is another one, as its settings are."""
    student, given, turned = CELLS["rkd-da"], [], Embedder.with_channels_last
    (tmp_path / student.teacher.fingerprint).symlink_to(RunFolder(done[0], student.teacher).path)
    monkeypatch.setattr(Embedder, "with_channels_last", lambda network: given.append(network) or turned(network))
    layouts = [
        changed(student, {"training": changed(student.training, {"channels_last": last})}) for last in (False, True)
    ]
    rows = [run(one, tmp_path, data_folder, ignore) for one in layouts]
    assert rows[0].fingerprint != rows[1].fingerprint
    assert sorted(network.linear.out_features for network in given) == [8, 16]  # of the second alone
    embeddings = [np.load(RunFolder(tmp_path, one).embeddings)["embeddings"] for one in layouts]
    np.testing.assert_allclose(*embeddings, atol=1e-3)
    assert rows[1].history[0]["triplet"] == pytest.approx(rows[0].history[0]["triplet"], rel=1e-4)


def watched(experiment, **training):
    return changed(experiment, {"training": changed(experiment.training, {"log_test_metrics": True, **training})})


def unwatched(row):
    return [{name: value for name, value in entry.items() if not name.startswith("test.")} for entry in row.history]


@pytest.mark.parametrize("label", ["rkd-da", "probed, weights"])
def test_watching_the_test_classes_changes_no_number_that_counts(done, tmp_path, data_folder, label):
    """To the last bit; and what was seen last is what the row says."""
    runs, rows = done
    plain, experiment = CELLS[label], watched(CELLS[label])
    (tmp_path / plain.teacher.fingerprint).symlink_to(RunFolder(runs, plain.teacher).path)
    row = run(experiment, tmp_path, data_folder, ignore)
    first, second = (RunFolder(*one).state() for one in ((runs, plain), (tmp_path, experiment)))
    for part in ("network", "losses"):
        assert all(torch.equal(value, second[part][name]) for name, value in first[part].items())
    same = ("metrics", "counts", "validation", "selected_step")
    assert all(getattr(row, name) == getattr(rows[label], name) for name in same)
    assert unwatched(row) == list(rows[label].history)
    seen = {entry["step"]: {name for name in entry if name.startswith("test.")} for entry in row.history}
    every = experiment.training.validate_every
    names = {f"test.{name}" for name in row.metrics}
    assert seen == {step: names if step % every == 0 else set() for step in seen}
    assert {name: row.history[-1][f"test.{name}"] for name in row.metrics} == row.metrics


def test_watching_the_test_classes_chooses_nothing(tmp_path, data_folder, monkeypatch):
    """Though another step than the chosen one is best on them."""
    recalls, seen, measure = iter([0.5, 0.9, 0.7]), iter([0.9, 0.3, 0.95, 0.3]), RetrievalTask.evaluate

    def fake(task, model, source, split):
        measured = measure(task, model, source, split)
        shown = {"r_precision": next(seen)} if split == "test" else {"recall@1": next(recalls)}
        return replace(measured, metrics=measured.metrics | shown)

    monkeypatch.setattr(RetrievalTask, "evaluate", fake)
    row = run(watched(CELLS["teacher"], selection="validation", validate_every=2), tmp_path, data_folder, ignore)
    assert row.selected_step == 4
    assert row.validation == {"recall@1": 0.9}
    (chosen,) = [entry for entry in row.history if entry["step"] == 4]
    assert {name: chosen[f"test.{name}"] for name in row.metrics} == row.metrics


def test_a_watched_run_resumed_equals_an_uninterrupted_one(tmp_path, data_folder):
    experiment = watched(CELLS["teacher"])

    def stop(step):
        if step == 5:
            raise Stop

    with pytest.raises(Stop):
        run(experiment, tmp_path / "a", data_folder, Steps(stop))
    rows = [run(experiment, tmp_path / name, data_folder, ignore) for name in ("a", "b")]
    assert rows[0].history == rows[1].history


def test_a_run_tells_what_it_does(tmp_path, data_folder):
    """In order: phases, steps as they are done, and what is written down in the row, as it is."""

    class All(Silent):
        def __init__(self):
            self.phases, self.steps, self.entries = [], [], []

        def begin(self, phase):
            self.phases.append(phase)

        def step(self, done):
            self.steps.append((done, self.phases[-1]))

        def log(self, entry):
            self.entries.append(entry)

    told = All()
    row = run(CELLS["teacher"], tmp_path, data_folder, told)
    steps = CELLS["teacher"].training.steps
    assert told.phases == ["preparing", "training", *["validating", "training"] * 2, "evaluating"]
    assert told.steps == [(0, "preparing"), *((step, "training") for step in range(1, steps + 1))]
    history = {}
    for entry in told.entries:
        history.setdefault(entry["step"], {}).update(entry)
    assert tuple(history.values()) == row.history
