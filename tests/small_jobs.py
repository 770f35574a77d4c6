"""Jobs of runs that are never trained, for tests of whoever makes them."""

from relbench.experiment import Data, Experiment, Term
from relbench.grid.jobs import Job

FEW = Data(size=8, train_classes=2, test_classes=2, hold_out=False)  # rendered in no time


def experiment(seed):
    return Experiment(data=FEW, terms=(Term(loss="triplet"),), seed=seed)


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
