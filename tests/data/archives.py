"""Tiny copies of the published data sets, in exactly their layouts with all their traps.

A maker writes the unpacked files into a folder and returns the truth: the table that reading them must give. `MAKERS`
lists the makers by layout; each takes `classes` (on each side of the split, next to the border) and `images` (a class).
`pack` turns such a folder into the files that are published, with their names.

Every image is small, of its class's colour with noise, so a small network can learn to tell classes apart; a JPEG, but
for CINIC-10's.
"""

import colorsys
import shutil
import tarfile
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
from PIL import Image

GOLDEN = 0.618  # neighbouring class ids get colours far apart
FIELDS_A = ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")
FIELDS_B = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")
KINDS = [
    "bicycle",
    "cabinet",
    "chair",
    "coffee_maker",
    "fan",
    "kettle",
    "lamp",
    "mug",
    "sofa",
    "stapler",
    "table",
    "toaster",
]
BOX = (5, 3, 30, 25)
CAR_NAMES = {98: "Eagle Talon Hatchback 1998", 99: "FIAT 500 Abarth 2012", 100: "Ram C/V Cargo Van Minivan 2012"}


def write_image(path: Path, label: int, number: int, size: tuple[int, int] = (40, 30)) -> None:
    """One image of a class, always the same for the same label and number.

    Image 0 of a class of odd label is grey, and so is each fiftieth.
    """
    noise = np.random.default_rng([label, number]).integers(-40, 40, size=(size[1], size[0], 3))
    colour = 255 * np.array(colorsys.hsv_to_rgb(label * GOLDEN % 1, 0.8, 0.7))
    picture = Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    form = "PNG" if path.suffix == ".png" else "JPEG"
    (picture.convert("L") if number % 50 == 0 and label % 2 else picture).save(path, form, quality=90)


def write_text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def truth(rows: list[tuple], *roles: str) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["name", "label", "split", *roles])


def border(last: int, classes: int) -> range:
    """Class ids around the split's border."""
    return range(last - classes + 1, last + classes + 1)


# ------------------------------------------------------------------------------------------------------------ CUB-200


def make_cub200(folder: Path, classes: int = 2, images: int = 3) -> pd.DataFrame:
    """Images within a class are not sorted by path; `._` files and a second top-level member lie about."""
    root = folder / "CUB_200_2011"
    names = {label: f"{label:03d}.Bird_{label}" for label in range(1, 201)}
    chosen = [(label, number) for label in border(100, classes) for number in reversed(range(images))]
    paths = [f"{names[label]}/Bird_{label}_{number:04d}_{label * 7}.jpg" for label, number in chosen]
    for (label, number), path in zip(chosen, paths, strict=True):
        write_image(root / "images" / path, label, number)
    (root / "images" / paths[0]).with_name("._x.jpg").write_bytes(b"\0\5\x16\7 no image")
    labels = [label for label, _ in chosen]
    write_text(root / "images.txt", [f"{line} {path}" for line, path in enumerate(paths, start=1)])
    write_text(root / "image_class_labels.txt", [f"{line} {label}" for line, label in enumerate(labels, start=1)])
    write_text(root / "classes.txt", [f"{label} {name}" for label, name in names.items()])
    write_text(root / "train_test_split.txt", [f"{line} {line % 2}" for line in range(1, len(paths) + 1)])
    write_text(root / "bounding_boxes.txt", [f"{line} 60.0 27.0 325.0 304.0" for line in range(1, len(paths) + 1)])
    write_text(root / "README", ["no licence here"])
    write_text(root / "attributes/attributes.txt", ["1 has_bill_shape::curved_(up_or_down)"])
    write_text(root / "parts/parts.txt", ["1 back"])
    write_text(folder / "attributes.txt", ["1 has_bill_shape::curved_(up_or_down)"])
    sides = ["train" if label <= 100 else "test" for label in labels]
    return truth(
        [
            (f"CUB_200_2011/images/{path}", names[label], side)
            for path, label, side in zip(paths, labels, sides, strict=True)
        ]
    )


def by_images(truth: pd.DataFrame) -> pd.DataFrame:
    """The same images of CUB-200-2011, split as `make_cub200` lets the authors have it."""
    return truth.assign(split=["test" if row % 2 else "train" for row in range(len(truth))])


# ------------------------------------------------------------------------------------------------------------ Cars196


def structs(rows: list[tuple], fields: tuple[str, ...]) -> np.ndarray:
    """The (1, n) struct array that the authors' .mat files hold."""
    array = np.empty((1, len(rows)), dtype=[(field, "O") for field in fields])
    for at, row in enumerate(rows):
        for field, value in zip(fields, row, strict=True):
            array[0, at][field] = value if isinstance(value, str) else cell(value)
    return array


def cell(value: int) -> np.ndarray:
    return np.array([[value]], np.uint8 if value < 256 else np.uint16)


def texts(values: list[str]) -> np.ndarray:
    """A (1, n) cell array."""
    array = np.empty((1, len(values)), dtype=object)
    array[0, :] = values
    return array


def car_names() -> list[str]:
    return [CAR_NAMES.get(label, f"Make Model {label} 2012") for label in range(1, 197)]


def car_truth(cars: list[tuple[str, int]]) -> pd.DataFrame:
    names = car_names()
    return truth(
        [(path, f"{label:03d}.{names[label - 1]}", "train" if label <= 98 else "test") for path, label in cars]
    )


def make_cars196_a(folder: Path, classes: int = 2, images: int = 3) -> pd.DataFrame:
    """One folder, six-digit names, sorted by class."""
    chosen = [(label, number) for label in border(98, classes) for number in range(images)]
    cars = [(f"car_ims/{at:06d}.jpg", label) for at, (label, _) in enumerate(chosen, start=1)]
    for (path, _), (label, number) in zip(cars, chosen, strict=True):
        write_image(folder / path, label, number)
    rows = [(path, *BOX, label, at % 2) for at, (path, label) in enumerate(cars)]
    content = {"annotations": structs(rows, FIELDS_A), "class_names": texts(car_names())}
    scipy.io.savemat(folder / "cars_annos.mat", content)
    return car_truth(cars)


def _car_parts(classes: int, images: int) -> dict[str, list[tuple[str, int, int]]]:
    """(file, class, number) in the authors' own two parts: both mix the classes and use the same file names."""
    every = [(label, number) for label in border(98, classes) for number in range(images)]
    shuffled = np.random.default_rng(0).permutation(len(every))
    parts = {"train": shuffled[::2], "test": shuffled[1::2]}
    return {part: [(f"{at:05d}.jpg", *every[one]) for at, one in enumerate(ones, 1)] for part, ones in parts.items()}


def make_cars196_b(folder: Path, classes: int = 2, images: int = 3, labels_in: str = ".") -> pd.DataFrame:
    """Two folders with the same five-digit names, not sorted by class; the kit's own test file has no classes.

    `labels_in` is where `cars_test_annos_withlabels.mat` lies: beside the kit (".") or in it ("devkit").
    """
    parts = _car_parts(classes, images)
    kit = folder / "devkit"
    write_text(kit / "README.txt", ["the development kit"])
    write_text(kit / "eval_train.m", ["% scores predictions"])
    write_text(kit / "train_perfect_preds.txt", [str(label) for _, label, _ in parts["train"]])
    scipy.io.savemat(kit / "cars_meta.mat", {"class_names": texts(car_names())})
    unlabelled = [(*BOX, name) for name, _, _ in parts["test"]]
    without = tuple(field for field in FIELDS_B if field != "class")
    scipy.io.savemat(kit / "cars_test_annos.mat", {"annotations": structs(unlabelled, without)})
    files = {"train": kit / "cars_train_annos.mat", "test": folder / labels_in / "cars_test_annos_withlabels.mat"}
    for part, cars in parts.items():
        rows = [(*BOX, label, name) for name, label, _ in cars]
        scipy.io.savemat(files[part], {"annotations": structs(rows, FIELDS_B)})
        for name, label, number in cars:
            write_image(folder / f"cars_{part}" / name, label, number)
    return car_truth([(f"cars_{part}/{name}", label) for part, cars in parts.items() for name, label, _ in cars])


def make_cars196_c(folder: Path, classes: int = 2, images: int = 3) -> pd.DataFrame:
    """A folder a class, named as the class but with "-" for "/"; CSV files without a header."""
    parts, names = _car_parts(classes, images), car_names()
    write_text(folder / "names.csv", names)
    listed = []
    for part, cars in parts.items():
        write_text(
            folder / f"anno_{part}.csv", [f"{name},{','.join(map(str, BOX))},{label}" for name, label, _ in cars]
        )
        for name, label, number in cars:
            listed.append((f"car_data/car_data/{part}/{names[label - 1].replace('/', '-')}/{name}", label))
            write_image(folder / listed[-1][0], label, number)
    return car_truth(listed)


# ---------------------------------------------------------------------------------------------------------------- SOP


def make_sop(folder: Path, classes: int = 2, images: int = 3) -> pd.DataFrame:
    """Upper-case endings; image ids and class ids go on from one list to the other; most kinds of product are empty."""
    root = folder / "Stanford_Online_Products"
    for kind in KINDS:
        (root / f"{kind}_final").mkdir(parents=True)
    header = "image_id class_id super_class_id path"
    lists, rows = {"train": [header], "test": [header]}, []
    for label in border(11318, classes):
        group, at = ("bicycle", 1) if label % 2 else ("toaster", 12)
        for number in range(images):
            side, path = "train" if label <= 11318 else "test", f"{group}_final/{111085100000 + label}_{number}.JPG"
            write_image(root / path, label, number)
            rows.append((f"Stanford_Online_Products/{path}", str(label), side))
            lists[side].append(f"{len(rows)} {label} {at} {path}")
    for side, lines in lists.items():
        write_text(root / f"Ebay_{side}.txt", lines)
    write_text(root / "Ebay_info.txt", [*lists["train"], *lists["test"][1:]])
    write_text(root / "bicycle_final.txt", ["bicycle_final 1"])
    return truth(rows)


# ------------------------------------------------------------------------------------------------------------ In-Shop


def make_inshop(folder: Path, classes: int = 2, images: int = 3, root: str = "Img") -> pd.DataFrame:
    """Padded columns; training and test items take turns; the first training item has a single image.

    `root` is where `img` lies: "Img" as published, or "" when it was unpacked beside `Eval`. Every test item has at
    least one query and one gallery image, so `images` is at least 2.
    """
    rows = []
    for item in range(1, 2 * classes + 1):
        for number in range(1 if item == 1 else images):
            status = "train" if item % 2 else ("gallery", "query")[number % 2]
            sex, kind = ("MEN", "Denim") if item % 3 else ("WOMEN", "Blouses_Shirts")
            rows.append((f"img/{sex}/{kind}/id_{item:08d}/{number + 1:02d}_1_front.jpg", f"id_{item:08d}", status))
            write_image(folder / root / rows[-1][0], item, number)
    lines = [str(len(rows)), "image_name item_id evaluation_status", *(_padded(*row) for row in rows)]
    write_text(folder / "Eval/list_eval_partition.txt", lines)
    prefix = f"{root}/" if root else ""
    return truth(
        [
            (prefix + name, item, "train" if status == "train" else "test", status == "query", status == "gallery")
            for name, item, status in rows
        ],
        "query",
        "gallery",
    )


def _padded(name: str, item: str, status: str) -> str:
    return f"{name:<72}{item:<14}{status:<10}"


# ------------------------------------------------------------------------------------------------------ Tiny ImageNet


def make_tiny_imagenet(folder: Path, classes: int = 2, images: int = 3, val: str = "images") -> pd.DataFrame:
    """Ids that are not sorted in `wnids.txt`, words of other classes, a part without labels.

    Images are numbered in training by class, in val among all of them. `val` is where those of val lie: in "images" as
    published; in "folders" a class, without annotations; or "nested" in a folder of these, with them.
    """
    root, ids = folder / "tiny-imagenet-200", [f"n{10_000_000 - 77 * label:08d}" for label in range(classes)]
    write_text(root / "wnids.txt", ids)
    write_text(
        root / "words.txt", ["n00001740\tentity", *(f"{wnid}\tfish {wnid[-2:]}, animal" for wnid in reversed(ids))]
    )
    rows, annotations = [], []
    for label, wnid in sorted(enumerate(ids), key=lambda pair: pair[1]):
        paths = [f"train/{wnid}/images/{wnid}_{number}.JPEG" for number in range(images)]
        write_text(
            root / "train" / wnid / f"{wnid}_boxes.txt", [f"{path.split('/')[-1]}\t0\t10\t63\t58" for path in paths]
        )
        rows += [(path, wnid, label, number) for number, path in enumerate(paths)]
    for number in range(classes * images):
        label, name = number % classes, f"val_{number}.JPEG"
        annotations.append(f"{name}\t{ids[label]}\t0\t32\t44\t62")
        place = {"images": "images", "folders": ids[label], "nested": f"{ids[label]}/images"}[val]
        rows.append((f"val/{place}/{name}", ids[label], label, 50 + number // classes))
        write_image(root / f"test/images/test_{number}.JPEG", label, 100 + number, (64, 64))
    if val != "folders":
        write_text(root / "val/val_annotations.txt", annotations)
    for path, _, label, number in rows:
        write_image(root / path, label, number, (64, 64))
    sides = {"train": "train", "val": "test"}
    return truth(
        [
            (f"tiny-imagenet-200/{path}", wnid, sides[path.split("/")[0]], f"fish {wnid[-2:]}")
            for path, wnid, _, _ in rows
        ],
        "class_name",
    )


# ------------------------------------------------------------------------------------------------------------ CINIC-10


def make_cinic10(folder: Path, classes: int = 2, images: int = 3) -> pd.DataFrame:
    """Three parts side by side; PNGs of 32 px named as ImageNet's or as CIFAR's, the latter in two ways."""
    write_text(folder / "README.md", ["# CINIC-10"])
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"][:classes]
    splits, rows = {"train": "train", "valid": "validation", "test": "test"}, []
    for at, (part, split) in enumerate(splits.items()):
        for label, name in enumerate(names):
            kinds = [("cifar-10-train-{}", "cifar"), ("cifar10-test-{}", "cifar"), ("n0200000{}_1", "imagenet")]
            files = [(kinds[number % 3][0].format(number), kinds[number % 3][1], number) for number in range(images)]
            for file, origin, number in sorted(files):
                rows.append((f"{part}/{name}/{file}.png", name, split, origin))
                write_image(folder / rows[-1][0], label, 50 * at + number, (32, 32))
    (folder / "train" / names[0] / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return truth(rows, "origin")


# ----------------------------------------------------------------------------------------------------------------- DTD


def make_dtd(folder: Path, classes: int = 2, images: int = 3) -> pd.DataFrame:
    """Ten partitions; a file that is no image; lists of attributes. `images` are those of a class in each part."""
    root = folder / "dtd"
    names = ["banded", "polka-dotted", *(f"texture{at}" for at in range(classes))][:classes]
    files = {
        (label, number): f"{name}/{name}_{number + 1:04d}.jpg"
        for label, name in enumerate(names)
        for number in range(3 * images)
    }
    for (label, number), path in files.items():
        write_image(root / "images" / path, label, number)
    (root / "images/banded/.directory").write_text("[Dolphin]\nTimestamp=2013,7,1,12,0,0\n")
    for partition in range(1, 11):
        order = np.random.default_rng(partition).permuted(np.tile(np.arange(3 * images), (classes, 1)), axis=1)
        for at, part in enumerate(("train", "val", "test")):
            chosen = np.sort(order[:, at * images : (at + 1) * images], axis=1)
            lines = [files[label, number] for label in range(classes) for number in chosen[label].tolist()]
            write_text(root / f"labels/{part}{partition}.txt", lines)
    write_text(root / "labels/labels_joint_anno.txt", [f"{path} {path.split('/')[0]} lined" for path in files.values()])
    return dtd_truth(folder, 1)


def dtd_truth(folder: Path, partition: int) -> pd.DataFrame:
    """What the lists of a partition say."""
    splits = {"train": "train", "val": "validation", "test": "test"}
    lists = {part: (folder / f"dtd/labels/{part}{partition}.txt").read_text().split() for part in splits}
    return truth(
        [(f"dtd/images/{path}", path.split("/")[0], splits[part]) for part, paths in lists.items() for path in paths]
    )


# -------------------------------------------------------------------------------------------------------------- packed

MAKERS = {
    "cub200": make_cub200,
    "cars196-A": make_cars196_a,
    "cars196-B": make_cars196_b,
    "cars196-B-inside": partial(make_cars196_b, labels_in="devkit"),
    "cars196-C": make_cars196_c,
    "sop": make_sop,
    "inshop": make_inshop,
    "inshop-beside": partial(make_inshop, root=""),
    "tiny-imagenet": make_tiny_imagenet,
    "tiny-imagenet-folders": partial(make_tiny_imagenet, val="folders"),
    "tiny-imagenet-nested": partial(make_tiny_imagenet, val="nested"),
    "cinic10": make_cinic10,
    "dtd": make_dtd,
}


def name_of(layout: str) -> str:
    """The data set's name: a layout is named by it, and by what is its own."""
    return "tiny-imagenet" if layout.startswith("tiny-imagenet") else layout.partition("-")[0]


PUBLISHED: dict[
    str, dict[str, tuple[str, ...]]
] = {  # file -> its members, seen from its own place (none: a plain copy)
    "cub200": {"CUB_200_2011.tgz": ("CUB_200_2011", "attributes.txt")},
    "cars196-A": {"car_ims.tgz": ("car_ims",), "cars_annos.mat": ()},
    "cars196-B": {
        "cars_train.tgz": ("cars_train",),
        "cars_test.tgz": ("cars_test",),
        "car_devkit.tgz": ("devkit",),
        "cars_test_annos_withlabels.mat": (),
    },
    "cars196-B-inside": {
        "cars_train.tgz": ("cars_train",),
        "cars_test.tgz": ("cars_test",),
        "car_devkit.tgz": ("devkit",),
    },
    "cars196-C": {
        "stanford-car-dataset-by-classes-folder.zip": ("names.csv", "anno_train.csv", "anno_test.csv", "car_data"),
    },
    "sop": {"Stanford_Online_Products.zip": ("Stanford_Online_Products",)},
    "inshop": {"Img/img.zip": ("img",), "Eval/list_eval_partition.txt": ()},
    "inshop-beside": {"img.zip": ("img",), "Eval/list_eval_partition.txt": ()},
    **{f"tiny-imagenet{val}": {"tiny-imagenet-200.zip": ("tiny-imagenet-200",)} for val in ("", "-folders", "-nested")},
    "cinic10": {"CINIC-10.tar.gz": ("README.md", "train", "valid", "test")},
    "dtd": {"dtd-r1.0.1.tar.gz": ("dtd",)},
}
PLAIN_TARS = ("dtd-r1.0.1.tar.gz",)  # whatever their names say


def pack(layout: str, folder: Path, into: Path) -> list[Path]:
    """Make the published files of a layout from its unpacked folder; they lie at their published places in `into`."""
    for name, members in PUBLISHED[layout].items():
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        packers = {".tgz": _tar, ".gz": _tar, ".zip": _zip, ".mat": _copy, ".txt": _copy}
        packers[Path(name).suffix]((folder / name), into / name, members)
    return [into / name for name in PUBLISHED[layout]]


def _tar(source: Path, target: Path, members: tuple[str, ...]) -> None:
    with tarfile.open(target, "w" if target.name in PLAIN_TARS else "w:gz") as archive:
        for member in members:
            archive.add(source.with_name(member), arcname=member)


def _zip(source: Path, target: Path, members: tuple[str, ...]) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for start in (source.with_name(member) for member in members):
            for path in sorted([start, *start.rglob("*")]):
                archive.write(path, path.relative_to(source.parent))


def _copy(source: Path, target: Path, members: tuple[str, ...]) -> None:
    shutil.copy(source, target)
