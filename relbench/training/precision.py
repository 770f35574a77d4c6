"""Networks in the precision of their training, and compiled where it says so."""

from typing import cast

import torch
from torch import nn

from relbench.experiment import Precision, Training
from relbench.models.embedder import at_least_float32
from relbench.models.features import CompiledFeatures, FeatureExtractor, Outputs


class InPrecision(nn.Module):
    """A network on a device that computes under autocast where the precision is mixed, and shows float32 at least.

    TF32 is no matter of it: torch's switches for that are set for the whole process, by who trains.

    Args:
        network: from images to embeddings and maps; is moved to the device.
        device: of the training.
        precision: of the training.
    """

    def __init__(self, network: nn.Module, device: torch.device, precision: Precision) -> None:
        super().__init__()
        self.network = network.to(device)
        self._device, self._is_mixed = device.type, precision == "bf16-mixed"

    def forward(self, images: torch.Tensor) -> Outputs:
        """As the network, in its precision; losses get float32."""
        with torch.autocast(self._device, torch.bfloat16, enabled=self._is_mixed):
            embeddings, maps = self.network(images)
        return at_least_float32(embeddings), {name: at_least_float32(shown) for name, shown in maps.items()}


def as_trained(features: nn.Module, training: Training) -> InPrecision:
    """A network as a training has it compute: on its device, in its precision, compiled where it says so.

    Args:
        features: from images to embeddings and maps; a `FeatureExtractor` where it is to be compiled.
        training: of the network, or of the students of a teacher.
    """
    if training.compile:
        features = CompiledFeatures(cast("FeatureExtractor", features))
    return InPrecision(features, torch.device(training.device), training.precision)
