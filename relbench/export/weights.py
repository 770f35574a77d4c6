"""Weights of a network in a safetensors file, with what is needed to use them in its header."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from relbench.export.finished import TrainedNetwork

HEAD = "head."  # begins the names of the head's weights

Weights = dict[str, torch.Tensor]


def weights_to_write(network: TrainedNetwork) -> Weights:
    """All weights by name, each in memory of its own; those of the head begin with "head."."""
    weights = dict(network.embedder.state_dict())
    if network.head:
        weights |= {f"{HEAD}{name}": tensor for name, tensor in network.head.state_dict().items()}
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in weights.items()}


def write_weights(weights: Weights, described: Mapping[str, object], path: Path) -> None:
    """Write weights.

    Args:
        weights: by name.
        described: what stands in the header, which holds text alone: other values are written as JSON.
        path: of the file.

    Raises:
        OSError: it can't be written.
    """
    told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in described.items()}
    path.write_bytes(save(weights, metadata={"format": "pt", **told}))
