"""CINIC-10 (Darlow et al. 2018): CIFAR-10's ten classes at 32 px, filled up with images of ImageNet.

Three parts of 90,000 images, a third of each for training, validation and test. Where nothing is held out
(`hold_out = false`) training takes both the training and the validation part; the only public code of Similarity-
Preserving KD on it (PkuDavidGuan/Distillation@c2c0316) trains on the training part alone, as `hold_out = true` does.

The column `origin` tells an image of CIFAR-10 ("cifar") from one of ImageNet ("imagenet"). CIFAR-10's test images are
all in the test part, and its training images are spread over all three parts: a network that was trained on CIFAR-10
has seen some of the test.
"""

import re
from pathlib import Path

from relbench.data.parsing.annotations import Image, Line, Scan, scan_each, try_list
from relbench.data.parsing.listings import folders_in, scan_files

SPLITS = {"train": "train", "valid": "validation", "test": "test"}  # by the parts' folders
ENDING = ".png"
ORIGINS = {"imagenet": re.compile(r"n[0-9]+_.+\.png"), "cifar": re.compile(r".*cifar-?10.*\.png")}
ORIGIN = "origin"


def lists(folder: Path) -> list[Path]:
    """What lists the images: the folders of the three parts."""
    return [folder / part for part in SPLITS]


def scan(folder: Path) -> Scan:
    """The images of all parts, and what is wrong with their names.

    Images stand by part, class and name; labels are the classes' names ("airplane").

    Args:
        folder: holds `train`, `valid` and `test`, which lie side by side in the archive.
    """
    for part, split in SPLITS.items():
        for label in (yield from try_list(folders_in, folder / part)) or []:
            files = yield from scan_files(folder / part / label, ENDING)
            origins = yield from scan_each(files, _origin)
            for file, origin in zip(files, origins, strict=True):
                if origin:
                    name = f"{part}/{label}/{file.fields[0]}"
                    yield Image(name, file, label, split, more={ORIGIN: origin})


def _origin(file: Line) -> str:
    """Where an image comes from, by its name: CIFAR's are said to be "cifar-10-..." and found as "cifar10-..."."""
    name = file.fields[0]
    found = next((origin for origin, pattern in ORIGINS.items() if pattern.fullmatch(name)), None)
    if not found:
        raise file.refused(
            f"{name!r} is named neither as ImageNet's images (n01234567_89.png) nor as CIFAR's (cifar10-...)"
        )
    return found
