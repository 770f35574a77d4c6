"""The candidate that a user names: a Python file, a trunk, the folder of a run, or an exported folder."""

from pathlib import Path

from relbench.data import find_data_set
from relbench.experiment import Net
from relbench.experiment import Normalization as NormalizationName
from relbench.export.configuration import FILE, read_configuration
from relbench.export.finished import find_run, trained_network
from relbench.export.read_folder import read_network
from relbench.judging.candidate import UNKNOWN, Candidate, Judged
from relbench.judging.user_model import candidate_of_file
from relbench.models import build_features, find_trunk, planned
from relbench.settings import validated
from relbench.training.assemble import laid_out


def find_candidate(spec: str, weights: str | None, normalization: NormalizationName | None, root: Path) -> Candidate:
    """The network that a user names.

    Args:
        spec: "module.py:build", a trunk such as "timm:resnet50", the folder of a run, or one that was exported.
        weights: of a Python file: a file; of a trunk: a file, "imagenet" or "random", by default its pretrained ones.
        normalization: by which images are normalised first, where the network does not do that itself.
        root: holds the data sets.

    Raises:
        ValueError: there is none, or options do not go with it; one line.
    """
    if Path(spec).expanduser().is_dir():
        _refuse_beside(spec, weights, normalization)
        folder = Path(spec).expanduser()
        return _of_export(folder) if (folder / FILE).is_file() else _of_run(folder, root)
    if ".py" in spec:
        return candidate_of_file(spec, Path(weights).expanduser() if weights else None, normalization)
    if "/" in spec:
        raise ValueError(f"{spec} is not there: name a folder, a trunk, or a Python file and a function in it")
    return _of_trunk(spec, weights, normalization)


def _refuse_beside(spec: str, weights: str | None, normalization: str | None) -> None:
    for name, value in (("weights", weights), ("normalization", normalization)):
        if value:
            raise ValueError(f"--{name} {value}: {spec} has its own: leave it out")


def _of_trunk(name: str, weights: str | None, normalization: NormalizationName | None) -> Candidate:
    """A trunk's features, without a linear layer."""
    if weights is None and not find_trunk(name).weights:
        raise ValueError(f"there are no pretrained weights of {name}: name some with --weights")
    asked = {"trunk": name, "weights": weights or "imagenet", "normalization": normalization}
    net = planned(validated(Net, {**asked, "dim": None, "unit_length": False}))

    def build(channels: int, size: int) -> Judged:
        return Judged(build_features(net, channels, 0, size))

    return Candidate(build, net=net, note=UNKNOWN if net.weights_file else "")


def _of_run(folder: Path, root: Path) -> Candidate:
    run = find_run(folder)

    def build(channels: int, size: int) -> Judged:
        del channels, size  # it is built as it was trained
        found = trained_network(run, find_data_set(run.experiment.data.name, root).channels)
        return Judged(laid_out(found.embedder, run.experiment.training), found.head)

    return Candidate(build, experiment=run.experiment)


def _of_export(folder: Path) -> Candidate:
    configuration = read_configuration(folder)

    def build(channels: int, size: int) -> Judged:
        del channels, size
        found = read_network(folder, configuration)
        return Judged(found.embedder, found.head)

    return Candidate(build, experiment=configuration.experiment)
