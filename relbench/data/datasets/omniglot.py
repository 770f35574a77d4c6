"""Omniglot (Lake et al. 2015) for few-shot: 1,623 characters of 50 alphabets, 20 drawings each, and their rotations.

Split by characters as Vinyals et al. 2016 have them: 1,028 for training, 172 for validation, 423 for testing, listed in
`cards/omniglot.csv`. Training and test both take characters of `images_evaluation`, and of its alphabet Gurmukhi: the
archives are the split of Lake et al., of 964 and 659 characters, which is another one.

A character is four classes, in each split: as it was drawn, and turned by 90, 180 and 270 degrees counter-clockwise.
Some characters equal their own rotations, so no accuracy can reach 1.

A drawing is black on white, one bit a pixel, 105 x 105. It is resized to 28 x 28 by the nearest pixel, which is what
PIL does with one bit; ink becomes 255, paper 0. 105 / 28 = 15 / 4, so no pixel's centre falls between two, and it makes
no difference whether a drawing is turned before or after. Images stand as they were drawn; those of
jakesnell/prototypical-networks@c9bb4d2 are transposed, in training and test alike.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from relbench.data.download.card import packaged_list
from relbench.data.images.decoding import Decoding, UnsuitableError
from relbench.data.images.photos import Paths, file_states, refused_by_path, undecodable
from relbench.data.parsing.annotations import (
    Found,
    Image,
    Line,
    Scan,
    check_header,
    scan_each,
    scan_lines,
    try_list,
)
from relbench.data.parsing.listings import folders_in, scan_files
from relbench.files import open_regular

LAKE_TRAINING, LAKE_TEST = ARCHIVES = ("images_background", "images_evaluation")
LIST, HEADER = "omniglot.csv", ("split", "archive", "alphabet", "character")
SPLITS = {"train": "train", "val": "validation", "test": "test"}  # by their names in the list
CHARACTER = re.compile(r"character([0-9]{2})")
DRAWING = re.compile(r"([0-9]{4})_([0-9]{2})\.png")
DRAWERS = range(1, 21)
ROTATIONS = (0, 90, 180, 270)  # degrees, counter-clockwise
DRAWN, SIDE = 105, 28  # pixels, of a drawing and of an image
INK = 255
TURNED = "@rot"  # between a drawing's path and its rotation, in an image's name


class Character(NamedTuple):
    """A character, and where the list says it."""

    line: Line
    split: str
    archive: str
    alphabet: str
    name: str

    @property
    def path(self) -> str:
        """That of its drawings, below the data set's folder."""
        return f"{self.archive}/{self.alphabet}/{self.name}"

    @property
    def place(self) -> int:
        """Its number in its alphabet, from 1."""
        return int(self.name.removeprefix("character"))


class Drawing(NamedTuple):
    """The file of a drawing; the number of its character among all characters, from 1; and who drew it."""

    line: Line
    number: int
    drawer: int

    @property
    def file(self) -> str:
        """The file's name."""
        return self.line.fields[0]


def lists(folder: Path) -> list[Path]:
    """What lists the drawings: the folders of both archives."""
    return [folder / archive for archive in ARCHIVES]


def scan(folder: Path) -> Scan:
    """The images of all characters, and what is wrong with the files; none is opened.

    Images stand by character, in the list's order, then by rotation and drawer. They are called by the drawing's path
    and the rotation ("images_background/Balinese/character01/0108_01.png@rot090"), classes by the character and the
    rotation ("Balinese/character01/rot090").

    Args:
        folder: holds `images_background` and `images_evaluation`.
    """
    characters, numbers = (yield from _characters(packaged_list(LIST))), dict[Character, int]()
    yield from try_list(_refuse_foreign, folder, characters)
    for character in characters:
        drawings = yield from _drawings(folder / character.path)
        if drawings:
            numbers[character] = drawings[0].number
        yield from _images(character, drawings)
    yield from try_list(_check_numbers, folder, numbers)


def _characters(file: Path) -> Found[list[Character]]:
    """The list of characters."""
    lines = yield from scan_lines(file, separator=",")
    yield from try_list(check_header, lines, 0, HEADER)
    characters = list(filter(None, (yield from scan_each(lines[1:], _character))))
    yield from try_list(_check_each_once, characters)
    yield from try_list(_refuse_lakes, file, characters)
    return characters


def _character(line: Line) -> Character:
    split, archive, _, name = line.expect(len(HEADER)).fields
    if split not in SPLITS:
        raise line.refused(f"{split!r} is none of {', '.join(SPLITS)}")
    if archive not in ARCHIVES:
        raise line.refused(f"{archive!r} is none of {', '.join(ARCHIVES)}")
    if not CHARACTER.fullmatch(name):
        raise line.refused(f"{name!r} is not named as 'character01' is")
    return Character(line, SPLITS[split], archive, line.path(2), name)


def _check_each_once(characters: Iterable[Character]) -> None:
    """Refuse a character of two lines, be they of the same split or of two."""
    seen: dict[str, Character] = {}
    for character in characters:
        first = seen.setdefault(character.path, character)
        if first is not character:
            raise character.line.refused(
                f"has {character.path} for {character.split}, but line {first.line.number} has it for {first.split}"
            )


def _refuse_lakes(file: Path, characters: Sequence[Character]) -> None:
    """Refuse the split of Lake et al., which goes by the archives."""
    archives = {split: {each.archive for each in characters if each.split == split} for split in SPLITS.values()}
    if archives == {"train": {LAKE_TRAINING}, "validation": set(), "test": {LAKE_TEST}}:
        raise ValueError(
            f"{file} has the split of Lake et al. ({LAKE_TRAINING} for training, {LAKE_TEST} for testing), not that of "
            "Vinyals et al. (1,028, 172 and 423 characters of both): replace it with a good copy"
        )


def _refuse_foreign(folder: Path, characters: Iterable[Character]) -> None:
    listed = {character.path for character in characters}
    alphabets = [f"{archive}/{name}" for archive in ARCHIVES for name in folders_in(folder / archive)]
    there = (f"{alphabet}/{name}" for alphabet in alphabets for name in folders_in(folder / alphabet))
    foreign = next((path for path in there if path not in listed), None)
    if foreign:
        raise ValueError(f"{folder / foreign} is no character of Omniglot: move it away")


def _drawings(folder: Path) -> Found[list[Drawing]]:
    """The drawings of a character, by drawer."""
    files = yield from scan_files(folder, ".png")
    drawings = list(filter(None, (yield from scan_each(files, _drawing))))
    yield from try_list(_check_drawings, folder, drawings)
    return drawings


def _drawing(line: Line) -> Drawing:
    found = DRAWING.fullmatch(line.fields[0])
    if not found:
        raise line.refused(f"{line.fields[0]!r} is not named as '0108_01.png' is")
    drawing = Drawing(line, *map(int, found.groups()))
    if drawing.drawer not in DRAWERS:
        raise line.refused(f"{drawing.file!r} is of drawer {drawing.drawer}, but there are 1 to {max(DRAWERS)}")
    return drawing


def _check_drawings(folder: Path, drawings: Sequence[Drawing]) -> None:
    """Refuse drawings of several characters, or of too few drawers."""
    ((usual, _),) = Counter(drawing.number for drawing in drawings).most_common(1) or [(0, 0)]
    other = next((drawing for drawing in drawings if drawing.number != usual), None)
    if other:
        raise other.line.refused(f"{other.file!r} is of character {other.number}, but the others are of {usual}")
    lacking = sorted(set(DRAWERS) - {drawing.drawer for drawing in drawings})
    if lacking:
        raise ValueError(f"{folder} lacks drawing {lacking[0]:02d} ({len(lacking)} in all): complete it")


def _images(character: Character, drawings: Iterable[Drawing]) -> Scan:
    for rotation in ROTATIONS:
        label = f"{character.alphabet}/{character.name}/rot{rotation:03d}"
        for drawing in drawings:
            name = f"{character.path}/{drawing.file}{TURNED}{rotation:03d}"
            yield Image(name, character.line, label, character.split)


def _check_numbers(folder: Path, numbers: Mapping[Character, int]) -> None:
    """Refuse numbers that do not follow each other in an alphabet, and one of two characters.

    That they follow each other shows in file names that public code quotes: several each of Alphabet_of_the_Magi,
    Gujarati and Latin, and those of Malayalam and Tibetan beside the sizes of the alphabets before them.
    """
    firsts, owners = dict[str, Character](), dict[int, Character]()
    for character, number in numbers.items():
        first = firsts.setdefault(character.alphabet, character)
        if number - character.place != numbers[first] - first.place:
            raise ValueError(
                f"{folder / character.path} has drawings of character {number}, but {folder / first.path} of "
                f"{numbers[first]}, and an alphabet's numbers follow each other: replace the wrong ones"
            )
        owner = owners.setdefault(number, character)
        if owner is not character:
            raise ValueError(
                f"{folder / character.path} and {folder / owner.path} both have drawings of character {number}: "
                "replace the wrong ones"
            )


def pixels(path: Path) -> NDArray[np.uint8]:
    """The pixels of a drawing at 28 px: ink 255, paper 0, shape (28, 28).

    Raises:
        UnsuitableError: it is no drawing of one bit a pixel and 105 x 105.
        Exception: of nearly any kind, from PIL's decoders, where the file is damaged.
    """
    with open_regular(path) as file, PIL.Image.open(file, formats=("PNG",)) as image:
        if (image.mode, image.size) != ("1", (DRAWN, DRAWN)):
            width, height = image.size
            raise UnsuitableError(
                f"it has {width} x {height} pixels of mode {image.mode}, but drawings have {DRAWN} x {DRAWN} of mode 1"
            )
        paper = np.asarray(image.resize((SIDE, SIDE), PIL.Image.Resampling.NEAREST))
    return np.where(paper, 0, INK).astype(np.uint8)


class Drawings:
    """Images by name, turned as their names say; see `Records`."""

    side, channels = SIDE, 1
    decoding: Decoding | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, names: Iterable[str]) -> Iterator[NDArray[np.uint8]]:
        """The images in order, each of shape (1, 28, 28); a drawing is read once for names that follow each other.

        Raises:
            ValueError: a drawing is missing, damaged, or no original.
        """
        for path, turned in groupby(map(_parted, names), key=lambda parts: parts[0]):
            with refused_by_path(self._folder / path):
                upright = pixels(self._folder / path)
            for _, rotation in turned:
                yield np.ascontiguousarray(np.rot90(upright, rotation // 90))[None]

    def damaged(self, names: Sequence[str], threads: int, progress: Paths) -> list[str]:
        """A line for each drawing that can't be read."""
        broken = undecodable([self._folder / path for path in _drawn(names)], threads, progress, pixels)
        return [f"{path} can't be decoded ({reason})" for path, reason in broken]

    def state(self, names: Iterable[str]) -> bytes:
        """The sizes of the drawings, and the times of their last changes."""
        return b"one bit, nearest pixel" + file_states(self._folder, _drawn(names)).tobytes()


def _parted(name: str) -> tuple[str, int]:
    """A drawing's path, and the rotation."""
    path, _, rotation = name.rpartition(TURNED)
    return path, int(rotation)


def _drawn(names: Iterable[str]) -> list[str]:
    """The paths of the drawings, each once."""
    return list(dict.fromkeys(_parted(name)[0] for name in names))
