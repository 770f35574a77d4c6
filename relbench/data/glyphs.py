"""Glyphs: letters, digits and signs as printed by twelve typefaces. Needs no download.

A class is a code point, a sample is a face: the twelve DejaVu faces that matplotlib ships (Sans, Sans Mono, Serif;
regular, bold, oblique, bold oblique). Like Omniglot (Lake et al., Science 2015) it has many classes of few samples, and
test classes are never seen in training.

Which code points: letters, numbers, punctuation and symbols (Unicode categories L, N, P, S) that all twelve faces draw
with ink. Code points that look the same are one class, kept under the smallest. Two look the same when the squared
difference of their pixels (56 px), divided by the inkier one's sum of squares and averaged over the twelve faces, is
below 2 %; sameness is passed on along chains. So Latin A, Greek Alpha and Cyrillic A are one class; O and 0 are two.

The split is by class and fixed: `glyphs.json` lists the classes, the faces with their files' hashes, and the hash of
all pixels at 56 px. What is rendered here is compared with it, so two machines provably hold the same data.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from relbench.data.outline import Face, rasterise
from relbench.data.table import Shape, checked, first_classes, table_hash
from relbench.data.views import Distortion
from relbench.files import written_whole

FACES = tuple(
    f"DejaVu{family}{style}.ttf"
    for family, slanted in (("Sans", "Oblique"), ("SansMono", "Oblique"), ("Serif", "Italic"))
    for style in ("", "-Bold", f"-{slanted}", f"-Bold{slanted}")
)
WINDOW, BOTTOM = 1.4, -0.36  # ems: the picture's side, and its lower edge above the baseline
OVERSIZE = 2  # pictures are kept at twice the network's input, so that a distorted view stays sharp
MANIFEST_SIZE = 56

Progress = Callable[[Iterable[str]], Iterable[str]]


@cache
def manifest() -> dict[str, Any]:
    """The committed split and hashes."""
    text = resources.files("relbench.data").joinpath("glyphs.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def content_hash() -> str:
    """Names the data: the hash of the manifest."""
    return hashlib.sha256(json.dumps(manifest(), sort_keys=True).encode()).hexdigest()


class Glyphs:
    """The data set as a source of images.

    Args:
        size: side of the network's input in pixels.
        train_classes: only the first so many training classes of the manifest (None: all).
        test_classes: likewise for test classes. Validation classes are always whole.
        distortion: strength of the views' distortion; 1 is the standard.
        folder: where the rendered pictures are kept.
        progress: wraps the code points being rendered, for a progress bar.

    Raises:
        ValueError: more classes are asked for than there are, or the fonts or the pixels differ from the manifest.
    """

    def __init__(
        self,
        size: int,
        train_classes: int | None,
        test_classes: int | None,
        distortion: float,
        folder: Path,
        progress: Progress = iter,
    ) -> None:
        pictures = _pictures(size * OVERSIZE, folder, progress)
        self.table, order = _table(train_classes, test_classes)
        self._pictures = torch.from_numpy(pictures[order])[:, None]
        self.shape = Shape(channels=1, size=size)
        self.content = content_hash()
        self.data_hash = table_hash(self.table, self._pictures.numpy().tobytes())
        self._distortion = Distortion(size=size, strength=distortion)
        self._order = torch.from_numpy(order)

    def train_batch(self, lines: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Randomly distorted views, float32 in [0, 1], shape (len(lines), 1, size, size)."""
        return self._distortion.random(self._pictures[lines], generator)

    def test_batch(self, lines: torch.Tensor) -> torch.Tensor:
        """Views distorted alike, but for each picture always in the same way, whatever subset of classes is in use."""
        return self._distortion.fixed(self._pictures[lines], self._order[lines])


def _table(train_classes: int | None, test_classes: int | None) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """The table, and each line's place among all pictures (class by class, face by face)."""
    splits = dict(manifest()["classes"])
    splits["train"] = first_classes(splits["train"], train_classes, "train")
    splits["test"] = first_classes(splits["test"], test_classes, "test")
    place = {label: at for at, label in enumerate(_all_classes())}
    lines = [
        (f"{label}/{face}", label, split, place[label] * len(FACES) + number)
        for split, labels in splits.items()
        for label in labels
        for number, face in enumerate(FACES)
    ]
    table = pd.DataFrame(lines, columns=["name", "label", "split", "place"])
    return checked(table.drop(columns="place")), table["place"].to_numpy(copy=True)


def _all_classes() -> list[str]:
    return sorted(label for labels in manifest()["classes"].values() for label in labels)


def _pictures(size: int, folder: Path, progress: Progress) -> NDArray[np.uint8]:
    """All pictures, shape (classes * faces, size, size): from the folder, or rendered and put there."""
    kept = folder / f"{size}px-{content_hash()[:16]}.npz"
    if not kept.exists():
        with written_whole(kept) as temporary, temporary.open("wb") as file:
            np.savez(file, pictures=_rendered(_all_classes(), size, progress))
    try:
        with kept.open("rb") as archive, np.load(archive) as stored:  # np.load leaves a damaged file open by itself
            pictures: NDArray[np.uint8] = stored["pictures"]
    except (ValueError, OSError, EOFError, KeyError, RuntimeError, BadZipFile) as error:
        raise ValueError(f"{kept} is damaged ({error}): delete it, and it is rendered again") from None
    return pictures


def _rendered(labels: list[str], size: int, progress: Progress = iter) -> NDArray[np.uint8]:
    """Render classes in all faces, checked against the manifest where it knows the size."""
    faces = [Face(path) for path in _font_files()]
    pictures = draw(faces, progress(labels), size)
    if size == MANIFEST_SIZE and hashlib.sha256(pictures.tobytes()).hexdigest() != manifest()["pixels"]:
        raise ValueError("the rendered glyphs differ from the manifest: is the fonttools package damaged or modified?")
    return pictures


def draw(faces: Sequence[Face], labels: Iterable[str], size: int) -> NDArray[np.uint8]:
    """Pictures of classes in faces, shape (classes * faces, size, size)."""
    outlines = (face.outline(int(label, 16)) for label in labels for face in faces)
    return np.stack([rasterise(outline, size, WINDOW, BOTTOM) for outline in outlines])


def _font_files() -> list[Path]:
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    for name, digest in manifest()["faces"].items():
        if not (folder / name).exists() or hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise ValueError(f"{folder / name} is not the font that Glyphs is made from: reinstall matplotlib")
    return [folder / name for name in FACES]
