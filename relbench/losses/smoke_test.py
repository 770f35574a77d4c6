"""Trial of a loss, before a run, on batches that training may bring: each way to fail has a check and a line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from relbench.episodes import Episode
from relbench.experiment import EMBEDDING
from relbench.losses.entry import Loss
from relbench.losses.inputs import INPUTS, Batch, Shapes, TeacherOutputs, made_up_batch
from relbench.losses.user import DescribedLoss, own_loss
from relbench.losses.user_errors import blame_user_code, torch_unchanged
from relbench.losses.worker import execute
from relbench.seeding import seeded

_RANDOM = "random embeddings"
_REACHES = "gradient to the student"
_KEEP_FINITE = (
    "equal rows have distance 0: keep it out of roots, logarithms and divisors, with clamp_min before, not after"
)


RUN = ("student_dim", "teacher_dim", "batch_size", "images_per_class", "shot", "unit_length", "num_classes", "device")


def try_loss(  # noqa: PLR0913 - what a run looks like from inside a loss
    entry: Loss,
    options: Mapping[str, Any],
    *,
    student_dim: int,
    teacher_dim: int,
    batch_size: int,
    images_per_class: int,
    unit_length: bool,
    num_classes: int,
    shot: int | None = None,
    device: str = "cpu",
) -> None:
    """Call a loss as a run would, and refuse it if training would stop there, or do something else than it seems to.

    It is built, called and differentiated afresh on each of five batches: random embeddings; every image twice; all
    images of a class alike; all images alike; and the student's images alike while the teacher's differ. On each, the
    value is a finite scalar, the gradient finite, none of it the teacher's, and no input changed; on random
    embeddings some gradient reaches the student. Logits are those of a random classifier on either side. Which lengths
    embeddings have without `unit_length` nobody knows beforehand: then they are of standard normal coordinates. Draws
    nothing from torch's global generators.

    Args:
        entry: of a user's loss; its code is executed, in a worker process where only its description is known here.
        options: as in the experiment's term.
        student_dim: dimension of the student's embeddings.
        teacher_dim: of the teacher's.
        batch_size: images a batch.
        images_per_class: images of a class, which stand together in a batch.
        unit_length: whether embeddings have length 1.
        num_classes: classes of the training images; the last of them are in the batch.
        shot: support images of a class, the first of it; None where batches are no episodes.
        device: where the run computes.

    Raises:
        ValueError: an option is wrong, or a check failed; one line with the loss, the check, the batch, and what to do.
            Or the loss takes support images and queries, and batches are no episodes.
    """
    if shot is None and "episodes" in entry.requires:
        raise ValueError(
            f"loss {entry.name!r} compares queries with support images, but batches are no episodes: it is for few-shot"
        )
    if isinstance(entry, DescribedLoss):
        run = (student_dim, teacher_dim, batch_size, images_per_class, shot, unit_length, num_classes, device)
        execute(repr(entry.name), _try_there, entry.name, entry.text, dict(options), dict(zip(RUN, run, strict=True)))
        return
    dims = ({EMBEDDING: torch.Size([dim])} for dim in (student_dim, teacher_dim))
    shapes, generator = Shapes(num_classes, *dims), torch.Generator().manual_seed(0)
    facts = shapes.facts(seed=0)
    given = {name: facts[name] for name in entry.needs if name in facts} | dict(options)
    episode = Episode(batch_size // images_per_class, shot, images_per_class - shot) if shot else None
    batch = made_up_batch(shapes, batch_size, images_per_class, torch.Generator().manual_seed(0), episode)
    rows = [torch.randn(batch_size, dim, generator=generator) for dim in (student_dim, teacher_dim)]
    student, teacher = [normalize(matrix) for matrix in rows] if unit_length else rows
    own, its = (torch.randn(dim, num_classes, generator=generator) for dim in (student_dim, teacher_dim))
    for case, ours, theirs in _cases(student, teacher, images_per_class):
        taught = TeacherOutputs(theirs, {}, theirs @ its)
        seen = replace(batch, embeddings=ours, taught=taught, classifier=partial(torch.matmul, other=own))
        loss = entry.build(**given)
        with seeded(0), torch_unchanged(entry.name, entry.source):
            _Trial(entry, case, loss.to(device) if isinstance(loss, nn.Module) else loss).run(seen, device)


def _try_there(name: str, text: str, options: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    try_loss(own_loss(name, text), options, **run)


def _cases(student: Tensor, teacher: Tensor, images_per_class: int) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Names of the batches, with the embeddings."""
    lines = torch.arange(len(student))
    twice, classes = lines // 2, lines // images_per_class
    yield _RANDOM, student, teacher
    yield "duplicated embeddings (each twice)", student[twice], teacher[twice]
    yield "duplicated embeddings (equal within a class)", student[classes], teacher[classes]
    yield "collapsed embeddings (all equal)", student[lines * 0], teacher[lines * 0]
    yield "collapsed embeddings (the student's equal, the teacher's not)", student[lines * 0], teacher


@dataclass(frozen=True)
class _Trial:
    """One call of a loss, and its gradient."""

    entry: Loss
    case: str
    loss: Callable[..., Tensor]

    def run(self, batch: Batch, device: str) -> None:
        """ValueError if a check fails."""
        taken = {name: INPUTS[name].of(batch, "") for name in self.entry.takes}
        place = {name: "cpu" if INPUTS[name].on_the_host else device for name in taken}
        inputs = {name: _leaf(value, place[name]) for name, value in taken.items() if isinstance(value, Tensor)}
        given = {name: rows.clone() for name, rows in inputs.items()}  # no leaves: in training they are none either
        others = {"generator": torch.Generator().manual_seed(0), "ranks": batch.ranks}
        with self._users_code():
            value = self.loss(*[given.get(name, others.get(name)) for name in self.entry.takes])
        self._refuse(_wrong_value(value))
        self._refuse(_changed(inputs, given))
        with self._users_code():
            torch.autograd.backward(value)
        self._refuse(self._wrong_gradients(inputs))

    def _users_code(self) -> AbstractContextManager[None]:
        return blame_user_code(self.entry.name, self.entry.source, f" on {self.case}")

    def _refuse(self, problems: Iterator[tuple[str, str]]) -> None:
        for check, what in problems:
            raise ValueError(f"loss {self.entry.name!r} fails the check {check!r} on {self.case}: {what}")

    def _wrong_gradients(self, inputs: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
        students = {name: rows for name, rows in inputs.items() if INPUTS[name].trains}
        if self.case == _RANDOM and not any(_gradient(rows).any() for rows in students.values()):
            yield (
                _REACHES,
                f"{' and '.join(students)} gets none: do not detach, round or compare it on the way to the result",
            )
        parameters = self.loss.parameters() if isinstance(self.loss, nn.Module) else ()
        if not all(_gradient(trained).isfinite().all() for trained in (*students.values(), *parameters)):
            yield "finite gradient", f"it is infinite or NaN; {_KEEP_FINITE}"
        for name in ("teacher", "teacher_logits"):
            if name in inputs and _gradient(inputs[name]).any():
                yield "no gradient to the teacher", f"the teacher is a constant: write {name}.detach()"


def _leaf(rows: Tensor, device: str) -> Tensor:
    return rows.to(device, copy=True).requires_grad_(rows.is_floating_point())


def _gradient(leaf: Tensor) -> Tensor:
    """0 where none arrived."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _wrong_value(value: object) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Tensor):
        yield "tensor", f"it returns a {type(value).__name__}: compute with torch, and return the tensor"
        return
    if value.ndim:
        yield "scalar", f"it returns the shape {tuple(value.shape)}: return one number, of shape (), such as the mean()"
    if not value.is_floating_point():
        yield "floating", f"it returns {value.dtype}: return a floating-point number"
    if not value.isfinite():
        yield "finite value", f"it returns {value.item()}; {_KEEP_FINITE}"
    if not value.requires_grad:
        yield (
            _REACHES,
            "the value is a constant: detach no embeddings; with nothing to compare, return 0 times their sum",
        )


def _changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    for name, rows in before.items():
        if not rows.equal(after[name]):
            yield "inputs unchanged", f"it writes into {name}, which other losses see: write into {name}.clone()"
