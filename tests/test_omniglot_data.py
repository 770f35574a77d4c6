"""Omniglot as a user gets it: fetched, verified, looked at, trained on by episodes, removed; and what is refused."""

import hashlib
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from data.damage import damaged, refusal, table_or_refusal, with_content
from data.misbehaving_server import good, page, serving
from data.omniglot_archives import CHARACTERS, DRAWERS, TURNS, drawing, make_omniglot, pack, write_list
from data.tiny_cards import tiny_card
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import relbench.data
from relbench.data import find_data_set, resolve_transform, shown_at
from relbench.data.datasets.omniglot import Drawings, pixels, scan
from relbench.data.parsing.annotations import read_lists
from relbench.experiment import Data, Experiment, FewShot, Net, Term, Training
from relbench.grid.estimate.image_counts import image_counts
from relbench.resolve import resolve
from relbench.run import run
from relbench.settings import changed
from relbench.trackers import Silent
from relbench.transforms import SmallTransform

DATA = Data(name="omniglot")
MD5 = "38ca31dff692142ae74a33d509241f59"  # of the packaged list
CLASSES = {"train": 12, "validation": 4, "test": 8}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of unpacked archives, and the truth."""
    folder = tmp_path_factory.mktemp("made")
    return folder, make_omniglot(folder)


@pytest.fixture
def ready(cards, made, tmp_path):
    """Omniglot in a folder of data sets; and the truth."""
    folder, truth = made
    shutil.copytree(folder, tmp_path / "omniglot")
    cards(tiny_card("omniglot", truth, {}))
    write_list(tmp_path / "cards")
    return truth


def load(root, **settings):
    data = changed(DATA, settings)
    return find_data_set("omniglot", root).load(data, root, iter)


def by_pil(path, turn):
    """Ink 1, paper 0 at 28 px, by PIL alone: turned first, resized as PIL does it to one bit if nothing is said."""
    with Image.open(path) as image:
        small = image.rotate(float(turn)).resize((28, 28))
    assert small.mode == "1"
    return np.array([[1 - (small.getpixel((column, row)) > 0) for column in range(28)] for row in range(28)], np.uint8)


def parted(name):
    path, turn = name.split("@rot")
    return path, int(turn)


def test_served_and_trained_on_by_episodes(call, cards, made, tmp_path):
    """Each archive from an address of its own; the first address of each answers with a page."""
    (folder, truth), root = made, tmp_path / "datasets"
    archives = pack(folder, tmp_path / "packed")
    routes = {f"/{name}": good(path.read_bytes()) for name, path in archives.items()}
    with serving({"/quota": page(), **routes}) as server:
        card = tiny_card("omniglot", truth, archives, [server.address("/quota")])
        served = [
            changed(archive, {"addresses": (server.address("/quota"), server.address(f"/{archive.file}"))})
            for archive in card.archives
        ]
        cards(changed(card, {"archives": tuple(served)}))
        write_list(tmp_path / "cards")
        assert re.search("omniglot .*absent", call("data", "list", "--data", root).out)
        fetched = call("data", "fetch", "omniglot", "--data", root)
        assert fetched.code == 0, fetched.error
        assert "as Vinyals et al. 2016 have them, each in four rotations" in fetched.out
        assert "decoded, 480 images of 28 px take 384.1 kB in" in fetched.out
        assert len(server.requests) == 4
        assert call("data", "fetch", "omniglot", "--data", root).code == 0
        assert len(server.requests) == 4  # what is there is not fetched again
    assert re.search("omniglot .*16, 320 .*8, 160 .*ready", call("data", "list", "--data", root).out)
    assert call("data", "verify", "omniglot", "--data", root).out.endswith("omniglot: all is well\n")
    data = changed(DATA, {"content": find_data_set("omniglot", root).content(root)})
    row = run(resolve(episodic(data), "student"), tmp_path / "runs", root, Silent())
    assert set(row.metrics) == {"4way_1shot", "4way_1shot_ci95"}
    assert row.metrics["4way_1shot"] > 0.35  # by chance a quarter
    assert row.validation["4way_1shot"] > 0.35


def episodic(data):
    return Experiment(
        task=FewShot(way=(4,), shot=1, queries=15, episodes=30, validation_episodes=20),
        data=data,
        net=Net(trunk="conv4-maxpool", width=8, dim=None, unit_length=False),
        terms=(Term(loss="prototypical"),),
        training=Training(steps=12, batch_size=20, images_per_class=4, learning_rate=1e-2),
    )


def test_planned_before_it_is_there(tmp_path):
    """By the counts of the packaged card."""
    found = image_counts(DATA, tmp_path)
    assert (found.classes, found.train, found.validation) == (4 * 1028, 80 * 1028, 80 * 172)
    assert (found.test_classes, found.test, found.channels) == (4 * 423, 80 * 423, 1)
    whole = image_counts(changed(DATA, {"hold_out": False}), tmp_path)
    assert (whole.classes, whole.train, whole.validation) == (4 * 1200, 80 * 1200, 0)


def test_validation_classes_are_the_lists(ready, tmp_path):
    held, whole = (load(tmp_path, hold_out=asked).table for asked in (True, False))
    assert held.equals(ready)
    assert held.groupby("split")["label"].nunique().to_dict() == CLASSES
    assert whole["split"].tolist() == ready["split"].replace("validation", "train").tolist()
    assert held.groupby("label").size().eq(DRAWERS).all()


def test_hashes(ready, tmp_path):
    """The classes that are trained on are part of the data's hash, those of the usual split of the content's."""
    held, whole = load(tmp_path), load(tmp_path, hold_out=False)
    assert held.content == whole.content == find_data_set("omniglot", tmp_path).content(tmp_path)
    assert held.data_hash != whole.data_hash
    assert load(tmp_path).data_hash == held.data_hash
    write_list(
        tmp_path / "cards",
        [("val", *CHARACTERS[0][1:]), *CHARACTERS[1:3], ("train", *CHARACTERS[3][1:]), *CHARACTERS[4:]],
    )
    assert find_data_set("omniglot", tmp_path).content(tmp_path) != held.content


def test_images_are_those_of_pil(ready, tmp_path):
    """Upright and turned; ink is 255, paper 0; by pixel and by the hash of the bytes 1 and 0."""
    source = load(tmp_path)
    views = source.test_batch(torch.arange(len(ready)))
    assert (views.dtype, views.shape) == (torch.uint8, (len(ready), 1, 28, 28))
    assert (source.shape.channels, source.shape.size) == (1, 28)
    assert views.unique().tolist() == [0, 255]
    for name, view in zip(ready["name"][::7], views[::7], strict=True):
        path, turn = parted(name)
        expected = by_pil(tmp_path / "omniglot" / path, turn)
        assert hashed(view[0].numpy() // 255) == hashed(expected), name
        assert view.sum() == 255 * int(expected.sum()) > 0


def hashed(image):
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:16]


def test_turned_before_or_after_it_is_resized_it_is_the_same(tmp_path):
    """Every pixel of 28 px is one of the 105 px, and that is turned along."""
    noise = np.random.default_rng(0).random((105, 105)) < 0.5
    picture = Image.fromarray(noise)
    assert picture.mode == "1"
    picture.save(tmp_path / "noise.png")
    upright = pixels(tmp_path / "noise.png") // 255
    for quarters, turn in enumerate(TURNS):
        assert (np.rot90(upright, quarters) == by_pil(tmp_path / "noise.png", turn)).all()
    kept = [int((at + 0.5) * 105 / 28) for at in range(28)]
    assert (upright == ~noise[np.ix_(kept, kept)]).all()
    assert [104 - place for place in reversed(kept)] == kept


def test_the_usual_views_are_the_images(ready, tmp_path):
    usual = SmallTransform(crop="none", flip=False)
    assert resolve_transform(DATA) == usual
    assert shown_at(DATA) == "28 px (whole in training)"
    source, rows = load(tmp_path), torch.arange(0, len(ready), 9)
    assert torch.equal(source.train_batch(rows, torch.Generator()), source.test_batch(rows))
    moved = load(tmp_path, transform=changed(usual, {"crop": "pad", "pad": 2, "rotation": 10}))
    assert not torch.equal(moved.train_batch(rows, torch.Generator()), source.test_batch(rows))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"transform": SmallTransform()},
            "data.flip = true, but mirrored images of omniglot would be of other classes",
        ),
        (
            {"transform": SmallTransform(flip=False, rotation=90)},
            "data.rotation = 90, but images of omniglot that are turned by a quarter are of other classes: set",
        ),
        (
            {"transform": SmallTransform(flip=False, jitter=0.4)},
            "data.jitter = 0.4, but the images of omniglot have no colours: set it to 0",
        ),
        ({"split": "images"}, "data.split = images, but omniglot has no split within its classes"),
        ({"size": 32}, "data.size = 32, but the images of omniglot have 28 px"),
        # As the test of Lake et al. has it:
        (
            {"test_classes": ("Gurmukhi/character40/rot000",)},
            "data.test_classes: no class is named 'Gurmukhi/character40",
        ),
    ],
)
def test_settings_that_do_not_go_with_it(ready, tmp_path, settings, told):
    assert told in refusal(lambda: load(tmp_path, **settings))


def named(call, root, told):
    """The only fault that verify tells; and the refusal to train."""
    found = call("data", "verify", "omniglot", "--data", root)
    *lines, last = [line for line in found.out.strip().splitlines() if not line.startswith("decoding ")]
    assert (found.code, last, len(lines)) == (1, "omniglot: 1 fault", 1), found.out
    assert told in lines[0]
    return lines[0], refusal(lambda: load(root))


ONE, LAST = CHARACTERS[2], CHARACTERS[-1]
BALINESE, KANNADA = "images_background/Balinese/character01", "images_evaluation/Kannada/character01"


def renumbered(folder, number):
    for file in sorted(folder.iterdir()):
        file.rename(folder / f"{number:04d}{file.name[4:]}")


def shrunk(file):
    drawing(108, 1).resize((28, 28)).save(file)


def levelled(file):
    drawing(108, 1).convert("L").save(file)


def cut(file):
    file.write_bytes(file.read_bytes()[:-40])


FILES = [
    (f"{BALINESE}/0108_07.png", Path.unlink, "character01 lacks drawing 07 (1 in all): complete it"),
    (
        f"{BALINESE}/0108_01.png",
        lambda file: shutil.copy(file, file.with_name("0108_21.png")),
        "'0108_21.png' is of drawer 21, but there are 1 to 20",
    ),
    (
        f"{BALINESE}/0108_01.png",
        lambda file: file.rename(file.with_name("0109_01.png")),
        "'0109_01.png' is of character 109, but the others are of 108",
    ),
    (f"{BALINESE}/0108_01.png", lambda file: shutil.copy(file, file.with_name("x.png")), "'x.png' is not named as"),
    (
        "images_evaluation/Gurmukhi/character41",
        lambda folder: renumbered(folder, 1202),
        "character41 has drawings of character 1202, but ",
    ),
    (KANNADA, lambda folder: renumbered(folder, 108), "both have drawings of character 108: replace the wrong ones"),
    (KANNADA, lambda folder: folder.rename(folder.with_name("character02")), "character02 is no character of Omniglot"),
    (KANNADA, shutil.rmtree, "character01 cannot be read (No such file or directory)"),
    ("images_evaluation", shutil.rmtree, "images_evaluation is missing: complete it, or fetch the data set again"),
    (f"{BALINESE}/0108_02.png", levelled, "105 x 105 pixels of mode L, but drawings have 105 x 105 of mode 1"),
    (f"{BALINESE}/0108_02.png", shrunk, "it has 28 x 28 pixels of mode 1, but drawings have 105 x 105 of mode 1"),
    (f"{BALINESE}/0108_02.png", cut, "0108_02.png can't be decoded ("),
]


@pytest.mark.parametrize(("path", "damage", "told"), FILES, ids=range(len(FILES)))
def test_a_planted_fault_is_one_clear_line(call, ready, tmp_path, path, damage, told):
    damage(tmp_path / "omniglot" / path)
    _, refused = named(call, tmp_path, told)
    assert ("omniglot is not ready in" if path == "images_evaluation" else told) in refused
    assert not list((tmp_path / "omniglot" / "decoded").glob("decoded-*"))  # nothing half-made is kept


def relisted(changes):
    return [changes.get(at, character) for at, character in enumerate(CHARACTERS)]


LISTS = [
    (
        [*CHARACTERS, ("train", *LAST[1:])],
        "line 8: has images_evaluation/Kannada/character01 for train, but line 7 has it for test",
    ),
    ([*CHARACTERS, LAST], "line 8: has images_evaluation/Kannada/character01 for test, but line 7 has it for test"),
    (CHARACTERS[:-1], "Kannada/character01 is no character of Omniglot: move it away"),
    (relisted({3: ("dev", *CHARACTERS[3][1:])}), "line 5: 'dev' is none of train, val, test"),
    (relisted({3: ("val", "images", *CHARACTERS[3][2:])}), "line 5: 'images' is none of images_background"),
    (
        relisted({3: ("train", *CHARACTERS[3][1:])}),
        "(by images_background and images_evaluation) is not the published data: validation_images is 0, not 80",
    ),
    (
        [("test" if row[1] == "images_evaluation" else "train", *row[1:]) for row in CHARACTERS],
        "omniglot.csv has the split of Lake et al. (images_background for training, images_evaluation for testing)",
    ),
]


@pytest.mark.parametrize(("characters", "told"), LISTS, ids=range(len(LISTS)))
def test_another_list_is_refused(call, ready, tmp_path, characters, told):
    write_list(tmp_path / "cards", characters)
    verified, refused = named(call, tmp_path, told)
    assert verified == refused


def folder_of(name):
    return name.rpartition("/")[0]


def said(file):
    """The split of each character, by a plain look at a list."""
    rows = [line.split(",") for line in file.read_text().splitlines()[1:]]
    sides = {"train": "train", "val": "validation", "test": "test"}
    return {"/".join(map(str.strip, path)): sides[split.strip()] for split, *path in rows}


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_list_is_refused_or_taken_at_its_word(ready, tmp_path, data):
    file, folder = tmp_path / "cards/omniglot.csv", tmp_path / "omniglot"
    content = data.draw(damaged(file.read_bytes()))

    def check():
        table = table_or_refusal(lambda: read_lists(scan, folder, of_files=False), str(file), str(folder))
        assert table is None or dict(zip(table["name"].map(folder_of), table["split"], strict=True)) == said(file)

    with_content(file, content, check)


def test_every_damaged_file_is_named(call, ready, tmp_path):
    for number in (3, 9):
        cut(tmp_path / "omniglot" / KANNADA / f"1205_{number:02d}.png")
    told = call("data", "verify", "omniglot", "--data", tmp_path).out
    assert told.count("can't be decoded (") == 2  # once for each file, whatever its rotations
    assert told.endswith("omniglot: 2 faults\n")


def test_an_alphabet_may_be_in_training_and_in_the_test(ready):
    alphabets = ready.assign(alphabet=ready["label"].str.partition("/")[0]).groupby("alphabet")["split"].unique()
    assert set(alphabets["Gurmukhi"]) == {"train", "test"}


def test_the_packaged_list_is_that_of_vinyals():
    file = Path(relbench.data.__file__).parent / "cards/omniglot.csv"
    assert hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() == MD5
    rows = pd.read_csv(file)
    characters = rows["alphabet"] + "/" + rows["character"]
    assert characters.is_unique
    assert rows.groupby("split").size().to_dict() == {"train": 1028, "val": 172, "test": 423}
    assert rows.groupby("archive").size().to_dict() == {"images_background": 964, "images_evaluation": 659}
    assert rows.groupby(["split", "archive"]).size().to_dict() == {
        ("test", "images_evaluation"): 423,
        ("train", "images_background"): 792,
        ("train", "images_evaluation"): 236,
        ("val", "images_background"): 172,
    }
    both = set(rows["alphabet"][rows["split"] == "train"]) & set(rows["alphabet"][rows["split"] == "test"])
    assert both == {"Gurmukhi"}


def test_a_picture(call, ready, tmp_path):
    shown = call("data", "show", "omniglot", "--data", tmp_path, "--output", tmp_path / "picture.png")
    assert shown.code == 0, shown.error
    with Image.open(tmp_path / "picture.png") as picture:
        assert np.asarray(picture.convert("L")).min() == 0  # paper


def test_removed(call, ready, tmp_path):
    load(tmp_path)
    assert call("data", "remove", "omniglot", "--data", tmp_path, "--yes").code == 0
    assert not (tmp_path / "omniglot").exists()


SMALL = Path(os.environ.get("RELBENCH_REAL_DATA", "/nowhere")) / "images_background_small1.zip"


@pytest.mark.skipif(not SMALL.exists(), reason="RELBENCH_REAL_DATA names no folder with images_background_small1.zip")
def test_the_real_drawings(tmp_path):
    """Their ink and their hashes, as computed by others; which bytes were hashed is not known, but it is one kind."""
    with zipfile.ZipFile(SMALL) as archive:
        archive.extractall(tmp_path)
    known = pd.read_csv(Path(__file__).parent / "reference/omniglot_pixels.csv")
    names = [f"images_background_small1/{row.file}@rot{row.rotation:03d}" for row in known.itertuples()]
    images = [image[0] // 255 for image in Drawings(tmp_path).read(names)]
    assert [int(image.sum()) for image in images] == known["ink_pixels"].tolist()
    kinds = (np.uint8, bool, np.float32, np.float64)
    upright = {kind: [hashed(image.astype(kind)) for image in images] for kind in kinds}
    assert known["sha256_16_upright"].tolist() in upright.values()


@pytest.mark.skipif("RELBENCH_REAL_DATA" not in os.environ, reason="RELBENCH_REAL_DATA names no folder of real data")
def test_the_real_thing(call):
    root = Path(os.environ["RELBENCH_REAL_DATA"])
    assert call("data", "verify", "omniglot", "--data", root).out.strip().endswith("omniglot: all is well")
