"""The training loop: a fixed number of steps, resumable at every checkpoint as if it had never stopped."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR

from relbench.experiment import Training
from relbench.losses.inputs import Batch
from relbench.results.checkpoint import State, fits, load_checkpoint, save_checkpoint, selected_weights
from relbench.seeding import step_generator, step_seed
from relbench.trackers import Tracker
from relbench.training.fabric import fabric_on
from relbench.training.objective import DivergedError, Objective, Teacher, WeightedLoss
from relbench.training.stream import TrainingData, stream

CPU = torch.device("cpu")
LOG_ENTRIES = 100  # about the number of points of a curve over the whole training


@dataclass(frozen=True)
class TrainingSetup:
    """The objects of a training: all that the loop does not make itself.

    Attributes:
        network: from images to embeddings.
        features: the same, from images to embeddings and maps.
        losses: the summands of the objective.
        classifier: trained along, for losses that take logits.
        teacher: what the network is compared with.
        data: images.
        primary: the metric that the best step is chosen by.
    """

    network: nn.Module
    features: nn.Module
    losses: Sequence[WeightedLoss]
    classifier: nn.Module | None
    teacher: Teacher | None
    data: TrainingData
    primary: str

    def objective(self) -> Objective:
        """The weighted sum of the losses."""
        return Objective(self.losses, self.classifier)

    def see(
        self, indices: torch.Tensor, images: torch.Tensor, generator: torch.Generator, device: torch.device = CPU
    ) -> Batch:
        """A batch as teacher and student see it; the teacher first, while no activations of the student are alive.

        Args:
            indices: of the images.
            images: as they are trained on.
            generator: of the losses.
            device: of networks and losses.
        """
        images = images.to(device)
        labels = self.data.labels[indices].to(device)
        taught = self.teacher.outputs(images) if self.teacher else None
        embeddings, maps = self.features(images)
        return Batch(indices, labels, generator, embeddings, maps, taught)


class Trainer:
    """Trains one network.

    Two trainers with equal setup, training and seed go through equal states on the same machine, whether or not one was
    stopped and resumed; on the CPU to the last bit.

    Args:
        setup: what is trained on what.
        training: steps, rates, selection, precision, device.
        seed: of batches, views and losses; students that differ in their loss alone see the same images.
        fingerprint: of the experiment; a checkpoint of another experiment is refused.
        checkpoint: the file written at each validation, and resumed from if it is there.
        start: the last state of an earlier stage, whose network is trained on.
        earlier: steps of earlier stages: batches and views are those that would have come next.

    Raises:
        CheckpointError: the checkpoint is damaged or another experiment's.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        training: Training,
        seed: int,
        fingerprint: str,
        checkpoint: Path,
        start: State | None = None,
        earlier: int = 0,
    ) -> None:
        self._training, self._fingerprint, self._checkpoint = training, fingerprint, checkpoint
        self._seed, self._earlier = seed, earlier
        self._fabric = fabric_on(training.device, training.precision)
        self._network, self._objective = setup.network, setup.objective().to(self._fabric.device)
        parameters = [*setup.network.parameters(), *self._objective.parameters()]
        optimizer = torch.optim.Adam(
            parameters, lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
        )
        milestones = [round(share * training.steps) for share in training.decay_at]
        self._scheduler = MultiStepLR(optimizer, milestones, gamma=training.decay)
        self._module, self._optimizer = self._fabric.setup(setup.features, optimizer)
        teacher = self._prepared(setup.teacher) if setup.teacher else None
        self._setup = replace(setup, features=self._module, teacher=teacher)
        self._step = 0
        self._seconds, self._since = 0.0, time.perf_counter()
        self._history: list[dict[str, float]] = []
        self._best: State | None = None
        if checkpoint.exists():
            with fits(checkpoint):
                self._restore(load_checkpoint(checkpoint, fingerprint, training.steps, setup.primary))
        elif start:
            self._network.load_state_dict(selected_weights(start))

    def _prepared(self, teacher: Teacher) -> Teacher:
        """On the device, and in the precision of the training."""
        device = self._fabric.device
        return replace(
            teacher,
            network=self._fabric.setup_module(teacher.network),
            classifier=teacher.classifier.to(device) if teacher.classifier else None,
            constants={name: value.to(device) for name, value in teacher.constants.items()},
        )

    def run(self, tracker: Tracker) -> State:
        """Train to the last step.

        Args:
            tracker: is told of steps, losses and validations.

        Returns:
            The last state, as in the checkpoint.

        Raises:
            DivergedError: a loss or a weight is not finite; the last checkpoint stays.
        """
        tracker.step(self._step)
        tracker.begin("training")
        device = self._fabric.device
        # layers such as dropout draw from torch's global generators; those of other devices are left alone
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            self._train(tracker)
            return self._state()

    def _train(self, tracker: Tracker) -> None:
        start, stop = (self._earlier + step for step in (self._step, self._training.steps))
        sums: dict[str, torch.Tensor] = {}
        since = self._step
        self._module.train()
        for indices, images in stream(self._setup.data, self._seed, start, stop):
            for name, value in self._advance(indices, images).items():
                sums[name] = sums.get(name, 0.0) + value
            self._step += 1
            if self._is_due(max(1, self._training.steps // LOG_ENTRIES)) or self._is_due(self._training.validate_every):
                self._history.append({"step": self._step} | _means(sums, self._step - since))
                sums, since = {}, self._step
                tracker.log(self._history[-1])
            if self._is_due(self._training.validate_every):
                self._validate(tracker)
                save_checkpoint(self._state(), self._checkpoint)
            tracker.step(self._step)

    def _advance(self, indices: torch.Tensor, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """One step; returns the loss terms."""
        step = self._earlier + self._step
        self._seed_global_generators(step)
        generator = step_generator(self._seed, "losses", step)
        values: dict[str, torch.Tensor] = self._objective(
            self._setup.see(indices, images, generator, self._fabric.device)
        )
        self._optimizer.zero_grad()
        self._fabric.backward(self._total(values))
        self._optimizer.step()
        self._scheduler.step()
        return {name: value.detach() for name, value in values.items()}

    def _total(self, values: dict[str, torch.Tensor]) -> torch.Tensor:
        try:
            return self._objective.total(values, self._step + 1)
        except DivergedError:
            self._check_weights(self._step + 1, f"a gradient of an earlier step was not: of {', '.join(values)}; ")
            raise

    def _check_weights(self, step: int, why: str = "") -> None:
        if not all(torch.isfinite(tensor).all() for tensor in self._network.state_dict().values()):
            raise DivergedError(f"step {step}: a weight is not finite; {why}try a lower learning rate")

    def _is_due(self, every: int) -> bool:
        return self._step % every == 0 or self._step == self._training.steps

    def _validate(self, tracker: Tracker) -> None:
        self._check_weights(self._step)
        tracker.begin("validating")
        metrics = self._setup.data.validate(self._network, self._setup.classifier)
        self._history[-1].update(metrics)
        if metrics:
            tracker.log({"step": self._step} | metrics)
        tracker.begin("training")
        if self._training.selection == "validation" and self._is_best(metrics[self._setup.primary]):
            weights = {name: tensor.cpu().clone() for name, tensor in self._network.state_dict().items()}
            losses = {name: tensor.cpu().clone() for name, tensor in self._objective.state_dict().items()}
            self._best = {"step": self._step, "network": weights, "losses": losses}

    def _is_best(self, value: float) -> bool:
        primary = self._setup.primary
        return all(value > entry[primary] for entry in self._history[:-1] if primary in entry)

    def _seed_global_generators(self, step: int) -> None:
        """Set those of torch that layers and losses on this device draw from."""
        seed = step_seed(self._seed, "global", step)
        torch.default_generator.manual_seed(seed)
        if self._fabric.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _state(self) -> State:
        return {
            "fingerprint": self._fingerprint,
            "step": self._step,
            "seconds": self._seconds + time.perf_counter() - self._since,
            "network": self._network.state_dict(),
            "losses": self._objective.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "history": self._history,
            "best": self._best,
        }

    def _restore(self, state: State) -> None:
        self._network.load_state_dict(state["network"])
        self._objective.load_state_dict(state["losses"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scheduler.load_state_dict(state["scheduler"])
        self._step, self._seconds = state["step"], state["seconds"]
        self._history, self._best = state["history"], state["best"]


def _means(sums: dict[str, torch.Tensor], count: int) -> dict[str, float]:
    return {name: (total / count).item() for name, total in sums.items()}
