"""Optimisers as torch has them, without torch's compiler, and the schedules of their learning rates."""

import math
from collections.abc import Iterable
from inspect import unwrap
from typing import Self

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR

from relbench.experiment import Training
from relbench.training.schedule import milestones


class _Uncompiled(torch.optim.Optimizer):
    """torch's methods in a process that compiles nothing.

    torch wraps the methods of its optimisers so that its compiler leaves them alone, and loads it for that: a second
    and 110 MB in every process that trains. Here the same methods are without that wrapping; numbers and states are the
    same.
    """

    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)


class Adam(_Uncompiled, torch.optim.Adam):
    """Adam (Kingma, Ba, arXiv:1412.6980)."""

    step = torch.no_grad()(unwrap(torch.optim.Adam.step))


class SGD(_Uncompiled, torch.optim.SGD):
    """Stochastic gradient descent with momentum (Sutskever et al., ICML 2013), as torch defines it."""

    step = torch.no_grad()(unwrap(torch.optim.SGD.step))

    def begin(self) -> Self:
        """The optimiser with a momentum of 0 for every parameter.

        torch makes them of the first gradients, and its fused code fails where a parameter has its first gradient later
        than others, such as one of a loss that does not use it in every batch. The numbers are the same.
        """
        for group in self.param_groups:
            for parameter in group["params"] if group["momentum"] else ():
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return self


def build_optimizer(parameters: Iterable[torch.nn.Parameter], training: Training) -> torch.optim.Optimizer:
    """The optimiser that the settings name."""
    rate, decay = training.learning_rate, training.weight_decay
    if training.optimizer == "adam":
        return Adam(parameters, lr=rate, weight_decay=decay, fused=True)
    momentum, nesterov = training.momentum, training.nesterov
    return SGD(parameters, lr=rate, weight_decay=decay, momentum=momentum, nesterov=nesterov, fused=True).begin()


def kept_numbers(training: Training) -> int:
    """How many numbers the optimiser keeps of each parameter: Adam two moments; sgd its momentum, if it has any."""
    if training.optimizer == "adam":
        return 2
    return 1 if training.momentum else 0


def build_scheduler(optimizer: torch.optim.Optimizer, training: Training) -> LRScheduler:
    """The schedule that the settings name; it is to be told of every step."""
    if training.schedule == "steps":
        return MultiStepLR(optimizer, milestones(training), gamma=training.decay)
    return LambdaLR(optimizer, lambda step: cosine_share(step, training))


def cosine_share(step: int, training: Training) -> float:
    """The learning rate after a number of steps, as a share of that at the beginning.

    ``final + (1 - final) (1 + cos(pi t / T)) / 2``, where T are all steps, and t those made when the rate last changed.

    Source:
        I. Loshchilov, F. Hutter, arXiv:1608.03983, equation 5, without restarts.
    """
    changed = step - step % training.rate_every
    return training.final_rate + (1 - training.final_rate) * (1 + math.cos(math.pi * changed / training.steps)) / 2
