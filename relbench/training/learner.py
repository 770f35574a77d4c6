"""One run under training: its network, objective, optimizer and schedule, and all that is known of it so far."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from relbench.experiment import Training
from relbench.results.checkpoint import State, fits, load_checkpoint, save_checkpoint, selected_weights
from relbench.seeding import step_generator, step_seed
from relbench.trackers import Tracker
from relbench.training.divergence import DivergedError, Watch
from relbench.training.optimizers import build_optimizer, build_scheduler
from relbench.training.precision import as_trained
from relbench.training.schedule import is_logged
from relbench.training.setup import Shown, TrainingSetup


@dataclass(frozen=True)
class Earlier:
    """The stages of a training before the one that is to come.

    Attributes:
        state: the last one's last state.
        steps: of those on the same images: batches and views are those that would have come next.
    """

    state: State
    steps: int


class Learner:
    """A network that is trained, alone or beside others: it makes its own steps, and shares what it is shown.

    Two learners with equal setup, training and seed go through equal states on the same machine, whether or not one was
    stopped and resumed, and whatever others are trained beside it; on the CPU to the last bit.

    Args:
        setup: what is trained on what.
        training: steps, rates, selection, precision, device.
        seed: of batches, views and losses; students that differ in their loss alone see the same images.
        fingerprint: of the experiment; a checkpoint of another experiment is refused.
        checkpoint: the file written at each validation, and resumed from if it is there.
        tracker: is told of steps, losses and validations.
        earlier: stages, whose network is trained on.

    Attributes:
        earlier: steps of earlier stages.
        seconds: that its training took, its share of what a cohort computes once among them. A GPU works on while the
            process goes on: what a step leaves it to do may count as the next learner's time.

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
        tracker: Tracker,
        earlier: Earlier | None = None,
    ) -> None:
        self.training, self.seed, self.fingerprint = training, seed, fingerprint
        self.earlier = earlier.steps if earlier else 0
        self._checkpoint, self._tracker = checkpoint, tracker
        self._device = torch.device(training.device)
        module = as_trained(setup.features, training)
        self._network, self._objective = setup.network, setup.objective().to(self._device)
        self._network.requires_grad_(not training.frozen)
        trained = [each for each in self._network.parameters() if each.requires_grad]
        self._optimizer = build_optimizer([*trained, *self._objective.parameters()], training)
        self._scheduler = build_scheduler(self._optimizer, training)
        self._watch = Watch(self._device)
        if self._watch.frozen is not None:  # as torch's own GradScaler hands it over
            self._optimizer.found_inf = self._watch.frozen  # type: ignore[attr-defined]
        self.setup = replace(setup, features=module)
        self.seconds, self._since = 0.0, time.perf_counter()
        self._step, self._logged, self._sums = 0, 0, dict[str, torch.Tensor]()
        self._history: list[dict[str, float]] = []
        self._best: State | None = None
        if checkpoint.exists():
            with fits(checkpoint):
                self._restore(load_checkpoint(checkpoint, fingerprint, training.steps, setup.primary))
        elif earlier:
            self._network.load_state_dict(selected_weights(earlier.state))
        module.train(not training.frozen)

    @property
    def place(self) -> int:
        """The step that it makes next, counted from 0 at the beginning of the first stage."""
        return self.earlier + self._step

    @property
    def is_done(self) -> bool:
        """Whether it has made its last step."""
        return self._step == self.training.steps

    def begin(self) -> None:
        """Tell the tracker where it stands, and what an earlier process has logged."""
        for entry in self._history:
            self._tracker.log(entry)
        self._tracker.step(self._step)
        self._tracker.begin("training")

    def advance(self, shown: Shown) -> None:
        """Make a step, and what is due after it: an entry of the history, a validation, a checkpoint.

        Raises:
            DivergedError: a loss or a weight is not finite, of this step, or of the last few on a GPU; the last
                checkpoint stays.
            OSError: the checkpoint can't be written.
        """
        self._since = time.perf_counter()
        for name, value in self._learn(shown).items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._step += 1
        validates = self._is_due(self.training.validate_every)
        if validates or is_logged(self._step):
            self._look()
            self._log_means()
        if validates:
            self._validate()
            self._count_time()
            self._save()
        self._tracker.step(self._step)
        self._count_time()

    def _save(self) -> None:
        """Write the checkpoint: the first rank does, and the others hear whether it could.

        Raises:
            OSError: it can't be written.
        """
        ranks, fault = self.setup.data.layout.ranks, None
        if ranks.is_first:
            try:
                save_checkpoint(self.state(), self._checkpoint)
            except OSError as error:
                fault = error
        fault = ranks.objects(fault)[0]
        if fault:
            raise fault

    def _learn(self, shown: Shown) -> dict[str, torch.Tensor]:
        """Change the weights; returns the loss terms."""
        parts = self.setup.data.layout.parts
        self._seed_global_generators(parts)
        begin = self._seed_global_generators if parts > 1 else None
        batch = self.setup.see(shown, step_generator(self.seed, "losses", self.place), begin)
        if begin:  # what the networks have drawn depends on which parts this rank has shown
            begin(parts)
        values: dict[str, torch.Tensor] = self._objective(batch)
        total = self._objective.total(values)
        self._watch.note(self._step + 1, values, total)
        if self._watch.is_due:
            self._look()
        self._optimizer.zero_grad()
        torch.autograd.backward(total)
        self.setup.data.layout.ranks.sum_gradients(self._network.parameters())
        self.setup.data.layout.ranks.align_gradients(self._objective.parameters())
        self._optimizer.step()
        self._scheduler.step()
        return {name: value.detach() for name, value in values.items()}

    def _seed_global_generators(self, part: int) -> None:
        """Set those of torch that layers and losses on this device draw from.

        Args:
            part: of the batch, which layers draw for; the number of parts for losses. A batch of one part sets them
                once.
        """
        parts = self.setup.data.layout.parts
        number = self.place if parts == 1 else self.place * (parts + 1) + part
        seed = step_seed(self.seed, "global", number)
        torch.default_generator.manual_seed(seed)
        if self._device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _look(self) -> None:
        """DivergedError if a step that nobody has looked at yet had an objective that is not finite."""
        found = self._watch.look()
        if found:
            self._check_weights(found.step, f"a gradient of an earlier step was not: of {', '.join(found.terms)}; ")
            raise DivergedError(found.words)

    def _check_weights(self, step: int, why: str = "") -> None:
        weights = self._network.state_dict().values()
        if not torch.stack([torch.isfinite(tensor).all() for tensor in weights]).all():
            raise DivergedError(f"step {step}: a weight is not finite; {why}try a lower learning rate")

    def _is_due(self, every: int) -> bool:
        return self._step % every == 0 or self.is_done

    def _log_means(self) -> None:
        """Of each loss term since the last entry."""
        count = self._step - self._logged
        means = torch.stack([total / count for total in self._sums.values()]).cpu().tolist()
        self._history.append({"step": self._step} | dict(zip(self._sums, means, strict=True)))
        self._logged, self._sums = self._step, {}
        self._tracker.log(self._history[-1])

    def _validate(self) -> None:
        self._check_weights(self._step)
        self._tracker.begin("validating")
        metrics = self.setup.data.validate(self._network, self.setup.classifier)
        self._history[-1].update(metrics)
        if metrics:
            self._tracker.log({"step": self._step} | metrics)
        self._tracker.begin("training")
        if self.training.selection == "validation" and self._is_best(metrics[self.setup.primary]):
            weights = {name: tensor.cpu().clone() for name, tensor in self._network.state_dict().items()}
            losses = {name: tensor.cpu().clone() for name, tensor in self._objective.state_dict().items()}
            self._best = {"step": self._step, "network": weights, "losses": losses}

    def _is_best(self, value: float) -> bool:
        primary = self.setup.primary
        return all(value > entry[primary] for entry in self._history[:-1] if primary in entry)

    def _count_time(self) -> None:
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now

    def state(self) -> State:
        """All that a checkpoint holds."""
        return {
            "fingerprint": self.fingerprint,
            "step": self._step,
            "seconds": self.seconds,
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
        self._step = self._logged = state["step"]
        self.seconds, self._history, self._best = state["seconds"], state["history"], state["best"]
