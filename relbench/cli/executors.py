"""Who makes the runs of a command: this machine, or a Ray cluster."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from relbench.cli.options import RunOptions, tell
from relbench.cores import usable_cores
from relbench.execution import Execution
from relbench.experiment import Experiment
from relbench.grid.cluster.connection import connected
from relbench.grid.cluster.executor import Cluster
from relbench.grid.cluster.share import Share, share_for
from relbench.grid.estimate import image_counts
from relbench.grid.executors import Executor, executor_for
from relbench.grid.room import Room
from relbench.grid.scheduler import jobs_for
from relbench.plain_text import counted
from relbench.ranks.launch import refuse_too_many
from relbench.training.prefetching import workers_beside
from relbench.transfer import TransferSpec


def check_cluster_options(options: RunOptions) -> None:
    """Refuse options of a cluster where none is asked for.

    Raises:
        ValueError: one of them is given; or it makes no sense, whatever the nodes have.
    """
    given = {"--cpus-per-run": options.cpus_per_run, "--gpus-per-run": options.gpus_per_run}
    for option, value in given.items():
        if value is not None and options.cluster is None:
            raise ValueError(f"{option} is of runs on a cluster: give --cluster, too")
    cpus, gpus = (value if value is not None else 1 for value in given.values())
    Share(cpus, gpus)  # refuses what no node could have, before any work


def tell_of_cluster(options: RunOptions) -> None:
    """Say that a plan asks no cluster."""
    if options.cluster is not None:
        tell("no cluster is asked in a plan: runs at once, time and memory are those of this machine")


def measured_here(asked: Sequence[TransferSpec], options: RunOptions) -> list[TransferSpec]:
    """The measurements that this machine can make: beside a cluster, it need not have the GPU of the runs."""
    beside_a_cluster = options.cluster is not None and not torch.cuda.is_available()
    return [spec for spec in asked if not (beside_a_cluster and spec.device == "cuda")]


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
    devices = options.execution.devices
    if options.cluster is None:
        return executor_for(waiting, options.jobs or jobs_for(waiting, devices), devices)
    share = share_for(waiting, devices, options.cpus_per_run, options.gpus_per_run)
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
        return Room(images, executor.slots, devices=options.execution.devices)
    devices = {run.training.device for run in waiting}
    return Room(images, 1, {device: executor.memory(device) for device in devices})


def check_devices(experiments: Sequence[Experiment], options: RunOptions) -> None:
    """Refuse more processes for each run than this machine has GPUs, or cores. A cluster's nodes have others.

    Runs on GPUs can be planned where there are none.

    Raises:
        ValueError: one line.
    """
    devices, there = options.execution.devices, usable_cores()
    if options.cluster is not None:
        return
    if any(run.training.device == "cuda" for run in experiments):
        if torch.cuda.is_available() or not options.dry_run:
            refuse_too_many(devices, "cuda")
    elif devices > there:
        raise ValueError(
            f"--devices {devices}: this machine has {counted(there, 'core')}, and more processes than cores slow each "
            "other down; ask for no more"
        )


def tell_alone(options: RunOptions) -> None:
    """Say that no run is trained together with others, where several processes share each."""
    if options.execution.devices > 1 and options.cohort != 1:
        tell(f"--devices {options.execution.devices}: each run is trained alone, not in a cohort with others")


def execution_beside(slots: int, waiting: Sequence[Experiment], options: RunOptions) -> Execution:
    """How each run is executed, with the number of processes that prepare its images beside others at work.

    Args:
        slots: runs at once.
        waiting: what is to be made.
        options: of the command.
    """
    execution = options.execution
    if execution.workers is not None or options.cluster is not None:
        return execution
    device = "cuda" if any(run.training.device == "cuda" for run in waiting) else "cpu"
    return replace(execution, workers=workers_beside(torch.device(device), slots * execution.devices))
