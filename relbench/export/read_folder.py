"""An exported folder, read again: its network, built from its configuration and weights, which hold data alone."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load

from relbench.export.configuration import Configuration
from relbench.export.finished import TrainedNetwork
from relbench.export.weights import HEAD, Weights
from relbench.files import read_regular
from relbench.models import build_embedder
from relbench.settings import changed
from relbench.tasks import find_task
from relbench.tensors import content_hash

FILE = "model.safetensors"


def read_network(folder: Path, configuration: Configuration) -> TrainedNetwork:
    """The network of an exported folder.

    Args:
        folder: that was exported.
        configuration: of it.

    Raises:
        ValueError: the weights can't be read, or are not those that were exported; one line.
    """
    weights, run = _weights(folder / FILE, configuration.weights_hash), configuration.experiment
    blank = changed(run.net, {"weights": "random", "weights_content": ""})  # what it began with is of no use
    embedder = build_embedder(blank, configuration.preprocessing.channels, run.seed, run.data.size)
    embedder.load_state_dict({name: tensor for name, tensor in weights.items() if not name.startswith(HEAD)})
    if not configuration.classes:
        return TrainedNetwork(embedder.eval(), None)
    head = find_task(run.task).head(blank, run.data.size, len(configuration.classes), run.seed)
    head.load_state_dict({name.removeprefix(HEAD): tensor for name, tensor in weights.items() if name.startswith(HEAD)})
    return TrainedNetwork(embedder.eval(), head.eval())


def _weights(path: Path, expected: str) -> Weights:
    try:
        weights: Weights = load(read_regular(path))
    except (OSError, SafetensorError) as error:
        raise ValueError(f"the weights {path} can't be read ({error}): export the run again") from None
    if content_hash(weights) != expected:
        raise ValueError(f"the weights {path} are not those that config.json beside them names: export the run again")
    return weights
