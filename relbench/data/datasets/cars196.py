"""Cars196 (Krause et al. 2013), as found in three layouts; 98 classes to train on, 98 to test on.

A, the authors' first form: one folder of images and one .mat file. B, the later form, which torchvision reads: two
folders whose files have the same names, and a development kit. C, a copy with a folder a class and CSV files. All three
give the same split: class ids 1 to 98 train, 99 to 196 test; the authors' own split is within classes, and its two
parts are taken together. If a folder holds several layouts, the first one counts.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from relbench.data.download.card import packaged_card
from relbench.data.parsing.annotations import (
    Found,
    Image,
    Line,
    Scan,
    scan_each,
    scan_lines,
    try_line,
    try_list,
)
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

Cars = list[tuple[str, Line]]  # of each car its folder, and the line that begins with its file and ends with its class


def lists(folder: Path) -> list[Path]:
    """The files that list the images in the layout that is there, or nearly there."""
    with_labels = next((place for place in WITH_LABELS if (folder / place).exists()), WITH_LABELS[0])
    names = {
        "A": ["cars_annos.mat"],
        "B": ["devkit/cars_train_annos.mat", with_labels],
        "C": ["anno_train.csv", "anno_test.csv"],
    }
    return [folder / name for name in names[_nearest(folder)]]


def scan(folder: Path) -> Scan:
    """The listed images, and what is wrong with the lists.

    Images stand as in the annotation, training part before test part; labels are id and name
    ("001.AM General Hummer SUV 2000"), the same in each layout. A damaged .mat file is one fault.

    Args:
        folder: holds the files of one layout.
    """
    yield from try_list(_check_layout, folder)
    yield from SCANS[_nearest(folder)](folder)


def _nearest(folder: Path) -> str:
    """The layout of which something is there and least is lacking."""
    lacking = {layout: len(_lacking(folder, needed)) for layout, needed in NEEDED.items()}
    return min(NEEDED, key=lambda layout: (lacking[layout] == len(NEEDED[layout]), lacking[layout]))


def _check_layout(folder: Path) -> None:
    lacking = {layout: _lacking(folder, needed) for layout, needed in NEEDED.items()}
    if all(lacking.values()):
        listed = "; ".join(f"layout {layout} lacks {', '.join(lacks)}" for layout, lacks in lacking.items())
        raise ValueError(f"{folder} holds Cars196 in none of the known layouts: {listed}: complete one of them")


def _lacking(folder: Path, needed: tuple[str, ...]) -> list[str]:
    return [name for name in needed if not any((folder / place).exists() for place in name.split(" or "))]


def _most() -> int:
    """Records that a .mat file can have."""
    expected = packaged_card("cars196").usual.expected
    return expected.train_images + expected.test_images


def _scan_a(folder: Path) -> Scan:
    file = folder / "cars_annos.mat"
    records = yield from _records(file, "relative_im_path")
    names = yield from try_list(read_texts, file, "class_names", _most())
    yield from _images([("", line) for line in records], names)


def _scan_b(folder: Path) -> Scan:
    """The two parts use the same file names, so the folder belongs to the name."""
    cars = []
    for part, file in zip(PARTS, lists(folder), strict=True):
        cars += [(f"{part}/", line) for line in (yield from _records(file, "fname"))]
    names = yield from try_list(read_texts, folder / "devkit/cars_meta.mat", "class_names", _most())
    yield from _images(cars, names)


def _records(file: Path, path: str) -> Found[list[Line]]:
    """Path and class id of each record of a .mat file; that it is missing is no damage in itself."""
    attempt = try_line if file.exists() else try_list
    return (yield from attempt(read_records, file, "annotations", (path, "class"), _most())) or []


def _images(cars: Cars, names: Sequence[Line] | None) -> Scan:
    for folder, line in cars:
        path = yield from try_line(_path, line)
        if path:
            label = (yield from try_list(_label, line, names)) if names else None
            yield Image(folder + path, line, *(label or ()))


def _path(line: Line) -> str:
    line.whole(-1)
    return line.path(0)


def _scan_c(folder: Path) -> Scan:
    """A class folder is named as its class, but for "/" in a name; without the names no folder is known."""
    listed = yield from scan_lines(folder / "names.csv", separator=",")
    names = [line for line in (yield from scan_each(listed, lambda line: line.expect(1))) if line]
    known = names if len(names) == len(listed) else []
    for part, file in zip(("train", "test"), lists(folder), strict=True):
        lines = yield from scan_lines(file, separator=",")
        checked = yield from scan_each(lines, _check_c)
        images = yield from scan_each(checked if known else [], partial(_image_c, part, known))
        yield from filter(None, images)


def _check_c(line: Line) -> Line:
    _path(line.expect(6))
    return line


def _image_c(part: str, names: Sequence[Line], line: Line) -> Image:
    label, split = _label(line, names)
    car = label.partition(".")[2].replace("/", "-")
    return Image(f"car_data/car_data/{part}/{car}/{line.path(0)}", line, label, split)


SCANS: dict[str, Callable[[Path], Scan]] = {"A": _scan_a, "B": _scan_b, "C": _scan_c}


def _label(line: Line, names: Sequence[Line]) -> tuple[str, str]:
    """Label and split of the class that a line ends with."""
    number = line.whole(-1)
    if not 1 <= number <= len(names):
        raise line.refused(f"has class {number}, but {names[0].file} names {len(names)} classes")
    return f"{number:03d}.{names[number - 1].fields[0]}", "train" if number <= LAST_TRAIN_CLASS else "test"
