"""Images made by worker processes: the same to the last bit, and nothing is left behind however a training ends."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from PIL import Image

from relbench.benchmarks.cell import experiments
from relbench.data.glyphs.textured import TexturedGlyphs
from relbench.data.images.decoded import decoded_images
from relbench.data.images.photos import ImageFiles, Photos
from relbench.data.samplers import ClassBalancedSampler
from relbench.execution import Execution
from relbench.run import run
from relbench.trackers import Silent
from relbench.training import prefetching
from relbench.training.assemble import table_data
from relbench.training.stream import TrainingData, stream


def no_metrics(*_):
    return {}


@pytest.fixture(scope="module")
def textured(tmp_path_factory):
    return TexturedGlyphs(32, 6, 4, 1.0, tmp_path_factory.mktemp("glyphs"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos, decoded and not."""
    folder = tmp_path_factory.mktemp("photos")
    names = [f"{number}.png" for number in range(4)]
    for name, pixels in zip(
        names, np.random.default_rng(0).integers(256, size=(4, 50, 50, 3), dtype=np.uint8), strict=True
    ):
        Image.fromarray(pixels).save(folder / name)
    table = pd.DataFrame({"name": names, "label": ["a", "a", "b", "b"], "split": "train"})
    files = ImageFiles(folder, 40, threads=2)
    decoded = decoded_images(files, names, folder)
    return {
        name: Photos(table, folder, 32, pixels, "") for name, pixels in {"files": files, "decoded": decoded}.items()
    }


@pytest.fixture(params=["textured", "files", "decoded"])
def source(request, textured, photos):
    return textured if request.param == "textured" else photos[request.param]


def sampler(labels):
    return ClassBalancedSampler(labels, 4, 2, seed=3)


def data_of(source, workers):
    return table_data(source, sampler, no_metrics, workers)


def test_workers_change_no_bit(source):
    alone = list(stream(data_of(source, 0), 3, 5, 9))
    helped = list(stream(data_of(source, 2), 3, 5, 9))
    assert len(alone) == len(helped) == 4
    for (indices, images), (own, own_images) in zip(helped, alone, strict=True):
        assert torch.equal(indices, own)
        assert torch.equal(images, own_images)
        assert images.dtype == own_images.dtype
    assert not torch.equal(alone[0][1], alone[1][1])


def test_a_run_is_the_same_to_the_last_bit(tmp_path):
    """A teacher on textured Glyphs and its student, as `glyphs-table1` has them at toy scale."""
    pair = experiments("toy", "cpu", {})
    alone, *others = (
        [run(each, tmp_path / str(workers), tmp_path, Silent(), Execution(workers=workers)) for each in pair]
        for workers in (0, 1, 4)
    )
    for row, *helped in zip(alone, *others, strict=True):
        for own in helped:
            assert (own.weights_hash, own.history, own.metrics) == (row.weights_hash, row.history, row.metrics)
    assert children() == []


def children():
    """Worker processes; the fork server, which stays for the next training, and processes of other tests are none."""
    gc.collect()
    return [each for each in multiprocessing.active_children() if each.name.startswith("ForkServerProcess")]


def test_the_global_generator_is_left_alone(textured):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(stream(data_of(textured, 1), 0, 0, 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_end_with_a_training_that_is_left(textured):
    with closing(stream(data_of(textured, 2), 0, 0, 10**6)) as steps:
        next(steps)
        next(steps)
        assert len(children()) == 2
    assert children() == []


def test_workers_end_with_a_training_that_breaks(textured):
    def train():
        with closing(stream(data_of(textured, 2), 0, 0, 10**6)) as steps:
            for number, _ in enumerate(steps):
                if number == 3:
                    raise FloatingPointError("diverged")

    with pytest.raises(FloatingPointError) as caught:
        train()
    assert children() == []
    assert caught.traceback  # which holds the frames, and so the stream


@dataclass(frozen=True)
class Breaks:
    """Views of which some can't be made."""

    where: int

    def batch(self, step):
        return torch.tensor([step])

    def views(self, indices, _generator, _only):
        if int(indices[0]) == self.where:
            raise ValueError(f"image {self.where} can't be decoded: restore the file")
        return indices.float()

    def data(self, workers):
        return TrainingData(1, 1, torch.zeros(1), self.batch, self.views, no_metrics, workers)


@pytest.mark.parametrize("where", [0, 2])
def test_an_error_comes_when_its_step_does_and_says_the_same(where):
    steps = stream(Breaks(where).data(2), 0, 0, 6)
    assert [int(next(steps)[0]) for _ in range(where)] == list(range(where))
    with pytest.raises(ValueError, match=f"^image {where} can't be decoded: restore the file$"):
        next(steps)
    assert children() == []


class Locked(Exception):  # noqa: N818
    """Can't be sent from one process to another."""

    def __init__(self):
        super().__init__("no way")
        self.lock = threading.Lock()


class Fails(Breaks):
    def views(self, indices, _generator, _only):
        if int(indices) == self.where:
            raise Locked
        return indices.float()


def test_an_error_that_can_not_be_sent_comes_in_words():
    with pytest.raises(RuntimeError, match=r"^Locked: no way$"):
        list(stream(Fails(2).data(1), 0, 0, 6))
    assert children() == []


def test_a_tensor_for_each_of_many_classes():
    """As a sampler has them: each took an open file in every worker, of which 250 can be handed over."""
    labels = torch.arange(600) // 2
    data = replace(Breaks(-1).data(1), batch=ClassBalancedSampler(labels, 4, 2, seed=0))
    for (found, _), (expected, _) in zip(stream(data, 0, 0, 3), stream(replace(data, workers=0), 0, 0, 3), strict=True):
        assert torch.equal(found, expected)


class Dies(Breaks):
    def views(self, indices, _generator, _only):
        if int(indices) == self.where and multiprocessing.parent_process():
            os.kill(os.getpid(), signal.SIGKILL)
        return indices.float()


def test_a_worker_that_is_killed_is_an_error():
    with pytest.raises(RuntimeError, match=r"^DataLoader worker .*, perhaps for lack of memory: fewer --workers"):
        list(stream(Dies(2).data(1), 0, 0, 6))
    assert children() == []


def test_no_step_and_a_single_step(textured):
    assert list(stream(data_of(textured, 2), 0, 4, 4)) == []
    ((indices, _),) = stream(data_of(textured, 2), 0, 4, 5)
    assert torch.equal(indices, data_of(textured, 0).batch(4))


def test_little_shared_memory_means_fewer_workers(monkeypatch, tmp_path):
    step = (torch.zeros(10, dtype=torch.int64), torch.zeros(1000 - 80, dtype=torch.uint8))
    monkeypatch.setattr(prefetching, "SHARED", tmp_path)
    for free, room in ((100_000, 25), (3_999, 0), (4_000, 1)):
        monkeypatch.setattr(prefetching.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        assert prefetching._room(step) == room
    monkeypatch.setattr(prefetching, "SHARED", tmp_path / "nowhere")
    assert prefetching._room(step) == prefetching.MOST


def test_ranks_share_the_shared_memory(monkeypatch):
    asked = []
    monkeypatch.setattr(prefetching, "_room", lambda _: 5)
    monkeypatch.setattr(prefetching, "_from_workers", lambda *given: iter(asked.append(given[-1]) or ()))
    for ranks in (1, 2, 8):
        list(prefetching.prefetched([(torch.zeros(1), torch.zeros(1))] * 9, range(9), 4, ranks))
    assert asked == [4, 2]


def test_without_room_this_process_makes_them(monkeypatch, textured):
    monkeypatch.setattr(prefetching, "_room", lambda _: 0)
    monkeypatch.setattr(prefetching, "_from_workers", None)
    assert len(list(stream(data_of(textured, 2), 0, 0, 3))) == 3


def test_the_number_of_workers(monkeypatch):
    for cores, workers in ((1, 0), (2, 1), (64, 8)):
        monkeypatch.setattr(prefetching, "usable_cores", lambda cores=cores: cores)
        assert prefetching.workers_beside(torch.device("cuda")) == workers
        assert prefetching.workers_beside(torch.device("cpu")) == 0


def test_without_a_fork_server(monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert prefetching.worker_context().get_start_method() == "spawn"
    found = list(stream(Breaks(-1).data(1), 0, 0, 3))
    assert [int(indices) for indices, _ in found] == [0, 1, 2]


INTERRUPTED = """
import sys
from test_prefetching import Breaks
from relbench.training.stream import stream

if __name__ == "__main__":
    for indices, _ in stream(Breaks(-1).data(2), 0, 0, 10**9):
        if int(indices) == 5:
            print("training", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no process groups")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_an_interruption_leaves_no_process(tmp_path, ending):
    """Ctrl-C reaches the whole group of processes, a kill the training alone."""
    script = tmp_path / "train.py"
    script.write_text(INTERRUPTED)
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    training = subprocess.Popen(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert training.stdout.readline() == "training\n"
    family = psutil.Process(training.pid).children(recursive=True)
    assert len(family) >= 3  # two workers and the fork server
    if ending == signal.SIGINT:
        os.killpg(training.pid, ending)
    else:
        training.kill()
    _, error = training.communicate(timeout=60)
    if ending == signal.SIGINT:
        assert error.rstrip().endswith("KeyboardInterrupt")
        assert error.count("Traceback") == 1  # that of the training; workers say nothing
    until = time.monotonic() + 30
    while time.monotonic() < until and any(process.is_running() for process in family):
        time.sleep(0.1)
    assert [process for process in family if process.is_running()] == []
