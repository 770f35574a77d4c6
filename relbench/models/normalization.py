"""Mean and deviation of each colour by which images are normalised before a trunk, as published codes have them."""

from collections.abc import Mapping

import torch
from torch import nn

from relbench.experiment import Normalization as Name

Constants = tuple[tuple[float, float, float], tuple[float, float, float]]  # means, deviations: red, green, blue

NORMALIZATIONS: Mapping[Name, Constants] = {
    # torchvision's pretrained networks; pytorchcv's, too
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # HobbitLong/RepDistiller@b84f547 dataset/cifar100.py; njulus/GKD@a37fc79 dataloaders/CIFAR-100.py
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    # lenscloth/RKD@1927142, for CIFAR-100, too; these deviations are smaller than those of all pixels (0.247 of red)
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    # szagoruyko/attention-transfer@893df54 cifar.py
    "cifar10-at": (
        (125.3 / 255, 123.0 / 255, 113.9 / 255),
        (63.0 / 255, 62.1 / 255, 66.7 / 255),
    ),
    # BayesWatch/cinic-10 README
    "cinic10": ((0.47889522, 0.47227842, 0.43047404), (0.24205776, 0.23828046, 0.25874835)),
    # mdistiller; RKD's are not known
    "tiny-imagenet": ((0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262)),
}


class Normalization(nn.Module):
    """Images minus the mean of each colour, divided by its deviation; the constants are not part of the weights.

    Args:
        given: the constants, or their name.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, given: Name | Constants) -> None:
        super().__init__()
        mean, deviation = NORMALIZATIONS[given] if isinstance(given, str) else given
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1], shape (batch, 3, size, size) -> the same shape."""
        return (images - self.mean) / self.deviation
