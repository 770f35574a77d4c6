"""Tiny copies of CIFAR-10 and CIFAR-100, as records and as pickles; see `archives`."""

import pickle
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd

SIDE = 32
TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
HUNDRED = [f"{letter}{number}_thing" for letter in "abcdefghij" for number in range(10)]
TWENTY = [f"group {number:02d}" for number in range(20)]


def superclass(number: int) -> int:
    """As in CIFAR-100, neighbouring classes are of several superclasses."""
    return number * 7 % 20


def picture(label: int, number: int) -> np.ndarray:
    """An image of a class: a colour of its own with noise; shape (3, 32, 32)."""
    noise = np.random.default_rng([label, number]).integers(-40, 40, size=(3, SIDE, SIDE))
    colour = 255 * (0.5 + 0.4 * np.sin(1 + label * np.array([1.0, 2.3, 3.1])))
    return np.clip(colour[:, None, None] + noise, 0, 255).astype(np.uint8)


def _records(split: str, classes: int, images: int) -> list[tuple[int, np.ndarray]]:
    """Label and picture of each image of a split, classes mixed."""
    first = 0 if split == "train" else images
    every = [(label, first + number) for label in range(classes) for number in range(images)]
    order = np.random.default_rng(first).permutation(len(every))
    return [(every[at][0], picture(*every[at])) for at in order]


def _truth(records: dict[str, list[tuple[int, np.ndarray]]], names: list[str], groups: list[str]) -> pd.DataFrame:
    rows = [
        (f"{split}-{at:05d}", names[label], split, *([groups[superclass(label)]] if groups else []))
        for split, some in records.items()
        for at, (label, _) in enumerate(some)
    ]
    return pd.DataFrame(rows, columns=["name", "label", "split", *(["superclass"] if groups else [])])


def _both(classes: int, images: int) -> dict[str, list[tuple[int, np.ndarray]]]:
    return {split: _records(split, classes, images) for split in ("train", "test")}


def _batches(records: dict[str, list[tuple[int, np.ndarray]]]) -> dict[str, list[tuple[int, np.ndarray]]]:
    """CIFAR-10's files: five of about the same length for training."""
    train = records["train"]
    ends = [round(len(train) * part / 5) for part in range(6)]
    batches = {f"data_batch_{part + 1}": train[ends[part] : ends[part + 1]] for part in range(5)}
    return batches | {"test_batch": records["test"]}


def make_cifar10(folder: Path, classes: int = 3, images: int = 4) -> pd.DataFrame:
    """Records; the list of names ends with a blank line."""
    records, root = _both(classes, images), folder / "cifar-10-batches-bin"
    root.mkdir(parents=True)
    for name, some in _batches(records).items():
        (root / f"{name}.bin").write_bytes(b"".join(bytes([label]) + image.tobytes() for label, image in some))
    (root / "batches.meta.txt").write_text("\n".join(TEN) + "\n\n")
    (root / "readme.html").write_text("<html>")
    return _truth(records, TEN, [])


def make_cifar100(folder: Path, classes: int = 3, images: int = 4) -> pd.DataFrame:
    """Records that begin with the number of a superclass."""
    records, root = _both(classes, images), folder / "cifar-100-binary"
    root.mkdir(parents=True)
    for name, some in records.items():
        content = (bytes([superclass(label), label]) + image.tobytes() for label, image in some)
        (root / f"{name}.bin").write_bytes(b"".join(content))
    (root / "fine_label_names.txt").write_text("\n".join(HUNDRED) + "\n")
    (root / "coarse_label_names.txt").write_text("\n".join(TWENTY) + "\n")
    return _truth(records, HUNDRED, TWENTY)


def write_pickle(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


def _pickled(some: list[tuple[int, np.ndarray]], **more: object) -> dict[bytes, object]:
    """Keys are bytes, as Python 3 reads those of Python 2."""
    data = np.stack([image.reshape(-1) for _, image in some])
    content = {"data": data, "filenames": [b"some.png"] * len(some), "batch_label": b"a batch", **more}
    return {key.encode(): value for key, value in content.items()}


def make_cifar10_pickled(folder: Path, classes: int = 3, images: int = 4) -> pd.DataFrame:
    records, root = _both(classes, images), folder / "cifar-10-batches-py"
    root.mkdir(parents=True)
    for name, some in _batches(records).items():
        write_pickle(root / name, _pickled(some, labels=[label for label, _ in some]))
    write_pickle(root / "batches.meta", {"label_names": TEN, "num_cases_per_batch": 10000, "num_vis": 3072})
    return _truth(records, TEN, [])


def make_cifar100_pickled(folder: Path, classes: int = 3, images: int = 4) -> pd.DataFrame:
    records, root = _both(classes, images), folder / "cifar-100-python"
    root.mkdir(parents=True)
    for name, some in records.items():
        labels = [label for label, _ in some]
        content = _pickled(some, fine_labels=labels, coarse_labels=[superclass(label) for label in labels])
        write_pickle(root / name, content)
    write_pickle(root / "meta", {"fine_label_names": HUNDRED, "coarse_label_names": TWENTY})
    return _truth(records, HUNDRED, TWENTY)


MAKERS = {
    "cifar10": make_cifar10,
    "cifar100": make_cifar100,
    "cifar10-pickled": make_cifar10_pickled,
    "cifar100-pickled": make_cifar100_pickled,
}
ARCHIVES = {  # file, and the folder in it
    "cifar10": ("cifar-10-binary.tar.gz", "cifar-10-batches-bin"),
    "cifar100": ("cifar-100-binary.tar.gz", "cifar-100-binary"),
    "cifar10-pickled": ("cifar-10-python.tar.gz", "cifar-10-batches-py"),
    "cifar100-pickled": ("cifar-100-python.tar.gz", "cifar-100-python"),
}


def pack(layout: str, folder: Path, into: Path) -> Path:
    """The published file of a layout, made from its unpacked folder."""
    name, member = ARCHIVES[layout]
    into.mkdir(parents=True, exist_ok=True)
    with tarfile.open(into / name, "w:gz") as archive:
        archive.add(folder / member, arcname=member)
    return into / name
