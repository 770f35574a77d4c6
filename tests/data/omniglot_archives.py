"""A tiny copy of Omniglot, in exactly its layout with all its traps; see `archives`."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

DRAWERS, SIDE = 20, 105
CHARACTERS = [  # split, archive, alphabet, place in it, number among all: Gurmukhi is in training and in the test
    ("train", "images_evaluation", "Gurmukhi", 40, 1199),
    ("train", "images_evaluation", "Gurmukhi", 41, 1200),
    ("train", "images_background", "Balinese", 1, 108),
    ("val", "images_background", "Hebrew", 3, 373),
    ("test", "images_evaluation", "Gurmukhi", 42, 1201),
    ("test", "images_evaluation", "Kannada", 1, 1205),
]
TURNS = (0, 90, 180, 270)

Row = tuple[str, str, str, int, int]


def characters(train: int, validation: int, test: int) -> list[Row]:
    """So many characters of each split, as rows of `CHARACTERS`; Balinese has 24, Hebrew 22, Kannada 41."""
    alphabets = {"train": ("images_background", "Balinese", 107), "val": ("images_background", "Hebrew", 370)}
    alphabets |= {"test": ("images_evaluation", "Kannada", 1204)}
    counts = {"train": train, "val": validation, "test": test}
    return [
        (split, archive, alphabet, place, before + place)
        for split, (archive, alphabet, before) in alphabets.items()
        for place in range(1, counts[split] + 1)
    ]


def drawing(number: int, drawer: int) -> Image.Image:
    """A character as a drawer draws it: black strokes on white, one bit a pixel."""
    points = np.random.default_rng(number).integers(12, 93, (5, 2))
    points += np.random.default_rng([number, drawer]).integers(-4, 5, points.shape)
    picture = Image.new("1", (SIDE, SIDE), 1)
    ImageDraw.Draw(picture).line([tuple(point) for point in points.tolist()], fill=0, width=3)
    return picture


def write_list(folder: Path, characters: list[Row] = CHARACTERS) -> Path:
    """The list of characters, beside the cards."""
    rows = [f"{split},{archive},{alphabet},character{place:02d}" for split, archive, alphabet, place, _ in characters]
    (folder / "omniglot.csv").write_text("\n".join(["split,archive,alphabet,character", *rows]) + "\n")
    return folder / "omniglot.csv"


def make_omniglot(folder: Path, characters: list[Row] = CHARACTERS) -> pd.DataFrame:
    """Both archives' folders; a hidden file lies about."""
    rows = []
    for split, archive, alphabet, place, number in characters:
        path = f"{archive}/{alphabet}/character{place:02d}"
        (folder / path).mkdir(parents=True)
        files = [f"{number:04d}_{drawer:02d}.png" for drawer in range(1, DRAWERS + 1)]
        for drawer, file in enumerate(files, start=1):
            drawing(number, drawer).save(folder / path / file)
        side = {"val": "validation"}.get(split, split)
        rows += [
            (f"{path}/{file}@rot{turn:03d}", f"{alphabet}/character{place:02d}/rot{turn:03d}", side)
            for turn in TURNS
            for file in files
        ]
    (folder / "images_background" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return pd.DataFrame(rows, columns=["name", "label", "split"])


def pack(folder: Path, into: Path) -> dict[str, Path]:
    """The published files by name; folders are members of their own."""
    into.mkdir()
    for top in ("images_background", "images_evaluation"):
        with zipfile.ZipFile(into / f"{top}.zip", "w") as archive:
            for path in sorted([folder / top, *(folder / top).rglob("*")]):
                archive.write(path, path.relative_to(folder))
    return {path.name: path for path in sorted(into.iterdir())}
