"""Tiny copies of miniImageNet in each of its layouts, with all their traps; see `archives`.

Three classes for training, two for validation and two for testing, of four images each, whose places among the images
of their class have gaps, as in Ravi's list.
"""

import pickle
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from data.archives import truth, write_text
from PIL import Image

SIDE = 84
PLACES = (2, 3, 9, 11)
CLASSES = {  # Ravi's split, in the order of its lists
    "train": ("n01000001", "n01000004", "n01000006"),
    "validation": ("n01000003", "n01000007"),
    "test": ("n01000002", "n01000005"),
}
PARTS = {"train": "train", "validation": "val", "test": "test"}
ALL = [(split, label) for split, labels in CLASSES.items() for label in labels]


def called(label: str) -> str:
    return f"beast {label[-1]}"


def write_list(path: Path) -> Path:
    """The list of classes in the form of the packaged one."""
    mask = sum(1 << (1300 - place) for place in PLACES)
    write_text(path, ["split,label,name,images", *(f"{split},{wnid},{called(wnid)},{mask:x}" for split, wnid in ALL)])
    return path


def picture(label: str, number: int, size: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    """An image of a class: a colour of its own with noise; shape (height, width, 3)."""
    noise = np.random.default_rng([int(label[1:]), number]).integers(-40, 40, size=(size[1], size[0], 3))
    colour = 255 * (0.5 + 0.4 * np.sin(int(label[-1]) * np.array([1.0, 2.3, 3.1])))
    return np.clip(colour + noise, 0, 255).astype(np.uint8)


def write_photo(path: Path, label: str, number: int) -> None:
    """A JPEG, wide or high; the third of a class is grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    photo = Image.fromarray(picture(label, number, (100, 90) if number % 2 else (60, 120)))
    (photo.convert("L") if number == 2 else photo).save(path, "JPEG", quality=90)


def make_a(folder: Path) -> pd.DataFrame:
    """Ravi's lists; lines end as on Windows, and more images lie there than are listed."""
    rows = []
    for split, part in PARTS.items():
        names = [(f"{label}{place:08d}.jpg", label) for label in CLASSES[split] for place in PLACES]
        write_text(folder / f"{part}.csv", ["filename,label\r", *(f"{file},{label}\r" for file, label in names)])
        for at, (file, label) in enumerate(names):
            write_photo(folder / "images" / file, label, at % len(PLACES))
            rows.append((f"images/{file}", label, split, called(label)))
    write_photo(folder / "images" / "n0100000100000001.jpg", "n01000001", 9)
    return truth(rows, "class_name")


def _rows(split: str) -> list[tuple[str, int]]:
    """Class and number of each row of a pickle: not one class after the other."""
    every = [(label, number) for label in CLASSES[split] for number in range(len(PLACES))]
    return [every[at] for at in np.random.default_rng(len(split)).permutation(len(every))]


def _pixels(rows: list[tuple[str, int]]) -> np.ndarray:
    return np.stack([picture(label, number) for label, number in rows])


def _truth_of_rows() -> pd.DataFrame:
    rows = [(f"{split}-{at:05d}", label, split) for split in CLASSES for at, (label, _) in enumerate(_rows(split))]
    return truth([(*row, called(row[1])) for row in rows], "class_name")


def write_pickle(path: Path, content: object, protocol: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def cache(split: str) -> dict:
    """What a pickle of layout B holds; the classes stand backwards, and so do their rows."""
    rows = _rows(split)
    found = {label: [at for at, (own, _) in enumerate(rows) if own == label][::-1] for label in CLASSES[split][::-1]}
    return {"image_data": _pixels(rows), "class_dict": found}


def make_b(folder: Path, val: str = "val", protocol: int = 2) -> pd.DataFrame:
    """Keys are bytes in the file of validation."""
    for split, part in {**PARTS, "validation": val}.items():
        content = cache(split)
        if split == "validation":
            content["class_dict"] = {label.encode(): rows for label, rows in content["class_dict"].items()}
            content = {key.encode(): value for key, value in content.items()}
        write_pickle(folder / f"mini-imagenet-cache-{part}.pkl", content, protocol)
    return _truth_of_rows()


def make_b_zenodo(folder: Path) -> pd.DataFrame:
    return make_b(folder, val="validation", protocol=4)


def make_b_python_2(folder: Path) -> pd.DataFrame:
    """As Python 2 wrote it: all bytes are its plain texts."""
    found = make_b(folder)
    for split, part in PARTS.items():
        (folder / f"mini-imagenet-cache-{part}.pkl").write_bytes(as_python_2(cache(split)))
    return found


def as_python_2(content: dict) -> bytes:
    """A pickle by hand of an array of four dimensions and a dictionary of lists of numbers."""
    array, out = content["image_data"], BytesIO()
    out.write(
        b"\x80\x02}(U\x0aimage_datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01("
    )
    out.write(b"".join(b"M" + size.to_bytes(2, "little") for size in array.shape))
    out.write(b"tcnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T")
    out.write(array.nbytes.to_bytes(4, "little") + array.tobytes() + b"tbU\x0aclass_dict}(")
    for label, rows in content["class_dict"].items():
        numbers = b"".join(b"M" + row.to_bytes(2, "little") for row in rows)
        out.write(b"U" + bytes([len(label)]) + label.encode() + b"](" + numbers + b"e")
    out.write(b"uu.")
    return out.getvalue()


def make_c(folder: Path) -> pd.DataFrame:
    """Numbers of classes go on from part to part; two files hold other images of the training classes."""
    number = {label: at for at, (_, label) in enumerate(ALL)}

    def content(split: str) -> dict[str, object]:
        names = {label.encode() if split == "test" else label: number[label] for label in CLASSES[split]}
        return {"labels": [number[label] for label, _ in _rows(split)], "catname2label": names}

    for split, part in {"train": "train_phase_train", "validation": "val", "test": "test"}.items():
        pixels = {"data": _pixels(_rows(split))}
        write_pickle(folder / f"miniImageNet_category_split_{part}.pickle", content(split) | pixels)
    for part in ("val", "test"):
        others = [(label, 7) for label, _ in _rows("train")]
        others = content("train") | {"data": _pixels(others)}
        write_pickle(folder / f"miniImageNet_category_split_train_phase_{part}.pickle", others)
    return _truth_of_rows()


def make_d(folder: Path) -> pd.DataFrame:
    """All of ILSVRC2012: more classes, more images, and numbers that are not sorted as their names are."""
    rows = []
    for split, label in [*ALL, ("", "n09000000")]:
        numbers = [3 * place * place for place in range(1, 13)]  # 3, 12, ..., 432
        of_class = Path("ILSVRC2012_img_train") / label
        for place, number in enumerate(numbers, start=1):
            at = PLACES.index(place) if place in PLACES else place + 10
            write_photo(folder / of_class / f"{label}_{number}.JPEG", label, at)
            if split and place in PLACES:
                rows.append((f"{of_class}/{label}_{number}.JPEG", label, split, called(label)))
    return truth(rows, "class_name")


def make_e(folder: Path) -> pd.DataFrame:
    """Easyfsl's lists; classes are mixed, and more images lie there than are listed."""
    rows, train = [], Path("ILSVRC2015/Data/CLS-LOC/train")
    for split, part in PARTS.items():
        named = [(label, f"{label}_{number * number + 5}.JPEG", number) for label, number in _rows(split)]
        write_text(folder / f"{part}.csv", ["class_name,image_name", *(f"{label},{file}" for label, file, _ in named)])
        for label, file, number in named:
            write_photo(folder / train / label / file, label, number)
            rows.append((f"{train}/{label}/{file}", label, split, called(label)))
    write_photo(folder / train / "n01000001" / "n01000001_1.JPEG", "n01000001", 9)
    return truth(rows, "class_name")


def make_f(folder: Path) -> pd.DataFrame:
    """Lists of classes that are not sorted; a hidden file among the images."""
    rows = []
    for split, part in PARTS.items():
        labels = CLASSES[split][::-1]
        write_text(folder / "splits/ravi-larochelle" / f"{part}.txt", list(labels))
        for label in labels:
            names = [f"data/{label}/{label}{place:08d}.jpg" for place in PLACES]
            for number, name in enumerate(names):
                write_photo(folder / name, label, number)
                rows.append((name, label, split, called(label)))
    (folder / "data" / "n01000001" / "._n0100000100000001.jpg").write_bytes(b"\0\5\x16\7")
    write_text(folder / "splits/vinyals/train.txt", ["n01000002"])
    return truth(rows, "class_name")


MAKERS = {
    "A": make_a,
    "B": make_b,
    "B, Zenodo": make_b_zenodo,
    "B, Python 2": make_b_python_2,
    "C": make_c,
    "D": make_d,
    "E": make_e,
    "F": make_f,
}
