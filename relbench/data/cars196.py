"""Cars196 (Krause et al. 2013), as found in three layouts; 98 classes to train on, 98 to test on.

A, the authors' first form: one folder of images and one .mat file. B, the later form, which torchvision reads: two
folders whose files have the same names, and a development kit. C, a copy with a folder a class and CSV files. All three
give the same split: class ids 1 to 98 train, 99 to 196 test; the authors' own split is within classes, and its two
parts are taken together. If a folder holds several layouts, the first one counts.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from relbench.data.annotations import Line, read_lines, table_of
from relbench.data.matlab import read_records, read_texts

LAST_TRAIN_CLASS = 98
WITH_LABELS = ("cars_test_annos_withlabels.mat", "devkit/cars_test_annos_withlabels.mat")
NEEDED = {  # by layout; " or " stands between places that will do
    "A": ("cars_annos.mat", "car_ims"),
    "B": (
        "devkit/cars_meta.mat",
        "devkit/cars_train_annos.mat",
        " or ".join(WITH_LABELS),
        "cars_train",
        "cars_test",
    ),
    "C": ("names.csv", "anno_train.csv", "anno_test.csv", "car_data/car_data/train", "car_data/car_data/test"),
}

Cars = tuple[list[tuple[str, Line]], list[Line]]  # (path, line ending with the class id) of each car; class names


def read(folder: Path) -> pd.DataFrame:
    """Read the data set in whichever layout it lies there.

    Args:
        folder: holds the files of one layout.

    Returns:
        A checked table, lines as in the annotation (training part before test part); labels are id and name
        ("001.AM General Hummer SUV 2000"), the same in each layout.

    Raises:
        ValueError: no layout is complete, an image is missing, or an annotation is damaged; names file and line.
    """
    cars, names = READERS[_layout(folder)](folder)
    rows = [_row(path, line, names) for path, line in cars]
    return table_of(folder, rows, [line for _, line in cars])


def _layout(folder: Path) -> str:
    lacking = {layout: _lacking(folder, needed) for layout, needed in NEEDED.items()}
    for layout, lacks in lacking.items():
        if not lacks:
            return layout
    listed = "; ".join(f"layout {layout} lacks {', '.join(lacks)}" for layout, lacks in lacking.items())
    raise ValueError(f"{folder} holds Cars196 in none of the known layouts: {listed}: complete one of them")


def _lacking(folder: Path, needed: tuple[str, ...]) -> list[str]:
    return [name for name in needed if not any((folder / place).exists() for place in name.split(" or "))]


def _read_a(folder: Path) -> Cars:
    file = folder / "cars_annos.mat"
    lines = read_records(file, "annotations", ("relative_im_path", "class"))
    return [(line.path(0), line) for line in lines], read_texts(file, "class_names")


def _read_b(folder: Path) -> Cars:
    """The two parts use the same file names, so the folder belongs to the name."""
    with_labels = next(folder / place for place in WITH_LABELS if (folder / place).exists())
    parts = {"cars_train": folder / "devkit/cars_train_annos.mat", "cars_test": with_labels}
    cars = [
        (f"{part}/{line.path(0)}", line)
        for part, file in parts.items()
        for line in read_records(file, "annotations", ("fname", "class"))
    ]
    return cars, read_texts(folder / "devkit/cars_meta.mat", "class_names")


def _read_c(folder: Path) -> Cars:
    """A class folder is named as its class, but for "/" in a name."""
    names = read_lines(folder / "names.csv", separator=",")
    for line in names:
        line.expect(1)
    cars = []
    for part in ("train", "test"):
        for line in read_lines(folder / f"anno_{part}.csv", separator=","):
            line.expect(6)
            car = _name(line, names).replace("/", "-")
            cars.append((f"car_data/car_data/{part}/{car}/{line.path(0)}", line))
    return cars, names


READERS: dict[str, Callable[[Path], Cars]] = {"A": _read_a, "B": _read_b, "C": _read_c}


def _name(line: Line, names: list[Line]) -> str:
    """Name of the class that a line ends with."""
    number = line.whole(-1)
    if not 1 <= number <= len(names):
        raise line.refused(f"has class {number}, but {names[0].file} names {len(names)} classes")
    return names[number - 1].fields[0]


def _row(path: str, line: Line, names: list[Line]) -> tuple[str, str, str]:
    number = line.whole(-1)
    return path, f"{number:03d}.{_name(line, names)}", "train" if number <= LAST_TRAIN_CLASS else "test"
