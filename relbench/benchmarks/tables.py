"""Tables of the benchmarks' results beside their targets."""

from collections.abc import Callable, Iterator

import numpy as np
from rich.table import Table

from relbench.benchmarks import angle, evaluation, evaluation_kinds, images

MEGA = 1_000_000


def measured(what: str) -> Iterator[Table]:
    """Tables of the benchmarks, each as soon as it is measured.

    Args:
        what: "angle", "evaluation", "images" or "all".

    Raises:
        ValueError: there is no such benchmark.
    """
    if what not in (*BENCHMARKS, "all"):
        raise ValueError(f"unknown benchmark {what!r}: known are {', '.join(BENCHMARKS)} and all")
    for name, make in BENCHMARKS.items():
        if what in (name, "all"):
            yield make()


def _angle() -> Table:
    title = "angle loss, forward and backward, float32, 2 threads: times as fast as the broadcast-and-bmm form"
    table = Table("batch x dim", "plain, ms", "ours, ms", "ratio", "target", title=title)
    for speed in angle.measure():
        times = f"{1000 * speed.naive_seconds:.2f}", f"{1000 * speed.ours_seconds:.2f}"
        target = speed.target or 0.0
        table.add_row(
            f"{speed.batch} x {speed.dim}", *times, f"{speed.ratio:.1f}", _judged(f"{target:g}", speed.ratio >= target)
        )
    peak = angle.peak_memory()
    met = _judged(f"{angle.MEMORY_TARGET / MEGA:,.0f} MB", peak <= angle.MEMORY_TARGET)
    table.add_row("1024 x 512", "", "", f"{peak / MEGA:,.0f} MB above the inputs", met)
    return table


def _evaluation() -> Table:
    speed = evaluation.measure(generator=np.random.default_rng(0))
    title = f"Recall@1,10,100,1000, R-precision and MAP@R of {speed.count:,} x {speed.dim} embeddings"
    table = Table("", "measured", "target", title=title)
    table.add_row("plain chunked matrix product", f"{speed.plain_seconds:.1f} s", "")
    table.add_row("evaluation", f"{speed.ours_seconds:.1f} s", "")
    table.add_row(
        "times the plain product",
        f"{speed.ratio:.2f}",
        _judged(f"{evaluation.TIME_TARGET:g}", speed.ratio <= evaluation.TIME_TARGET),
    )
    table.add_row(
        "peak memory of the process",
        f"{speed.peak_bytes / MEGA:,.0f} MB",
        _judged(f"{evaluation.MEMORY_TARGET / MEGA:,.0f} MB", speed.peak_bytes <= evaluation.MEMORY_TARGET),
    )
    target = evaluation_kinds.TIME_TARGET
    for kind in evaluation_kinds.measure(generator=np.random.default_rng(0)):
        met = _judged(f"{target:g}", kind.ratio <= target)
        table.add_row(f"times a plain product and sort: {kind.kind}", f"{kind.ratio:.2f}", met)
    return table


def _images() -> Table:
    speed = images.measure(generator=np.random.default_rng(0))
    files = f"{speed.count} JPEG files of {images.WIDTH} x {images.HEIGHT}, {speed.file_bytes / 1000:.0f} kB each"
    table = Table("", "images per second", "target", title=f"training views of {files}, one thread")
    table.add_row("PIL: decode, resize, crop, mirror", f"{speed.plain:,.0f}", "")
    table.add_row("batches from decoded images, in memory", f"{speed.ours:,.0f}", "")
    verdict = _judged(f"{images.TARGET:g}", speed.ratio >= images.TARGET)
    table.add_row("times PIL's", f"{speed.ratio:.1f}", verdict)
    table.add_row(f"decoding them once to disk, {speed.threads} threads", f"{speed.build:,.0f}", "")
    return table


def _judged(target: str, met: bool) -> str:  # noqa: FBT001 - the verdict itself
    return f"{target}: {'met' if met else 'MISSED'}"


BENCHMARKS: dict[str, Callable[[], Table]] = {"angle": _angle, "evaluation": _evaluation, "images": _images}
