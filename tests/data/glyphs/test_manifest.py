"""How the classes of Glyphs are decided."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from relbench.data.glyphs import glyphs
from relbench.data.glyphs.manifest import SAME, _alphabetical, _split, first_alike, make_manifest


@pytest.mark.slow
def test_the_committed_manifest_can_be_made_anew():
    assert make_manifest(Path(mpl.get_data_path()) / "fonts" / "ttf") == glyphs.manifest()


def test_pixels_are_hashed_in_the_order_in_which_glyphs_draws_them(monkeypatch):
    """As text: 1D54F comes before 2000."""
    labels = ["0041", "2000", "FFFD", "1D54F"]
    monkeypatch.setattr(glyphs, "manifest", lambda: {"classes": {"train": labels[:3], "test": labels[3:]}})
    order = _alphabetical(labels, np.arange(4))
    assert [labels[at] for at in order] == glyphs._all_classes() == ["0041", "1D54F", "2000", "FFFD"]


def first_alike_in_loops(pictures):
    """The definition: join all pairs below the limit, until nothing changes."""
    pixels = pictures.astype(float) / 255
    first = list(range(len(pixels)))
    for _ in range(len(pixels)):
        for one in range(len(pixels)):
            for two in range(len(pixels)):
                differences = [
                    ((a - b) ** 2).sum() / max((a**2).sum(), (b**2).sum())
                    for a, b in zip(pixels[one], pixels[two], strict=True)
                ]
                if np.mean(differences) < SAME:
                    first[one] = first[two] = min(first[one], first[two])
    return first


def test_alike_is_as_defined():
    """Pictures near four centres, at distances about the limit."""
    random = np.random.default_rng(0)
    centres = random.integers(0, 256, (4, 2, 30))
    noise = random.normal(0, 16, (16, 2, 30))
    pictures = np.clip(centres[np.arange(16) % 4] + noise, 0, 255).astype(np.uint8)
    found = first_alike(pictures).tolist()
    assert found == first_alike_in_loops(pictures)
    assert len(set(found)) not in (1, 4, 16)  # some are joined, some not


def test_alike_is_passed_on_along_chains():
    """Of 100 lit pixels 0, 1 and 2 are dark: neighbours differ by 1 %, the ends by 2 %, which alone is too much."""
    pictures = np.full((3, 1, 100), 255, dtype=np.uint8)
    pictures[1, 0, :1] = 0
    pictures[2, 0, :2] = 0
    assert first_alike(pictures).tolist() == [0, 0, 0]
    assert first_alike(pictures[[0, 2]]).tolist() == [0, 1]
    assert first_alike(pictures[[2, 0, 1]]).tolist() == [0, 0, 0]


def test_alike_in_one_face_only_is_not_alike():
    pictures = np.full((2, 2, 100), 255, dtype=np.uint8)
    pictures[1, 1, :5] = 0  # 0 % and 5 %: 2.5 % on average
    assert first_alike(pictures).tolist() == [0, 1]


def test_split():
    labels = [f"{number:04X}" for number in range(101)]
    split = _split(labels)
    assert {name: len(part) for name, part in split.items()} == {"train": 41, "validation": 10, "test": 50}
    assert sorted(label for part in split.values() for label in part) == labels
    assert split == _split(labels)
    assert all(part != sorted(part) for part in split.values())  # at random, so a subset is of all scripts
