"""The making of the manifest of Glyphs: which code points, which are the same, and the split.

Users never run this: `glyphs.json` is committed, and a test makes it anew and compares.
"""

import hashlib
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from relbench.data.glyphs.glyphs import FACES, MANIFEST_SIZE, draw
from relbench.data.glyphs.outline import Face

SAME = 0.02
SEED = 2022
SHARES = {"test": 0.5, "validation": 0.1}  # of all classes; the rest is for training


def make_manifest(font_folder: Path) -> dict[str, Any]:
    """Decide classes and split from the font files.

    Args:
        font_folder: holds the twelve files named in `glyphs.FACES`.

    Returns:
        "faces": file name -> SHA-256; "classes": split -> code points in hexadecimal, in random order; "same": code
        point left out -> the code point it looks the same as; "pixels": SHA-256 of all classes' pictures at 56 px.
    """
    faces = [Face(font_folder / name) for name in FACES]
    labels = [f"{point:04X}" for point in _code_points(faces)]
    pictures = draw(faces, labels, MANIFEST_SIZE).reshape(len(labels), len(FACES), -1)
    drawn = pictures.max(axis=2).min(axis=1) > 0
    labels, pictures = [label for label, ink in zip(labels, drawn, strict=True) if ink], pictures[drawn]
    first = first_alike(pictures)
    kept = np.flatnonzero(first == np.arange(len(labels)))
    return {
        "faces": {name: hashlib.sha256((font_folder / name).read_bytes()).hexdigest() for name in FACES},
        "classes": _split([labels[at] for at in kept]),
        "same": {labels[at]: labels[first[at]] for at in range(len(labels)) if first[at] != at},
        "pixels": hashlib.sha256(pictures[_alphabetical(labels, kept)].tobytes()).hexdigest(),
    }


def _code_points(faces: list[Face]) -> list[int]:
    """Letters, numbers, punctuation and symbols that all faces have."""
    shared = frozenset.intersection(*(face.code_points for face in faces))
    return sorted(point for point in shared if unicodedata.category(chr(point))[0] in "LNPS")


def first_alike(pictures: NDArray[np.uint8]) -> NDArray[np.intp]:
    """For each code point the first that looks the same (itself, if none before it does).

    Args:
        pictures: shape (code points, faces, pixels), every one with some ink.
    """
    difference = np.mean([_relative_difference(pictures[:, face]) for face in range(pictures.shape[1])], axis=0)
    _, component = connected_components(csr_array(difference < SAME))
    return np.unique(component, return_index=True)[1][component]


def _relative_difference(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Squared difference of each pair of pictures, as a share of the inkier picture's sum of squares."""
    pixels = pictures / 255.0
    power = (pixels * pixels).sum(axis=1)
    squared = power[:, None] + power - 2 * pixels @ pixels.T
    relative: NDArray[np.float64] = squared / np.maximum(power[:, None], power)
    return relative


def _split(labels: list[str]) -> dict[str, list[str]]:
    """Classes at random to splits, by a fixed seed."""
    shuffled = np.random.default_rng(SEED).permutation(labels).tolist()
    test, validation = (round(SHARES[name] * len(labels)) for name in ("test", "validation"))
    return {
        "train": shuffled[test + validation :],
        "validation": shuffled[test : test + validation],
        "test": shuffled[:test],
    }


def _alphabetical(labels: list[str], kept: NDArray[np.intp]) -> list[int]:
    """Places of the kept code points in the order in which Glyphs draws them: as text, not as numbers."""
    return sorted(kept.tolist(), key=labels.__getitem__)
