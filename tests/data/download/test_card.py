"""Cards: packaged ones are valid, with the checksums of public sources; mistakes are told by file and key."""

import subprocess
import sys
import tomllib
import zipfile
from importlib.resources import files
from pathlib import Path
from random import Random

import pytest
from data.damage import table_or_refusal

import relbench
from relbench.data.download import card as module
from relbench.data.download.card import card_names, packaged_card, read_card
from relbench.data.download.checksum import wrong_files
from relbench.data.download.fetch import state

NAMES = ["cars196", "cifar10", "cifar100", "cinic10", "cub200", "dtd", "inshop", "mini-imagenet", "omniglot", "sop"]
NAMES += ["tiny-imagenet"]
LISTS = ["mini-imagenet.csv", "omniglot.csv"]  # beside the cards
WITHIN_CLASSES = ["cifar10", "cifar100", "cinic10", "dtd", "tiny-imagenet"]  # split by images
SIDES = {"cifar10": 32, "cifar100": 32, "cinic10": 32, "mini-imagenet": 84, "omniglot": 28, "tiny-imagenet": 64}
NAMED = {"cinic10": 90000, "dtd": 1880, "mini-imagenet": 9600, "omniglot": 13760}  # validation images, where listed
NAMED_CLASSES = {"mini-imagenet": 16, "omniglot": 688}  # likewise validation classes

# file: bytes, md5, sha256; from lenscloth/RKD@0a6c3c0, tensorflow-datasets 4.9.10 and torchvision before 2023; CIFAR's
# also from its home page
KNOWN = {
    ("cub200", "CUB_200_2011.tgz"): (
        1150585339,
        "97eceeb196236b17998738112f37df78",
        "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
    ),
    ("cars196", "car_ims.tgz"): (None, "d5c8f0aa497503f355e17dc7886c3f14", None),
    ("cars196", "cars_annos.mat"): (None, "b407c6086d669747186bd1d764ff9dbc", None),
    ("cars196", "cars_train.tgz"): (
        979269282,
        "065e5b463ae28d29e77c1b4b166cfe61",
        "512b227b30e2f0a8aab9e09485786ab4479582073a144998da74d64b801fd288",
    ),
    ("cars196", "cars_test.tgz"): (
        977350468,
        "4ce7ebf6a94d07f1952d94dd34c4d501",
        "bffea656d6f425cba3c91c6d83336e4c5f86c6cffd8975b0f375d3a10da8e243",
    ),
    ("cars196", "car_devkit.tgz"): (
        330960,
        "c3b158d763b6e2245038c8ad08e45376",
        "b97deb463af7d58b6bfaa18b2a4de9829f0f79e8ce663dfa9261bf7810e9accd",
    ),
    ("cars196", "cars_test_annos_withlabels.mat"): (
        185758,
        "b0a2b23655a3edd16d84508592a98d10",
        "790f75be8ea34eeded134cc559332baf23e30e91367e9ddca97d26ed9b895f05",
    ),
    ("cars196", "stanford-car-dataset-by-classes-folder.zip"): (None, None, None),
    ("mini-imagenet", "mini-imagenet.tar.gz"): (None, "b38f1eb4251fb9459ecc8e7febf9b2eb", None),
    ("sop", "Stanford_Online_Products.zip"): (
        3083860082,
        "7f73d41a2f44250d4779881525aea32e",
        "b04fa78210e69fab050ce73939550e1cd0f96890bdd98ec9fee732c3b756ef48",
    ),
    ("inshop", "img.zip"): (None, None, None),
    ("cifar10", "cifar-10-binary.tar.gz"): (
        170052171,
        "c32a1d4ab5d03f1284b67883e8d87530",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
    ("cifar10", "cifar-10-python.tar.gz"): (
        170498071,
        "c58f30108f718f92721af3b95e74349a",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    ("cifar100", "cifar-100-binary.tar.gz"): (
        168513733,
        "03b5dce01913d631647c71ecec9e9cb8",
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ),
    ("cifar100", "cifar-100-python.tar.gz"): (
        169001437,
        "eb9058c3a382ffc7106e4002c42a8d85",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
    ("omniglot", "images_background.zip"): (
        9464212,
        "68d2efa1b9178cc56df9314c21c6e718",
        "ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
    ),
    ("omniglot", "images_evaluation.zip"): (
        6462886,
        "6b91aef0f799c5bb55b94e3f2daec811",
        "1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
    ),
    ("tiny-imagenet", "tiny-imagenet-200.zip"): (248100043, "90528d7ca1a48142e341f4ef8d21d0de", None),
    ("cinic10", "CINIC-10.tar.gz"): (687544992, "6ee4d0c996905fe93221de577967a372", None),
    ("dtd", "dtd-r1.0.1.tar.gz"): (
        625239812,
        "fff73e5086ae6bdbea199a49dfb8a4c1",
        "e42855a52a4950a3b59612834602aa253914755c95b0cff9ead6d07395f8e205",
    ),
}
# classes and images for training, classes and images for testing
COUNTS = {
    "cub200": (100, 5864, 100, 5924),
    "cars196": (98, 8054, 98, 8131),
    "sop": (11318, 59551, 11316, 60502),
    "inshop": (3997, 25882, 3985, 14218 + 12612),
    "cifar10": (10, 50000, 10, 10000),
    "cifar100": (100, 50000, 100, 10000),
    "tiny-imagenet": (200, 100000, 200, 10000),
    "cinic10": (10, 180000, 10, 90000),
    "dtd": (47, 3760, 47, 1880),
    "mini-imagenet": (80, 48000, 20, 12000),
    "omniglot": (4 * 1200, 80 * 1200, 4 * 423, 80 * 423),
}
CARD = """
name = "toy"
title = "Toy"
summary = "a toy"
homepage = "https://example.org"
licence = "MIT"
terms = "none"
citation = "nobody"
ks = [1, 2]

[[archives]]
file = "toy.zip"
md5 = "00000000000000000000000000000000"
addresses = ["https://example.org/toy.zip"]
unpacks_to = ["toy"]

[splits.classes]
rule = "by name"
source = "here"

[splits.classes.validation]
share = 0.2
seed = 1

[splits.classes.expected]
train_classes = 2
train_images = 4
test_classes = 2
test_images = 4

[files]
"toy/a.jpg" = "00000000000000000000000000000000"
"""

HELD_OUT = """[splits.classes.validation]
share = 0.2
seed = 1
"""  # of the toy
OWN = """[splits.classes.expected]
validation_images = 2
"""


def written(folder, text):
    path = folder / "toy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_names():
    assert card_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_packaged_cards_are_valid(name):
    card = packaged_card(name)
    assert card.name == name
    assert (card.usual.expected.train_classes, card.usual.expected.train_images) == COUNTS[name][:2]
    assert (card.usual.expected.test_classes, card.usual.expected.test_images) == COUNTS[name][2:]
    assert card.usual.expected.validation_images == NAMED.get(name)
    assert card.usual.expected.validation_classes == NAMED_CLASSES.get(name)
    held_out = None if name in NAMED else 0.1 if name in WITHIN_CLASSES else 0.2
    assert (card.usual.validation and card.usual.validation.share) == held_out
    assert (card.usual_split == "images", card.side) == (name in WITHIN_CLASSES, SIDES.get(name))
    assert "{folder}" in card.manual or not card.manual


def test_checksums_and_sizes_are_the_known_ones():
    archives = {(name, archive.file): archive for name in NAMES for archive in packaged_card(name).archives}
    assert {key: (each.bytes, each.md5, each.sha256) for key, each in archives.items()} == KNOWN


def test_usual_ks():
    assert {name: packaged_card(name).ks for name in NAMES} == {
        "cub200": (1, 2, 4, 8),
        "cars196": (1, 2, 4, 8),
        "sop": (1, 10, 100, 1000),
        "inshop": (1, 10, 20, 30),
        "cifar10": (1, 2, 4, 8),
        "cifar100": (1, 2, 4, 8),
        "cinic10": (1, 2, 4, 8),
        "dtd": (1, 2, 4, 8),
        "mini-imagenet": (1, 2, 4, 8),
        "omniglot": (1, 2, 4, 8),
        "tiny-imagenet": (1, 2, 4, 8),
    }


def test_what_data_sets_can_be_split_by():
    splits = {name: tuple(packaged_card(name).splits) for name in NAMES}
    assert {name for name, kinds in splits.items() if "images" in kinds} == {*WITHIN_CLASSES, "cub200"}
    assert splits["cub200"] == ("classes", "images")  # the usual one first
    expected = packaged_card("cub200").splits["images"].expected
    assert (expected.train_classes, expected.train_images, expected.test_classes, expected.test_images) == (
        *(200, 5994),
        *(200, 5794),
    )
    assert {name for name in NAMES if packaged_card(name).partitions > 1} == {"dtd"}
    assert packaged_card("dtd").partitions == 10


def test_inshop_has_queries_and_a_gallery():
    assert (packaged_card("inshop").usual.expected.queries, packaged_card("inshop").usual.expected.gallery) == (
        14218,
        12612,
    )
    assert packaged_card("cub200").usual.expected.queries is None


def test_sizes():
    sizes = {
        "cub200": 1150585339,
        "sop": 3083860082,
        "inshop": None,
        "mini-imagenet": None,
        "cifar10": 170052171,
        "cifar100": 168513733,
    }
    sizes |= {"mini-imagenet": None}
    sizes |= {"omniglot": 9464212 + 6462886, "tiny-imagenet": 248100043, "cinic10": 687544992, "dtd": 625239812}
    sizes["cars196"] = 979269282 + 977350468 + 330960 + 185758
    assert {name: packaged_card(name).size for name in NAMES} == sizes


def test_what_can_be_downloaded():
    assert {name: not packaged_card(name).manual for name in NAMES} == {
        "cub200": True,
        "cars196": False,
        "sop": True,
        "inshop": False,
        "cifar10": True,
        "cifar100": True,
        "tiny-imagenet": True,
        "cinic10": True,
        "dtd": True,
        "mini-imagenet": False,
        "omniglot": True,
    }


def test_no_text_stands_twice():
    """A checksum that two files share is a slip, but for the labels of Cars196, which may lie in two places."""
    sums = [md5 for name in NAMES for md5 in packaged_card(name).files.values()]
    assert len(sums) == len(set(sums)) + 1


def test_whose_test_classes_pretrained_weights_have_seen():
    """Where these should be new to a network; it is the field's custom to pretrain on ImageNet for all others."""
    assert {name: packaged_card(name).seen_by for name in NAMES if packaged_card(name).seen_by} == {
        "mini-imagenet": ("imagenet",)
    }
    seen_in = {name: packaged_card(name).seen_in for name in NAMES if packaged_card(name).seen_in}
    assert seen_in == {"mini-imagenet": ("tiny-imagenet", "cinic10")}
    assert set(seen_in["mini-imagenet"]) < set(NAMES)


def test_a_card_read_from_anywhere(tmp_path):
    card = read_card(written(tmp_path, CARD))
    assert card.archives[0].addresses == ("https://example.org/toy.zip",)
    assert [layout.paths for layout in card.accepted] == [("toy",)]


def test_lists_may_name_validation_classes(tmp_path):
    own = f"{OWN}validation_classes = 1\n"
    card = read_card(written(tmp_path, CARD.replace(f"{HELD_OUT}\n[splits.classes.expected]\n", own)))
    assert (card.usual.validation, card.usual.expected.validation_classes) == (None, 1)
    assert set(card.usual.expected.both_sides) == {"train_classes", "train_images", "test_classes", "test_images"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("addresses", "adresses", r"archives\.0\.adresses"),
        ("summary", "sumary", "summary: Field required"),
        ("ks = [1, 2]", "ks = [2, 1]", "ks must increase"),
        ("ks = [1, 2]", 'ks = ["1"]', r"ks\.0 = '1'"),
        ("ks = [1, 2]", "ks = [1, 2", "is not TOML"),
        ('title = "Toy"', "title = 2022-01-01", None),
        ('title = "Toy"', "title = 7", "title = 7"),
        ('md5 = "0000', 'md5 = "000', r"archives\.0\.md5"),
        ('md5 = "00000000000000000000000000000000"\nadd', "add", r"archives\.0: an archive with addresses needs md5"),
        ('"https://example.org/toy.zip"', '"ftp://example.org/toy.zip"', r"archives\.0\.addresses\.0"),
        ('["https://example.org/toy.zip"]', "[]", "no layout can be downloaded"),
        ('file = "toy.zip"', 'file = "../toy.zip"', r"archives\.0\.file"),
        ('unpacks_to = ["toy"]', 'unpacks_to = ["toy/../.."]', r"archives\.0\.unpacks_to\.0"),
        ('unpacks_to = ["toy"]', 'unpacks_to = ["/toy"]', r"archives\.0\.unpacks_to\.0"),
        ('unpacks_to = ["toy"]', "unpacks_to = []", r"archives\.0\.unpacks_to"),
        ("share = 0.2", "share = 1.0", r"validation\.share"),
        ("share = 0.2", 'share = "0.2"', r"validation\.share"),
        ("test_images = 4", "test_images = 0", r"expected\.test_images"),
        ("test_images = 4", "test_images = 4\nqueries = 2", "queries and gallery"),
        ("test_images = 4", "test_images = 4\nqueries = 3\ngallery = 2", "3 queries and 2 in the gallery"),
        ('"toy/a.jpg" = "0', '"toy/a.jpg" = "x', r"files\.toy/a\.jpg"),
        ("ks = [1, 2]", f"ks = [1, {'9' * 5000}]", "is not TOML"),
        ("ks = [1, 2]", f"ks = {'[' * 3000}", "is not TOML"),
        ("share = 0.2", "share = nan", "validation"),
        ("test_images = 4", "test_images = 4\nvalidation_images = 1", "state either validation, or expected"),
        ("test_images = 4", "test_images = 4\nvalidation_classes = 1", "state expected.validation_classes where"),
        (HELD_OUT, "", "state either validation, or expected"),
        (HELD_OUT + "\n[splits.classes.expected]", OWN, "state expected.validation_classes where"),
        ("[splits.classes]", "[splits.faces]", r"splits\.faces"),
        ('"toy/a.jpg" = "0', '"toy/a.jpg" = "00', r"files\.toy/a\.jpg"),
        ('unpacks_to = ["toy"]', f'unpacks_to = ["{"toy/" * 2000}toy"]', r"archives\.0\.unpacks_to\.0"),
        ('file = "toy.zip"', f'file = "{"x" * 251}.zip"', r"archives\.0\.file"),
        ("[splits.classes]", '[[archives]]\nfile = "toy.zip"\nunpacks_to = ["x"]\n[splits.classes]', "same file name"),
    ],
)
def test_a_mistake_is_told_with_file_and_key(tmp_path, old, new, message):
    assert CARD.count(old) >= 1
    path = written(tmp_path, CARD.replace(old, new, 1))
    if message is None:
        assert read_card(path).title == "2022-01-01"
        return
    with pytest.raises(ValueError, match=message) as caught:
        read_card(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


ODD = ['"x"', '""', "7", "-1", "1e400", "nan", "true", "[]", "{}", "0x" + "f" * 5000, "9" * 5000, "[" * 2000, "{" * 500]
ODD += ["1979-05-27", "07:32:00", r'"\u0000"', "'" + "x/" * 3000 + "x'", r'"\ud800"', "'''", r'"a\nb"', '".."']


def damaged_card(random):
    """A card in which one value is another, or whose bytes are damaged."""
    lines = CARD.split("\n")
    if random.random() < 0.6:
        at = random.randrange(len(lines))
        lines[at] = f"{lines[at].partition('=')[0]}= {random.choice(ODD)}"
    content = bytearray("\n".join(lines).encode())
    for _ in range(random.randrange(3)):
        content[random.randrange(len(content))] = random.randrange(256)
    return content[: random.choice([None, None, None, random.randrange(len(content))])]


def test_a_damaged_card_is_refused_in_one_line(tmp_path):
    """Or has nothing that the rest of the program stumbles over."""
    path, random = tmp_path / "toy.toml", Random(0)
    cards = []
    for _ in range(300):
        path.write_bytes(damaged_card(random))
        cards.append(table_or_refusal(lambda: read_card(path), str(path)))
        if card := cards[-1]:
            assert state(card, tmp_path) == "absent"
            assert wrong_files(card, tmp_path) == []
    assert 100 < cards.count(None) < 300


def test_a_card_under_the_name_of_another(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_folder", lambda: tmp_path)
    written(tmp_path, CARD.replace('name = "toy"', 'name = "sop"'))
    with pytest.raises(
        ValueError, match=r"toy\.toml: name is 'sop', not that of the file: replace it with a good copy"
    ):
        packaged_card("toy")


def test_no_card_there(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.toml can't be read"):
        read_card(tmp_path / "nothing.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not TOML"):
        read_card(tmp_path / "bytes.toml")
    with pytest.raises(ValueError, match=r"no card is named 'cub'.*cub200"):
        packaged_card("cub")


def test_cards_are_in_the_wheel(tmp_path):
    """A user who installs relbench has them."""
    root = Path(relbench.__file__).parents[1]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if name.startswith("relbench/data/cards/")}
    cards = [*(f"{name}.toml" for name in NAMES), *LISTS]
    there = {f"relbench/data/cards/{name}": files("relbench.data") / "cards" / name for name in cards}
    assert packed == {name: path.read_bytes() for name, path in there.items()}


def test_in_shop_total():
    text = (files("relbench.data") / "cards" / "inshop.toml").read_text(encoding="utf-8")
    expected = tomllib.loads(text)["splits"]["classes"]["expected"]
    assert expected["train_images"] + expected["queries"] + expected["gallery"] == 52712
    assert expected["train_classes"] + expected["test_classes"] == 7982
