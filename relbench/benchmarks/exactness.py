"""What must hold on a GPU whatever its speed: exact neighbours, TF32 only where it is asked for, layouts that agree."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import conv2d

from relbench.benchmarks.figure import Figure
from relbench.evaluation import Sharding, means, nearest, retrieval_metrics, sharded_query_results
from relbench.evaluation.gallery.mappers import over_devices
from relbench.experiment import Net, Precision
from relbench.models import build_embedder, embed
from relbench.training.computing import computing

ROUNDING, TF32_ROUNDING = 1e-5, 1e-4  # float32 errs less than the first, TF32's 10 bits err more than the second
_AMPLE = 2**36  # bytes of memory
LAYOUTS_DIFFER = 1e-5  # at most, in coordinates of embeddings of unit length


def figures(device: str, count: int = 3000) -> Iterator[Figure]:
    """Each beside what it may be at most.

    Args:
        device: "cpu" or "cuda", which is compared with the CPU.
        count: rows whose neighbours are searched.
    """
    yield from _neighbours(device, count)
    yield from _tf32(device)
    yield _layouts(device)


def _neighbours(device: str, count: int) -> Iterator[Figure]:
    """Far from the origin, where float32 alone would err; and rounded, where many are equally far away."""
    generator = np.random.default_rng(0)
    rows = (generator.standard_normal((count, 24)) + 30).astype(np.float32)
    labels = generator.integers(count // 10, size=count)
    for kind, data in {"": rows, ", rounded": rows.round(1)}.items():
        with computing(1, "tf32" if device == "cuda" else "32-true"), torch.autocast(device, torch.bfloat16):
            found = nearest(torch.from_numpy(data).to(device), 20)
            metrics = retrieval_metrics(torch.from_numpy(data).to(device), labels, (1, 10))
            in_shards = _in_shards(data, labels, device)
        wrong = int((found != nearest(torch.from_numpy(data), 20)).sum())
        wanted = retrieval_metrics(torch.from_numpy(data), labels, (1, 10))
        off = sum((metrics[name] != value) + (in_shards[name] != value) for name, value in wanted.items())
        name = f"20 neighbours of {count:,} rows{kind}, {device} against CPU, TF32 and autocast on"
        yield Figure(name=f"{name}: different", value=wrong + off, unit="", target=0)


def _in_shards(rows: NDArray[np.float32], labels: NDArray[np.int64], device: str) -> dict[str, float]:
    """Metrics by two threads that search shards on the same device."""
    with over_devices((device, device)) as mapper:
        sharding = Sharding(_AMPLE, mapper, at_once=2, items=len(rows) // 5)
        return means(sharded_query_results(rows, labels, (1, 10), sharding=sharding), (1, 10))


def _tf32(device: str) -> Iterator[Figure]:
    for precision in ("32-true", "tf32"):
        product, convolution = tf32_errors(device, precision)
        asked = precision == "tf32" and device == "cuda"
        for what, error in {"product": product, "convolution": convolution}.items():
            yield Figure(
                name=f"{precision}: relative error of a {what}",
                value=error,
                unit="",
                target=TF32_ROUNDING if asked else ROUNDING,
                bound="at least" if asked else "at most",
                why="shows that the switch does something" if asked else "",
            )


def tf32_errors(device: str, precision: Precision) -> tuple[float, float]:
    """Relative errors of a product and of a convolution of random numbers, beside float64 on the CPU."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.randn(2, 512, 512, generator=generator)
    images, weights = torch.randn(8, 64, 28, 28, generator=generator), torch.randn(64, 64, 3, 3, generator=generator)
    with computing(1, precision):
        product = (rows.to(device) @ columns.to(device)).cpu()
        convolution = conv2d(images.to(device), weights.to(device)).cpu()
    return _error(product, rows.double() @ columns.double()), _error(
        convolution, conv2d(images.double(), weights.double())
    )


def _error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def _layouts(device: str) -> Figure:
    images = torch.randint(256, (64, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    network = build_embedder(Net(trunk="resnet18", dim=32), 3, 0)
    expected = embed(network, iter([images]), torch.device("cpu"))
    with computing(1, "32-true"):
        plain = embed(network.to(device), iter([images]), torch.device(device))
        turned = embed(network.with_channels_last(), iter([images]), torch.device(device))
    off = max(float(np.abs(found - expected).max()) for found in (plain, turned))
    name = f"ResNet18's embeddings, {device}, both layouts, against CPU: largest difference"
    return Figure(name=name, value=off, unit="", target=LAYOUTS_DIFFER)
