"""Adam as torch has it, without torch's compiler."""

from inspect import unwrap

import torch


class Adam(torch.optim.Adam):
    """torch's Adam in a process that compiles nothing.

    torch wraps the methods of its optimisers so that its compiler leaves them alone, and loads it for that: a second
    and 110 MB in every process that trains. Here the same methods are without that wrapping; numbers and states are the
    same.
    """

    step = torch.no_grad()(unwrap(torch.optim.Adam.step))
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)
