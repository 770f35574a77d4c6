"""Threads and precision of a process: set while something is computed, and put back."""

import pytest
import torch
from threadpoolctl import threadpool_info

from relbench.training.computing import computing


class Stop(Exception):  # noqa: N818 - stands for whatever ends a computation
    pass


def switches():
    """Torch's, for the whole process."""
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("32-true", ("highest", False)), ("tf32", ("high", True)), ("bf16-mixed", ("highest", True))],
)
@pytest.mark.parametrize("before", [("highest", True), ("medium", False)])
def test_switches_for_tf32_are_set_and_put_back(precision, expected, before):
    ours = switches()
    try:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
        with computing(1, precision):
            assert switches() == expected
        assert switches() == before
        with pytest.raises(Stop), computing(1, precision):
            raise Stop
        assert switches() == before
    finally:
        torch.set_float32_matmul_precision(ours[0])
        torch.backends.cudnn.allow_tf32 = ours[1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("what", ["product", "convolution"])
def test_float32_on_a_gpu_is_float32(what):
    """Numbers of either sign, so that errors don't average out: TF32 has 10 bits for the fraction, float32 has 23."""
    generator = torch.Generator().manual_seed(0)
    images, weights = (torch.randn(count, 64, 16, 16, generator=generator) for count in (32, 48))

    def computed(of, weight):
        if what == "product":
            return of[:, :, 0].flatten(1) @ weight[:, :, 0].flatten(1).T
        return torch.nn.functional.conv2d(of, weight[:, :, :3, :3], padding=1)

    exact = computed(images.double(), weights.double())
    errors = {}
    for precision in ("32-true", "tf32"):
        with computing(1, precision):
            found = computed(images.cuda(), weights.cuda()).cpu().double()
        errors[precision] = ((found - exact).square().mean() / exact.square().mean()).sqrt().item()
    assert errors["32-true"] < 1e-5
    if torch.cuda.get_device_capability() >= (8, 0):  # older ones have no TF32
        assert errors["tf32"] > 1e-4


def threads():
    """Of torch, and of the libraries below numpy."""
    return torch.get_num_threads(), *(library["num_threads"] for library in threadpool_info())


def test_threads_are_set_and_put_back():
    before = threads()
    with computing(2, "32-true"):
        assert set(threads()) == {2}
        with computing(1, "32-true"):
            assert set(threads()) == {1}
        assert set(threads()) == {2}
    assert threads() == before
