"""Cohorts: runs that can be trained side by side in one process, and the memory that takes.

What a cohort shares is computed once a step: images, the teacher's outputs. To the last bit, a run comes out as if it
had been trained alone.
"""

from collections.abc import Iterable, Sequence
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from relbench.experiment import Experiment, Net
from relbench.models import build_embedder
from relbench.models.outlines import outline
from relbench.settings import changed, short_hash
from relbench.training.assemble import classifier_of, shapes_of, weighted_losses
from relbench.training.objective import Objective
from relbench.training.optimizers import kept_numbers

OWN = frozenset(
    {
        *("optimizer", "momentum", "nesterov", "learning_rate", "schedule", "final_rate", "rate_every"),
        *("decay_at", "decay", "weight_decay", "frozen", "selection"),
    }
)
"""Settings of a training in which the runs of a cohort may differ, as they may in network and terms."""


def key(experiment: Experiment) -> str:
    """Hash of all that the runs of a cohort have in common: those of equal keys may be trained side by side.

    A run that executes a user's code has a key of its own: what that code does to torch must reach no other run.
    """
    if executes_users_code(experiment):
        return experiment.fingerprint
    training = experiment.training
    common = experiment.model_dump(mode="json", include={"task", "data", "seed", "scale", "code_version"})
    return short_hash(
        common
        | {
            "training": training.model_dump(mode="json", exclude=set(OWN)),
            "earlier": experiment.begins_at,
            "teacher": experiment.teacher.fingerprint if experiment.teacher else None,
        }
    )


def executes_users_code(experiment: Experiment) -> bool:
    """Whether a run has a loss from a user's file, or builds on one that has."""
    return any(term.source for term in experiment.terms) or any(
        executes_users_code(needed) for needed in experiment.dependencies.values()
    )


def memory(experiments: Sequence[Experiment], channels: int, classes: int) -> int:
    """Bytes that training a cohort takes, estimated from its settings.

    Weights, gradients and the optimiser's moments of each network, its losses' and classifier's among them; the best
    step's weights where it is sought; the teacher's weights; a batch; and what the largest student keeps of it for its
    backward pass, in float32, as students are trained one after the other. Left out are the process itself, the views
    that are kept for validation, and what losses keep, which is little beside a network's activations.

    Args:
        experiments: of equal keys.
        channels: of their images.
        classes: of their training images.
    """
    first = experiments[0]
    trained = sum(_trained(experiment, channels, classes) for experiment in experiments)
    teacher = _bytes(_outline(first.teacher, channels).state_dict().values()) if first.teacher else 0
    activations = max(_activations(experiment, channels) for experiment in experiments)
    return trained + teacher + _image_bytes(first, channels) + activations


def _trained(experiment: Experiment, channels: int, classes: int) -> int:
    losses = weighted_losses(experiment, shapes_of(experiment, channels, classes))
    objective = Objective(losses, classifier_of(experiment, classes))
    network, training = _outline(experiment, channels), experiment.training
    modules: tuple[nn.Module, ...] = (network, objective)
    weights = sum(_bytes(module.state_dict().values()) for module in modules)
    copies = 2 if training.selection == "validation" else 1
    moved = _bytes(objective.parameters()) + (0 if training.frozen else _bytes(network.parameters()))
    return copies * weights + (1 + kept_numbers(training)) * moved


def _outline(experiment: Experiment, channels: int) -> nn.Module:
    return outline(experiment.net, channels, experiment.data.size)


def _activations(experiment: Experiment, channels: int) -> int:
    net = changed(experiment.net, {"weights": "random", "weights_content": "", "dim": 1})  # the embedding's is little
    return experiment.training.batch_size * _kept_of_an_image(net, channels, experiment.data.size)


@cache
def _kept_of_an_image(net: Net, channels: int, size: int) -> int:
    """Bytes that autograd keeps of an image, weights aside: counted with two images."""
    network, kept = build_embedder(net, channels, 0, size), dict[StorageWeakRef, int]()
    with torch.autograd.graph.saved_tensors_hooks(partial(_count, kept), _nothing_is_kept):
        network(torch.zeros(2, channels, size, size))
    weights = set(map(_memory_behind, network.state_dict().values()))
    return sum(count for memory, count in kept.items() if memory not in weights) // 2


def _count(kept: dict[StorageWeakRef, int], tensor: Tensor) -> None:
    """Note the memory behind a tensor, which may have several views of it, and keep nothing.

    A tensor that was kept itself would never be freed: as an operation's output, it holds the operation that holds it.
    """
    kept[_memory_behind(tensor)] = tensor.untyped_storage().nbytes()


def _memory_behind(tensor: Tensor) -> StorageWeakRef:
    """A weak reference: the memory can be freed, and no other is taken for it that has its address later."""
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _nothing_is_kept(_: None) -> Tensor:
    raise RuntimeError("nothing was kept for a backward pass: memory was only counted")


def _image_bytes(experiment: Experiment, channels: int) -> int:
    """Of a batch, in float32."""
    return 4 * experiment.training.batch_size * channels * experiment.data.size**2


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
