"""Runs that two processes share, from images to a row; and whatever ends them: one line, and nobody is left behind."""

import os
import re
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import psutil
import pytest
import torch
from tiny_photos import write_photos

from relbench.data.datasets.added import add
from relbench.execution import Execution
from relbench.experiment import Data, Experiment, Net, Term, Training
from relbench.grid.jobs import Failure, Job, attempt
from relbench.losses import read_own
from relbench.processes import quick_start
from relbench.resolve import resolve
from relbench.run import run_cohort

OWN = '''
import os, resource, signal
from pathlib import Path
import torch

class Projected(torch.nn.Module):
    """Distance of a projection to random numbers, of which each rank takes its share of the rows.

    Notes what it is called with, and fails at the fifth step.
    """

    def __init__(self, embedding_size: int, *, notes: str, fault: str = ""):
        super().__init__()
        self.projection = torch.nn.Linear(embedding_size, embedding_size)
        self.notes, self.fault, self.calls = Path(notes), fault, 0

    def forward(self, embeddings, labels, generator, ranks):
        self.calls += 1
        with (self.notes / f"{ranks.rank} of {ranks.count}").open("a") as file:
            print(len(embeddings), labels.tolist(), file=file)
        if self.calls == 5:
            self.fail(ranks.rank)
        rows = ranks.copied(self.projection(embeddings))
        distances = (rows - torch.rand(rows.shape, generator=generator))[ranks.share(len(rows))]
        whole = ranks.added(distances.square().sum() / rows.numel())
        return whole * (torch.nan if self.fault == "diverged" and self.calls == 5 else 1)

    def fail(self, rank):
        if self.fault == "killed" and rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "full disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
'''
STEPS = 6


@dataclass(frozen=True)
class Place:
    """Folders of a test; the data are those of all tests."""

    root: Path
    data: Path

    def job(self, devices=2, fault="", **training):
        own = self.root / "own.py"
        own.write_text(OWN, encoding="utf-8")
        name, source = read_own(f"{own}:Projected")
        options = {"notes": str(self.root), **({"fault": fault} if fault else {})}
        settings = Training(steps=STEPS, validate_every=2, batch_size=11, images_per_class=3, log_test_metrics=True)
        experiment = Experiment(
            data=Data(name="photos", size=16, train_classes=None, test_classes=None),
            net=Net(width=2, dim=8, normalization=None),
            terms=(Term(loss="triplet"), Term(loss=name, options=options, source=source)),
            training=settings.model_copy(update=training),
        )
        runs = self.root / f"by {devices}"
        return Job(run_cohort, (resolve(experiment, "own"),), runs, self.data, execution=Execution(devices=devices))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder, classes=18, images=4).rename(columns={"name": "path"}).to_csv(
        folder / "table.csv", index=False
    )
    add("photos", folder / "table.csv", folder / "data")
    return folder


@pytest.fixture
def place(tmp_path, photos):
    """Whatever happens there, no process is left behind, but for the fork server, which starts the next ones."""
    place = Place(tmp_path, photos / "data")
    place.job()  # starts the process that describes users' losses
    resource_tracker.ensure_running()
    quick_start("relbench.run")
    forkserver.ensure_running()
    before = psutil.Process().children(recursive=True)
    yield place
    left = [each.cmdline() for each in psutil.Process().children(recursive=True) if each not in before]
    assert left == []


def end_of(job):
    (end,) = attempt(job).values()
    return end


def folder_of(job):
    (folder,) = job.folders.values()
    return folder


def failed(job):
    """The line that says why."""
    end = end_of(job)
    assert isinstance(end, Failure)
    assert "\n" not in end.words
    assert not folder_of(job).row.exists()
    return end.words


@pytest.mark.usefixtures("in_a_worker")
def test_a_users_loss_is_called_with_the_whole_batch_by_every_rank(place):
    shared, alone = (end_of(place.job(devices)) for devices in (2, 1))
    assert (shared.devices, alone.devices) == (2, 1)
    notes = [(place.root / name).read_text().splitlines() for name in ("0 of 2", "1 of 2", "0 of 1")]
    assert notes[0] == notes[1] == notes[2][-STEPS:]  # after those of trials
    assert {line.split()[0] for line in notes[0]} == {"11"}
    for own, other in zip(shared.history, alone.history, strict=True):
        assert own == pytest.approx(other, rel=1e-4)
    embeddings = [folder_of(place.job(devices)).stored().embeddings for devices in (2, 1)]
    torch.testing.assert_close(*map(torch.from_numpy, embeddings), rtol=0, atol=1e-4)


FAULTS = {
    "killed": r"of the processes that share the run, rank 1: its process was killed, perhaps for lack of memory: .+",
    "full disk": r".+checkpoint\.pt can't be written .+",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_ends_one_rank_ends_the_run_in_one_line(place, fault):
    job = place.job(fault=fault)
    assert re.match(FAULTS[fault], failed(job))
    assert folder_of(job).state()["step"] == 4


@pytest.mark.usefixtures("in_a_worker")
def test_all_ranks_diverge_in_the_words_of_one(place):
    shared, alone = (failed(place.job(devices, "diverged")).partition(" (traceback")[0] for devices in (2, 1))
    assert shared == alone
    assert shared.startswith("step 5: the loss term 'own:Projected' is nan; ")


def test_an_image_that_one_rank_cannot_read(place, photos):
    path = photos / "c3" / "1.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    try:
        assert failed(place.job()).startswith(f"{path} can't be decoded (")
    finally:
        path.write_bytes(whole)


def test_ctrl_c_ends_all_ranks(place):
    job = place.job(steps=10**6)
    interrupting = threading.Thread(target=_interrupt_once_trained, args=(folder_of(job),))
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        attempt(job)
    interrupting.join()
    assert folder_of(job).state()["step"] >= 2


def _interrupt_once_trained(folder):
    while not folder.checkpoint.exists():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)
