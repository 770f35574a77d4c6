"""Glyphs: the split, the pixels, the views."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tracemalloc
import unicodedata
from collections import Counter

import matplotlib as mpl
import numpy as np
import pytest
import torch

from relbench.data import find_data_set
from relbench.data.datasets.glyphs import GLYPHS
from relbench.data.glyphs import glyphs
from relbench.data.glyphs.glyphs import FACES, Glyphs, content_hash, draw
from relbench.data.glyphs.outline import Face
from relbench.data.glyphs.views import Distortion
from relbench.data.random_views import random_views
from relbench.data.table import indices_of, table_hash
from relbench.experiment import Data
from relbench.settings import changed

COMMITTED = glyphs.manifest()
COUNTS = {"train": 8, "validation": 2, "test": 6}


def all_classes(manifest):
    return sorted(label for labels in manifest["classes"].values() for label in labels)


@pytest.fixture(autouse=True, scope="module")
def few_classes():
    """Glyphs of 16 classes, hash and all; returns the manifest."""
    few = {split: COMMITTED["classes"][split][:count] for split, count in COUNTS.items()}
    small = {**COMMITTED, "classes": few}
    pixels = draw([Face(path) for path in glyphs._font_files()], all_classes(small), 56)
    small["pixels"] = hashlib.sha256(pixels.tobytes()).hexdigest()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glyphs, "manifest", lambda: small)
        yield small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where pictures are kept: rendered once for all tests."""
    return tmp_path_factory.mktemp("glyphs")


def source(folder, train=None, test=None, size=28, distortion=1.0):
    return Glyphs(size, train, test, distortion, folder)


def all_lines(glyphs_source):
    return torch.arange(len(glyphs_source.table))


def test_committed_manifest():
    classes = COMMITTED["classes"]
    assert {split: len(labels) for split, labels in classes.items()} == {"train": 858, "validation": 215, "test": 1074}
    assert len(set(all_classes(COMMITTED))) == 858 + 215 + 1074 == 2147  # no class in two splits
    assert tuple(COMMITTED["faces"]) == FACES
    assert len(FACES) == len(set(FACES)) == 12


def test_a_class_is_called_by_its_unicode_name():
    assert glyphs.character("00E9") == "U+00E9 LATIN SMALL LETTER E WITH ACUTE"
    assert all(glyphs.character(label).startswith(f"U+{label} ") for label in all_classes(COMMITTED))


def test_what_looks_the_same_is_one_class():
    kept, same = set(all_classes(COMMITTED)), COMMITTED["same"]
    assert same["0391"] == same["0410"] == "0041"  # Greek Alpha, Cyrillic A, Latin A
    assert {"0041", "004F", "0030"} <= kept  # O and 0 are two
    assert set(same.values()) <= kept
    assert not set(same) & kept
    assert all(int(kept_one, 16) < int(left_out, 16) for left_out, kept_one in same.items())


def test_every_class_is_a_letter_number_or_sign():
    kinds = Counter(unicodedata.category(chr(int(label, 16)))[0] for label in all_classes(COMMITTED))
    assert set(kinds) == set("LNPS")


def test_table(folder, few_classes):
    table = source(folder).table
    assert len(table) == 16 * 12
    assert table["name"].is_unique
    for split, count in COUNTS.items():
        lines = indices_of(table, split)
        assert table["label"].iloc[lines].unique().tolist() == few_classes["classes"][split]
        assert len(lines) == count * 12


def test_pictures_are_of_the_class_and_face_that_the_table_names(folder):
    whole = source(folder, distortion=0.0)
    views = whole.test_batch(all_lines(whole))
    for line in (0, 13, 100, 191):
        label, face = whole.table["name"][line].split("/")
        picture = draw([Face(glyphs._font_files()[FACES.index(face)])], [label], 56)
        mean_of_four = picture.reshape(28, 2, 28, 2).mean(axis=(1, 3)) / 255
        np.testing.assert_allclose(views[line, 0].numpy(), mean_of_four, atol=1e-5)


@pytest.mark.parametrize("asked", [{}, {"train": 3, "test": 2}, {"train": 3, "test": 2, "size": 12}])
def test_views_and_hash_are_those_of_the_pictures_drawn(folder, few_classes, asked):
    """Equal to the last bit: pictures in the table's order; keyed by their place among all, class by class."""
    part = source(folder, **asked)
    side, lines = 2 * part.shape.size, torch.tensor([3, 50, 3, 83, 0, 71])
    faces, everything = [Face(path) for path in glyphs._font_files()], all_classes(few_classes)
    pictures = draw(faces, part.table["label"].unique(), side)
    keys = torch.tensor([everything.index(label) for label in part.table["label"]]) * 12
    keys += torch.arange(12).repeat(len(keys) // 12)
    assert part.data_hash == table_hash(part.table, [pictures.tobytes()])
    shown, distortion = torch.from_numpy(pictures)[lines, None], Distortion(part.shape.size, 1.0)
    assert torch.equal(part.test_batch(lines), distortion.fixed(shown, keys[lines]))
    first, second = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    assert torch.equal(part.train_batch(lines, first), random_views(distortion, shown, second))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "f37f3438b3f7e7c8e7927ca52302158571ada8fbeddc0475ad7cb3c3e5d603aa"),
        ({"train": 3, "test": 2}, "2467e9bf95026116d668d33ec53a7090cadb47a961f7aefdee18278840a436a5"),
        ({"train": 3, "test": 2, "size": 12}, "f1ecb5b7cbafb8e02da80f06642db8d29eeba6e7da0b56b5b2d6ebac00be2d30"),
    ],
)
def test_data_hash_is_pinned(folder, asked, expected):
    """Rows hold it: a change of these is a change of the data."""
    assert source(folder, **asked).data_hash == expected


def test_shape_and_range(folder):
    whole = source(folder)
    for views in (whole.test_batch(all_lines(whole)), whole.train_batch(all_lines(whole), torch.Generator())):
        assert views.shape == (192, 1, 28, 28)
        assert views.dtype == torch.float32
        assert views.min() >= 0
        assert views.max() <= 1
    assert (whole.shape.channels, whole.shape.size) == (1, 28)


def test_the_view_of_a_line_does_not_depend_on_the_subset(folder):
    whole, part = source(folder), source(folder, train=3, test=2)
    views = dict(zip(whole.table["name"], whole.test_batch(all_lines(whole)), strict=True))
    assert part.table["label"].nunique() == 3 + 2 + 2
    for name, view in zip(part.table["name"], part.test_batch(all_lines(part)), strict=True):
        assert torch.equal(view, views[name])


def test_the_view_of_a_line_does_not_depend_on_the_batch(folder):
    whole = source(folder)
    views = whole.test_batch(all_lines(whole))
    lines = torch.tensor([5, 190, 7])
    assert torch.equal(whole.test_batch(lines), views[lines])
    assert torch.equal(source(folder).test_batch(lines), views[lines])
    assert len({view.numpy().tobytes() for view in views}) == len(views)  # each is distorted in a way of its own


def test_training_views_depend_on_the_generator_alone(folder):
    whole, lines = source(folder), torch.tensor([3, 50, 3])
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second, other = (whole.train_batch(lines, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[2])  # the same line twice: two views


def test_subset_takes_the_first_classes(folder, few_classes):
    part = source(folder, train=3, test=2).table
    for split, count in {"train": 3, "validation": 2, "test": 2}.items():
        assert part["label"].iloc[indices_of(part, split)].unique().tolist() == few_classes["classes"][split][:count]


def test_named_classes_are_taken_in_their_order(folder, few_classes):
    """A view depends on the picture alone, whichever classes are in use."""
    first, second, *_ = few_classes["classes"]["test"]
    whole, part = source(folder), source(folder, test=(second, first))
    assert part.table["label"].iloc[indices_of(part.table, "test")].unique().tolist() == [second, first]
    views = dict(zip(whole.table["name"], whole.test_batch(all_lines(whole)), strict=True))
    for name, view in zip(part.table["name"], part.test_batch(all_lines(part)), strict=True):
        assert torch.equal(view, views[name])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"train": 9}, "data.train_classes = 9, but there are 8: ask for fewer"),
        ({"test": 7}, "data.test_classes = 7, but there are 6: ask for fewer"),
    ],
)
def test_more_classes_than_there_are(folder, asked, message):
    with pytest.raises(ValueError, match=message):
        source(folder, **asked)


def test_data_hash(folder):
    """Names what is shown: subset, size and pixels, but not how it is distorted."""
    whole = source(folder)
    assert whole.data_hash == source(folder).data_hash == source(folder, distortion=0.5).data_hash
    hashes = {whole.data_hash, source(folder, train=3).data_hash, source(folder, size=12).data_hash}
    assert len(hashes) == 3
    assert whole.content == content_hash()


def test_content_hash_names_the_manifest(few_classes):
    assert content_hash() == hashlib.sha256(json.dumps(few_classes, sort_keys=True).encode()).hexdigest()
    assert content_hash() != hashlib.sha256(json.dumps(COMMITTED, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("size", [8, 20, 32])
def test_other_sizes(folder, size):
    views = source(folder, size=size).test_batch(torch.arange(2))
    assert views.shape == (2, 1, size, size)
    assert views.max() > 0.5


def test_pictures_are_rendered_once(folder, monkeypatch):
    before = source(folder).data_hash
    monkeypatch.delattr(glyphs, "draw")
    assert source(folder).data_hash == before


@pytest.fixture
def seen():
    """The classes rendered so far; its `of` is a progress."""

    class Outputs(list):
        def of(self, labels):
            for label in labels:
                self.append(label)
                yield label

    return Outputs()


def test_classes_in_use_are_rendered(tmp_path, few_classes, seen):
    classes = few_classes["classes"]
    in_use = sorted([*classes["train"][:1], *classes["validation"], *classes["test"][:1]])
    for _ in range(2):
        Glyphs(8, 1, 1, 1.0, tmp_path, seen.of)
        assert seen == in_use
    Glyphs(8, 2, 1, 1.0, tmp_path, seen.of)  # another list of classes: another file
    assert len(seen) == len(in_use) + len(in_use) + 1


def test_all_classes_are_rendered_at_the_size_of_the_manifest(tmp_path, few_classes, seen):
    for train in (1, 2, None):
        Glyphs(28, train, 1, 1.0, tmp_path, seen.of)
        assert seen == all_classes(few_classes)


def test_pictures_are_written_class_by_class(tmp_path):
    """When a class is begun, all before it are in the file."""
    sizes = []

    def progress(labels):
        for label in labels:
            sizes.extend(file.stat().st_size for file in tmp_path.iterdir())
            yield label

    Glyphs(32, None, None, 1.0, tmp_path, progress)
    assert sizes == [12 * 64 * 64 * before for before in range(16)]


def test_pictures_stay_on_disk(tmp_path):
    """Loading takes far less memory than the pictures, and a batch is of the map."""
    source(tmp_path, size=112)
    tracemalloc.start()
    loaded = source(tmp_path, size=112)
    loaded.test_batch(torch.arange(2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < kept_file(tmp_path).stat().st_size / 4
    assert isinstance(loaded._pictures, np.memmap)
    assert not loaded._pictures.flags.writeable


def test_two_processes_render_the_same_file(tmp_path, folder, monkeypatch):
    """While one is at its third class, another begins and ends."""

    def progress(labels):
        for number, label in enumerate(labels):
            if number == 2:
                with monkeypatch.context() as other:
                    other.setattr(os, "getpid", lambda: -1)
                    hashes.append(source(tmp_path).data_hash)
            yield label

    hashes = []
    hashes.append(Glyphs(28, None, None, 1.0, tmp_path, progress).data_hash)
    assert hashes == [source(folder).data_hash] * 2
    assert kept_file(tmp_path)


def test_an_interrupted_rendering_leaves_nothing(tmp_path):
    def progress(labels):
        yield next(iter(labels))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Glyphs(28, None, None, 1.0, tmp_path, progress)
    assert not list(tmp_path.iterdir())


def kept_file(folder):
    (file,) = folder.iterdir()
    return file


def refusal(call):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        call()
    return str(caught.value)


@pytest.fixture
def small_file(tmp_path):
    """A kept file of few bytes, and the message of its refusal."""
    source(tmp_path, train=1, test=1, size=1)
    path = kept_file(tmp_path)
    glyphs._check(path, 4, 2)
    return path, f"{path} is damaged (its pixels have another hash): delete it, and it is rendered again"


def test_a_file_is_pixels_and_their_hash(small_file, few_classes):
    path, _ = small_file
    classes = few_classes["classes"]
    labels = sorted([classes["train"][0], *classes["validation"], classes["test"][0]])
    pixels = draw([Face(font) for font in glyphs._font_files()], labels, 2).tobytes()
    assert path.read_bytes() == pixels + hashlib.sha256(pixels).digest()


def test_truncated_file_is_refused(small_file):
    path, message = small_file
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert refusal(lambda: glyphs._check(path, 4, 2)) == message


def test_a_wrong_byte_is_refused(small_file):
    path, message = small_file
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert refusal(lambda: glyphs._check(path, 4, 2)) == message


def test_bytes_after_the_hash_are_refused(small_file):
    path, message = small_file
    path.write_bytes(path.read_bytes() + b"\0")
    assert refusal(lambda: source(path.parent, train=1, test=1, size=1)) == message


def test_noise_of_the_right_shape_is_refused(tmp_path):
    """Even with its own hash at the end: at 56 px the manifest's hash counts."""
    source(tmp_path)
    path = kept_file(tmp_path)
    noise = np.random.default_rng(0).bytes(16 * 12 * 56 * 56)
    path.write_bytes(noise + hashlib.sha256(noise).digest())
    for train in (None, 3):
        message = refusal(lambda train=train: source(tmp_path, train=train))
        assert message.startswith(f"{path} is damaged (")


def test_a_damaged_file_is_rendered_again_once_deleted(tmp_path):
    before = source(tmp_path, size=8).data_hash
    kept_file(tmp_path).write_bytes(b"PK")
    assert "is damaged" in refusal(lambda: source(tmp_path, size=8))
    kept_file(tmp_path).unlink()
    assert source(tmp_path, size=8).data_hash == before


def test_a_changed_pixel_is_refused(tmp_path, monkeypatch):
    def one_pixel_off(*arguments):
        pictures = draw(*arguments)
        pictures[7, 20, 20] ^= 1
        return pictures

    monkeypatch.setattr(glyphs, "draw", one_pixel_off)
    message = refusal(lambda: source(tmp_path))
    assert message.startswith("the rendered glyphs differ from the manifest")
    assert not list(tmp_path.iterdir())  # and is not kept


def test_a_changed_font_is_refused(tmp_path, monkeypatch):
    fonts = tmp_path / "fonts" / "ttf"
    fonts.mkdir(parents=True)
    for path in glyphs._font_files():
        (fonts / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(mpl, "get_data_path", lambda: str(tmp_path))
    assert [path.parent for path in glyphs._font_files()] == [fonts] * 12
    with (fonts / FACES[3]).open("ab") as file:
        file.write(b"\0")
    message = refusal(lambda: source(tmp_path / "kept"))
    assert message == f"{fonts / FACES[3]} is not the font that Glyphs is made from: reinstall matplotlib"
    (fonts / FACES[3]).unlink()
    assert refusal(lambda: source(tmp_path / "kept")) == message


def test_entry(folder):
    """What the rest of the package calls."""
    assert GLYPHS.content(folder.parent) == content_hash()
    loaded = GLYPHS.load(Data(train_classes=3, distortion=0.5), folder.parent, iter)
    assert loaded.data_hash == source(folder.parent / "glyphs", train=3).data_hash
    assert all(split in set(loaded.table["split"]) for split in COUNTS)


@pytest.mark.parametrize("name", ["glyphs", "glyphs-textured"])
def test_what_is_for_photos_is_refused(folder, name):
    message = refusal(lambda: find_data_set(name, folder).load(Data(name=name, resize=64), folder.parent, iter))
    assert message == f"data.resize = 64 is for photos: {name} has no such setting"
    message = refusal(lambda: find_data_set(name, folder).load(Data(name=name, mirror=False), folder.parent, iter))
    assert message == f"data.mirror = false is for photos: {name} has no such setting"


@pytest.mark.parametrize("name", ["glyphs", "glyphs-textured"])
def test_another_partition_is_refused(folder, name):
    """There are no others, and its runs would have other names."""
    entry, data = find_data_set(name, folder), Data(name=name, partition=2, train_classes=3)
    for look in (lambda: entry.load(data, folder.parent, iter), lambda: entry.table(data, folder.parent)):
        assert refusal(look) == f"data.partition = 2, but {name} has 1 alone: choose this"


@pytest.mark.parametrize("name", ["glyphs", "glyphs-textured"])
@pytest.mark.parametrize(("asked", "expected"), [(None, 10), (9, 9)])
def test_training_on_all_classes(folder, few_classes, name, asked, expected):
    """Validation classes are training classes, after all others; what is shown of a line stays the same."""
    data, entry = Data(name=name, train_classes=asked), find_data_set(name, folder)
    held, whole = (entry.load(changed(data, {"hold_out": out}), folder.parent, iter) for out in (asked is None, False))
    classes = few_classes["classes"]
    labels = {split: whole.table["label"][indices_of(whole.table, split)].unique().tolist() for split in COUNTS}
    assert labels["train"] == [*classes["train"], *classes["validation"]][:expected]
    assert labels["validation"] == []
    assert labels["test"] == classes["test"]
    assert whole.content == held.content
    assert (whole.data_hash != held.data_hash) == (asked is None)
    views = dict(zip(held.table["name"], held.test_batch(all_lines(held)), strict=True))
    for line, view in zip(whole.table["name"], whole.test_batch(all_lines(whole)), strict=True):
        assert torch.equal(view, views[line])


def test_more_classes_than_there_are_with_those_of_validation(folder):
    message = refusal(lambda: Glyphs(28, 11, None, 1.0, folder, hold_out=False))
    assert message == "data.train_classes = 11, but there are 10: ask for fewer"


def test_what_killed_processes_left_is_deleted_and_nothing_else(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left, running = (
        tmp_path / f".32px-abc.raw.{process}@{platform.node()}.unfinished" for process in (dead.pid, os.getppid())
    )
    for path in (left, running, tmp_path / "32px-abc.raw"):
        path.write_bytes(b"")
    source(tmp_path, train=1, test=1, size=16)
    assert not left.exists()
    assert running.exists()
    assert (tmp_path / "32px-abc.raw").exists()


def source_of(folder, split, name="glyphs", **asked):
    return find_data_set(name, folder).load(Data(name=name, split=split, **asked), folder.parent, iter)


def by_images(folder, name="glyphs", **asked):
    return source_of(folder, "images", name, **asked)


def letters_and_numbers(manifest):
    labels = [label for split in COUNTS for label in manifest["classes"][split]]
    return [label for label in labels if unicodedata.category(chr(int(label, 16)))[0] in "LN"]


def families(table, split):
    """The families of faces on a side, without their styles."""
    faces = table["name"][table["split"] == split].str.partition("/")[2]
    return set(faces.str.removesuffix(".ttf").str.partition("-")[0])


@pytest.mark.parametrize("name", ["glyphs", "glyphs-textured"])
def test_the_same_classes_in_other_families_of_faces(folder, few_classes, name):
    table, classes = by_images(folder, name).table, letters_and_numbers(few_classes)
    assert 0 < len(classes) < 16
    assert table["name"].is_unique
    for split, family in (("train", "DejaVuSans"), ("validation", "DejaVuSansMono"), ("test", "DejaVuSerif")):
        assert families(table, split) == {family}
        assert table["label"][table["split"] == split].tolist() == [label for label in classes for _ in range(4)]


def test_training_on_all_faces_but_those_of_the_test(folder, few_classes):
    held, whole = by_images(folder), by_images(folder, hold_out=False)
    assert families(whole.table, "train") == {"DejaVuSans", "DejaVuSansMono"}
    assert families(whole.table, "test") == {"DejaVuSerif"}
    assert set(whole.table["split"]) == {"train", "test"}
    assert whole.table["name"].equals(held.table["name"])
    assert torch.equal(whole.test_batch(all_lines(whole)), held.test_batch(all_lines(held)))


def test_the_split_is_part_of_the_hash_of_the_data(folder):
    hashes = [by_images(folder, hold_out=out).data_hash for out in (True, False)]
    assert len({*hashes, source(folder).data_hash}) == 3
    assert hashes[0] == "1944abbc0928db3f7919c3d06092e57206b3f34c68e0d82453cab95cde150df5"


def test_pictures_are_the_same_however_they_are_split(folder):
    whole, part = source(folder), by_images(folder)
    views = dict(zip(whole.table["name"], whole.test_batch(all_lines(whole)), strict=True))
    for line, view in zip(part.table["name"], part.test_batch(all_lines(part)), strict=True):
        assert torch.equal(view, views[line])


def test_a_label_space_by_number_or_by_names(folder, few_classes):
    classes = letters_and_numbers(few_classes)
    first = by_images(folder, train_classes=3, test_classes=3).table
    assert first["label"].unique().tolist() == classes[:3]
    for split in COUNTS:
        assert set(first["label"][first["split"] == split]) == set(classes[:3])
    named = by_images(folder, train_classes=(classes[4], classes[1]), test_classes=(classes[1], classes[4])).table
    assert named["label"].unique().tolist() == [classes[4], classes[1]]
    assert (
        first["label"].unique().tolist()
        == by_images(folder, train_classes=3, test_classes=tuple(classes[:3])).table["label"].unique().tolist()
    )


@pytest.mark.parametrize("asked", [{"train_classes": 3}, {"test_classes": 3}, {"train_classes": 3, "test_classes": 4}])
def test_training_and_test_with_other_classes_are_refused(folder, asked):
    assert refusal(lambda: by_images(folder, **asked)) == (
        "data.train_classes and data.test_classes choose different classes, but with data.split = images training and "
        "test have the same: set both alike"
    )


def test_a_sign_is_no_class_where_families_are_split(folder, few_classes):
    sign = next(label for label in all_classes(few_classes) if label not in letters_and_numbers(few_classes))
    message = refusal(lambda: by_images(folder, train_classes=(sign,), test_classes=(sign,)))
    assert message.startswith(f"data.train_classes: no class is named {sign!r}: ")


def test_few_pictures_of_each_class_in_training(folder):
    """Views are those of the same pictures among all; validation and test are whole."""
    for split, settings in (("images", {}), ("images", {"hold_out": False}), ("classes", {})):
        whole, few = (source_of(folder, split, train_images_per_class=few, **settings) for few in (None, 3))
        assert few.table["label"][few.table["split"] == "train"].value_counts().unique().tolist() == [3]
        kept = whole.table["name"].isin(few.table["name"])
        assert kept[whole.table["split"] != "train"].all()
        assert few.table["name"].tolist() == whole.table["name"][kept].tolist()
        lines = torch.from_numpy(np.flatnonzero(kept))
        assert torch.equal(few.test_batch(all_lines(few)), whole.test_batch(lines))
        drawn = (each.train_batch(at, torch.Generator()) for each, at in ((few, all_lines(few)), (whole, lines)))
        assert torch.equal(*drawn)
        assert few.data_hash != whole.data_hash
        assert few.content == whole.content


def test_more_pictures_than_there_are_to_train_on(folder, few_classes):
    first = min(letters_and_numbers(few_classes))
    assert refusal(lambda: by_images(folder, train_images_per_class=5)) == (
        f"data.train_images_per_class = 5, but class {first!r} has 4 to train on: ask for 4 or fewer"
    )


def test_signs_are_left_out_because_families_share_them():
    """Pictures of Serif faces that a Sans face has, too, as the module says."""
    faces, labels = [Face(path) for path in glyphs._font_files()], all_classes(COMMITTED)
    kinds = {label: unicodedata.category(chr(int(label, 16)))[0] for label in labels}
    for kind, share in (("S", 0.54), ("L", 0.00)):
        drawn = draw(faces, [label for label in labels if kinds[label] == kind][::5], 56).reshape(-1, 12, 56 * 56)
        same = (drawn[:, 8:, None] == drawn[:, None, :4]).all(axis=3).any(axis=2)
        assert same.mean() == pytest.approx(share, abs=0.05)
