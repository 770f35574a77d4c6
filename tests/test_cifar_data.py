"""CIFAR-10 and CIFAR-100 as a user gets them: fetched, verified, trained on; from records and from pickles."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from data.cifar_archives import HUNDRED, MAKERS, pack, picture, write_pickle
from data.misbehaving_server import good, page, serving
from data.tiny_cards import tiny_card

from relbench.data import find_data_set, shown_at
from relbench.data.table import indices_of, labels_of
from relbench.experiment import Classification, Data, Experiment, Net, Term, Training
from relbench.grid.estimate.image_counts import image_counts
from relbench.resolve import resolve
from relbench.results.run_folder import RunFolder
from relbench.run import run
from relbench.settings import changed
from relbench.trackers import Silent

CLASSES, IMAGES = 3, 10  # of each class on each side
TRAINING = Training(
    optimizer="sgd", momentum=0.9, learning_rate=0.05, steps=4, batch_size=6, validate_every=2, images_per_class=2
)
DATA = {name: Data(name=name, split="images", size=32) for name in ("cifar10", "cifar100")}


def experiment(name, root):
    data = changed(DATA[name], {"content": find_data_set(name, root).content(root)})
    net = Net(width=2, dim=None, unit_length=False)
    terms = (Term(loss="cross_entropy"),)
    plain = Experiment(task=Classification(), data=data, net=net, terms=terms, training=TRAINING)
    return resolve(plain, "student")


def make(layout, folder):
    return MAKERS[layout](folder, classes=CLASSES, images=IMAGES)


def verified(call, name, root):
    found = call("data", "verify", name, "--data", root)
    return found.code, found.out.strip().splitlines()[-1]


def fetched(call, name, root):
    """What `data fetch` says of a data set that can be had."""
    found = call("data", "fetch", name, "--data", root)
    assert found.code == 0, found.error
    assert "decoded images: " in found.out
    assert "split by images: 50,000 images for training" in found.out
    assert re.search(rf"{name} .*ready", call("data", "list", "--data", root).out)
    assert verified(call, name, root) == (0, f"{name}: all is well")


def trained(name, root, truth):
    """The row of a short training, after a look at what it was measured on."""
    asked = experiment(name, root)
    row = run(asked, root / "runs", root, Silent())
    assert RunFolder(root / "runs", asked).stored().names.tolist() == truth["name"][truth["split"] == "test"].tolist()
    trials = dict(zip(row.counts.groups, row.counts.trials, strict=True))
    assert trials == dict.fromkeys(sorted(set(truth["label"])), IMAGES)
    assert "accuracy" in row.validation
    return row


@pytest.mark.parametrize("name", DATA)
def test_served_or_placed_by_hand_it_is_the_same(call, cards, tmp_path, name):
    """Records from a server whose first address answers with a page; pickles that the user put there."""
    made, roots = tmp_path / "made", [tmp_path / "records", tmp_path / "pickles"]
    truth = make(name, made / name)
    make(f"{name}-pickled", made / "pickled")
    served = pack(name, made / name, tmp_path / "packed")
    placed = pack(f"{name}-pickled", made / "pickled", roots[1] / name)
    with serving({"/quota": page(), "/good": good(served.read_bytes())}) as server:
        addresses = [server.address(route) for route in ("/quota", "/good")]
        cards(tiny_card(name, truth, {file.name: file for file in (served, placed)}, addresses))
        for root, before in zip(roots, ("absent", "archive"), strict=True):
            assert re.search(rf"{name} .*{before}", call("data", "list", "--data", root).out)
            fetched(call, name, root)
        fetched(call, name, roots[0])
        assert len(server.requests) == 2  # what is there is not fetched again, and no pickle is downloaded
    rows = [trained(name, root, truth) for root in roots]
    assert rows[0].data_hash == rows[1].data_hash
    assert rows[0].metrics == rows[1].metrics
    assert rows[0].fingerprint == rows[1].fingerprint


@pytest.fixture
def ready(cards, tmp_path):
    """CIFAR-100 as records, and the truth."""
    truth = make("cifar100", tmp_path / "cifar100")
    cards(tiny_card("cifar100", truth, {}))
    return truth


def load(root, **settings):
    data = changed(DATA["cifar100"], settings)
    return find_data_set(data.name, root).load(data, root, iter)


def test_a_tenth_of_each_class_is_held_out_and_test_views_are_the_records(ready, tmp_path):
    source = load(tmp_path)
    assert source.table["name"].tolist() == ready["name"].tolist()
    counts = source.table.groupby(["split", "label"]).size().unstack(0)
    assert counts.to_dict("list") == {"test": [10] * 3, "train": [9] * 3, "validation": [1] * 3}
    assert set(load(tmp_path, hold_out=False).table["split"]) == {"train", "test"}
    assert source.table["superclass"].nunique() == CLASSES
    views = {view.numpy().tobytes() for view in source.test_batch(torch.arange(len(ready)))}
    assert views == {picture(label, number).tobytes() for label in range(CLASSES) for number in range(2 * IMAGES)}


def test_the_training_views_are_as_asked_for(ready, tmp_path):
    rows, transform = torch.arange(20), {"kind": "small", "crop": "none", "flip": False}
    plain = load(tmp_path, transform=transform)
    assert torch.equal(plain.train_batch(rows, torch.Generator()), plain.test_batch(rows))
    assert not torch.equal(load(tmp_path).train_batch(rows, torch.Generator()), plain.test_batch(rows))


def test_label_spaces(ready, tmp_path):
    """Chosen classes are those of all splits; their numbers are of their own."""
    chosen = (HUNDRED[2], HUNDRED[0])
    table = load(tmp_path, train_classes=chosen, test_classes=chosen).table
    for split in ("train", "validation", "test"):
        assert labels_of(table, indices_of(table, split))[1] == sorted(chosen)
    first = load(tmp_path, train_classes=1, test_classes=1).table
    assert set(first["label"]) == {HUNDRED[0]}


def test_few_images_of_each_class_in_training(ready, tmp_path):
    """Of those that are left when validation images are held out, which stay, as test images do."""
    whole, few = (load(tmp_path, train_images_per_class=asked) for asked in (None, 4))
    counts = few.table.groupby(["split", "label"]).size().unstack(0)
    assert counts.to_dict("list") == {"test": [10] * 3, "train": [4] * 3, "validation": [1] * 3}
    kept = whole.table["name"].isin(few.table["name"])
    assert few.table["name"].tolist() == whole.table["name"][kept].tolist()
    rows = torch.from_numpy(np.flatnonzero(kept))
    assert torch.equal(few.test_batch(torch.arange(len(rows))), whole.test_batch(rows))
    assert few.data_hash != whole.data_hash
    message = f"data.train_images_per_class = 10, but class '{HUNDRED[0]}' has 9 to train on: ask for 9 or fewer"
    with pytest.raises(ValueError, match=f"^{message}$"):
        load(tmp_path, train_images_per_class=10)


FIRST_TWO = {"train_classes": 2, "test_classes": 2}


def test_the_data_hash_covers_the_classes_and_what_is_held_out(ready, tmp_path):
    hashes = [load(tmp_path, **settings).data_hash for settings in ({}, {"hold_out": False}, FIRST_TWO)]
    assert len(set(hashes)) == 3
    assert {load(tmp_path, **settings).content for settings in ({}, {"hold_out": False})} == {load(tmp_path).content}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"split": "classes"},
            "has no classes that training never sees: for classification set data.split=images, for",
        ),
        (
            {"size": 28},
            "data.size = 28, but the images of cifar100 have 32 px and are shown as they are: set data.size=32",
        ),
        ({"partition": 2}, "data.partition = 2, but cifar100 has 1 alone"),
        ({"mirror": False}, "data.mirror = false is for photos: cifar100 has no such setting"),
        (
            {"train_classes": 2},
            "choose different classes, but with data.split = images training and test have the same",
        ),
        (FIRST_TWO | {"test_classes": (HUNDRED[0], HUNDRED[2])}, "choose different classes"),
        ({"test_classes": ("a0_thng",)}, "data.test_classes: no class is named 'a0_thng': take names such as a0_thing"),
    ],
)
def test_settings_that_do_not_go_with_it(ready, tmp_path, settings, told):
    for ask in (
        load,
        lambda root, **given: find_data_set("cifar100", root).table(changed(DATA["cifar100"], given), root),
    ):
        with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
            ask(tmp_path, **settings)
        assert told in str(caught.value)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--side", 64), "--side 64, but the images of cifar100 have 32 px: leave it out"),
        (("--no-decode",), "the images of cifar100 are always kept as one array: leave --no-decode out"),
    ],
)
def test_options_that_do_not_go_with_it(call, ready, tmp_path, option, told):
    refused = call("data", "fetch", "cifar100", "--data", tmp_path, *option)
    assert refused.code == 2
    assert told in refused.error


def test_options_are_refused_before_anything_is_fetched(call, tmp_path):
    refused = call("data", "fetch", "cifar10", "--data", tmp_path / "datasets", "--side", 64)
    assert "--side 64, but the images of cifar10 have 32 px: leave it out" in refused.error
    assert not (tmp_path / "datasets").exists()


def test_a_split_that_it_has_not_is_refused_before_it_is_there(call, tmp_path):
    setting = ("--set", "data.name=cifar10", "--set", "data.size=32")
    refused = call("reproduce", "quickstart", "--dry-run", "--data", tmp_path, *setting)
    assert refused.code == 2
    assert "cifar10 has no classes that training never sees: for classification set data.split=images" in refused.error


def test_it_is_planned_before_it_is_there(tmp_path):
    """By the counts of the packaged card."""
    found = image_counts(DATA["cifar100"], tmp_path)
    assert (found.classes, found.train, found.validation, found.test, found.channels) == (100, 45000, 5000, 10000, 3)
    half = image_counts(changed(DATA["cifar10"], {"train_classes": 5, "test_classes": 5, "hold_out": False}), tmp_path)
    assert (half.classes, half.train, half.validation, half.test, half.test_classes) == (5, 25000, 0, 5000, 5)
    assert shown_at(DATA["cifar10"]) == "32 px (whole; training crops padded by 4 px (zero), mirrored)"


def named(call, root, *parts):
    """The faults that verify tells; each part stands in exactly one of them."""
    found = call("data", "verify", "cifar100", "--data", root)
    *told, last = found.out.strip().splitlines()
    assert found.code == 1
    for part in parts:
        assert sum(part in line for line in told) == 1, (part, told)
    assert last == f"cifar100: {len(parts)} fault{'s' if len(parts) > 1 else ''}"


def test_every_fault_is_named_at_once(call, ready, tmp_path):
    root = tmp_path / "cifar100" / "cifar-100-binary"
    (root / "test.bin").unlink()
    (root / "train.bin").write_bytes((root / "train.bin").read_bytes()[:-5])
    (root / "coarse_label_names.txt").write_text("\n")
    named(
        call,
        tmp_path,
        f"{root / 'test.bin'} is missing: complete it",
        f"{root / 'train.bin'} has 92,215 bytes, no whole number of records of 3,074",
        f"{root / 'coarse_label_names.txt'} has 0 names instead of 20",
    )


def test_a_wrong_number_of_records(call, ready, tmp_path):
    file = tmp_path / "cifar100" / "cifar-100-binary" / "train.bin"
    file.write_bytes(file.read_bytes()[:-3074])
    named(call, tmp_path, "(by cifar-100-binary/train.bin and cifar-100-binary/test.bin) is not the published data: ")
    with pytest.raises(ValueError, match="train_images is 29, not 30"):
        load(tmp_path)


def test_a_pickle_that_would_run_something(call, cards, tmp_path, capfd):
    truth = make("cifar100-pickled", tmp_path / "cifar100")
    cards(tiny_card("cifar100", truth, {}))
    file = tmp_path / "cifar100" / "cifar-100-python" / "test"

    class Foreign:
        def __reduce__(self):
            return os.system, ("echo this must never be said",)

    write_pickle(file, {"data": Foreign()})
    named(call, tmp_path, f"{file} asks for {os.name}.system, which arrays and lists don't need, so it is not opened")
    assert capfd.readouterr().out == ""


def test_another_checksum_than_the_cards(call, cards, tmp_path):
    """Of records, verify tells it; a pickle is not opened at all."""
    truth = make("cifar100", tmp_path / "cifar100")
    sums = {"cifar-100-binary/train.bin": "0" * 40, "cifar-100-binary/test.bin": "1" * 32}
    cards(changed(tiny_card("cifar100", truth, {}), {"files": sums}))
    named(call, tmp_path, "train.bin has the sha1 ", f", not {'1' * 32}")


def test_the_array_is_built_again_where_a_record_changes(ready, tmp_path):
    before = load(tmp_path)
    (kept,) = (tmp_path / "cifar100" / "decoded").glob("decoded-32px-*.npy")
    file = tmp_path / "cifar100" / "cifar-100-binary" / "train.bin"
    content = bytearray(file.read_bytes())
    content[100] ^= 255
    file.write_bytes(content)
    os.utime(file, ns=(0, 0))
    after = load(tmp_path)
    assert after.content == before.content
    assert after.data_hash != before.data_hash
    apart = after.test_batch(torch.arange(60)) != before.test_batch(torch.arange(60))
    assert apart.sum() == 1
    assert kept.exists()


def test_a_damaged_array_is_told(call, ready, tmp_path):
    load(tmp_path)
    (kept,) = (tmp_path / "cifar100" / "decoded").glob("*.npy")
    content = bytearray(kept.read_bytes())
    content[1000] ^= 1
    kept.write_bytes(content)
    named(call, tmp_path, f"{kept} is damaged: its picture of test-00000 has another hash than when it was decoded")


def test_nothing_is_written_where_a_link_leads(ready, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cifar100" / "decoded").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="nothing is written where a link leads unless the command names that"):
        load(tmp_path)
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_picture(call, ready, tmp_path):
    shown = call("data", "show", "cifar100", "--data", tmp_path, "--output", tmp_path / "picture.png")
    assert shown.code == 0, shown.error
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_removed(call, ready, tmp_path):
    load(tmp_path)
    assert call("data", "remove", "cifar100", "--data", tmp_path, "--yes").code == 0
    assert not (tmp_path / "cifar100").exists()


@pytest.mark.skipif("RELBENCH_REAL_DATA" not in os.environ, reason="RELBENCH_REAL_DATA names no folder of real data")
@pytest.mark.parametrize("name", DATA)
def test_the_real_thing(call, name):
    root = Path(os.environ["RELBENCH_REAL_DATA"])
    assert verified(call, name, root) == (0, f"{name}: all is well")
    table = find_data_set(name, root).load(DATA[name], root, iter).table
    assert np.unique(table.groupby(["split", "label"]).size()).size <= 3  # as many of each class
