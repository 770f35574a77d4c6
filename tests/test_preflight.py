"""What is checked before a run begins, on a table of images without images."""

from dataclasses import dataclass, replace
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
import torch
from analysis.test_summarise import make_row
from results.test_run_folder import write

import relbench.grid.scheduler
import relbench.models.trunks
import relbench.preflight
from relbench.data.datasets.glyphs import GLYPHS
from relbench.data.table import Shape
from relbench.experiment import Classification, Data, Experiment, Net, Term, Training
from relbench.grid.scheduler import prepare
from relbench.preflight import check_runs
from relbench.results.records import write_record
from relbench.results.run_folder import RunFolder
from relbench.settings import changed
from relbench.tasks import find_task

NET = Net(width=2, dim=4)
TRAINING = Training(steps=6, batch_size=8, images_per_class=2)
TEACHER = Experiment(net=NET, training=TRAINING, terms=(Term(loss="triplet"),))
FIRST = Experiment(net=NET, training=TRAINING, terms=(Term(loss="rkd_distance"),), teacher=TEACHER)
SECOND = changed(FIRST, {"terms": (Term(loss="rkd_angle"),), "initialized_from": FIRST})


GREY = Shape(channels=1, size=28)


@dataclass
class Table:
    """All that is looked at of a source: its table, the shape of its images, and which they are."""

    table: pd.DataFrame
    shape: Shape = GREY
    data_hash: str = make_row(TEACHER, (1, 2, 3)).data_hash


def table(train=4, validation=2, test=3, images=2, **roles):
    counts = {"train": train, "validation": validation, "test": test}
    classes = [(f"{split}{number}", split) for split, count in counts.items() for number in range(count)]
    lines = [(f"{label}/{image}", label, split) for label, split in classes for image in range(images)]
    found = pd.DataFrame(lines, columns=["name", "label", "split"])
    return Table(found.assign(**{name: [of(line) for line in lines] for name, of in roles.items()}))


def measured_at(*ks):
    return replace(GLYPHS, ks=ks)


def refusal(source, experiment=TEACHER, runs=None, ks=(1,)):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        check_runs([experiment], runs, source, measured_at(*ks))
    return str(caught.value)


def test_what_is_possible_passes(tmp_path):
    for experiment in (TEACHER, FIRST, SECOND):
        check_runs([experiment], tmp_path, table(), measured_at(1, 5))
    check_runs([TEACHER], tmp_path, table(validation=0), measured_at(1))


def test_a_gpu_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_a_gpu = changed(TEACHER, {"training": changed(TRAINING, {"device": "cuda"})})
    assert refusal(table(), on_a_gpu, tmp_path).startswith("device cuda: torch sees no GPU here; choose cpu or auto")


def test_too_few_training_classes(tmp_path):
    message = "a batch of 8 with 2 images per class needs 4 classes, but there are 3 for training"
    assert refusal(table(train=3), runs=tmp_path).startswith(message)


def test_too_few_others_for_the_largest_k(tmp_path):
    check_runs([TEACHER], tmp_path, table(), measured_at(5))
    message = "Recall@K is asked for K = 6, but a test image has 5 others: use more classes"
    assert refusal(table(), runs=tmp_path, ks=(1, 6)) == message


@pytest.mark.parametrize("split", ["test", "validation"])
def test_no_two_images_of_a_class(tmp_path, split):
    source = table()
    lines = source.table["split"] == split
    source.table.loc[lines, "label"] = source.table.loc[lines, "name"]
    message = f"no {split} image has another image of its class to be found: use larger classes"
    assert refusal(source, runs=tmp_path) == message


def test_queries_and_gallery(tmp_path):
    """Half of each class's images ask for the other half: no image of the gallery is passed over."""
    halves = {"query": lambda line: line[0].endswith("/0"), "gallery": lambda line: line[0].endswith("/1")}
    check_runs([TEACHER], tmp_path, table(**halves), measured_at(3))
    assert "K = 4, but a test image has 3 others" in refusal(table(**halves), runs=tmp_path, ks=(4,))
    unrelated_runs = {
        "query": lambda line: line[1] == "test0",
        "gallery": lambda line: line[1] != "test0",
    }
    assert refusal(table(**unrelated_runs), runs=tmp_path).startswith("no test image has another image of its class")


def test_a_loss_that_would_refuse_the_batch(tmp_path):
    long = changed(TEACHER, {"terms": (Term(loss="hard_darkrank", options={"list_length": 8}),), "teacher": TEACHER})
    assert refusal(table(), long, tmp_path).startswith("terms hard_darkrank: the loss needs at least 9 rows")


def test_a_damaged_checkpoint_of_its_own(tmp_path):
    folder = write(TEACHER, tmp_path)
    check_runs([TEACHER], tmp_path, table(), measured_at(1))
    folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:100])
    assert refusal(table(), runs=tmp_path).startswith(f"{folder.checkpoint} is not a readable checkpoint of this run")


@pytest.mark.parametrize(("broken", "what"), [(TEACHER, "teacher"), (FIRST, "first stage")])
def test_what_a_run_builds_on_is_looked_at_once_it_is_finished(tmp_path, broken, what):
    for one in (TEACHER, FIRST):
        write_record(make_row(one, (1, 2, 3)), write(one, tmp_path).row)
    check_runs([SECOND], tmp_path, table(), measured_at(1))
    folder = RunFolder(tmp_path, broken)
    folder.checkpoint.write_bytes(b"")
    message = refusal(table(), SECOND, tmp_path)
    assert message.startswith(str(folder.checkpoint))
    assert f"as it is a finished {what}'s, delete {folder.row} too" in message
    folder.checkpoint.unlink()
    assert refusal(table(), SECOND, tmp_path).startswith(f"the {what}'s checkpoint {folder.checkpoint} is missing")
    folder.row.unlink()  # then it is trained again, and nothing stands in the way
    check_runs([SECOND], tmp_path, table(), measured_at(1))


def test_a_teacher_of_other_images_teaches_nobody(tmp_path):
    write_record(make_row(TEACHER, (1, 2, 3)), write(TEACHER, tmp_path).row)
    other = replace(table(), data_hash="other")
    told = f"the teacher {TEACHER.fingerprint} was trained on images other than those that glyphs has now"
    assert refusal(other, FIRST, tmp_path).startswith(told)
    elsewhere = changed(FIRST, {"data": changed(FIRST.data, {"size": 32})})  # they must be others there
    check_runs([elsewhere], tmp_path, other, measured_at(1))


def test_batches_are_of_the_protocols_size():
    batch = find_task(TEACHER.task).sampler(torch.arange(30) // 3, 0, TRAINING)(0)
    labels = batch // 3
    assert len(batch) == 8
    assert sorted(torch.bincount(labels, minlength=10).tolist()) == [0] * 6 + [2] * 4


def tried(monkeypatch, experiments, runs):
    """Terms of the runs that are tried."""
    seen = []
    monkeypatch.setattr(relbench.preflight, "try_terms", lambda one, *_: seen.append(one))
    check_runs(experiments, runs, table(), measured_at(1))
    return seen


def test_seeds_steps_and_rates_are_not_tried_again(tmp_path, monkeypatch):
    protocols = (TRAINING, changed(TRAINING, {"steps": 60, "learning_rate": 0.5}))
    teachers = [changed(TEACHER, {"seed": seed, "training": one}) for seed in range(3) for one in protocols]
    students = [changed(FIRST, {"seed": one.seed, "teacher": one}) for one in teachers]
    assert tried(monkeypatch, [*teachers, *students], tmp_path) == [teachers[-1], students[-1]]


@pytest.mark.parametrize(
    "other",
    [
        changed(FIRST, {"net": Net(width=2, dim=5)}),
        changed(FIRST, {"terms": (Term(loss="rkd_distance", weight=2.0), Term(loss="triplet"))}),
        changed(FIRST, {"training": changed(TRAINING, {"batch_size": 6})}),
        changed(FIRST, {"teacher": changed(TEACHER, {"net": Net(width=2, dim=5)})}),
        changed(FIRST, {"teacher": changed(TEACHER, {"terms": (Term(loss="triplet"), Term(loss="probe"))})}),
    ],
)
def test_what_makes_another_run_is_tried(tmp_path, monkeypatch, other):
    assert tried(monkeypatch, [FIRST, other], tmp_path) == [FIRST, other]


def test_one_bad_run_among_good_ones(tmp_path):
    bad = changed(FIRST, {"terms": (Term(loss="hard_darkrank", options={"list_length": 8}),), "seed": 2})
    with pytest.raises(ValueError, match="terms hard_darkrank: the loss needs at least 9 rows"):
        check_runs([FIRST, TEACHER, bad], tmp_path, table(), measured_at(1))
    large = changed(TEACHER, {"training": changed(TRAINING, {"batch_size": 10})})
    with pytest.raises(ValueError, match="a batch of 10 with 2 images per class needs 5 classes"):
        check_runs([TEACHER, large], tmp_path, table(), measured_at(1))


def test_a_loss_that_the_last_batch_of_an_epoch_is_too_small_for(tmp_path):
    """Ten images are a batch of 8 and one of 2, or that of 8 alone: else the run would stop at its second step."""
    shared = pd.DataFrame(
        [
            (f"{split}{label}{image}", str(label), split)
            for split in ("train", "test")
            for label in range(5)
            for image in (0, 1)
        ],
        columns=["name", "label", "split"],
    )
    terms = (Term(loss="cross_entropy"), Term(loss="hard_darkrank"))
    keeping = changed(FIRST, {"task": Classification(), "terms": terms})
    message = "terms cross_entropy, hard_darkrank: the loss needs at least 5 rows in the batch, but there is 2"
    assert refusal(Table(shared), keeping, tmp_path) == message
    dropping = changed(keeping, {"task": Classification(last_batch="drop")})
    check_runs([dropping], tmp_path, Table(shared), measured_at(1))


def test_a_finished_teacher_is_read_once(tmp_path, monkeypatch):
    write_record(make_row(TEACHER, (1, 2, 3)), write(TEACHER, tmp_path).row)
    read, load = [], relbench.preflight.load_trained
    monkeypatch.setattr(relbench.preflight, "load_trained", lambda *given: read.append(given[0]) or load(*given))
    check_runs([changed(FIRST, {"seed": seed}) for seed in range(3)], tmp_path, table(), measured_at(1))
    assert read == [TEACHER]


@pytest.mark.parametrize("whose", ["its own", "its teacher's"])
def test_pretrained_weights_that_are_missing(tmp_path, monkeypatch, whose):
    """Refused before any work, though shapes are found without them."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def no_network(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "urlopen", no_network)
    monkeypatch.setattr(relbench.models.trunks, "_had", relbench.models.trunks._had.__wrapped__)
    net = Net(trunk="resnet18", dim=4, weights="imagenet")
    pretrained = changed(TEACHER, {"net": net, "data": Data(size=32)})
    experiment = pretrained if whose == "its own" else changed(FIRST, {"teacher": pretrained})
    message = refusal(table(), experiment, tmp_path)
    assert message.startswith(
        "the ImageNet weights of resnet18 could not be loaded (<urlopen error no route to host>; "
    )
    assert message.endswith(f"put that file into {tmp_path}/hub/checkpoints, or choose weights = random")


class Album(Table):
    """Has a batch of each asked line, but for those that can't be decoded."""

    damaged = ()

    def test_batch(self, lines):
        for line in lines.tolist():
            if line in self.damaged:
                raise ValueError(f"{self.table['name'].iloc[line]} can't be decoded")
        return lines


@pytest.mark.parametrize("split", ["validation", "test"])
def test_an_image_that_can_not_be_decoded_is_met_before_training(tmp_path, monkeypatch, split):
    """One that is first looked at by the evaluation costs a whole training otherwise."""
    album = Album(table().table)
    entry = replace(GLYPHS, table=lambda *_: album.table, load=lambda *_: album, hint=lambda *_: "a hint", ks=(1,))
    monkeypatch.setattr(relbench.grid.scheduler, "find_data_set", lambda name, root: entry)
    prepare([TEACHER], tmp_path, tmp_path, iter, lambda _: None)
    album.damaged = (int(np.flatnonzero(album.table["split"] == split)[-1]),)
    with pytest.raises(ValueError, match=rf"{split}\d/1 can't be decoded"):
        prepare([TEACHER], tmp_path, tmp_path, iter, lambda _: None)
