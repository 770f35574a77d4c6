"""Who makes the runs: whatever happens to a run is its failure, in this process and in others."""

import os
import signal
import threading
import time

import pytest
import torch

from relbench.experiment import Experiment, Term
from relbench.grid.executors import Failure, Inline, Job, Processes, attempt, executes_users_code, executor_for
from relbench.grid.scheduler import Schedule, run_grid
from relbench.memory import ADVICE, is_out_of_memory
from relbench.trackers import read
from relbench.training import DivergedError


def experiment(seed):
    return Experiment(terms=(Term(loss="triplet"),), seed=seed)


def job(tmp_path, run, *seeds):
    return Job(run, tuple(experiment(seed) for seed in seeds or (0,)), tmp_path / "runs", tmp_path / "data")


def end_of(ends):
    """That of the only run."""
    (end,) = ends.values()
    return end


def rows_of(experiments, *_):
    return {one.fingerprint: "a row" for one in experiments}


class UnsendableError(Exception):
    """Can't be sent from one process to another, as many an exception with arguments of its own can't."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def raising(error):
    def run(*_):
        raise error

    return run


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError("Unable to allocate 7.3 TiB for an array"),
    OSError(12, "Cannot allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_out_of_memory_comes_with_advice(tmp_path, error):
    end = end_of(attempt(job(tmp_path, raising(error))))
    assert end.words.startswith("out of memory (")
    assert ADVICE in end.words
    assert not end.diverged


def test_out_of_memory_behind_another_error(tmp_path):
    def run(*_):
        try:
            raise MemoryError
        except MemoryError as error:
            raise ValueError("training with mine failed") from error

    words = f"out of memory (training with mine failed); {ADVICE}"
    assert end_of(attempt(job(tmp_path, run))).words.startswith(words)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory"), OSError(28, "full")])
def test_other_errors_are_no_want_of_memory(error):
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (UnsendableError("this", "that"), "UnsendableError: this and that"),
        (AssertionError(), "AssertionError"),
        (SystemExit(3), "SystemExit: 3"),
        (BaseException("panicked"), "BaseException: panicked"),
        (RuntimeError("two\n  lines"), "RuntimeError: two lines"),
        (RuntimeError("x" * 1000), f"RuntimeError: {'x' * 300}..."),
        (ValueError("step 3: bad"), "step 3: bad"),
        (ValueError(), "ValueError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_error_is_one_line_and_its_traceback_is_in_the_folder(tmp_path, error, words):
    one = job(tmp_path, raising(error))
    (folder,) = one.folders.values()
    path = folder.path / "error.txt"
    assert end_of(attempt(one)) == Failure(f"{words} (traceback: {path})")
    assert "in run\n    raise error\n" in path.read_text()


def test_ctrl_c_is_no_failure(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        attempt(job(tmp_path, raising(KeyboardInterrupt())))


def test_a_run_that_succeeds_leaves_no_traceback_of_an_earlier_attempt(tmp_path):
    assert end_of(attempt(job(tmp_path, raising(DivergedError("step 3"))))).diverged
    assert [path.name for path in tmp_path.glob("runs/*/*")] == ["error.txt"]
    assert end_of(attempt(job(tmp_path, rows_of))) == "a row"
    assert not list(tmp_path.glob("runs/*/*"))


def test_a_traceback_that_can_not_be_written_hides_nothing(tmp_path):
    (tmp_path / "runs").write_text("a file where a folder should be")
    assert end_of(attempt(job(tmp_path, raising(ZeroDivisionError("a / b"))))).words.startswith("[Errno 20]")


def test_what_a_failed_run_has_used_is_free_afterwards(tmp_path):
    """The error of a run that was out of memory holds all that its functions held."""
    alive = []

    class Large:
        def __del__(self):
            alive.remove(self.name)

        def __init__(self):
            self.name = "large"
            alive.append(self.name)

    def run(*_):
        large = Large()
        raise MemoryError(large.name)

    attempt(job(tmp_path, run))
    assert alive == []


def test_a_run_in_this_process_ends_before_the_next_begins(tmp_path):
    """So that what is shown, and what has to be given up, is known as soon as it can be."""
    order = []

    class Log:
        def started(self, folders):
            order.append("start")

        def finished(self, fingerprint, row):
            order.append("end")

    def run(experiments, *_):
        order.append("begin")
        return rows_of(experiments)

    assert Inline().slots == 1
    assert end_of(Inline().submit(job(tmp_path, rows_of)).result()) == "a row"
    schedule = Schedule.of([experiment(0), experiment(1)], tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relbench.grid.scheduler.run_cohort", run)
        run_grid(Inline(), schedule, tmp_path, tmp_path, Log())
    assert order == ["start", "begin", "end"] * 2


OWN = Experiment(terms=(Term(loss="my:f", source="def f(student): return student.sum()"),))


def test_runs_with_a_users_code_are_made_in_processes():
    taught = Experiment(terms=(Term(loss="rkd_angle"),), teacher=OWN)
    assert isinstance(executor_for([experiment(0)], 1), Inline)
    assert [executes_users_code(one) for one in (experiment(0), OWN, taught)] == [False, True, True]
    for one in (OWN, taught):
        with executor_for([experiment(0), one], 1) as executor:
            assert isinstance(executor, Processes)
            assert executor.slots == 1


def tell_process(experiments, runs, data, trackers):
    return {one.fingerprint: str(os.getpid()) for one in experiments}


def test_a_process_that_has_executed_a_users_code_makes_no_second_run(tmp_path):
    runs = (experiment(0), experiment(1), OWN, experiment(2))
    with Processes(1) as executor:
        jobs = [Job(tell_process, (one,), tmp_path, tmp_path) for one in runs]
        first, second, own, after = [end_of(executor.submit(one).result()) for one in jobs]
    assert first == second == own != after


def wait_long(experiments, runs, data, trackers):
    for tracker in trackers:
        tracker.step(3)
    time.sleep(600)


def test_runs_that_are_given_up_end_at_once(tmp_path):
    """They go on from their last checkpoints, and nobody is told that they are still under way."""
    begun, futures = time.monotonic(), []
    waiting = [job(tmp_path, wait_long, seed) for seed in range(3)]
    folders = [folder.path for one in waiting for folder in one.folders.values()]

    def interrupt():
        with Processes(2) as executor:
            futures.extend(executor.submit(one) for one in waiting)
            while sum(bool(read(folder)) for folder in folders) < 2 and time.monotonic() - begun < 100:
                time.sleep(0.05)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert time.monotonic() - begun < 120
    assert all(future.done() for future in futures)
    assert not any(map(read, folders))


def misbehave(experiments, runs, data, trackers):
    """By seed: out of memory, killed for want of memory, an error that can't be sent; else a row."""
    ((one, tracker),) = zip(experiments, trackers, strict=True)
    tracker.step(1)
    if one.seed == 0:
        raise torch.OutOfMemoryError("CUDA out of memory")
    if one.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if one.seed == 2:
        raise UnsendableError("this", "that")
    threading.Thread(target=time.sleep, args=(60,)).start()  # outlives the run
    return {one.fingerprint: one.fingerprint}


def test_in_other_processes_a_failure_of_any_kind_is_of_one_run(tmp_path):
    ends = {}
    with Processes(2) as executor:
        for seeds in ((0, 1), (2,), (3,)):
            futures = {seed: executor.submit(job(tmp_path, misbehave, seed)) for seed in seeds}
            ends |= {seed: end_of(future.result()) for seed, future in futures.items()}
        finished = time.monotonic()
    assert time.monotonic() - finished < 30  # threads that a run leaves behind are not waited for
    assert ends[0].words.startswith("out of memory (OutOfMemoryError: CUDA out of memory)")
    assert ends[1].words == f"its process was killed, perhaps for lack of memory: {ADVICE}"
    assert ends[2].words.startswith("UnsendableError: this and that (traceback: ")
    assert ends[3] == experiment(3).fingerprint
    assert not list(tmp_path.glob("runs/*/progress.json"))  # nor of the one that was killed
