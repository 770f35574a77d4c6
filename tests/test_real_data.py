"""The published data sets as a user gets them: fetched, verified, trained on; tiny archives of the same layouts."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data.archives import MAKERS, pack, write_image
from data.misbehaving_server import good, page, serving, truncated
from data.tiny_cards import KS, tiny_card

from relbench.data import find_data_set
from relbench.data.parsing import annotations
from relbench.evaluation import retrieval_metrics
from relbench.experiment import Data
from relbench.results.records import Row, read_record

CLASSES, IMAGES = 8, 4  # of each side of the split, and of each class
SETTINGS = {
    "data.size": 28,
    "teacher.width": 4,
    "teacher.dim": 16,
    "teacher.steps": 4,
    "teacher.validate_every": 2,
    "teacher.batch_size": 12,
    "teacher.images_per_class": 2,
    "student.width": 2,
    "student.dim": 8,
    "student.steps": 6,
    "student.validate_every": 2,
    "student.batch_size": 12,
    "student.images_per_class": 2,
}
SERVED = {"cub200": "CUB_200_2011.tgz", "sop": "Stanford_Online_Products.zip"}  # these can be downloaded
PLACED = ["cars196-A", "cars196-B", "cars196-C", "inshop-beside"]  # archives that the user puts into the folder
UNPACKED = ["cars196-B-inside", "inshop"]  # unpacked by the user


def make(layout, folder, images=IMAGES):
    folder.mkdir(parents=True, exist_ok=True)
    return MAKERS[layout](folder, classes=CLASSES, images=images)


def train(call, root, results, name, *more, changes=None):
    settings = [part for key, value in (SETTINGS | (changes or {})).items() for part in ("--set", f"{key}={value}")]
    where = ("--data", root, "--results", results, "--seeds", "0", "--jobs", "1")
    return call("reproduce", "quickstart", *where, *settings, "--set", f"data.name={name}", *more)


def rows_of(results):
    rows = [read_record(Row, path) for path in results.glob("quickstart-*/runs/*/row.json")]
    return {row.fingerprint: row for row in rows}


def check_runs(results, truth):
    """Rows that say what the data were, and metrics that the kept embeddings give."""
    rows = rows_of(results)
    assert len(rows) == 6
    for name, row in rows.items():
        (embeddings,) = results.glob(f"quickstart-*/runs/{name}/embeddings.npz")
        with np.load(embeddings) as kept:
            arrays = dict(kept)
        test = truth[truth["split"] == "test"]
        assert arrays["names"].tolist() == test["name"].tolist()
        masks = {role: arrays[role] for role in ("query", "gallery") if role in arrays}
        assert {role: mask.tolist() for role, mask in masks.items()} == {
            role: test[role].tolist() for role in ("query", "gallery") if role in test
        }
        assert retrieval_metrics(arrays["embeddings"], arrays["labels"], KS, **masks) == row.metrics
        assert sum(row.counts.trials) == (masks["query"].sum() if masks else len(test))
    assert len({row.experiment.data.content for row in rows.values()}) == 1
    assert len({row.data_hash for row in rows.values()}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVED)
def test_served_by_mirrors_that_misbehave(call, cards, tmp_path, name):
    truth = make(name, tmp_path / "made")
    (archive,) = pack(name, tmp_path / "made", tmp_path / "packed")
    content = archive.read_bytes()
    routes = {"/quota": page(), "/short": truncated(content, len(content) // 2), "/good": good(content)}
    with serving(routes) as server:
        addresses = [server.address(route) for route in routes]
        cards(tiny_card(name, truth, {archive.name: archive}, addresses))
        root = tmp_path / "datasets"
        assert "absent" in call("data", "list", "--data", root).out
        fetched = call("data", "fetch", name, "--data", root, "--decode")
        assert fetched.code == 0, fetched.error
        assert "decoded images: " in fetched.out
        asked = len(server.requests)
        assert call("data", "fetch", name, "--data", root).code == 0
        assert len(server.requests) == asked  # what is there is not fetched again
    assert re.search(rf"{name}.*ready", call("data", "list", "--data", root).out)
    verify_and_train(call, tmp_path, root, name, truth)


@pytest.mark.slow
@pytest.mark.parametrize("layout", PLACED)
def test_placed_by_hand(call, cards, tmp_path, layout):
    name, root = layout.split("-")[0], tmp_path / "datasets"
    truth = make(layout, tmp_path / "made")
    (root / name).mkdir(parents=True)
    files = {file.name: file for file in pack(layout, tmp_path / "made", root / name)}
    cards(tiny_card(name, truth, files))
    assert re.search(rf"{name}.*archive", call("data", "list", "--data", root).out)
    fetched = call("data", "fetch", name, "--data", root, "--no-decode")
    assert fetched.code == 0, fetched.error
    assert "no decoded images are kept" in fetched.out
    verify_and_train(call, tmp_path, root, name, truth)


@pytest.mark.slow
@pytest.mark.parametrize("layout", UNPACKED)
def test_unpacked_by_hand(call, cards, tmp_path, layout):
    name, root = layout.split("-")[0], tmp_path / "datasets"
    truth = make(layout, root / name)
    cards(tiny_card(name, truth, {}))
    verify_and_train(call, tmp_path, root, name, truth)


def verify_and_train(call, tmp_path, root, name, truth):
    verified = call("data", "verify", name, "--data", root)
    assert (verified.code, verified.out.strip().splitlines()[-1]) == (0, f"{name}: all is well")
    trained = train(call, root, tmp_path / "results", name)
    assert trained.code == 0, trained.error
    check_runs(tmp_path / "results", truth)


@pytest.mark.slow
def test_decoded_images_change_nothing_but_the_time(call, cards, tmp_path):
    truth = make("cub200", tmp_path / "datasets" / "cub200")
    cards(tiny_card("cub200", truth, {}))
    assert train(call, tmp_path / "datasets", tmp_path / "without", "cub200").code == 0
    elsewhere = tmp_path / "elsewhere"
    options = ("--data", tmp_path / "datasets", "--decode", "--cache", elsewhere, "--side", 32)
    assert call("data", "fetch", "cub200", *options).code == 0
    assert list(elsewhere.glob("cub200/decoded-32px-*.npy"))
    assert train(call, tmp_path / "datasets", tmp_path / "with", "cub200").code == 0
    without, kept = rows_of(tmp_path / "without"), rows_of(tmp_path / "with")
    assert {name: row.metrics for name, row in without.items()} == {name: row.metrics for name, row in kept.items()}
    assert {name: row.history for name, row in without.items()} == {name: row.history for name, row in kept.items()}


@pytest.mark.slow
def test_training_on_all_classes_as_the_papers_do(call, cards, tmp_path):
    truth = make("cub200", tmp_path / "cub200")
    cards(tiny_card("cub200", truth, {}))
    trained = train(call, tmp_path, tmp_path / "results", "cub200", "--set", "data.hold_out=false")
    assert trained.code == 0, trained.error
    for row in rows_of(tmp_path / "results").values():
        assert row.validation == {}
        assert all("recall@1" not in entry for entry in row.history)
    refused = train(
        call,
        *(tmp_path, tmp_path / "results", "cub200"),
        *("--set", "data.hold_out=false", "--set", "student.selection=validation"),
    )
    assert refused.code == 2
    assert "selection = validation needs validation images" in refused.error


def test_three_planted_faults_are_named(call, cards, tmp_path):
    truth = make("cub200", tmp_path / "cub200")
    cards(tiny_card("cub200", truth, {}))
    missing, cut, text = (tmp_path / "cub200" / name for name in truth["name"].iloc[[3, 17, 40]])
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:300])
    text.write_text("<html>not here</html>")
    verified = call("data", "verify", "cub200", "--data", tmp_path)
    assert verified.code == 1
    assert verified.out.strip().endswith("3 faults")
    for path in (missing, cut, text):
        assert path.name in verified.out


def named(call, root, name, *parts):
    """The faults that verify tells, a line each; each part stands in exactly one of them."""
    verified = call("data", "verify", name, "--data", root)
    *told, last = [line for line in verified.out.strip().splitlines() if "decoding" not in line]
    assert verified.code == 1
    for part in parts:
        assert sum(part in line for line in told) == 1, (part, told)
    assert last == f"{name}: {len(parts)} fault{'s' if len(parts) > 1 else ''}"
    assert len(told) == len(parts), told


def edit(file, at, text):
    lines = file.read_text().splitlines()
    lines[at - 1] = text
    file.write_text("\n".join(lines) + "\n")


def test_every_fault_is_named_at_once(call, cards, tmp_path):
    truth = make("cub200", tmp_path / "cub200")
    cards(tiny_card("cub200", truth, {}))
    root = tmp_path / "cub200" / "CUB_200_2011"
    first, second, cut = (tmp_path / "cub200" / name for name in truth["name"].iloc[[3, 20, 17]])
    first.unlink()
    second.unlink()
    cut.write_bytes(cut.read_bytes()[:300])
    for line in (5, 9):
        edit(root / "image_class_labels.txt", line, f"{line} x")
    edit(root / "images.txt", 12, "12")
    named(
        *(call, tmp_path, "cub200"),
        *(f"images.txt, line 4: image 'CUB_200_2011/images/{first.parent.name}/{first.name}' is not in", second.name),
        f"{cut} can't be decoded",
        *(f"image_class_labels.txt, line {line}: 'x' is not a whole number" for line in (5, 9)),
        "images.txt, line 12: has 1 columns instead of 2",
    )


@pytest.mark.parametrize(
    ("layout", "listed", "text", "told"),
    [
        ("sop", "Stanford_Online_Products/Ebay_test.txt", "36 11319 x", "Ebay_test.txt, line 5: has 3 columns"),
        ("inshop", "Eval/list_eval_partition.txt", "img/a.jpg id_7 train", "line 5: 'id_7' is not an item id"),
        ("cars196-C", "anno_test.csv", "00005.jpg,1,2,3,4,x", "anno_test.csv, line 5: 'x' is not a whole"),
    ],
)
def test_missing_images_beside_a_damaged_line(call, cards, tmp_path, layout, listed, text, told):
    name = layout.split("-")[0]
    truth = make(layout, tmp_path / name)
    cards(tiny_card(name, truth, {}))
    edit(tmp_path / name / listed, 5, text)
    gone = [truth["name"].iloc[at] for at in (0, 1)]
    for image in gone:
        (tmp_path / name / image).unlink()
    named(call, tmp_path, name, told, *(repr(image) for image in gone))


@pytest.mark.parametrize("layout", ["cars196-A", "cars196-B", "cars196-B-inside"])
def test_missing_images_of_mat_files(call, cards, tmp_path, layout):
    truth = make(layout, tmp_path / "cars196")
    cards(tiny_card("cars196", truth, {file.name: file for file in (tmp_path / "cars196").glob("*.mat")}))
    gone = [truth["name"].iloc[at] for at in (0, -1)]
    for image in gone:
        (tmp_path / "cars196" / image).unlink()
    named(call, tmp_path, "cars196", *(f"image {image!r} is not in" for image in gone))


def test_a_missing_list_is_named_and_so_is_a_missing_image(call, cards, tmp_path):
    truth = make("cub200", tmp_path / "cub200")
    cards(tiny_card("cub200", truth, {}))
    (tmp_path / "cub200/CUB_200_2011/classes.txt").unlink()
    (tmp_path / "cub200" / truth["name"].iloc[3]).unlink()
    named(call, tmp_path, "cub200", "CUB_200_2011/classes.txt is missing", truth["name"].iloc[3])


@pytest.mark.parametrize(
    ("layout", "lists"),
    [
        ("cub200", ["CUB_200_2011/images.txt", "CUB_200_2011/image_class_labels.txt"]),
        ("sop", ["Stanford_Online_Products/Ebay_train.txt", "Stanford_Online_Products/Ebay_test.txt"]),
        ("cars196-C", ["anno_train.csv", "anno_test.csv"]),
    ],
)
def test_a_wrong_count_names_the_lists(call, cards, tmp_path, layout, lists):
    """The last lines are gone: nothing else can notice."""
    name = layout.split("-")[0]
    truth = make(layout, tmp_path / name)
    cards(tiny_card(name, truth, {}))
    for file in (tmp_path / name / listed for listed in lists):
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    named(call, tmp_path, name, f"(by {' and '.join(lists)}) is not the published data: ")


def test_very_many_missing_images_are_counted(call, cards, tmp_path):
    truth = make("cub200", tmp_path / "cub200")
    cards(tiny_card("cub200", truth, {}))
    for name in truth["name"].iloc[:60]:
        (tmp_path / "cub200" / name).unlink()
    told = call("data", "verify", "cub200", "--data", tmp_path).out
    assert told.count("is not in") == 50
    assert "and 10 more images are missing\n" in told
    assert told.strip().endswith("60 faults")


CUB_LISTS = ["images.txt", "classes.txt", "image_class_labels.txt"]
PARSED = {
    "sop": [["Ebay_train.txt", "Ebay_test.txt"]],
    "cub200": [CUB_LISTS, ["train_test_split.txt", *CUB_LISTS]],
}


@pytest.mark.parametrize("damage", [None, "2"])
@pytest.mark.parametrize("name", PARSED)
def test_each_list_is_parsed_once_for_each_way_to_split(call, cards, tmp_path, monkeypatch, name, damage):
    cards(tiny_card(name, make(name, tmp_path / name), {}))
    if damage:
        edit(next(tmp_path.rglob(PARSED[name][0][0])), 2, damage)
    parsed, raw_lines = [], annotations._raw_lines
    monkeypatch.setattr(annotations, "_raw_lines", lambda file: (parsed.append(file.name), raw_lines(file))[1])
    assert call("data", "verify", name, "--data", tmp_path).code == bool(damage)
    assert parsed == [file for lists in PARSED[name] for file in lists]


def test_an_absent_data_set_is_one_fault(call, cards, tmp_path):
    cards(tiny_card("cub200", make("cub200", tmp_path / "made"), {}))
    named(call, tmp_path, "cub200", f"is not ready in {tmp_path / 'cub200'}: relbench data fetch cub200 --data")


def test_an_added_table_with_faults(call, tmp_path):
    truth = make("cub200", tmp_path / "photos", images=6)
    source = tmp_path / "photos" / "mine.csv"
    truth.rename(columns={"name": "path"}).to_csv(source, index=False)
    assert call("data", "add", "mine", source, "--data", tmp_path).code == 0
    first, second, cut = (tmp_path / "photos" / name for name in truth["name"].iloc[[3, 20, 17]])
    first.unlink()
    second.unlink()
    cut.write_bytes(cut.read_bytes()[:300])
    edit(source, 2, f"{truth['name'].iloc[0]},,train")
    named(call, tmp_path, "mine", "mine.csv, line 5: image", second.name, f"{cut} can't", "line 2) has no label")


def test_an_added_table_that_is_gone(call, tmp_path):
    """What else lies in its folder is none of its images."""
    truth = make("cub200", tmp_path / "photos", images=6)
    source = tmp_path / "photos" / "mine.csv"
    truth.rename(columns={"name": "path"}).to_csv(source, index=False)
    assert call("data", "add", "mine", source, "--data", tmp_path).code == 0
    source.unlink()
    (tmp_path / "photos/holiday.jpg").write_bytes(b"no image")
    named(call, tmp_path, "mine", "mine.csv cannot be read (No such file or directory)")


def test_a_damaged_validation_image_is_met_before_training(call, cards, tmp_path):
    truth = make("cub200", tmp_path / "cub200")
    cards(tiny_card("cub200", truth, {}))
    images = [tmp_path / "cub200" / name for name in truth["name"]]
    for image in images[: len(images) // 2]:
        image.write_bytes(image.read_bytes()[:300])
    trained = train(call, tmp_path, tmp_path / "results", "cub200")
    assert trained.code == 2
    assert re.search(r"\.jpg can't be decoded", trained.error)
    assert not list(tmp_path.rglob("checkpoint.pt"))


def own_table(folder, change=lambda table: table):
    """A table of 3 training and 3 test classes of 4 images, changed."""
    folder.mkdir()
    names = [(f"{label}_{number}.jpg", label) for label in "abcdef" for number in range(4)]
    for number, (path, _) in enumerate(names):
        write_image(folder / path, number, number)
    rows = [(path, label, "train" if label < "d" else "test") for path, label in names]
    change(pd.DataFrame(rows, columns=["path", "label", "split"])).to_csv(folder / "mine.csv", index=False)
    return folder / "mine.csv"


SMALL = {f"{arm}.batch_size": 4 for arm in ("teacher", "student")}


@pytest.mark.slow
@pytest.mark.parametrize(("role", "other"), [("query", "gallery"), ("gallery", "query")])
def test_one_role_alone(call, tmp_path, role, other):
    def half(table):
        return table.assign(**{role: table["path"].str.contains("_[01]")})

    assert call("data", "add", "mine", own_table(tmp_path / "own", half), "--data", tmp_path).code == 0
    trained = train(call, tmp_path, tmp_path / "results", "mine", changes=SMALL)
    assert trained.code == 0, trained.error
    with np.load(next((tmp_path / "results").glob("quickstart-*/runs/*/embeddings.npz"))) as kept:
        assert kept[role].sum() == 6
        assert kept[other].all()


def test_test_classes_of_one_image_are_refused_before_any_work(call, tmp_path):
    def lonely(table):
        return table[(table["split"] != "test") | table["path"].str.endswith("_0.jpg")]

    assert call("data", "add", "mine", own_table(tmp_path / "own", lonely), "--data", tmp_path).code == 0
    refused = train(call, tmp_path, tmp_path / "results", "mine", changes=SMALL)
    assert refused.code == 2
    assert "no test image has another image of its class to be found" in refused.error
    assert not list(tmp_path.rglob("checkpoint.pt"))


def test_a_gallery_of_one_is_refused_when_added(call, tmp_path):
    def single(table):
        return table[(table["split"] == "train") | (table["path"] == "d_0.jpg")]

    refused = call("data", "add", "mine", own_table(tmp_path / "own", single), "--data", tmp_path / "datasets")
    assert refused.code == 2
    assert "one test image to be found" in refused.error
    assert not (tmp_path / "datasets").exists()


def test_a_source_that_changed_is_refused(call, tmp_path):
    source = own_table(tmp_path / "own")
    assert call("data", "add", "mine", source, "--data", tmp_path).code == 0
    content = source.read_text()
    source.write_text("\n".join(content.splitlines()[:-1]) + "\n")
    changed = "has other images, classes or splits than when mine was added"
    assert changed in call("data", "verify", "mine", "--data", tmp_path).out
    refused = train(call, tmp_path, tmp_path / "results", "mine", changes=SMALL)
    assert refused.code == 2
    assert changed in refused.error
    source.write_text(content)
    assert call("data", "verify", "mine", "--data", tmp_path).code == 0


def test_a_half_made_note_does_not_stand_in_the_way(call, tmp_path):
    (tmp_path / "mine").mkdir()
    process = subprocess.Popen(["true"])
    process.wait()
    (tmp_path / "mine" / f".added.json.{process.pid}@{platform.node()}.unfinished").write_text("{")
    assert call("data", "add", "mine", own_table(tmp_path / "own"), "--data", tmp_path).code == 0


def test_a_damaged_note_stops_nobody_else(call, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "added.json").write_text("{")
    assert re.search(r"mine.*damaged", call("data", "list", "--data", tmp_path).out)
    assert find_data_set("glyphs", tmp_path).ks
    refused = call("data", "verify", "mine", "--data", tmp_path)
    assert refused.code == 2
    assert "added.json is damaged" in refused.error


@pytest.mark.slow
def test_decoded_images_that_no_longer_fit_are_said_and_replaced(call, cards, tmp_path):
    truth = make("cub200", tmp_path / "cub200")
    cards(tiny_card("cub200", truth, {}))
    fetch = ("data", "fetch", "cub200", "--data", tmp_path, "--side", 32)
    assert call(*fetch).code == 0
    (first,) = (tmp_path / "cub200" / "decoded").glob("*.npy")
    os.utime(tmp_path / "cub200" / truth["name"].iloc[0])
    trained = train(call, tmp_path, tmp_path / "results", "cub200")
    assert "no decoded images of 32 px are kept for cub200 as it is now" in trained.out
    again = call(*fetch)
    assert f"deleted, as the images have changed since: {first}" in again.out
    (second,) = (tmp_path / "cub200" / "decoded").glob("*.npy")
    second.write_bytes(second.read_bytes()[:-1])
    refused = call(*fetch)
    assert refused.code == 2
    assert f"{second} is damaged" in refused.error


def test_garbage_among_decoded_images_is_refused_everywhere(call, cards, tmp_path):
    """Half of the file: its size and header are right, and so are the files that it was made from."""
    cards(tiny_card("cub200", make("cub200", tmp_path / "cub200"), {}))
    fetch = ("data", "fetch", "cub200", "--data", tmp_path, "--side", 32)
    verify = ("data", "verify", "cub200", "--data", tmp_path)
    assert call(*fetch).code == 0
    assert call(*verify).code == 0
    (kept,) = (tmp_path / "cub200" / "decoded").glob("*.npy")
    content = kept.read_bytes()
    kept.write_bytes(content[: len(content) // 2] + os.urandom(len(content) - len(content) // 2))
    words = f"{kept} is damaged: its picture of "
    for command, code in ((fetch, 2), (verify, 1)):
        found = call(*command)
        assert (found.code, words in found.out + found.error) == (code, True)
    trained = train(call, tmp_path, tmp_path / "results", "cub200")
    assert trained.code != 0
    assert words in trained.out + trained.error
    kept.unlink()
    assert call(*fetch).code == call(*verify).code == 0
    assert kept.read_bytes() == content


def test_another_place_for_decoded_images(call, cards, tmp_path):
    cards(tiny_card("cub200", make("cub200", tmp_path / "cub200"), {}))
    fetch = ("data", "fetch", "cub200", "--data", tmp_path, "--side", 32, "--cache")
    link = tmp_path / "cub200" / "decoded"
    assert call(*fetch, tmp_path / "a", "--no-decode").code == 0
    assert not link.is_symlink()
    for place in ("a", "b"):
        assert call(*fetch, tmp_path / place).code == 0
        assert link.resolve() == tmp_path / place / "cub200"
    (tmp_path / "b").rename(tmp_path / "c")
    refused = call(*fetch[:-1])
    assert refused.code == 2
    assert "is gone: bring it back, or delete the link" in refused.error
    link.unlink()
    link.symlink_to(tmp_path / "c" / "cub200")
    assert call(*fetch[:-1]).code == 0  # they are there, and nothing is written
    refused = call(*fetch[:5], "--side", 16)
    assert refused.code == 2
    assert (
        f"nothing is written where a link leads unless the command names that place: say --cache {tmp_path / 'c'}"
        in (refused.error)
    )
    assert len(list((tmp_path / "c" / "cub200").glob("*.npy"))) == 1


def test_no_room_elsewhere_for_decoded_images(call, cards, tmp_path, monkeypatch):
    """The sizes are said, and neither a link nor a folder is left."""
    cards(tiny_card("cub200", make("cub200", tmp_path / "cub200"), {}))
    before = sorted((tmp_path / "cub200").iterdir())
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=12_345))
    refused = call("data", "fetch", "cub200", "--data", tmp_path, "--side", 32, "--cache", tmp_path / "a")
    assert refused.code == 2
    assert f"the 64 decoded images need 197.8 kB, and {tmp_path}/a/cub200 has 12.3 kB free" in refused.error
    assert sorted((tmp_path / "cub200").iterdir()) == before
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("data", "fetch", "cub"), ["unknown data set 'cub'", "did you mean cub200"]),
        (("data", "fetch", "glyphs"), ["glyphs is rendered on first use"]),
        (("data", "verify", "glyphs-textured"), ["glyphs-textured is rendered on first use"]),
        (("data", "remove", "glyphs"), ["glyphs is rendered on first use, not kept in files of images"]),
        (("data", "verify", "cubs200"), ["unknown data set"]),
        (("data", "add", "a b", "x.csv"), ["the name 'a b' is impossible"]),
        (("data", "add", "[v2]", "x.csv"), ["the name '[v2]' is impossible", "letters a to z"]),
        (("data", "add", "x" * 81, "x.csv"), ["is impossible: take up to 80 letters"]),
        (("data", "add", "mine", "x.csv"), ["x.csv"]),
        (("data", "add", "sop", "x.csv"), ["the name 'sop' is taken"]),
        (("data", "add", "glyphs-textured", "x.csv"), ["the name 'glyphs-textured' is taken"]),
    ],
)
def test_impossible_requests(call, tmp_path, arguments, parts):
    refused = call(*arguments, "--data", tmp_path)
    assert refused.code == 2
    assert refused.error.startswith("relbench: ")
    assert refused.error.count("\n") == 1
    for part in parts:
        assert part in refused.error


def test_a_data_set_that_is_not_there(call, tmp_path):
    refused = train(call, tmp_path, tmp_path / "results", "cub200")
    assert refused.code == 2
    assert f"relbench data fetch cub200 --data {tmp_path}" in refused.error
    assert not (tmp_path / "results").exists()


def test_by_hand_where_no_download_is_possible(call, tmp_path):
    told = call("data", "fetch", "cars196", "--data", tmp_path)
    assert told.code == 1
    for part in ("car_ims.tgz", "cars_annos.mat", "cars_test_annos_withlabels.mat", str(tmp_path / "cars196")):
        assert part in told.out


@pytest.mark.slow
@pytest.mark.parametrize("form", ["table", "folder"])
def test_bring_your_own(call, tmp_path, form):
    truth = make("cub200", tmp_path / "photos", images=6)
    if form == "table":
        source = tmp_path / "photos" / "mine.csv"
        truth.rename(columns={"name": "path"}).to_csv(source, index=False)
    else:
        source = tmp_path / "photos" / "CUB_200_2011" / "images"
    root = tmp_path / "datasets"
    added = call("data", "add", "mine", source, "--data", root)
    assert added.code == 0, added.error
    assert "classes, images: 8, 48 for training; 8, 48 for testing" in added.out
    assert re.search(r"mine.*ready", call("data", "list", "--data", root).out)
    assert re.search(r"mine\s+added from", call("list", "--data", root).out)
    assert call("data", "verify", "mine", "--data", root).code == 0
    assert call("data", "fetch", "mine", "--data", root, "--decode", "--side", 32).code == 0
    trained = train(call, root, tmp_path / "results", "mine")
    assert trained.code == 0, trained.error
    assert len(rows_of(tmp_path / "results")) == 6


def test_an_own_table_whose_sides_share_a_class(call, tmp_path):
    truth = make("cub200", tmp_path)
    truth["label"] = truth["label"].iloc[0]
    truth.rename(columns={"name": "path"}).to_csv(tmp_path / "mine.csv", index=False)
    refused = call("data", "add", "mine", tmp_path / "mine.csv", "--data", tmp_path / "datasets")
    assert refused.code == 2
    assert "mine.csv, line" in refused.error
    assert "must share no class" in refused.error
    assert not (tmp_path / "datasets").exists()


def test_a_picture(call, cards, tmp_path):
    truth = make("cub200", tmp_path / "cub200")
    cards(tiny_card("cub200", truth, {}))
    shown = call("data", "show", "cub200", "--data", tmp_path, "--output", tmp_path / "picture.png")
    assert shown.code == 0
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_split_is_in_the_fingerprint(cards, tmp_path):
    truth = make("cub200", tmp_path / "cub200")
    cards(tiny_card("cub200", truth, {}))
    found = find_data_set("cub200", tmp_path)
    source = found.load(Data(name="cub200", size=28), tmp_path, iter)
    assert found.content(tmp_path) == source.content
    assert set(source.table["split"]) == {"train", "validation", "test"}
    assert source.table.groupby("split")["label"].nunique().to_dict() == {"train": 6, "validation": 2, "test": 8}
    few = found.load(Data(name="cub200", size=28, train_classes=3, test_classes=2), tmp_path, iter)
    assert few.table.groupby("split")["label"].nunique().to_dict() == {"train": 3, "validation": 2, "test": 2}
    assert few.content == source.content
    assert few.data_hash != source.data_hash


def test_distortion_is_not_for_photos(cards, tmp_path):
    cards(tiny_card("cub200", make("cub200", tmp_path / "cub200"), {}))
    with pytest.raises(ValueError, match=r"data\.distortion = 0.5 is for glyphs"):
        find_data_set("cub200", tmp_path).load(Data(name="cub200", distortion=0.5), tmp_path, iter)


@pytest.mark.skipif("RELBENCH_REAL_DATA" not in os.environ, reason="RELBENCH_REAL_DATA names no folder of real data")
@pytest.mark.parametrize("name", ["cub200", "cars196", "sop", "inshop"])
def test_the_real_thing(call, name):
    root = Path(os.environ["RELBENCH_REAL_DATA"])
    verified = call("data", "verify", name, "--data", root)
    assert verified.out.strip().splitlines()[-1] == f"{name}: all is well"
    assert len(find_data_set(name, root).content(root)) == 64
