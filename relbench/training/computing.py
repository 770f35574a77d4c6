"""Threads and precision of a process, as the settings of a training say."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from relbench.experiment import Precision

# By precision: that of products in torch's words, and whether cuDNN's convolutions may use TF32. For bf16-mixed, what
# autocast leaves in float32 goes as torch has it by default.
TF32: Mapping[Precision, tuple[str, bool]] = {
    "32-true": ("highest", False),
    "tf32": ("high", True),
    "bf16-mixed": ("highest", True),
}


@contextmanager
def computing(threads: int, precision: Precision) -> Iterator[None]:
    """Set the process's number of threads and precision inside a `with`, and restore them after it.

    Args:
        threads: on the CPU.
        precision: of float32 products and convolutions on a GPU.
    """
    with on_threads(threads), _precision(precision):
        yield


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Compute on a number of threads inside a `with`, in torch and in the libraries below numpy and faiss.

    Args:
        count: of threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(limits=count):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _precision(precision: Precision) -> Iterator[None]:
    """Allow or forbid TF32 in products and convolutions; torch's default allows it in convolutions alone."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    _allow_tf32(*TF32[precision])
    try:
        yield
    finally:
        _allow_tf32(*before)


def _allow_tf32(products: str, convolutions: bool) -> None:  # noqa: FBT001 - as torch's switches are
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions
