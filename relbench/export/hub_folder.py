"""A folder for a hub: configuration, weights, the network as a computation, and a model card."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relbench.data import Progress, find_data_set
from relbench.data.table import indices_of, labels_of
from relbench.export.computation import Computation, write_exported, write_onnx
from relbench.export.configuration import FILE, Configuration, configuration_of
from relbench.export.finished import FinishedRun, TrainedNetwork, trained_network
from relbench.export.model_card import UNKNOWN, model_card
from relbench.export.weights import Weights, weights_to_write, write_weights
from relbench.files import atomic_folder, atomic_write
from relbench.results.records import write_record
from relbench.tensors import content_hash
from relbench.training.computing import computing

WEIGHTS, EXPORTED, ONNX, CARD = "model.safetensors", "model.pt2", "model.onnx", "README.md"
CHECKED = 64  # test images that an exported computation is checked with


@dataclass(frozen=True)
class Prepared:
    """A network that is ready to be written.

    Attributes:
        run: that trained it.
        network: with the weights of the selected step.
        weights: by name.
        configuration: of it.
    """

    run: FinishedRun
    network: TrainedNetwork
    weights: Weights
    configuration: Configuration

    @property
    def described(self) -> dict[str, str]:
        """What stands in the header of a file that goes alone."""
        whole = self.configuration
        return {"fingerprint": whole.fingerprint, "configuration": whole.model_dump_json()}


def prepared(run: FinishedRun, data: Path) -> Prepared:
    """The network of a run, checked against its row.

    Args:
        run: finished.
        data: holds the data sets; the files of the run's are read only where it has a head, whose classes they name.

    Raises:
        CheckpointError: the checkpoint is gone, damaged, or not the row's.
        ValueError: the data set is unknown, or not there where it is needed.
    """
    data_set = find_data_set(run.experiment.data.name, data)
    network = trained_network(run, data_set.channels)
    classes: list[str] = []
    if network.head:
        table = data_set.table(run.experiment.data, data)
        classes = labels_of(table, indices_of(table, "train"))[1]
    weights = weights_to_write(network)
    return Prepared(run, network, weights, configuration_of(run, data, tuple(classes), content_hash(weights)))


def real_images(run: FinishedRun, data: Path, progress: Progress) -> Tensor:
    """Test images of a run's data set, evenly over the split, float32 in [0, 1].

    Raises:
        ValueError: the data set is not there, or is not the one that the run was made with.
    """
    settings = run.experiment.data
    source = find_data_set(settings.name, data).load(settings, data, progress)
    if source.data_hash != run.row.data_hash:
        raise ValueError(f"the data set {settings.name} has other images now than those of the run: restore them")
    indices = indices_of(source.table, "test")
    chosen = indices[np.linspace(0, len(indices) - 1, min(CHECKED, len(indices))).astype(int)]
    images = source.test_batch(torch.from_numpy(chosen))
    return images.float() / 255 if images.dtype == torch.uint8 else images


def export_weights(ready: Prepared, path: Path) -> None:
    """Write the weights as one file, with the configuration in its header."""
    _refuse_existing(path)
    with atomic_write(path) as temporary:
        write_weights(ready.weights, ready.described, temporary)


def export_onnx(ready: Prepared, images: Tensor, path: Path) -> float:
    """Write the network as one ONNX file.

    Args:
        ready: the network.
        images: by which it is checked.
        path: of the file.

    Returns:
        The largest difference of an output from torch's.

    Raises:
        ValueError: something is there already; or as `write_onnx`.
    """
    _refuse_existing(path)
    with computing(1, "32-true"), atomic_write(path) as temporary:
        return write_onnx(Computation(ready.network), images, temporary, ready.described)


def export_folder(
    ready: Prepared, images: Tensor, folder: Path, licence: str | None, *, onnx: bool
) -> dict[str, float]:
    """Write a folder for a hub; it appears whole, or not at all.

    Args:
        ready: the network.
        images: by which the computations in it are checked.
        folder: to be made.
        licence: of the weights, by the hub's name, such as "mit"; None where nobody has chosen one.
        onnx: whether an ONNX file is in it.

    Returns:
        By file: the largest difference of an output from torch's.

    Raises:
        ValueError: something is there already; or as `write_onnx`.
    """
    _refuse_existing(folder)
    computation, differences = Computation(ready.network), dict[str, float]()
    with computing(1, "32-true"), atomic_folder(folder) as temporary:
        write_record(ready.configuration, temporary / FILE)
        write_weights(ready.weights, {"fingerprint": ready.configuration.fingerprint}, temporary / WEIGHTS)
        differences[EXPORTED] = write_exported(computation, images, temporary / EXPORTED)
        if onnx:
            differences[ONNX] = write_onnx(computation, images, temporary / ONNX, ready.described)
        text = model_card(ready.run, ready.configuration, licence or UNKNOWN, differences)
        (temporary / CARD).write_text(text, encoding="utf-8")
    return differences


def _refuse_existing(path: Path) -> None:
    """Refuse to replace anything: a model card may have been edited by hand."""
    if path.exists() or path.is_symlink():
        raise ValueError(f"{path} is there already, and nothing is replaced: move it away, or name another with --out")
