"""The training loop, of one network or of several that see the same images: resumable as if it had never stopped."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

import torch

from relbench.experiment import Training
from relbench.memory import let_go
from relbench.results.checkpoint import State
from relbench.training.learner import Learner
from relbench.training.objective import Teacher
from relbench.training.precision import as_trained
from relbench.training.prefetching import Step
from relbench.training.stream import stream


class Trainer:
    """Trains a cohort: networks that see the same images at each step, beside the same teacher.

    Images and the teacher's outputs are made once a step; then each network makes its own. One that was stopped earlier
    than the others catches up with them while they wait; one that fails leaves, and the others go on.

    Args:
        learners: whose data, teacher and seed are the same, and their steps.
    """

    def __init__(self, learners: Sequence[Learner]) -> None:
        first = learners[0]
        self._learners = learners
        self._seed, self._stop = first.seed, first.earlier + first.training.steps
        self._device = torch.device(first.training.device)
        self._setup = replace(first.setup, teacher=prepared(first.setup.teacher, first.training))
        self._failed: dict[str, Exception] = {}

    def run(self) -> dict[str, State | Exception]:
        """Train all to their last step.

        Returns:
            By fingerprint: the last state, as in the checkpoint; or what has stopped that network alone.

        Raises:
            Exception: what stops all of them: an image can't be read, say.
        """
        # layers such as dropout draw from torch's global generators; those of other devices are left alone
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            for learner in self._learners:
                self._attempt(learner, learner.begin)
            while under_way := self._under_way():
                self._train_from(min(learner.place for learner in under_way))
        return {each.fingerprint: self._failed.get(each.fingerprint) or each.state() for each in self._learners}

    def _under_way(self) -> list[Learner]:
        return [each for each in self._learners if not each.is_done and each.fingerprint not in self._failed]

    def _train_from(self, start: int) -> None:
        """Train to the last step, or until all those have left that were behind the others."""
        with closing(stream(self._setup.data, self._seed, start, self._stop)) as steps:
            self._follow(steps, start)

    def _follow(self, steps: Iterable[Step], start: int) -> None:
        since = time.perf_counter()
        for step, (indices, images) in enumerate(steps, start):
            present = [learner for learner in self._under_way() if learner.place == step]
            if not present:
                return
            shown = self._setup.show(indices, images, self._device)
            for learner in present:
                learner.seconds += (time.perf_counter() - since) / len(present)
            for learner in present:
                self._attempt(learner, partial(learner.advance, shown))
            since = time.perf_counter()

    def _attempt(self, learner: Learner, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this network's failure
            let_go(error)
            self._failed[learner.fingerprint] = error


def prepared(teacher: Teacher | None, training: Training) -> Teacher | None:
    """A teacher on the device, and in the precision, of its students' training."""
    if teacher is None:
        return None
    device = torch.device(training.device)
    return replace(
        teacher,
        network=as_trained(teacher.network, training),
        classifier=teacher.classifier.to(device) if teacher.classifier else None,
        constants={name: value.to(device) for name, value in teacher.constants.items()},
    )


def train(learner: Learner) -> State:
    """Train one network alone, to its last step.

    Returns:
        The last state, as in the checkpoint.

    Raises:
        DivergedError: a loss or a weight is not finite; the last checkpoint stays.
        Exception: whatever else stops it.
    """
    (end,) = Trainer([learner]).run().values()
    if isinstance(end, Exception):
        raise end
    return end
