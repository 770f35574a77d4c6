"""What is found in users' images when they are added: counted, named, and part of the hash where a setting decides."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_photos import noise

from relbench.analysis.query_examples import _load
from relbench.data import find_photos
from relbench.data.datasets.added import NOTE, add, notes, read_added
from relbench.data.images.decoded import decoded_images, decoded_path
from relbench.data.images.decoding import Decoding, asked_decoding
from relbench.data.images.photos import ImageFiles
from relbench.experiment import Data, Experiment, Term
from relbench.settings import changed

ANIMALS = [("train", "ant"), ("train", "bat"), ("test", "cat"), ("test", "dog")]
DATA = Data(name="mine", size=8)
TURNED = Image.Exif()
TURNED[0x0112] = 6


def see_through(number):
    picture = noise(number, 12, 9).convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 40))
    return picture


def write_plain(folder):
    """Two classes a side, of two images."""
    for number, name in enumerate(map("/".join, ANIMALS)):
        (folder / name).mkdir(parents=True)
        for which in range(2):
            noise(10 * number + which, 12, 9).save(folder / name / f"{which}.png")
    return folder


def write_mixed(folder):
    """The same, and five more, of which none is plain."""
    write_plain(folder)
    for number in range(4):
        see_through(number).save(folder / f"train/ant/clear{number}.png")
    noise(7, 12, 9).save(folder / "test/cat/turned.png", exif=TURNED)
    return folder


def as_of_old(root):
    """Write the note as the versions before settings wrote it."""
    path = root / "mine" / NOTE
    note = json.loads(path.read_text())
    del note["decoding"]
    path.write_text(json.dumps(note))


def hashes(root):
    photos = find_photos("mine", root)
    return photos.content(root), photos.load(DATA, root).data_hash


def refusal(call):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        call()
    return str(caught.value)


def test_what_is_found_is_counted_and_named(tmp_path):
    added, notes = add("mine", write_mixed(tmp_path / "source"), tmp_path)
    assert added.decoding == Decoding(background="#ffffff", exif="apply")
    clear = ", ".join(f"train/ant/clear{number}.png" for number in range(3))
    assert notes == [
        f"4 of 13 images have transparency: put onto #ffffff (--background COLOUR|refuse): {clear} and 1 more",
        "1 of 13 images has an EXIF rotation: applied (--exif apply|refuse): test/cat/turned.png",
    ]


def test_plain_images_need_no_setting_and_keep_the_hashes_of_earlier_versions(tmp_path):
    added, notes = add("mine", write_plain(tmp_path / "source"), tmp_path)
    assert (added.decoding, notes) == (Decoding(), [])
    before = hashes(tmp_path)
    as_of_old(tmp_path)
    assert hashes(tmp_path) == before


def test_another_setting_is_other_data(tmp_path):
    source, found = write_mixed(tmp_path / "source"), set()
    for place, background in enumerate(["white", "black"]):
        add("mine", source, tmp_path / str(place), decoding=asked_decoding(background, "apply"))
        found.update(hashes(tmp_path / str(place)))
    as_of_old(tmp_path / "1")
    assert len(found | set(hashes(tmp_path / "1"))) == 6


def test_a_setting_decides_on_what_is_trained_on(tmp_path):
    source, shown = write_mixed(tmp_path / "source"), []
    for place, background in enumerate(["white", "black"]):
        add("mine", source, tmp_path / str(place), decoding=asked_decoding(background, "apply"))
        images = find_photos("mine", tmp_path / str(place)).load(DATA, tmp_path / str(place))
        line = images.table["name"].tolist().index("train/ant/clear0.png")
        shown.append(images.test_batch(np.array([line])).float().mean().item())
    assert shown[0] > shown[1] + 200  # their alpha is 40 of 255


@pytest.mark.parametrize(
    ("background", "exif", "message"),
    [
        ("refuse", "apply", "4 images have transparency, which is refused: train/ant/clear0.png, "),
        ("white", "refuse", "1 image has an EXIF rotation, which is refused: test/cat/turned.png"),
    ],
)
def test_what_is_to_be_refused_is(tmp_path, background, exif, message):
    source = write_mixed(tmp_path / "source")
    found = refusal(lambda: add("mine", source, tmp_path, decoding=asked_decoding(background, exif)))
    assert found.startswith(message)
    assert not (tmp_path / "mine").exists()


def test_images_that_can_not_be_used_are_counted_and_named(tmp_path):
    source = write_plain(tmp_path / "source")
    (source / "test/cat/page.jpg").write_text("<html>")
    Image.fromarray(np.ones((3, 3), dtype=np.float32)).save(source / "test/dog/float.tif")
    message = refusal(lambda: add("mine", source, tmp_path))
    assert message.startswith("2 of 10 images can't be used: ")
    assert f"{source}/test/cat/page.jpg (it is none of JPEG, " in message
    assert f"{source}/test/dog/float.tif (its levels are floating-point numbers" in message


def test_a_set_added_by_an_earlier_version_is_refused_where_its_pixels_would_change(tmp_path):
    """Also where the earlier version has kept them decoded."""
    source = write_mixed(tmp_path / "source")
    add("mine", source, tmp_path)
    as_of_old(tmp_path)
    photos = find_photos("mine", tmp_path)
    names, kept = photos.all_images(tmp_path)["name"].tolist(), photos.cache_folder(tmp_path)
    earlier = ImageFiles(source, 9, 1)
    decoded_images(earlier, names, kept)
    assert decoded_path(photos.originals(tmp_path, 9), names, kept) != decoded_path(earlier, names, kept)
    images = photos.load(DATA, tmp_path)
    lines = np.arange(len(images.table))
    assert "add it again under another name" in refusal(lambda: images.test_batch(lines))


def test_decoded_images_are_those_of_the_setting(tmp_path):
    add("mine", write_mixed(tmp_path / "source"), tmp_path)
    photos = find_photos("mine", tmp_path)
    files, names = photos.originals(tmp_path, 9), photos.all_images(tmp_path)["name"].tolist()
    before = photos.load(DATA, tmp_path)
    decoded_images(files, names, photos.cache_folder(tmp_path))
    after = photos.load(DATA, tmp_path)
    lines = np.arange(len(names))
    assert (before.test_batch(lines) == after.test_batch(lines)).all()
    assert before.data_hash == after.data_hash


def test_left_out_copied_and_alike(tmp_path):
    source = write_plain(tmp_path / "source")
    for copy in ("train/ant/2.png", "test/cat/2.png"):
        shutil.copy(source / "train/ant/0.png", source / copy)
    (source / "train/Ant").mkdir()
    noise(99, 12, 9).save(source / "train/Ant/1.png")
    (source / "train/ant/clip.mp4").write_bytes(b"no image")
    _, told = add("mine", source, tmp_path)
    named = "train/ant/0.png of test/cat/2.png, train/ant/2.png of test/cat/2.png"
    assert told == [
        f"copies of other images, byte for byte: 2 (2 in another class, 2 in another split): {named}",
        "classes that differ only in case, blanks, signs or zeros: 'Ant' and 'ant'",
        "left out: no images (1 .mp4): train/ant/clip.mp4",
    ]
    assert notes(read_added("mine", tmp_path)) == told


def test_data_sets_are_not_kept_among_the_images(call, tmp_path, monkeypatch):
    """As when it is added from within its own folder: datasets/ would be a class without images."""
    source = write_plain(tmp_path / "source")
    monkeypatch.chdir(source)
    for more in ((), ("--data", "test/cat")):
        refused = call("data", "add", "mine", ".", *more)
        assert refused.code == 2
        assert f"would lie in {source}, whose folders are classes: keep data sets elsewhere" in refused.error
    assert sorted(path.name for path in source.iterdir()) == ["test", "train"]


def test_classes_named_like_a_missing_value_are_named(tmp_path):
    source = write_plain(tmp_path / "source")
    (source / "train/ant").rename(source / "train/NaN")
    assert "classes named like a missing value: 'NaN'" in add("mine", source, tmp_path)[1]


def test_verify_says_what_is_left_out(call, tmp_path):
    (write_plain(tmp_path / "source") / "test/cat/1.heic").write_bytes(b"no image")
    told = "left out: no images (1 .heic): test/cat/1.heic"
    assert told in call("data", "add", "mine", tmp_path / "source", "--data", tmp_path).out
    verified = call("data", "verify", "mine", "--data", tmp_path)
    assert told in verified.out
    assert verified.out.endswith("mine: all is well\n")


def test_a_folder_of_which_an_earlier_version_took_less_is_refused_with_advice(tmp_path):
    source = write_plain(tmp_path / "source")
    add("mine", source, tmp_path)
    noise(1, 12, 9).save(source / "test/cat/new.gif")
    message = refusal(lambda: find_photos("mine", tmp_path).all_images(tmp_path))
    assert (
        message
        == "mine was added without images that are included now (test/cat/new.gif): add it again under another name"
    )


def test_mirroring_can_be_switched_off(tmp_path):
    add("mine", write_plain(tmp_path / "source"), tmp_path)
    photos, lines = find_photos("mine", tmp_path), np.array([0] * 64)
    views = [
        photos.load(changed(DATA, {"mirror": mirror, "resize": 8}), tmp_path).train_batch(lines, torch.Generator())
        for mirror in (True, False)
    ]
    assert [len(each.unique(dim=0)) for each in views] == [2, 1]


def test_to_mirror_is_the_default_and_outside_of_fingerprints():
    plain, written_out, other = (
        Experiment(data=data, terms=(Term(loss="triplet"),)).fingerprint
        for data in (Data(name="x"), Data(name="x", mirror=True), Data(name="x", mirror=False))
    )
    assert plain == written_out != other


@pytest.mark.parametrize("names", [("dog",), ("dog", "cat"), ("cat", "dog")])
def test_images_of_named_classes_keep_their_order(tmp_path, names):
    add("mine", write_plain(tmp_path / "source"), tmp_path)
    photos = find_photos("mine", tmp_path)
    whole = photos.all_images(tmp_path)
    assert set(whole["label"][whole["split"] == "test"]) == {"cat", "dog"}
    part = photos.table(changed(DATA, {"test_classes": names}), tmp_path)
    kept = (whole["split"] != "test") | whole["label"].isin(names)
    assert part["name"].tolist() == whole["name"][kept].tolist()


def test_reports_show_class_names(tmp_path):
    source = write_plain(tmp_path / "source")
    rows = [(f"{split}/{label}/{number}.png", label, split) for split, label in ANIMALS for number in range(2)]
    table = pd.DataFrame(rows, columns=["path", "label", "split"])
    table.assign(class_name=table["label"].map({"cat": "Katze"})).to_csv(source / "mine.csv", index=False)
    add("mine", source / "mine.csv", tmp_path)
    data_hash = hashes(tmp_path)[1]
    row = SimpleNamespace(experiment=SimpleNamespace(data=DATA), data_hash=data_hash)
    shown = _load(row, tmp_path, iter).class_name
    assert [shown(label) for label in ("cat", "dog")] == ["Katze", "dog"]
