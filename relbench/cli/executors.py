"""Who makes the runs of a command: this machine, or a Ray cluster."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from relbench.cli.options import RunOptions, tell
from relbench.experiment import Experiment
from relbench.grid.cluster.connection import connected
from relbench.grid.cluster.executor import Cluster
from relbench.grid.cluster.share import share_for
from relbench.grid.estimate import image_counts
from relbench.grid.executors import Executor, executor_for
from relbench.grid.room import Room
from relbench.grid.scheduler import jobs_for


def check_cluster_options(options: RunOptions) -> None:
    """Refuse options of a cluster where none is asked for.

    Raises:
        ValueError: one of them is given.
    """
    given = {"--cpus-per-run": options.cpus_per_run, "--gpus-per-run": options.gpus_per_run}
    for option, value in given.items():
        if value is not None and options.cluster is None:
            raise ValueError(f"{option} is of runs on a cluster: give --cluster, too")


def tell_of_cluster(options: RunOptions) -> None:
    """Say that a plan asks no cluster."""
    if options.cluster is not None:
        tell("no cluster is asked in a plan: runs at once, time and memory are those of this machine")


@contextmanager
def cluster_of(options: RunOptions) -> Iterator[None]:
    """Be connected to the cluster that is asked for, if one is."""
    if options.cluster is None:
        yield
        return
    with connected(options.cluster):
        yield


def executor_of(waiting: Sequence[Experiment], runs: Path, options: RunOptions) -> Executor:
    """Makes these runs, here or on the cluster that the command is connected to.

    Args:
        waiting: what is to be made.
        runs: holds a folder for each run.
        options: of the command.
    """
    if options.cluster is None:
        return executor_for(waiting, options.jobs or jobs_for(waiting, options.execution.devices))
    share = share_for(waiting, options.execution.devices, options.cpus_per_run, options.gpus_per_run)
    return Cluster(share, runs, options.jobs, tell)


def room_for(waiting: Sequence[Experiment], executor: Executor, options: RunOptions) -> Room:
    """A slot's share of the memory: of this machine, or of the node of the cluster where it is least.

    Args:
        waiting: what is to be made.
        executor: makes it.
        options: of the command.
    """
    images = {run.data: image_counts(run.data, options.data) for run in waiting}
    if not isinstance(executor, Cluster):
        return Room(images, executor.slots)
    devices = {run.training.device for run in waiting}
    return Room(images, 1, {device: executor.memory(device) for device in devices})
