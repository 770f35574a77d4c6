"""How the runs of a job end: whatever happens to a run is its failure, in one line."""

import pytest
import torch
from small_jobs import UnsendableError, end_of, job, rows_of

from relbench.grid.jobs import Failure, attempt
from relbench.memory import ADVICE, is_out_of_memory
from relbench.training import DivergedError


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
