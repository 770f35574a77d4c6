"""miniImageNet as a user gets it: placed by hand in any of its layouts, verified, trained on."""

import os
import pickle
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from data.mini_imagenet_archives import (
    CLASSES,
    MAKERS,
    PLACES,
    SIDE,
    cache,
    picture,
    write_list,
    write_pickle,
)
from data.tiny_cards import tiny_card
from PIL import Image

from relbench.data import find_data_set, shown_at
from relbench.data.datasets.mini_imagenet import pickles, reader
from relbench.data.datasets.mini_imagenet.classes import MOST, known_classes
from relbench.data.parsing import untrusted_pickle
from relbench.data.parsing.annotations import Fault
from relbench.experiment import Classification, Data, Experiment, FewShot, Net, Term, Training
from relbench.grid.estimate.image_counts import image_counts
from relbench.resolve import check_experiment, check_unseen, resolve
from relbench.run import run
from relbench.settings import changed
from relbench.trackers import Silent
from relbench.transfer import TransferSpec, check_transfers

NAME = "mini-imagenet"
DATA = Data(name=NAME, size=SIDE)
PICKLED = ("B", "B, Zenodo", "B, Python 2", "C")


@pytest.fixture
def make(cards, tmp_path):
    """What places a layout in the folder of data sets, whose list of classes is tiny from then on."""
    write_list(tmp_path / "cards" / "mini-imagenet.csv")

    def place(layout, root=tmp_path):
        truth = MAKERS[layout](root / NAME)
        cards(tiny_card(NAME, truth, {}))
        return truth

    return place


def load(root, **settings):
    return find_data_set(NAME, root).load(changed(DATA, settings), root, iter)


def test_the_packaged_list():
    known = known_classes()
    counts = {split: sum(each.split == split for each in known.values()) for split in ("train", "validation", "test")}
    assert counts == {"train": 64, "validation": 16, "test": 20}
    assert {len(each.images) for each in known.values()} == {600}
    assert {max(each.images) <= MOST and min(each.images) >= 1 for each in known.values()} == {True}
    assert next(iter(known)) == "n01532829"
    assert known["n01532829"].name == "house finch"
    assert sorted(known["n01532829"].images)[:4] == [5, 6, 7, 10]
    assert max(known["n01532829"].images) == 1298
    assert len({each.name for each in known.values()}) == 100


TRAINING = Training(steps=2, batch_size=8, images_per_class=4, validate_every=1)


def experiment(root):
    data = changed(DATA, {"content": find_data_set(NAME, root).content(root)})
    return resolve(
        Experiment(
            task=FewShot(way=(2,), shot=1, queries=2, episodes=3, validation_episodes=2),
            data=data,
            net=Net(width=2, dim=None, unit_length=False),
            terms=(Term(loss="prototypical"),),
            training=TRAINING,
        ),
        "student",
    )


@pytest.mark.parametrize("layout", MAKERS)
def test_placed_verified_and_trained_on(call, make, tmp_path, layout):
    truth = make(layout)
    fetched = call("data", "fetch", NAME, "--data", tmp_path)
    assert fetched.code == 0, fetched.error
    assert "decoded images: " in fetched.out
    assert f"layout {layout[0]}: " in fetched.out
    assert re.search(rf"{NAME} .*ready", call("data", "list", "--data", tmp_path).out)
    verified = call("data", "verify", NAME, "--data", tmp_path)
    assert (verified.code, verified.out.strip().splitlines()[-1]) == (0, f"{NAME}: all is well")
    assert f"layout {layout[0]}: " in verified.out
    source = load(tmp_path)
    assert source.table.to_csv() == truth.to_csv()
    asked = experiment(tmp_path)
    row = run(asked, tmp_path / "runs", tmp_path, Silent())
    assert row.experiment.data.content == source.content
    assert 0 <= row.metrics["2way_1shot"] <= 1


@pytest.mark.parametrize("layout", PICKLED)
def test_pixels_of_pickles_are_as_they_lie(make, tmp_path, layout):
    truth = make(layout)
    views = load(tmp_path).test_batch(torch.arange(len(truth))).permute(0, 2, 3, 1).numpy()
    numbers = {label: set() for label in truth["label"]}
    for label, view in zip(truth["label"], views, strict=True):
        (number,) = [each for each in range(len(PLACES)) if (picture(label, each) == view).all()]
        numbers[label].add(number)
    assert set(map(len, numbers.values())) == {len(PLACES)}


def test_pixels_that_are_text(call, make, tmp_path, monkeypatch):
    """As Python 3 writes them for Python 2: turned for the array alone, and checked by verify."""
    monkeypatch.setattr(untrusted_pickle, "LONG", 1000)
    make("B")
    turned, of_text = [], untrusted_pickle._turned
    monkeypatch.setattr(untrusted_pickle, "_turned", lambda text: (turned.append(len(text)), of_text(text))[1])
    table = find_data_set(NAME, tmp_path).table(DATA, tmp_path)
    assert not turned
    images = load(tmp_path).test_batch(torch.arange(len(table)))
    assert len(turned) == len(CLASSES)
    make("B, Zenodo", tmp_path / "bytes")
    assert torch.equal(images, load(tmp_path / "bytes").test_batch(torch.arange(len(table))))
    file = tmp_path / NAME / TRAIN
    file.write_bytes(file.read_bytes().replace(b"\xc3\xbf", b"\xc4\x80", 1))  # a letter that is no byte
    verified = call("data", "verify", NAME, "--data", tmp_path).out
    assert f"{file}: layout B: is no whole pickle ('latin-1' codec can't encode character" in verified
    assert verified.strip().endswith(f"{NAME}: 1 fault")


@pytest.mark.parametrize("layout", ["A", "D", "E", "F"])
def test_files_of_any_size_are_resized_whole(make, tmp_path, layout):
    truth = make(layout)
    views = load(tmp_path).test_batch(torch.arange(len(truth)))
    for path, view in zip(truth["name"], views, strict=True):
        with Image.open(tmp_path / NAME / path) as image:
            assert image.size != (SIDE, SIDE)
            whole = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        assert (view.permute(1, 2, 0).numpy() == np.asarray(whole)).all()


def test_ravis_validation_classes(make, tmp_path):
    """They are trained on where none are held out."""
    make("B")
    held, whole = (load(tmp_path, hold_out=asked).table for asked in (True, False))
    assert {split: set(labels) for split, labels in held.groupby("split")["label"]} == {
        split: set(labels) for split, labels in CLASSES.items()
    }
    assert set(whole[whole["split"] == "train"]["label"]) == {*CLASSES["train"], *CLASSES["validation"]}
    assert set(whole["split"]) == {"train", "test"}


def test_the_layout_is_part_of_both_hashes(make, tmp_path):
    """Even where the pixels and all names are the same: a number belongs to a layout."""
    found = {}
    for layout in PICKLED:
        make(layout, tmp_path / layout)
        source = load(tmp_path / layout)
        assert source.content == find_data_set(NAME, tmp_path / layout).content(tmp_path / layout)
        found[layout] = (source.content, source.data_hash)
    assert len(set(found.values())) == 2
    assert found["B"] == found["B, Zenodo"] == found["B, Python 2"]
    assert found["B"][0] != found["C"][0]
    assert found["B"][1] != found["C"][1]


def test_what_is_left_out_is_said(call, make, tmp_path):
    make("C")
    told = call("data", "verify", NAME, "--data", tmp_path).out
    assert "left out, as they hold other images of the training classes: miniImageNet_category_split_train_ph" in told


@pytest.mark.parametrize("layout", PICKLED)
def test_colours_in_another_order_are_said(call, make, tmp_path, monkeypatch, layout):
    """Of many images alone, and none is changed: only people can tell."""
    make(layout)
    form = reader.PICKLED[layout[0]]
    assert not form.seems_bgr(tmp_path / NAME)
    monkeypatch.setattr(pickles, "SAMPLE", 10)
    red, _, blue = np.stack([picture(label, at) for label in CLASSES["train"] for at in range(4)]).mean(axis=(0, 1, 2))
    assert form.seems_bgr(tmp_path / NAME) == (blue > red)
    assert ("stored as BGR" in call("data", "verify", NAME, "--data", tmp_path).out) == (blue > red)
    file = form.paths(tmp_path / NAME)["train"]
    content = pickle.loads(file.read_bytes(), encoding="latin1")
    content[form.pixels] = content[form.pixels][..., ::-1]
    write_pickle(file, content)
    assert form.seems_bgr(tmp_path / NAME) == (blue < red)
    assert ("stored as BGR" in call("data", "verify", NAME, "--data", tmp_path).out) == (blue < red)


def test_what_to_place_where_is_said(call, make, tmp_path):
    make("B", tmp_path / "elsewhere")
    told = call("data", "fetch", NAME, "--data", tmp_path)
    assert told.code == 1
    assert f"Place it in\n    {tmp_path / NAME}\nin one of the layouts below" in told.out
    for letter in "ABCDEF":
        assert f"  - {letter}: " in told.out


def test_it_is_planned_before_it_is_there(tmp_path):
    """By the counts of the packaged card."""
    found = image_counts(DATA, tmp_path)
    assert (found.classes, found.train, found.validation, found.test, found.test_classes) == (
        *(64, 38400, 9600, 12000),
        20,
    )
    assert image_counts(changed(DATA, {"hold_out": False}), tmp_path).classes == 80
    assert shown_at(DATA) == f"{SIDE} px (whole in training)"


@pytest.mark.parametrize("layout", ["B", "D"])
def test_a_picture(call, make, tmp_path, layout):
    make(layout)
    shown = call("data", "show", NAME, "--data", tmp_path, "--output", tmp_path / "picture.png")
    assert shown.code == 0, shown.error
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_damaged_image_is_told_and_none_that_is_not_listed(call, make, tmp_path):
    """All of ImageNet may lie there."""
    truth = make("D")
    damaged = tmp_path / NAME / truth["name"].iloc[0]
    for file in (damaged, tmp_path / NAME / "ILSVRC2012_img_train/n01000001/n01000001_3.JPEG"):
        file.write_bytes(file.read_bytes()[:200])
    for number in (3, 12):
        (tmp_path / NAME / f"ILSVRC2012_img_train/n01000004/n01000004_{number}.JPEG").unlink()
    verified = call("data", "verify", NAME, "--data", tmp_path)
    assert verified.out.strip().splitlines()[-1] == f"{NAME}: 2 faults"
    assert f"{damaged} can't be decoded" in verified.out
    assert (
        "n01000004 has 10 images, but there are 1300 at most and Ravi's list takes number 11: complete" in verified.out
    )


def test_near_misses_of_the_name(call, tmp_path):
    told = call("data", "verify", "miniimagenet", "--data", tmp_path)
    assert "unknown data set 'miniimagenet': did you mean mini-imagenet" in told.error


def test_the_archive_is_unpacked_where_it_is_placed(call, make, cards, tmp_path):
    """After a look at its checksum; and what came out of it is removed again."""
    truth = make("B", tmp_path / "made")
    archive = tmp_path / NAME / "mini-imagenet.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as packed:
        for file in sorted((tmp_path / "made" / NAME).iterdir()):
            packed.add(file, arcname=file.name)
    cards(tiny_card(NAME, truth, {}))
    refused = call("data", "fetch", NAME, "--data", tmp_path)
    assert (refused.code, "has the md5 " in refused.error) == (2, True)
    cards(tiny_card(NAME, truth, {archive.name: archive}))
    assert call("data", "fetch", NAME, "--data", tmp_path).code == 0
    assert load(tmp_path).table.to_csv() == truth.to_csv()
    assert call("data", "remove", NAME, "--data", tmp_path, "--yes").code == 0
    assert [path.name for path in archive.parent.glob("[!.]*")] == [archive.name]


def test_removed(call, make, tmp_path):
    """What was placed there and is no archive's stays."""
    make("F")
    load(tmp_path)
    assert call("data", "remove", NAME, "--data", tmp_path, "--yes").code == 0
    assert not (tmp_path / NAME / "decoded").exists()
    assert (tmp_path / NAME / "data").is_dir()


def text(change):
    return lambda file: file.write_text(change(file.read_text()))


def swapped(first, second):
    return text(lambda content: content.replace(first, "?").replace(second, first).replace("?", second))


def without_line(number):
    return text(
        lambda content: "".join(
            content.splitlines(keepends=True)[: number - 1] + content.splitlines(keepends=True)[number:]
        )
    )


def gone(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def renamed(name):
    return lambda path: path.rename(path.with_name(name))


def with_file(name):
    return lambda folder: shutil.copy(next(folder.glob("*.*")), folder / name)


def rewritten(change, split="train"):
    """A pickle of layout B with other content."""

    def write(file):
        content = cache(split)
        change(content)
        write_pickle(file, content)

    return write


def other_labels(change):
    def write(file):
        content = pickle.loads(file.read_bytes())
        change(content)
        write_pickle(file, content)

    return write


TRAIN = "mini-imagenet-cache-train.pkl"
OF_C = "miniImageNet_category_split_{}.pickle"
FAULTS = [
    ("A", "images", gone, "images is missing: complete it, or fetch the data set again (layout A: Ravi's lists"),
    ("A", "images/n0100000200000003.jpg", gone, "test.csv, line 3: image 'images/n0100000200000003.jpg' is not in"),
    ("A", "train.csv", swapped("n01000004", "n01000003"), "layout A: the class n01000003 is for validation in Ravi's"),
    ("A", "val.csv", without_line(3), "layout A in {folder}: the class n01000003 (beast 3, for validation) has 3 im"),
    (
        "A",
        "train.csv",
        text(lambda all_: all_.replace("00000009.jpg", "00000010.jpg", 1)),
        "is none of the 4 images of",
    ),
    (
        "A",
        "train.csv",
        text(lambda all_: all_.replace(",n01000001", ",n01000004", 1)),
        "is no image of the class n0100",
    ),
    ("A", "train.csv", text(lambda all_: all_.replace("n01", "n02")), "layout A: 'n02000001' is no class of Ravi's"),
    ("A", "test.csv", text(lambda all_: f"class_name,image_name\n{all_}"), "(this is a list of layout E, whose images"),
    (
        "A",
        "test.csv",
        text(lambda all_: all_ + all_.splitlines()[-1]),
        "has 5 images instead of 4: take all its",
    ),
    ("B", TRAIN, rewritten(lambda all_: all_["class_dict"].pop("n01000004")), "row 5 of 'image_data' is of no class"),
    ("B", TRAIN, rewritten(lambda all_: all_.pop("class_dict")), "layout B: has no classes in 'class_dict'"),
    ("B", TRAIN, rewritten(lambda all_: all_.pop("image_data")), "layout B: has no images of 84 x 84 pixels in 'im"),
    (
        "B",
        TRAIN,
        rewritten(lambda all_: all_["class_dict"]["n01000001"].append(12)),
        "has row 12, but 'image_data' has",
    ),
    ("B", TRAIN, rewritten(lambda all_: all_["class_dict"]["n01000001"].append(-1)), "has row -1, but 'image_data'"),
    ("B", TRAIN, rewritten(lambda all_: all_["class_dict"]["n01000001"].append(2)), "n01000001 has a row twice"),
    ("B", TRAIN, rewritten(lambda all_: all_["class_dict"]["n01000001"].append(5)), "row 5 is of the class n010000"),
    (
        "B",
        TRAIN,
        rewritten(lambda all_: all_["class_dict"].update(n01000001=np.zeros(13, np.uint8))),
        "has 12 images, but 13 numbers as rows of the class n01000001",
    ),
    ("B", TRAIN, rewritten(lambda all_: all_["class_dict"].update({"n" * 9999: [0]})), f"'{'n' * 60}...' is no class"),
    ("B", TRAIN, rewritten(lambda all_: all_["class_dict"].update(n01000001="all")), "has no whole numbers as rows of"),
    ("B", TRAIN, lambda file: file.write_bytes(file.read_bytes()[:-900]), "train.pkl: layout B: is no whole pickle"),
    (
        "B",
        TRAIN,
        lambda file: shutil.copy(file.with_name(TRAIN.replace("train", "test")), file),
        "is for test in Ravi's",
    ),
    ("B", TRAIN, gone, "train.pkl is missing: complete it, or fetch the data set again (layout B: pickles by Ren"),
    (
        "C",
        OF_C.format("test"),
        lambda file: shutil.copy(file.with_name(OF_C.format("train_phase_test")), file),
        "layout C: the class n01000001 is for train in Ravi's split, not for test (train_phase_val and",
    ),
    (
        "C",
        OF_C.format("val"),
        other_labels(lambda all_: all_.pop("catname2label")),
        "has no classes in 'catname2label'",
    ),
    (
        "C",
        OF_C.format("val"),
        other_labels(lambda all_: all_["labels"].pop()),
        "has 8 images, but 7 numbers in 'labels'",
    ),
    (
        "C",
        OF_C.format("val"),
        other_labels(lambda all_: all_.update(labels=[3] * 7 + [9])),
        "the class number 9 has no",
    ),
    (
        "C",
        OF_C.format("val"),
        other_labels(lambda all_: all_.update(labels=[3] * 8)),
        "(beast 3, for validation) has 8",
    ),
    ("D", "ILSVRC2012_img_train/n01000003", gone, "layout D: the class n01000003 (beast 3) has no images in"),
    (
        "D",
        "ILSVRC2012_img_train/n01000003",
        renamed("n01000003.x"),
        "layout D: the class n01000003 (beast 3) has no im",
    ),
    ("D", "ILSVRC2012_img_train/n01000003", with_file("n01000003_x.JPEG"), "'n01000003_x.JPEG' is not named as"),
    ("D", "ILSVRC2012_img_train/n01000003", with_file("n01000004_1.JPEG"), "'n01000004_1.JPEG' is not named as"),
    (
        "D",
        "ILSVRC2012_img_train/n01000003",
        lambda folder: [file.unlink() for file in [*folder.iterdir()][2:]],
        "has 2 images, but there are 1300 at most and Ravi's list takes number 11",
    ),
    ("E", "ILSVRC2015/Data/CLS-LOC/train/n01000002", gone, "test.csv, line 2: image 'ILSVRC2015/Data/CLS-LOC/train/n0"),
    (
        "E",
        "train.csv",
        text(lambda all_: all_.replace("class_name,image_name", "filename,label")),
        "is a list of layout A",
    ),
    ("E", "test.csv", without_line(2), "layout E in {folder}: the class n0100000"),
    (
        "E",
        "test.csv",
        text(lambda all_: all_.replace("n01000002_", "n01000005_")),
        "is no image of the class n01000002",
    ),
    ("F", "splits/ravi-larochelle/train.txt", without_line(1), "n01000006 is a folder of no class of the lists: move"),
    (
        "F",
        "splits/ravi-larochelle/val.txt",
        gone,
        "val.txt is missing: complete it, or fetch the data set again (layou",
    ),
    (
        "F",
        "splits/ravi-larochelle/val.txt",
        text(lambda all_: all_ + "n01000001\n"),
        "n01000001 is for train in Ravi's",
    ),
    (
        "F",
        "splits/ravi-larochelle/val.txt",
        text(lambda all_: all_ * 2),
        "layout F: the class n01000007 stands in line",
    ),
    ("F", "data/n01000001", gone, "layout F in {folder}: the class n01000001 (beast 1, for train) is missing"),
    ("F", "data/n01000001/n0100000100000003.jpg", gone, "(beast 1, for train) has 3 images instead of 4"),
    ("F", "data/n01000001", with_file("another.jpg"), "(beast 1, for train) has 5 images instead of 4"),
    ("F", "data/n01000001", with_file("n0100000200000003.jpg"), "is of another class than its folder, n01000001"),
]


@pytest.mark.parametrize(("layout", "path", "damage", "told"), FAULTS, ids=range(len(FAULTS)))
def test_a_planted_fault_is_one_clear_line(call, make, tmp_path, layout, path, damage, told):
    """Which names the layout; and training refuses what verify tells."""
    make(layout)
    damage(tmp_path / NAME / path)
    verified = call("data", "verify", NAME, "--data", tmp_path)
    *lines, last = [line for line in verified.out.strip().splitlines() if "decoding" not in line]
    assert verified.code == 1
    assert told.format(folder=tmp_path / NAME) in lines[0], lines
    assert last == f"{NAME}: {len(lines)} fault{'s' if len(lines) > 1 else ''}"
    with pytest.raises(ValueError, match=r"\A.+\Z"):
        load(tmp_path)


def test_two_layouts_at_once(call, make, tmp_path):
    make("F")
    make("B")
    told = call("data", "verify", NAME, "--data", tmp_path).out
    assert "holds mini-imagenet in layout B: pickles by Ren et al. and in layout F: class folders and lists" in told
    with pytest.raises(ValueError, match="leave one there, whole, and move the others away"):
        load(tmp_path)
    refused = call("data", "fetch", NAME, "--data", tmp_path)
    assert (refused.code, refused.error.count("\n")) == (2, 1)


def test_validation_under_both_names(call, make, tmp_path):
    make("B")
    make("B, Zenodo")
    told = call("data", "verify", NAME, "--data", tmp_path).out
    assert "in layout B: pickles by Ren et al. and in layout B: pickles by Ren et al., as on Zenodo: leave one" in told


def test_an_unknown_layout(call, make, tmp_path):
    """Class folders in a folder for each part, as some tools make them."""
    make("F", tmp_path / "elsewhere")
    shutil.copytree(tmp_path / "elsewhere" / NAME / "data", tmp_path / NAME / "base")
    told = call("data", "verify", NAME, "--data", tmp_path).out
    assert (
        f"{tmp_path / NAME} holds no known layout of mini-imagenet (A: Ravi's lists and a folder of images; B:" in told
    )
    with pytest.raises(ValueError, match="holds no known layout of mini-imagenet"):
        load(tmp_path)


class Foreign:
    def __reduce__(self):
        return os.system, ("echo this must never be said",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            {"image_data": Foreign()},
            f"asks for {os.name}.system, which arrays and lists don't need, so it is not opened",
        ),
        (list(range(20_000)), "holds more than "),
        ([], "has no keys"),
    ],
)
def test_a_hostile_pickle(call, make, tmp_path, capfd, content, told):
    make("B")
    write_pickle(tmp_path / NAME / TRAIN, content)
    assert f"{TRAIN}: layout B: {told}" in call("data", "verify", NAME, "--data", tmp_path).out
    assert "must never" not in capfd.readouterr().out


@pytest.mark.parametrize("layout", ["B", "C"])
def test_a_damaged_pickle_is_a_fault_or_another_value(make, tmp_path, layout):
    """Never an error of another kind, whatever byte beside the pixels is another."""
    make(layout)
    file = tmp_path / NAME / {"B": TRAIN, "C": OF_C.format("train_phase_train")}[layout]
    content, random = file.read_bytes(), np.random.default_rng(0)
    places = [at for at in range(len(content)) if min(at, len(content) - at) < 400]
    faults = 0
    for _ in range(100):
        damaged = bytearray(content)
        damaged[random.choice(places)] = random.integers(256)
        file.write_bytes(damaged)
        faults += any(isinstance(found, Fault) for found in reader.scan(tmp_path / NAME))
    assert 10 < faults < 100


def test_a_pickle_larger_than_all_images(call, make, tmp_path):
    make("B")
    with (tmp_path / NAME / TRAIN).open("r+b") as file:
        file.truncate(2**25)
    assert "is larger than all of miniImageNet" in call("data", "verify", NAME, "--data", tmp_path).out


PRETRAINED = Net(trunk="resnet18", width=None, weights="imagenet")
SEEN = "net.weights = imagenet, but these weights were trained on the test classes of mini-imagenet, which must be new"


def few_shot(net, **more):
    return Experiment(data=DATA, net=net, task=FewShot(), terms=(Term(loss="prototypical"),), training=TRAINING, **more)


def test_weights_that_have_seen_the_test_classes():
    """Be they the network's or its teacher's, whatever that was trained on."""
    random = changed(PRETRAINED, {"weights": "random"})
    on_birds = changed(few_shot(PRETRAINED), {"data": Data(name="cub200", size=64)})
    distilled = {"terms": (Term(loss="rkd_distance"),)}
    student = changed(few_shot(random, teacher=on_birds), distilled)
    grandchild = changed(few_shot(random, teacher=student), distilled)
    check_experiment(few_shot(random))
    check_experiment(on_birds)
    for experiment, owner in ((few_shot(PRETRAINED), ""), (student, "the teacher's "), (grandchild, "the teacher's ")):
        with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
            check_experiment(experiment)
        assert str(caught.value).startswith(f"{owner}{SEEN}")


@pytest.mark.parametrize(("other", "side"), [("tiny-imagenet", 64), ("cinic10", 32)])
def test_networks_trained_on_images_of_the_test_classes(other, side):
    """Teachers and first stages; and networks that are only measured there."""
    data = Data(name=other, split="images", size=side)
    random = changed(PRETRAINED, {"weights": "random"})
    teacher = Experiment(data=data, net=random, task=Classification(), terms=(Term(loss="cross_entropy"),))
    said = f"data.name = {other}, whose training images have some of the test classes of mini-imagenet, which must be"
    check_experiment(teacher)
    for part in ("teacher", "first stage"):
        student = few_shot(random, **{{"first stage": "initialized_from"}.get(part, part): teacher})
        with pytest.raises(ValueError, match=f"\\Athe {part}'s {said}.+\\Z"):
            check_experiment(changed(student, {"terms": (Term(loss="rkd_distance"),)}))
    with pytest.raises(ValueError, match=f"\\A{said}.+\\Z"):
        check_unseen(teacher, DATA)


def test_networks_that_have_seen_them_are_not_measured_on_them(make, tmp_path):
    make("B")
    data = changed(DATA, {"content": find_data_set(NAME, tmp_path).content(tmp_path)})
    plain = TransferSpec(experiment=None, net=PRETRAINED, data=data, task=FewShot())
    trained = TransferSpec.of(changed(few_shot(PRETRAINED), {"data": Data(name="cub200", size=64)}), data)
    for asked in (plain, trained):
        with pytest.raises(ValueError, match=re.escape(SEEN)):
            check_transfers([asked], tmp_path, tmp_path, iter)


@pytest.mark.skipif("RELBENCH_REAL_DATA" not in os.environ, reason="RELBENCH_REAL_DATA names no folder of real data")
def test_the_real_thing(call):
    root = Path(os.environ["RELBENCH_REAL_DATA"])
    verified = call("data", "verify", NAME, "--data", root)
    assert verified.out.strip().splitlines()[-1] == f"{NAME}: all is well"
