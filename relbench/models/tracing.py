"""Whether torch.fx can follow a network, so that its batch normalisations can be folded."""

from torch import nn
from torch.fx import symbolic_trace


def can_be_traced(network: nn.Module) -> bool:
    """Whether a network has batch normalisations as torch's, and its steps do not depend on its images.

    Those of most transformers do, by the images' size.
    """
    if not any(type(part) is nn.BatchNorm2d for part in network.modules()):
        return False
    try:
        symbolic_trace(network)
    except Exception:  # noqa: BLE001 - whatever a network's own code raises at something that is no image
        return False
    return True
