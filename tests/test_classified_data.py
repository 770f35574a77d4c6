"""The published data sets whose parts share their classes, as a user gets them: fetched, verified, trained on."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from data.archives import MAKERS, by_images, dtd_truth, pack, write_image
from data.damage import refusal
from data.misbehaving_server import good, page, serving
from data.tiny_cards import tiny_card
from PIL import Image

from relbench.data import find_data_set
from relbench.experiment import Classification, Data, Experiment, Net, Term, Training
from relbench.results.run_folder import RunFolder
from relbench.run import run
from relbench.settings import changed
from relbench.trackers import Silent

CLASSES, IMAGES = 3, 4  # of each class in each part
DATA = {
    "tiny-imagenet": Data(name="tiny-imagenet", split="images", size=64),
    "cinic10": Data(name="cinic10", split="images", size=32),
    "dtd": Data(name="dtd", split="images", size=28, partition=2, transform={"kind": "photos", "resized_crop": True}),
    "cub200": Data(name="cub200", split="images", size=28),
}
TRAINING = Training(optimizer="sgd", momentum=0.9, learning_rate=0.05, steps=4, batch_size=6, validate_every=2)


def make(layout, folder, images=IMAGES):
    folder.mkdir(parents=True, exist_ok=True)
    return MAKERS[layout](folder, classes=CLASSES, images=images)


def truth_of(name, truth, folder):
    """What the settings of `DATA` make of it."""
    if name == "dtd":
        return dtd_truth(folder, DATA[name].partition)
    return by_images(truth) if name == "cub200" else truth


def experiment(name, root, **more):
    usual = DATA.get(name, Data(name=name, split="images", size=28))
    data = changed(usual, {"content": find_data_set(name, root).content(root), **more})
    net = Net(width=2, dim=None, unit_length=False)
    return Experiment(task=Classification(), data=data, net=net, terms=(Term(loss="cross_entropy"),), training=TRAINING)


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA)
def test_fetched_verified_and_trained_on(call, cards, tmp_path, name):
    root = tmp_path / "datasets"
    truth = make(name, tmp_path / "made")
    (archive,) = pack(name, tmp_path / "made", tmp_path / "packed")
    with serving({"/quota": page(), "/good": good(archive.read_bytes())}) as server:
        addresses = [server.address(route) for route in ("/quota", "/good")]
        cards(tiny_card(name, truth, {archive.name: archive}, addresses))
        fetched = call("data", "fetch", name, "--data", root, *(("--side", 32) if name in ("dtd", "cub200") else ()))
        assert fetched.code == 0, fetched.error
        assert "decoded images: " in fetched.out
        assert "split by images: " in fetched.out
    assert re.search(rf"{name}.*ready", call("data", "list", "--data", root).out)
    verified = call("data", "verify", name, "--data", root)
    assert (verified.code, verified.out.strip().splitlines()[-1]) == (0, f"{name}: all is well")
    asked = experiment(name, root)
    row = run(asked, tmp_path / "runs", root, Silent())
    test = truth_of(name, truth, tmp_path / "made").query("split == 'test'")
    kept = RunFolder(tmp_path / "runs", asked).stored()
    assert kept.names.tolist() == test["name"].tolist()
    assert dict(zip(row.counts.groups, row.counts.trials, strict=True)) == test.groupby("label").size().to_dict()
    assert row.metrics["accuracy"] == row.counts.share
    assert row.validation["accuracy"] >= 0


@pytest.mark.parametrize("name", DATA)
def test_what_is_trained_on(cards, tmp_path, name):
    """With validation images held out of each class, or with none."""
    truth = make(name, tmp_path / name, images=6)
    cards(tiny_card(name, truth, {}))
    truth, found = truth_of(name, truth, tmp_path / name), find_data_set(name, tmp_path)
    held, whole = (found.table(changed(DATA[name], {"hold_out": asked}), tmp_path) for asked in (True, False))
    assert held["name"].tolist() == whole["name"].tolist() == truth["name"].tolist()
    assert (
        (held["split"] == "test").tolist() == (whole["split"] == "test").tolist() == (truth["split"] == "test").tolist()
    )
    assert set(whole["split"]) == {"train", "test"}
    assert held.groupby("split")["label"].nunique().eq(truth["label"].nunique()).all()
    assert set(held["split"]) == {"train", "validation", "test"}
    if "validation" in set(truth["split"]):  # the authors say which
        assert held["split"].tolist() == truth["split"].tolist()


@pytest.mark.parametrize("name", DATA)
def test_label_spaces(cards, tmp_path, name):
    """Chosen classes are those of all three splits."""
    truth = make(name, tmp_path / name, images=6)
    cards(tiny_card(name, truth, {}))
    chosen = tuple(sorted(set(truth["label"]))[1:3])
    table = find_data_set(name, tmp_path).table(
        changed(DATA[name], {"train_classes": chosen, "test_classes": chosen}), tmp_path
    )
    assert {split: set(labels) for split, labels in table.groupby("split")["label"]} == {
        split: set(chosen) for split in ("train", "validation", "test")
    }


def test_where_small_images_come_from_is_kept(cards, tmp_path):
    cards(tiny_card("cinic10", make("cinic10", tmp_path / "cinic10"), {}))
    table = find_data_set("cinic10", tmp_path).load(DATA["cinic10"], tmp_path, iter).table
    assert set(table["origin"]) == {"cifar", "imagenet"}


@pytest.mark.parametrize("val", ["", "-folders", "-nested"])
def test_grey_images_are_shown_in_colour_wherever_they_lie(cards, tmp_path, val):
    """The same pixels in each layout, those of the files."""
    layout, name = f"tiny-imagenet{val}", "tiny-imagenet"
    truth = make(layout, tmp_path / name)
    cards(tiny_card(name, truth, {}))
    views = find_data_set(name, tmp_path).load(DATA[name], tmp_path, iter).test_batch(torch.arange(len(truth)))
    grey = []
    for path, view in zip(truth["name"], views, strict=True):
        with Image.open(tmp_path / name / path) as image:
            grey.append(image.mode == "L")
            assert (view.permute(1, 2, 0).numpy() == np.asarray(image.convert("RGB"))).all()
    half = CLASSES * IMAGES
    assert sum(grey[:half]) == sum(grey[half:]) == 1  # in training, and in test


def test_resized_crops_are_asked_for(cards, tmp_path):
    cards(tiny_card("dtd", make("dtd", tmp_path / "dtd"), {}))
    found, rows = find_data_set("dtd", tmp_path), torch.arange(6)
    resized, plain = (
        found.load(changed(DATA["dtd"], {"transform": {"kind": "photos", "resized_crop": asked}}), tmp_path, iter)
        for asked in (True, False)
    )
    views = [source.train_batch(rows, torch.Generator().manual_seed(0)) for source in (resized, plain)]
    assert views[0].shape == views[1].shape
    assert not torch.equal(*views)
    assert torch.equal(resized.test_batch(rows), plain.test_batch(rows))


def without_line(number):
    return lambda file: file.write_text(
        "".join(lines[: number - 1] + lines[number:]) if (lines := _lines(file)) else ""
    )


def with_line(text):
    return lambda file: file.write_text(file.read_text() + f"{text}\n")


def _lines(file):
    return file.read_text().splitlines(keepends=True)


def gone(file):
    file.unlink()


def moved(target):
    return lambda path: path.rename(path.parent / target)


TINY, DTD, CUB = "tiny-imagenet-200", "dtd/labels", "CUB_200_2011"
FAULTS = [
    ("tiny-imagenet", f"{TINY}/val/val_annotations.txt", without_line(4), "does not name images/val_3.JPEG"),
    (
        "tiny-imagenet",
        f"{TINY}/val/images/val_3.JPEG",
        gone,
        "line 4: image 'tiny-imagenet-200/val/images/val_3.JPEG' is",
    ),
    ("tiny-imagenet", f"{TINY}/train/n10000000", moved("../val/n10000000"), "class n10000000 has no folder in"),
    ("tiny-imagenet", f"{TINY}/train/n10000000/images/n10000000_3.JPEG", gone, "train_images is 11, not 12"),
    (
        "tiny-imagenet",
        f"{TINY}/train/n10000000/images/n10000000_2.JPEG",
        gone,
        "n10000000_2.JPEG is missing, but higher",
    ),
    ("cinic10", "valid/bird", moved("birds"), "splits must have the same classes"),
    ("cinic10", "valid", moved("val"), "valid is missing: complete it, or fetch the data set again"),
    ("cinic10", "test/bird/n02000002_1.png", gone, "test_images is 11, not 12"),
    ("cinic10", "valid/bird/n02000002_1.png", gone, "train_images is 23, not 24; validation_images is 11, not 12"),
    ("dtd", f"{DTD}/val3.txt", gone, "labels lacks val3.txt of partition 3: complete it, or take another partition"),
    ("dtd", f"{DTD}/test7.txt", without_line(2), "test_images is 11, not 12"),
    (
        "dtd",
        f"{DTD}/val10.txt",
        with_line("banded/banded_0099.jpg"),
        "train_images is 25, not 24; validation_images is 13",
    ),
    ("cub200", f"{CUB}/train_test_split.txt", without_line(24), "train_test_split.txt has 23: replace them with good"),
    ("cub200", f"{CUB}/train_test_split.txt", gone, "train_test_split.txt cannot be read (No such file or directory)"),
]


@pytest.mark.parametrize(("name", "path", "damage", "told"), FAULTS, ids=range(len(FAULTS)))
def test_a_planted_fault_is_one_clear_line(call, cards, tmp_path, name, path, damage, told):
    cards(tiny_card(name, make(name, tmp_path / name), {}))
    damage(tmp_path / name / path)
    verified = call("data", "verify", name, "--data", tmp_path)
    lines = [line for line in verified.out.strip().splitlines() if "decoding" not in line]
    assert verified.code == 1
    assert lines[-1] == f"{name}: 1 fault", lines
    assert told in lines[0]


def test_an_image_in_two_lists_is_told(call, cards, tmp_path):
    cards(tiny_card("dtd", make("dtd", tmp_path / "dtd"), {}))
    train, test = (tmp_path / DTD.replace("dtd", "dtd/dtd") / f"{part}5.txt" for part in ("train", "test"))
    first = train.read_text().splitlines()[0]
    test.write_text(test.read_text().replace(test.read_text().splitlines()[0], first, 1))
    verified = call("data", "verify", "dtd", "--data", tmp_path)
    assert f"image 'dtd/images/{first}' ({test}, line 1) occurs twice" in verified.out
    assert verified.out.strip().endswith("dtd: 1 fault")


REFUSED = [
    ("cub200", {"partition": 2}, "data.partition = 2, but cub200 has 1 alone"),
    ("dtd", {"partition": 11}, "data.partition = 11, but dtd has 1 to 10"),
    ("dtd", {"split": "classes"}, "data.split = classes, but dtd has no classes that training never sees"),
    ("tiny-imagenet", {"partition": 2}, "data.partition = 2, but tiny-imagenet has 1 alone"),
    ("tiny-imagenet", {"size": 32}, "data.size = 32, but the images of tiny-imagenet have 64 px"),
    ("cinic10", {"transform": {"kind": "photos", "resized_crop": True}}, "data.resized_crop = true is for photos"),
]


@pytest.mark.parametrize(("name", "changes", "told"), REFUSED, ids=range(len(REFUSED)))
def test_settings_that_do_not_go_with_it(cards, tmp_path, name, changes, told):
    cards(tiny_card(name, make(name, tmp_path / name), {}))
    message = refusal(lambda: find_data_set(name, tmp_path).table(changed(DATA[name], changes), tmp_path))
    assert told in message


@pytest.mark.parametrize("name", ["cars196", "sop", "inshop"])
def test_retrieval_sets_have_no_split_within_their_classes(tmp_path, name):
    data = Data(name=name, split="images", size=28)
    assert refusal(lambda: find_data_set(name, tmp_path).load(data, tmp_path, iter)) == (
        f"data.split = images, but {name} has no split within its classes: for retrieval or few-shot set "
        "data.split=classes, for classification take another data set"
    )


def test_retrieval_on_birds_is_as_before(cards, tmp_path):
    """Whatever the authors' own split says."""
    truth = make("cub200", tmp_path / "cub200")
    cards(tiny_card("cub200", truth, {}))
    found, asked = find_data_set("cub200", tmp_path), Data(name="cub200", size=28, hold_out=False)
    before = found.load(asked, tmp_path, iter)
    (tmp_path / "cub200" / CUB / "train_test_split.txt").unlink()
    after = found.load(asked, tmp_path, iter)
    assert before.table.equals(after.table)
    assert before.table["split"].tolist() == truth["split"].tolist()
    assert (before.content, before.data_hash) == (after.content, after.data_hash)


def own_folder(folder, parts=("train", "test")):
    """Three classes of four images in each part."""
    for at, part in enumerate(parts):
        for label in range(3):
            for number in range(4):
                write_image(folder / part / f"class {label}" / f"{number}.jpg", label, 50 * at + number)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("form", ["folder", "table"])
def test_bring_your_own(call, tmp_path, form):
    source, root = own_folder(tmp_path / "own"), tmp_path / "datasets"
    if form == "table":
        rows = [(str(path.relative_to(source)), *reversed(path.parts[-3:-1])) for path in sorted(source.rglob("*.jpg"))]
        pd.DataFrame(rows, columns=["path", "label", "split"]).to_csv(source / "own.csv", index=False)
        source /= "own.csv"
    added = call("data", "add", "mine", source, "--data", root, "--split", "images")
    assert added.code == 0, added.error
    assert "classes, images: 3, 12 for training; 3, 12 for testing" in added.out
    assert call("data", "verify", "mine", "--data", root).out.endswith("mine: all is well\n")
    asked = experiment("mine", root)
    table = find_data_set("mine", root).table(asked.data, root)
    assert table.groupby(["split", "label"]).size().to_dict() == {
        (split, f"class {label}"): count
        for split, count in (("train", 3), ("validation", 1), ("test", 4))
        for label in range(3)
    }
    row = run(asked, tmp_path / "runs", root, Silent())
    assert row.counts.trials == (4, 4, 4)
    data = changed(asked.data, {"split": "classes"})
    assert "data.split = classes, but mine has no classes that training never sees" in refusal(
        lambda: find_data_set("mine", root).table(data, root)
    )


ODD = [
    (lambda folder: shutil.rmtree(folder / "test/class 1"), "images", "class 'class 1' lies in 'train'"),
    (lambda folder: shutil.rmtree(folder / "test/class 1"), "classes", "splits must share no class"),
    (lambda folder: (folder / "test").rename(folder / "x"), "images", "check 'x'"),
    (
        lambda folder: [(folder / part).rename(folder / f"{part}1") for part in ("train", "test")],
        "images",
        "if these are splits, name them",
    ),
    (lambda _: None, "pictures", "unknown --split 'pictures'"),
]


@pytest.mark.parametrize(("damage", "split", "told"), ODD, ids=range(len(ODD)))
def test_your_own_is_refused(call, tmp_path, damage, split, told):
    source = own_folder(tmp_path / "own")
    damage(source)
    refused = call("data", "add", "mine", source, "--data", tmp_path / "datasets", "--split", split)
    assert refused.code == 2
    assert told in refused.error
    assert refused.error.count("\n") == 1
    assert not (tmp_path / "datasets").exists()


def test_copies_on_both_sides_are_told_first(call, tmp_path):
    """A network would be tested on images that it was trained on."""
    source = own_folder(tmp_path / "own")
    shutil.copy(next((source / "test/class 0").iterdir()), source / "test/class 0/again.png")
    shutil.copy(next((source / "train/class 1").iterdir()), source / "test/class 1/seen.png")
    told = call("data", "add", "mine", source, "--data", tmp_path / "datasets", "--split", "images").out
    assert "copies of other images, byte for byte: 2 (0 in another class, 1 in another split): train/class 1/" in told


def test_class_folders_alone_say_no_split_by_images(call, tmp_path):
    source = own_folder(tmp_path / "own") / "train"
    refused = call("data", "add", "mine", source, "--data", tmp_path / "datasets", "--split", "images")
    assert "to be split by images, it needs train/<class> and test/<class>" in refused.error


@pytest.mark.skipif("RELBENCH_REAL_DATA" not in os.environ, reason="RELBENCH_REAL_DATA names no folder of real data")
@pytest.mark.parametrize("name", ["tiny-imagenet", "cinic10", "dtd"])
def test_the_real_thing(call, name):
    root = Path(os.environ["RELBENCH_REAL_DATA"])
    verified = call("data", "verify", name, "--data", root)
    assert verified.out.strip().splitlines()[-1] == f"{name}: all is well"
