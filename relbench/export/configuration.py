"""The configuration of an exported folder: what a network is, what it takes, and where it comes from."""

from pathlib import Path
from typing import Literal

import relbench
from relbench.data import data_title, find_data_set
from relbench.data.data_set import DataSet
from relbench.data.download.card import Card, card_names, packaged_card
from relbench.experiment import Experiment
from relbench.export.finished import FinishedRun
from relbench.export.preprocessing import Preprocessing, preprocessing_of
from relbench.models import embedding_size
from relbench.results.records import Record, read_record
from relbench.settings import changed

FILE = "config.json"


class Images(Record):
    """The data set of an exported network."""

    name: str
    title: str
    homepage: str  # "" where none is known
    licence: str  # likewise
    terms: str  # likewise
    data_hash: str  # as in the run's row


class Configuration(Record):
    """All that a program needs to use an exported network, and to know where it comes from."""

    format_version: Literal[1] = 1
    package: Literal["relbench-kd"] = "relbench-kd"
    package_version: str
    fingerprint: str  # of the run
    network: str  # in a few words, such as conv4-16/128
    task: str
    outputs: tuple[str, ...]
    dimensions: int  # of an embedding
    unit_length: bool
    classes: tuple[str, ...]  # of the logits in their order; empty without a head
    preprocessing: Preprocessing
    images: Images
    initial_weights: str  # where the trunk's come from; "" for random ones
    weights_hash: str  # of the weights in the folder, by name
    selected_step: int
    metrics: dict[str, float]  # on test images
    experiment: Experiment  # all settings of the run, and of the runs that it was built on
    versions: dict[str, str]  # of the libraries that trained it


def card_of(name: str) -> Card | None:
    """The card of a published data set; None of others."""
    return packaged_card(name) if name in card_names() else None


def images_of(experiment: Experiment, data_set: DataSet, data_hash: str) -> Images:
    """The data set of a run."""
    name, card = experiment.data.name, card_of(experiment.data.name)
    homepage, terms = (card.homepage, card.terms) if card else ("", "")
    return Images(
        name=name,
        title=data_title(name),
        homepage=homepage,
        licence=data_set.licence,
        terms=terms,
        data_hash=data_hash,
    )


def configuration_of(run: FinishedRun, data: Path, classes: tuple[str, ...], weights_hash: str) -> Configuration:
    """The configuration of a run's network.

    Args:
        run: finished.
        data: holds the data sets.
        classes: of the logits; empty without a head.
        weights_hash: of the weights beside it.
    """
    experiment, row = run.experiment, run.row
    net, data_set = experiment.net, find_data_set(experiment.data.name, data)
    return Configuration(
        package_version=relbench.__version__,
        fingerprint=row.fingerprint,
        network=net.short_name,
        task=experiment.task.kind,
        outputs=("embeddings", "logits") if classes else ("embeddings",),
        dimensions=embedding_size(net, experiment.data.size),
        unit_length=net.unit_length,
        classes=classes,
        preprocessing=preprocessing_of(experiment.data, net, data_set.channels),
        images=images_of(experiment, data_set, row.data_hash),
        initial_weights=row.weights,
        weights_hash=weights_hash,
        selected_step=row.selected_step,
        metrics=row.metrics,
        experiment=without_folders(experiment),
        versions=row.machine.versions,
    )


def without_folders(experiment: Experiment) -> Experiment:
    """A run whose files of weights are named without their folders, which are nobody's business.

    Its fingerprint stays: that is of what the files hold.
    """
    net = experiment.net
    parts = {"teacher": experiment.teacher, "initialized_from": experiment.initialized_from}
    named = {"net": changed(net, {"weights": Path(net.weights).name})} if net.weights_file else {}
    return changed(experiment, {**named, **{name: without_folders(run) for name, run in parts.items() if run}})


def read_configuration(folder: Path) -> Configuration:
    """The configuration of an exported folder.

    Raises:
        ValueError: it is damaged, of another format, or contradicts itself; one line.
    """
    path = folder / FILE
    found = read_record(Configuration, path, "export the run again")
    if found.experiment.fingerprint != found.fingerprint:
        raise ValueError(
            f"{path} contradicts itself: its settings have the fingerprint {found.experiment.fingerprint}, not "
            f"{found.fingerprint}; export the run again"
        )
    return found
