"""Glyphs: letters, digits and signs as printed by twelve typefaces. Needs no download.

A class is a code point, a sample is a face: the twelve DejaVu faces that matplotlib ships (Sans, Sans Mono, Serif;
regular, bold, oblique, bold oblique). Like Omniglot (Lake et al., Science 2015) it has many classes of few samples, and
test classes are never seen in training.

Which code points: letters, numbers, punctuation and symbols (Unicode categories L, N, P, S) that all twelve faces draw
with ink. Code points that look the same are one class, kept under the smallest. Two look the same when the squared
difference of their pixels (56 px), divided by the sum of squares of the inkier, and averaged over the twelve faces, is
below 2 %; sameness is passed on along chains. So Latin A, Greek Alpha and Cyrillic A are one class; O and 0 are two.

The split is by class and fixed: `glyphs.json` lists the classes, the faces with their files' hashes, and the hash of
all pixels at 56 px.

For classification (`split = "images"`) the classes are the same on all sides, and families of faces are split: training
is on the four Sans faces, validation on the four of Sans Mono, the test on the four of Serif (`FAMILIES`); a network is
asked for letters of a family that it has never seen. Without validation (`hold_out = False`), Sans Mono is trained on,
too. The classes are then letters and numbers alone, training classes of the manifest first: signs look the same in
several families (54 % of the symbols' pictures in Serif faces are those of a Sans face to the last bit, but 0.2 % of
the letters').

Pictures are rendered once and kept: a file for each size and list of classes, read as a memory map, so that processes
share it. The file is pixels (uint8) class by class in the order of their code points as text, face by face, row by row;
and at its end their SHA-256. Each time it is loaded, all its pixels are hashed and compared: at 56 px (input of 28 px)
with the manifest, so two machines provably hold the same data; therefore a file of 56 px always holds all classes. At
other sizes it holds the classes in use and is compared with the hash at its end, which shows damage. That the data are
the same on two machines is there shown by `data_hash`, which every row has.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from relbench.data.glyphs.outline import Face, rasterise
from relbench.data.glyphs.views import Distortion, Views
from relbench.data.random_views import KeptImages
from relbench.data.selection import few_images, label_space, selected_classes
from relbench.data.table import COLUMNS, Progress, Shape, checked, table_hash
from relbench.experiment import ClassSelection, Splitting
from relbench.files import atomic_write, open_regular

FACES = tuple(
    f"DejaVu{family}{style}.ttf"
    for family, slanted in (("Sans", "Oblique"), ("SansMono", "Oblique"), ("Serif", "Italic"))
    for style in ("", "-Bold", f"-{slanted}", f"-Bold{slanted}")
)
VALIDATION_FAMILY = "DejaVuSansMono"
FAMILIES = {"DejaVuSans": "train", VALIDATION_FAMILY: "validation", "DejaVuSerif": "test"}
"""Families of faces, and the side that each is on where the classes are the same on all sides."""
WINDOW, BOTTOM = 1.4, -0.36  # ems: the picture's side, and its lower edge above the baseline
MANIFEST_SIZE = 56


@cache
def manifest() -> dict[str, Any]:
    """The committed split and hashes."""
    text = resources.files("relbench.data.glyphs").joinpath("glyphs.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def content_hash() -> str:
    """Names the data: the hash of the manifest."""
    return hashlib.sha256(json.dumps(manifest(), sort_keys=True).encode()).hexdigest()


def character(label: str) -> str:
    """A class as Unicode names it: 00E9 is U+00E9 LATIN SMALL LETTER E WITH ACUTE."""
    return f"U+{label} {unicodedata.name(chr(int(label, 16)), '')}".strip()


def glyph_counts() -> dict[str, int]:
    """Classes and images on the two sides; validation counts as training. Keys as in `table.counts`."""
    classes = {split: len(labels) for split, labels in manifest()["classes"].items()}
    sides = {"train": classes["train"] + classes["validation"], "test": classes["test"]}
    images = {f"{side}_images": count * len(FACES) for side, count in sides.items()}
    return {f"{side}_classes": count for side, count in sides.items()} | images


class Glyphs(KeptImages):
    """The data set as a source of images.

    Pictures are kept at twice the network's input (`oversize`), so that a distorted view stays sharp.

    Args:
        size: side of the network's input in pixels.
        train_classes: the number of the first training classes of the manifest, or their names; None for all.
        test_classes: likewise for test classes. Validation classes are always whole.
        distortion: strength of the views' distortion; 1 is the standard.
        folder: where the rendered pictures are kept.
        progress: wraps the code points being rendered, for a progress bar.
        hold_out: False makes validation classes (or faces) training classes (or faces), after all others.
        split: whether the sides differ in classes, or have the same in other faces; then the classes are numbered, or
            named, among all letters and numbers.
        train_images_per_class: pictures of each class to train on; None for all.

    Raises:
        ValueError: classes or pictures are asked for that are not there, or different classes where all sides have the
            same; or the fonts or the pixels differ from the manifest; or the file of kept pictures is damaged.
    """

    oversize = 2
    views: type[Views] = Distortion

    _views: Views

    def __init__(  # noqa: PLR0913 - what is shown, and of which classes
        self,
        size: int,
        train_classes: ClassSelection | None,
        test_classes: ClassSelection | None,
        distortion: float,
        folder: Path,
        progress: Progress = iter,
        *,
        hold_out: bool = True,
        split: Splitting = "classes",
        train_images_per_class: int | None = None,
    ) -> None:
        side = size * self.oversize
        self.table = glyph_table(train_classes, test_classes, hold_out, split, train_images_per_class)
        classes = _all_classes() if side == MANIFEST_SIZE else sorted(set(self.table["label"]))
        kept = _kept(classes, side, folder, progress)
        _check(kept, len(classes), side)
        self._kept, self._stored = kept, (len(classes) * len(FACES), 1, side, side)
        self._pictures = self._mapped()
        self._places = _places(self.table, classes)
        self._keys = torch.from_numpy(_places(self.table, _all_classes()))
        self.shape = Shape(channels=self.views.channels, size=size)
        self.content = self._content()
        pixels = _pixels(kept, pd.unique(self._places // len(FACES)), side)
        self.data_hash = self._hashed(table_hash(self.table, pixels))
        self._views = self.views(size, distortion)

    def _mapped(self) -> NDArray[np.uint8]:
        return np.memmap(self._kept, np.uint8, "r", shape=self._stored)

    def __getstate__(self) -> dict[str, Any]:
        """Without the pictures: another process maps the same file."""
        return {name: value for name, value in vars(self).items() if name != "_pictures"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._pictures = self._mapped()

    def _content(self) -> str:
        return content_hash()

    def _hashed(self, glyphs: str) -> str:
        """The hash of all that is shown, from that of the glyphs."""
        return glyphs

    def test_batch(self, indices: torch.Tensor) -> torch.Tensor:
        """Views distorted alike, but for each picture always in the same way, whatever subset of classes is in use."""
        return self._views.fixed(self._images_of(indices), self._keys[indices])

    def _images_of(self, indices: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._pictures[self._places[indices.numpy()]])


def glyph_table(
    train_classes: ClassSelection | None,
    test_classes: ClassSelection | None,
    hold_out: bool,  # noqa: FBT001
    split: Splitting = "classes",
    train_images_per_class: int | None = None,
) -> pd.DataFrame:
    """The table of the pictures, class by class, face by face; arguments and errors as those of `Glyphs`."""
    lines = _lines_by_class if split == "classes" else _lines_by_family
    table = pd.DataFrame(lines(train_classes, test_classes, hold_out), columns=list(COLUMNS))
    table = checked(table, needs_validation=hold_out, classes="disjoint" if split == "classes" else "shared")
    return few_images(table, train_images_per_class)


def _lines_by_class(
    train_classes: ClassSelection | None,
    test_classes: ClassSelection | None,
    hold_out: bool,  # noqa: FBT001
) -> list[tuple[str, str, str]]:
    """Name, label and split of each picture; a class is on one side alone."""
    splits = dict(manifest()["classes"])
    if not hold_out:
        splits["train"] = splits["train"] + splits.pop("validation")
    splits["train"] = selected_classes(splits["train"], train_classes, "train")
    splits["test"] = selected_classes(splits["test"], test_classes, "test")
    return [(f"{label}/{face}", label, split) for split, labels in splits.items() for label in labels for face in FACES]


def _lines_by_family(
    train_classes: ClassSelection | None,
    test_classes: ClassSelection | None,
    hold_out: bool,  # noqa: FBT001
) -> list[tuple[str, str, str]]:
    """Likewise; a family of faces is on one side alone."""
    families = FAMILIES if hold_out else {**FAMILIES, VALIDATION_FAMILY: "train"}
    splits = {face: families[face.partition("-")[0].removesuffix(".ttf")] for face in FACES}
    labels = label_space(letters_and_numbers(), train_classes, test_classes)
    return [(f"{label}/{face}", label, split) for label in labels for face, split in splits.items()]


def letters_and_numbers() -> list[str]:
    """The classes that are letters or numbers, in the order of the manifest."""
    labels = [label for labels in manifest()["classes"].values() for label in labels]
    return [label for label in labels if unicodedata.category(chr(int(label, 16)))[0] in "LN"]


def _places(table: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.int64]:
    """Each line's place among pictures of these classes, class by class, face by face."""
    first = {label: at * len(FACES) for at, label in enumerate(classes)}
    face = table["name"].str.partition("/")[2].map({name: at for at, name in enumerate(FACES)})
    return np.array(table["label"].map(first) + face, np.int64)


def _sha256(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _all_classes() -> list[str]:
    return sorted(label for labels in manifest()["classes"].values() for label in labels)


def _kept(classes: Sequence[str], size: int, folder: Path, progress: Progress) -> Path:
    """The file of these classes' pictures; rendered if it isn't there."""
    name = _sha256([content_hash().encode(), *(label.encode() for label in classes)])
    kept = folder / f"{size}px-{name[:16]}.raw"
    if not kept.exists():
        _render(kept, classes, size, progress)
    return kept


def _render(kept: Path, classes: Sequence[str], size: int, progress: Progress) -> None:
    """Write pictures class by class, checked against the manifest where it knows the size; then their hash."""
    faces = [Face(path) for path in _font_files()]
    digest = hashlib.sha256()
    with atomic_write(kept) as temporary, temporary.open("wb") as file:
        for label in progress(classes):
            pixels = draw(faces, [label], size).tobytes()
            digest.update(pixels)
            file.write(pixels)
        if size == MANIFEST_SIZE and digest.hexdigest() != manifest()["pixels"]:
            raise ValueError(
                "the rendered glyphs differ from the manifest: is the fonttools package damaged or modified?"
            )
        file.write(digest.digest())


def _check(kept: Path, classes: int, size: int) -> None:
    """Compare all pixels with the manifest's hash, or, where it doesn't know the size, with the file's own."""
    expected = manifest()["pixels"] if size == MANIFEST_SIZE else next(_pixels(kept, [classes], size)).hex()
    if _sha256(_pixels(kept, range(classes), size)) != expected:
        raise ValueError(f"{kept} is damaged (its pixels have another hash): delete it, and it is rendered again")


def _pixels(kept: Path, classes: Iterable[int], size: int) -> Iterator[bytes]:
    """Bytes of classes by their place in the file. Read, not mapped: pages of a map would count as memory."""
    length = len(FACES) * size * size
    with open_regular(kept) as file:
        for place in classes:
            file.seek(place * length)
            yield file.read(length)


def draw(faces: Sequence[Face], labels: Iterable[str], size: int) -> NDArray[np.uint8]:
    """Pictures of classes in faces, shape (classes * faces, size, size)."""
    outlines = (face.outline(int(label, 16)) for label in labels for face in faces)
    return np.stack([rasterise(outline, size, WINDOW, BOTTOM) for outline in outlines])


def _font_files() -> list[Path]:
    import matplotlib as mpl  # noqa: PLC0415 - only who draws needs it

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    for name, digest in manifest()["faces"].items():
        if not (folder / name).exists() or hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise ValueError(f"{folder / name} is not the font that Glyphs is made from: reinstall matplotlib")
    return [folder / name for name in FACES]
