"""A run's folder, and how another run reads it."""

import numpy as np
import pytest
import torch
from analysis.test_summarise import make_row

from relbench.evaluation import read_embeddings
from relbench.experiment import Experiment, Net, Term, Training
from relbench.models import build_classifier, build_embedder
from relbench.results.checkpoint import CheckpointError, save_checkpoint, weights_hash
from relbench.results.records import write_record
from relbench.results.run_folder import RunFolder, has_classifier, load_trained, unverified
from relbench.settings import changed

NET, TRAINING = Net(width=2, dim=4), Training(steps=6)
PLAIN = Experiment(net=NET, training=TRAINING, terms=(Term(loss="triplet"),))
PROBED = Experiment(net=NET, training=TRAINING, terms=(Term(loss="triplet"), Term(loss="probe")))
CLASSES = 3


def weights(seed):
    """Of a network, and of what was trained along with it."""
    classifier = build_classifier(NET, PLAIN.data.size, CLASSES, seed).state_dict()
    losses = {f"classifier.{name}": value for name, value in classifier.items()}
    return build_embedder(NET, 1, seed).state_dict(), losses


def write(experiment, runs, *, best=False, **changes):
    """A checkpoint as a training leaves it; its last weights are of seed 8, its best of seed 9."""
    network, losses = weights(8)
    state = {
        "fingerprint": experiment.fingerprint,
        "step": 6,
        "network": network,
        "losses": losses,
        "history": [{"step": 3, "recall@1": 0.5}, {"step": 6, "recall@1": 0.4}],
        "scheduler": {"last_epoch": 6},
        "best": dict(zip(("step", "network", "losses"), (3, *weights(9)), strict=True)) if best else None,
    } | changes
    folder = RunFolder(runs, experiment)
    folder.path.mkdir()
    torch.save(state, folder.checkpoint)
    return folder


def test_the_folder_is_named_by_the_fingerprint(tmp_path):
    folder = RunFolder(tmp_path, PLAIN)
    assert folder.path == tmp_path / PLAIN.fingerprint
    names = {path.name for path in (folder.row, folder.checkpoint, folder.embeddings) if path.parent == folder.path}
    assert names == {"row.json", "checkpoint.pt", "embeddings.npz"}


def test_a_run_is_finished_once_it_has_its_row(tmp_path):
    folder = write(PLAIN, tmp_path)
    assert folder.finished() is None
    row = make_row(PLAIN, (1, 2, 3)).model_copy(update={"history": ({"step": 1000.0, "recall@1": 0.5},)})
    write_record(row, folder.row)
    assert folder.finished() == row
    folder.path.rename(tmp_path / PROBED.fingerprint)
    with pytest.raises(ValueError, match=r"row\.json is the row of another experiment"):
        RunFolder(tmp_path, PROBED).finished()


@pytest.mark.parametrize(
    ("loss", "has_one"),
    [
        ("triplet", False),
        ("rkd_distance", False),
        ("pml:ProxyAnchorLoss", False),
        ("probe", True),
        ("cross_entropy", True),
        ("hinton_kd", True),
        ("refilled_classifier", True),
    ],
)
def test_who_has_a_classifier(loss, has_one):
    assert has_classifier(Experiment(terms=(Term(loss="pkt"), Term(loss=loss)))) == has_one


def test_a_teachers_classifier_is_not_the_students():
    assert not has_classifier(Experiment(terms=(Term(loss="triplet"),), teacher=PROBED, initialized_from=None))


@pytest.mark.parametrize(("best", "seed"), [(False, 8), (True, 9)])
def test_network_and_classifier_are_those_of_the_step_that_counts(tmp_path, best, seed):
    write(PROBED, tmp_path, best=best)
    trained = load_trained(PROBED, tmp_path, 1, "teacher")
    network, losses = weights(seed)
    assert all(torch.equal(value, network[name]) for name, value in trained.network.state_dict().items())
    found = {f"classifier.{name}": value for name, value in trained.classifier.state_dict().items()}
    assert found.keys() == losses.keys()
    assert all(torch.equal(value, losses[name]) for name, value in found.items())
    assert trained.classifier.scale == 2  # the root of the dimension
    assert trained.state["step"] == 6


def test_no_classifier_where_none_was_trained(tmp_path):
    write(PLAIN, tmp_path, losses={})
    assert load_trained(PLAIN, tmp_path, 1, "teacher").classifier is None


def refusal(call):
    with pytest.raises(CheckpointError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        call()
    return str(caught.value)


@pytest.mark.parametrize("what", ["teacher", "first stage"])
def test_a_checkpoint_that_is_gone(tmp_path, what):
    folder = RunFolder(tmp_path, PLAIN)
    assert refusal(lambda: load_trained(PLAIN, tmp_path, 1, what)) == (
        f"the {what}'s checkpoint {folder.checkpoint} is missing: delete {folder.row} too, and it is trained again"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": "0123456789abcdef"},
        {"step": 7},
        {"losses": {}},
        {"losses": {"classifier.bias": torch.zeros(3)}},
        {"losses": {"classifier.weight": torch.zeros(3, 5), "classifier.bias": torch.zeros(3)}},
        {"network": build_embedder(Net(width=2, dim=5), 1, 0).state_dict()},
        {"network": {}},
    ],
    ids=str,
)
def test_a_checkpoint_that_does_not_fit(tmp_path, changes):
    folder = write(PROBED, tmp_path, **changes)
    message = refusal(lambda: load_trained(PROBED, tmp_path, 1, "first stage"))
    assert message.startswith(str(folder.checkpoint))
    assert message.endswith(f"; as it is a finished first stage's, delete {folder.row} too")


def finish(folder, **changes):
    """Write the row of a run, with the hash of its weights."""
    row = make_row(folder.experiment, (1, 2, 3))
    hashes = {"weights_hash": weights_hash(torch.load(folder.checkpoint)), "history": ({"step": row.selected_step},)}
    write_record(row.model_copy(update=hashes | changes), folder.row)


def flip(value):
    """The same number but for its last bit."""
    value.flatten()[:1].view(torch.int32).bitwise_xor_(1)


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("part", ["network", "losses"])
def test_a_finished_runs_weights_are_those_of_its_row(tmp_path, best, part):
    folder = write(PROBED, tmp_path, best=best)
    finish(folder)
    state = folder.state()
    load_trained(PROBED, tmp_path, 1, "teacher")
    flip(next(iter((state["best"] or state)[part].values())))
    save_checkpoint(state, folder.checkpoint)  # whole, but not what the row is about
    for read in (folder.state, lambda: load_trained(PROBED, tmp_path, 1, "teacher")):
        assert refusal(read).startswith(
            f"{folder.checkpoint} does not hold the weights of {folder.row}: its hash differs from that in the row: "
            "restore the right file"
        )


def test_old_rows_say_nothing_of_weights(tmp_path):
    """They are read, and who builds on them is told."""
    folder = write(PROBED, tmp_path)
    student = changed(PROBED, {"terms": (Term(loss="rkd_distance"),), "teacher": PROBED})
    assert unverified([student], tmp_path) == ""
    finish(folder, weights_hash="")
    assert folder.state()["step"] == 6
    assert unverified([student, student, PLAIN], tmp_path) == (
        f"the weights of {PROBED.fingerprint}, which others build on, can't be verified: their rows are older than the "
        "hashes of weights; delete their folders to run them again"
    )
    finish(folder)
    assert unverified([student], tmp_path) == ""


def test_embeddings_are_those_of_the_row(tmp_path):
    folder = write(PLAIN, tmp_path)
    rows, names = np.eye(4, dtype=np.float32), np.array(["a", "b", "c", "d"])

    def keep(embeddings, **more):
        np.savez(folder.embeddings, embeddings=embeddings, labels=names, names=names, **more)

    keep(rows)
    finish(folder, embeddings_hash=read_embeddings(folder.embeddings).hash)
    assert np.array_equal(folder.stored().embeddings, rows)
    changes = [{"embeddings": rows + 2.0**-20 * rows}, {"embeddings": rows.astype(float)}]
    for change in (*changes, {"embeddings": rows, "query": np.array([True] * 4)}):
        keep(**change)
        with pytest.raises(ValueError, match=r"\A.+embeddings\.npz does not hold the embeddings of .+\Z"):
            folder.stored()
    finish(folder)  # an old row
    folder.stored()


def test_a_student_of_other_weights_is_refused(tmp_path):
    """Its teacher was deleted and trained anew since, on a machine that rounds in another way."""
    student = changed(PLAIN, {"terms": (Term(loss="rkd_distance"),), "teacher": PROBED})
    taught, teacher = write(student, tmp_path), write(PROBED, tmp_path)
    finish(teacher)
    finish(taught, dependencies={"teacher": teacher.finished().weights_hash})
    assert taught.finished()
    finish(teacher, weights_hash="0" * 64)
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
        taught.finished()
    assert str(caught.value) == (
        f"built on other weights than those that are there now: {student.fingerprint} (its teacher); delete the "
        "folders of these runs, and run the study again to restore them"
    )
    finish(teacher, weights_hash="")
    assert taught.finished()


def test_no_state_has_more_steps_than_the_run(tmp_path):
    assert write(PLAIN, tmp_path).state()["step"] == 6
    shorter = PLAIN.model_copy(update={"training": Training(steps=5)})
    assert "step 6 of 5" in refusal(write(shorter, tmp_path).state)
