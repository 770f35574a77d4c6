"""A network as a computation that needs no code of relbench: ONNX, and torch's own format.

Both take images as float32 in [0, 1], with any number of them in a batch; the normalisation is inside. Neither file
counts before it has answered real images as the network does.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relbench.export.finished import TrainedNetwork
from relbench.extras import needed

LARGEST_DIFFERENCE = 1e-4  # of an output that is taken for rounding
OLDEST_TORCH = "2.7"  # that exports to ONNX: before, its exporter refuses batch normalisation
ONNX, TORCH_EXPORT = "ONNX", "torch.export"
INSTEAD = {
    ONNX: "export --to safetensors, or --to hub-folder --without-onnx",
    TORCH_EXPORT: "export --to safetensors instead",
}
IMAGES, EMBEDDINGS, LOGITS = "images", "embeddings", "logits"

Arrays = list[NDArray[np.float32]]
Answer = Callable[[Tensor], Arrays]  # from images to the outputs


class Computation(nn.Module):
    """A network in evaluation mode with one output, embeddings, or two, embeddings and logits, where it has a head.

    Args:
        network: that is exported.
    """

    def __init__(self, network: TrainedNetwork) -> None:
        super().__init__()
        self.embedder, self.head = network.embedder, network.head
        self.outputs = (EMBEDDINGS, LOGITS) if network.head else (EMBEDDINGS,)
        self.eval()

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Images in [0, 1], shape (batch, channels, size, size) -> embeddings; and logits, where there is a head."""
        embeddings: Tensor = self.embedder(images)
        return embeddings if self.head is None else (embeddings, self.head(embeddings))


def answers(network: nn.Module, images: Tensor) -> Arrays:
    """The outputs of a network in torch."""
    with torch.inference_mode():
        found = network(images)
    return [output.numpy() for output in (found if isinstance(found, tuple) else (found,))]


def check_onnx() -> None:
    """Refuse an export to ONNX where a library for it is missing or too old.

    Raises:
        ValueError: one line that says which.
    """
    for module in ("onnx", "onnxscript", "onnxruntime"):
        needed(module, "onnx", "an export to ONNX")
    if torch.__version__ < OLDEST_TORCH:  # as versions: this text knows how to compare itself
        raise ValueError(
            f"an export to ONNX needs torch {OLDEST_TORCH} or newer, this is {torch.__version__}: update torch, or "
            f"{INSTEAD[ONNX]}"
        )


def write_onnx(computation: Computation, images: Tensor, path: Path, described: Mapping[str, str]) -> float:
    """Write a network as one ONNX file.

    Args:
        computation: the network, on the CPU.
        images: real ones, float32 in [0, 1], shape (images, channels, size, size), two or more.
        path: of the file.
        described: what stands in the file's metadata.

    Returns:
        The largest difference of an output for these images from torch's.

    Raises:
        ValueError: a library is missing, the network can't be exported, or its answers differ; one line.
        OSError: the file can't be written.
    """
    check_onnx()
    with _quiet(), _whose(ONNX):
        program = torch.onnx.export(
            computation,
            (images[:2],),
            dynamo=True,
            verbose=False,
            input_names=[IMAGES],
            output_names=list(computation.outputs),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        assert program is not None  # it is made by dynamo
        program.model.metadata_props.update(described)
        program.save(path, external_data=False)
    return checked(computation, _run_by_onnxruntime(path), images, ONNX)


def write_exported(computation: Computation, images: Tensor, path: Path) -> float:
    """The same in the format of torch.export."""
    with _quiet(), _whose(TORCH_EXPORT):
        program = torch.export.export(computation, (images[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},))
        torch.export.save(program, path)
        loaded = torch.export.load(path).module()
    return checked(computation, lambda shown: answers(loaded, shown), images, TORCH_EXPORT)


def checked(computation: Computation, other: Answer, images: Tensor, exported: str) -> float:
    """The largest difference between a network's answers and another program's, in batches of one image and of more.

    Args:
        computation: the network.
        other: answers by what was exported.
        images: that both are shown.
        exported: ONNX or torch.export.

    Raises:
        ValueError: it is more than rounding.
    """
    batches = [images[:1], images[1:], images]
    expected = [answers(computation, batch) for batch in batches]
    found = [other(batch) for batch in batches]
    largest = max(
        float(np.abs(theirs - own).max(initial=0.0))
        for theirs_all, own_all in zip(found, expected, strict=True)
        for theirs, own in zip(theirs_all, own_all, strict=True)
    )
    if not largest <= LARGEST_DIFFERENCE:  # NaN, too
        raise ValueError(
            f"{exported} and torch differ by {largest:.1e} on {len(images)} real images, more than "
            f"{LARGEST_DIFFERENCE:.0e}: nothing is written; {INSTEAD[exported]}"
        )
    return largest


def _run_by_onnxruntime(path: Path) -> Answer:
    import onnxruntime  # noqa: PLC0415 - optional

    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: list(session.run(None, {IMAGES: images.numpy()}))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings and notes of the exporters, which are for those who write networks."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _whose(exported: str) -> Iterator[None]:
    """Turn what an exporter raises, which may be anything, into one line; a full disk is none of its errors."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{exported} can't hold this network ({reason}): {INSTEAD[exported]}") from error
