"""Textured glyphs: those of Glyphs, in colours that say nothing about them."""

import hashlib

import numpy as np
import pytest
import torch

from relbench.data import data_set_names, find_data_set, find_photos
from relbench.data.datasets.added import add
from relbench.data.datasets.glyphs import TEXTURED
from relbench.data.glyphs import glyphs, textured
from relbench.data.glyphs.glyphs import Glyphs
from relbench.data.glyphs.textured import TexturedGlyphs, textured_content
from relbench.data.glyphs.textures import NUMBERS, painted, tiles
from relbench.data.glyphs.views import MOVES, Distortion
from relbench.experiment import Data

COUNTS = {"train": 4, "validation": 2, "test": 3}


@pytest.fixture(autouse=True, scope="module")
def few_classes():
    committed = glyphs.manifest()
    few = {split: committed["classes"][split][:count] for split, count in COUNTS.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glyphs, "manifest", lambda: {**committed, "classes": few})
        yield few


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("datasets") / "glyphs"


@pytest.fixture(scope="module")
def whole(folder):
    return source(folder)


def source(folder, train=None, test=None, size=32, distortion=1.0):
    return TexturedGlyphs(size, train, test, distortion, folder)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def all_lines(images):
    return torch.arange(len(images.table))


def test_classes_split_and_faces_are_those_of_glyphs(whole, folder):
    assert whole.table.equals(Glyphs(16, None, None, 1.0, folder).table)


def test_views_are_moved_like_those_of_glyphs_and_painted(whole, folder):
    """By the first six numbers the one, by the rest the other."""
    lines, distortion = torch.tensor([3, 50, 3, 83, 0, 71, 9, 10, 11]), Distortion(32, 1.0)
    pictures = Glyphs(16, None, None, 1.0, folder)._images_of(lines)  # kept at 32 px, too
    drawn = torch.rand(9, MOVES + NUMBERS, generator=generator(5))
    masks = distortion.moved(pictures, distortion.maps(drawn[:, :MOVES]))[:, 0].numpy()
    expected = painted(masks, drawn[:, MOVES:], tiles(32))
    assert torch.equal(whole.train_batch(lines, generator(5)), torch.from_numpy(expected))
    keyed = [torch.rand(MOVES + NUMBERS, generator=generator(int(key))) for key in whole._keys[lines]]
    masks = distortion.moved(pictures, distortion.maps(torch.stack(keyed)[:, :MOVES]))[:, 0].numpy()
    expected = painted(masks, torch.stack(keyed)[:, MOVES:], tiles(32))
    assert torch.equal(whole.test_batch(lines), torch.from_numpy(expected))


@pytest.mark.parametrize("size", [8, 28, 32])
def test_shape_and_range(folder, size):
    images = source(folder, size=size)
    assert (images.shape.channels, images.shape.size) == (3, size)
    for views in (images.test_batch(all_lines(images)), images.train_batch(all_lines(images), generator())):
        assert views.shape == (9 * 12, 3, size, size)
        assert views.dtype == torch.uint8
        assert views.min() < 40
        assert views.max() > 215


def test_colours_say_nothing_about_the_class(whole):
    """With the same generator other pictures get the same colours: outside the figures nothing differs."""
    one, other = (whole.train_batch(torch.arange(first, first + 20), generator(1)) for first in (0, 60))
    equal = (one == other).all(dim=1).flatten(1).float().mean(dim=1)
    assert (equal > 0.4).all()
    assert (equal < 1).any()


def test_test_views_have_colours_of_their_own(whole):
    """The ground in a corner tells neither faces nor classes apart: neighbours differ as others do."""
    corners = whole.test_batch(all_lines(whole))[:, :, :2, :2].float().mean(dim=(2, 3)) / 255
    apart = torch.cdist(corners, corners)
    same = torch.arange(len(corners)) // 12
    within = apart[(same[:, None] == same) & (apart > 0)].mean()
    assert within.item() == pytest.approx(apart[same[:, None] != same].mean().item(), rel=0.1)


def test_the_test_view_of_a_line_depends_on_nothing_else(whole, folder):
    views = dict(zip(whole.table["name"], whole.test_batch(all_lines(whole)), strict=True))
    part = source(folder, train=2, test=1)
    for name, view in zip(part.table["name"], part.test_batch(all_lines(part)), strict=True):
        assert torch.equal(view, views[name])
    lines = torch.tensor([5, 90, 7])
    assert torch.equal(whole.test_batch(lines), torch.stack(list(views.values()))[lines])
    assert len({view.numpy().tobytes() for view in views.values()}) == len(views)


def test_training_views_depend_on_the_generator_alone(whole):
    lines, before = torch.tensor([3, 50, 3]), torch.get_rng_state()
    first, second, other = (whole.train_batch(lines, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[2])
    whole.test_batch(lines)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_distortion_the_glyph_stays_where_it_is(folder):
    """Colours change, the picture's pixels that are ink do not."""
    still = source(folder, distortion=0.0)
    views = still.train_batch(torch.zeros(400, dtype=torch.long), generator()).float()
    ink = torch.from_numpy(np.array(still._pictures[still._places[0], 0])) > 127
    apart = (views - views.mean(dim=(2, 3), keepdim=True)).abs().mean(dim=(0, 1))
    assert apart[ink].mean() > 1.3 * apart[~ink].mean()


def test_content_names_data_set_and_version(monkeypatch):
    before = textured_content()
    assert before != glyphs.content_hash()
    monkeypatch.setattr(textured, "VERSION", 0)
    assert textured_content() != before


def test_data_hash(whole, folder, monkeypatch):
    """Names subset, size, pixels, tiles and version; not how it is distorted."""
    hashes = [whole.data_hash, source(folder, train=2).data_hash, source(folder, size=16).data_hash]
    hashes += [Glyphs(16, None, None, 1.0, folder).data_hash]
    assert source(folder, distortion=0.5).data_hash == hashes[0]
    with monkeypatch.context() as patch:
        patch.setattr(textured, "VERSION", 0)
        hashes.append(source(folder).data_hash)
    with monkeypatch.context() as patch:
        patch.setattr(textured, "tiles", lambda size: 255 - tiles(size))
        hashes.append(source(folder).data_hash)
    assert len(set(hashes)) == len(hashes) == 6


def test_data_hash_is_pinned(whole):
    """Rows hold it: a change of this is a change of the data."""
    assert whole.data_hash == "349593f7affc3522a6208b3075759ac4bcd347400bfacbfac921b24c21a46723"


def test_what_is_painted_is_pinned(whole):
    """Coarsely, as rounding differs between machines: who changes this counts VERSION up."""
    found = whole.test_batch(torch.tensor([0, 40, 107])).float().mean(dim=(2, 3)) / 255
    torch.testing.assert_close(
        found, torch.tensor([[0.380, 0.780, 0.399], [0.130, 0.143, 0.908], [0.062, 0.194, 0.205]]), atol=2e-3, rtol=0
    )


def test_glyphs_are_kept_once_at_the_size_of_the_view(tmp_path):
    source(tmp_path)
    Glyphs(16, None, None, 1.0, tmp_path)
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_size == 9 * 12 * 32 * 32 + hashlib.sha256().digest_size


def test_entry(folder):
    names = data_set_names(folder.parent)
    assert names[:2] == ["glyphs", "glyphs-textured"]
    entry = find_data_set("glyphs-textured", folder.parent)
    assert entry == TEXTURED
    assert entry.content(folder.parent) == textured_content()
    assert entry.class_name("0041") == "U+0041 LATIN CAPITAL LETTER A"
    loaded = entry.load(Data(name="glyphs-textured", size=32, train_classes=2), folder.parent, iter)
    assert loaded.data_hash == source(folder, train=2).data_hash


@pytest.mark.parametrize("name", ["glyphs", "glyphs-textured"])
def test_names_that_are_no_photos(tmp_path, name):
    with pytest.raises(ValueError, match=f"the name '{name}' is taken"):
        add(name, tmp_path, tmp_path)
    with pytest.raises(ValueError, match=f"unknown data set '{name}'"):
        find_photos(name, tmp_path)


def test_a_wrong_byte_in_the_kept_glyphs_is_refused(tmp_path):
    """Of a size that the manifest does not know: the file's own hash tells."""
    before = source(tmp_path, train=1, test=1).data_hash
    (kept,) = tmp_path.iterdir()
    content = kept.read_bytes()
    for place in (0, len(content) // 2, len(content) - 1):
        kept.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ValueError, match=r"is damaged \(its pixels have another hash\): delete it"):
            source(tmp_path, train=1, test=1)
    kept.write_bytes(content)
    assert source(tmp_path, train=1, test=1).data_hash == before
