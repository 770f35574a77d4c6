"""Where numbers are computed: what follows from labels alone on the host, so that no step waits for a GPU."""

from torch import Tensor


def beside(tensor: Tensor, other: Tensor) -> Tensor:
    """A tensor on the device of another. The host does not wait for what it sends to a GPU.

    Args:
        tensor: on any device. What lies on the host is copied to pinned memory first, from which a GPU fetches it when
            its turn has come; torch keeps that memory until then.
        other: on the device that is wanted.
    """
    if tensor.device == other.device:
        return tensor
    is_sent = tensor.device.type == "cpu"
    given = tensor.pin_memory() if is_sent and other.is_cuda else tensor
    return given.to(other.device, non_blocking=is_sent)
