"""Cars196 (Krause et al. 2013), as found in three layouts; 98 classes to train on, 98 to test on.

A, the authors' first form: one folder of images and one .mat file. B, the later form, which torchvision reads: two
folders whose files have the same names, and a development kit. C, a copy with a folder a class and CSV files. All three
give the same split: class ids 1 to 98 train, 99 to 196 test; the authors' own split is within classes, and its two
parts are taken together. If a folder holds several layouts, the first one counts.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from relbench.data.download.card import packaged_card
from relbench.data.parsing.annotations import Line, Survey, read_lines, table_of
from relbench.data.parsing.matlab import read_records, read_texts

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

PARTS = ("cars_train", "cars_test")  # of layout B

Cars = tuple[list[tuple[str, Line]], list[Line]]  # (path, line ending with the class id) of each car; class names


def read(folder: Path, *, check_images: bool = True) -> pd.DataFrame:
    """Read the data set in whichever layout it lies there.

    Args:
        folder: holds the files of one layout.
        check_images: refuse it if an image is not there.

    Returns:
        A checked table, lines as in the annotation (training part before test part); labels are id and name
        ("001.AM General Hummer SUV 2000"), the same in each layout.

    Raises:
        ValueError: no layout is complete, an image is missing, or an annotation is damaged; names file and line.
    """
    cars, names = READERS[_layout(folder)](folder)
    rows = [_row(path, line, names) for path, line in cars]
    return table_of(folder, rows, [line for _, line in cars], check_images=check_images)


def lists(folder: Path) -> list[Path]:
    """The files that list the images in the layout that is there, or nearly there."""
    with_labels = next((place for place in WITH_LABELS if (folder / place).exists()), WITH_LABELS[0])
    names = {
        "A": ["cars_annos.mat"],
        "B": ["devkit/cars_train_annos.mat", with_labels],
        "C": ["anno_train.csv", "anno_test.csv"],
    }
    return [folder / name for name in names[_nearest(folder)]]


def survey(folder: Path) -> Survey:
    """Every damaged line of the lists, and the images that the others name; a damaged .mat file is one fault."""
    return SURVEYS[_nearest(folder)](folder)


def _nearest(folder: Path) -> str:
    """The layout of which something is there and least is lacking."""
    lacking = {layout: len(_lacking(folder, needed)) for layout, needed in NEEDED.items()}
    return min(NEEDED, key=lambda layout: (lacking[layout] == len(NEEDED[layout]), lacking[layout]))


def _layout(folder: Path) -> str:
    lacking = {layout: _lacking(folder, needed) for layout, needed in NEEDED.items()}
    for layout, lacks in lacking.items():
        if not lacks:
            return layout
    listed = "; ".join(f"layout {layout} lacks {', '.join(lacks)}" for layout, lacks in lacking.items())
    raise ValueError(f"{folder} holds Cars196 in none of the known layouts: {listed}: complete one of them")


def _lacking(folder: Path, needed: tuple[str, ...]) -> list[str]:
    return [name for name in needed if not any((folder / place).exists() for place in name.split(" or "))]


def _most() -> int:
    """Records that a .mat file can have."""
    expected = packaged_card("cars196").expected
    return expected.train_images + expected.test_images


def _read_a(folder: Path) -> Cars:
    file = folder / "cars_annos.mat"
    lines = read_records(file, "annotations", ("relative_im_path", "class"), _most())
    return [(line.path(0), line) for line in lines], read_texts(file, "class_names", _most())


def _read_b(folder: Path) -> Cars:
    """The two parts use the same file names, so the folder belongs to the name."""
    cars = [
        (f"{part}/{line.path(0)}", line)
        for part, file in zip(PARTS, lists(folder), strict=True)
        for line in read_records(file, "annotations", ("fname", "class"), _most())
    ]
    return cars, read_texts(folder / "devkit/cars_meta.mat", "class_names", _most())


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


def _survey_a(folder: Path) -> Survey:
    found = Survey()
    _look(found, folder / "cars_annos.mat", "relative_im_path", "")
    return found


def _survey_b(folder: Path) -> Survey:
    found = Survey()
    for part, file in zip(PARTS, lists(folder), strict=True):
        _look(found, file, "fname", f"{part}/")
    return found


def _look(found: Survey, file: Path, field: str, folder: str) -> None:
    """Look at each record of a .mat file that is there."""
    if file.exists():
        for line in found.tried(lambda: read_records(file, "annotations", (field, "class"), _most())):
            found.note(lambda line=line: line, lambda line: _image(line, folder))  # type: ignore[misc]


def _image(line: Line, folder: str) -> str:
    line.whole(-1)
    return folder + line.path(0)


def _survey_c(folder: Path) -> Survey:
    """Without the names of the classes the folders are not known."""
    found = Survey()
    file = folder / "names.csv"
    names = found.tried(lambda: read_lines(file, separator=",")) if file.exists() else []
    for part, listed in zip(("train", "test"), lists(folder), strict=True):
        found.look(listed, lambda line, part=part: _image_c(line, part, list(names)), separator=",")  # type: ignore[misc]
    return found


def _image_c(line: Line, part: str, names: list[Line]) -> str | None:
    line.expect(6)
    path = line.path(0)
    return f"car_data/car_data/{part}/{_name(line, names).replace('/', '-')}/{path}" if names else None


SURVEYS: dict[str, Callable[[Path], Survey]] = {"A": _survey_a, "B": _survey_b, "C": _survey_c}


def _name(line: Line, names: list[Line]) -> str:
    """Name of the class that a line ends with."""
    number = line.whole(-1)
    if not 1 <= number <= len(names):
        raise line.refused(f"has class {number}, but {names[0].file} names {len(names)} classes")
    return names[number - 1].fields[0]


def _row(path: str, line: Line, names: list[Line]) -> tuple[str, str, str]:
    number = line.whole(-1)
    return path, f"{number:03d}.{_name(line, names)}", "train" if number <= LAST_TRAIN_CLASS else "test"
