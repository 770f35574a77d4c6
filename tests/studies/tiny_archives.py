"""Tiny archives of the data sets that studies train on, for trainings of toy scale."""

from pathlib import Path

import data.cifar_archives
import data.mini_imagenet_archives as mini_imagenet
from data.archives import make_cinic10, make_cub200, make_dtd
from data.cifar_archives import make_cifar10, make_cifar100
from data.omniglot_archives import characters, make_omniglot, write_list
from data.tiny_cards import tiny_card

import relbench.data.download.card
from relbench.studies.refilled.label_spaces import ORDER

OMNIGLOT = characters(train=6, validation=5, test=5)  # four classes each
MINI_IMAGENET = {  # five classes of a split for an episode, of eight images each
    split: tuple(f"n{10 * first + number:08d}" for number in range(5))
    for first, split in enumerate(("train", "validation", "test"), start=1)
}

MAKERS = {
    "cifar10": lambda folder: make_cifar10(folder, classes=5, images=20),
    "cifar100": lambda folder: make_cifar100(folder, classes=17, images=20),  # the toys' label spaces are among these
    "cinic10": lambda folder: make_cinic10(folder, classes=4, images=20),
    "dtd": lambda folder: make_dtd(folder, classes=4, images=10),
    "cub200": lambda folder: make_cub200(folder, classes=3, images=50),
    "omniglot": lambda folder: make_omniglot(folder, OMNIGLOT),
    "mini-imagenet": mini_imagenet.make_b,
}


def put(name: str, root: Path, cards, monkeypatch) -> None:
    """The data set in a folder of data sets, with the card of what is there.

    Args:
        name: of the data set.
        root: holds all data sets.
        cards: the fixture of that name.
        monkeypatch: likewise.
    """
    monkeypatch.setattr(data.cifar_archives, "HUNDRED", sorted(ORDER))  # the names that CIFAR-100 has
    monkeypatch.setattr(mini_imagenet, "CLASSES", MINI_IMAGENET)
    monkeypatch.setattr(mini_imagenet, "ALL", [(split, one) for split, own in MINI_IMAGENET.items() for one in own])
    monkeypatch.setattr(mini_imagenet, "PLACES", tuple(range(1, 9)))
    (root / name).mkdir(parents=True)
    cards(tiny_card(name, MAKERS[name](root / name), {}))
    if name == "omniglot":
        write_list(relbench.data.download.card._folder(), OMNIGLOT)
    if name == "mini-imagenet":
        mini_imagenet.write_list(relbench.data.download.card._folder() / "mini-imagenet.csv")
