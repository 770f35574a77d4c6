"""Initial weights as published codes draw them, where those differ from a library's."""

from torch import nn


def kaiming_normal(network: nn.Module) -> None:
    """Weights of convolutions N(0, 2 / fan_out), biases 0; batch normalisation 1 and 0 (He et al. 2015).

    ``fan_out`` is kernel height x kernel width x output channels. So draw resnet.py, resnetv2.py, wrn.py, vgg.py and
    mobilenetv2.py of HobbitLong/RepDistiller@b84f547, and torchvision in its ResNets.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


def of_torch(network: nn.Module) -> None:
    """As torch draws the weights of every layer: uniform in +-1 / sqrt(fan_in), biases too."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            module.reset_parameters()


def uniform_gains(network: nn.Module) -> None:
    """Gains of batch normalisation uniform in [0, 1], as torch drew them until 1.2; all else stays."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight)


def small_normal(head: nn.Linear) -> None:
    """Weights of a classifier N(0, 0.01^2), biases 0: RepDistiller's vgg.py and mobilenetv2.py."""
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)


def without_bias(head: nn.Linear) -> None:
    """Weights of a classifier as torch draws them, biases 0: RepDistiller's wrn.py."""
    nn.init.zeros_(head.bias)
