"""How many images a run sees, with the data set and without it."""

from dataclasses import replace

import pytest
from tiny_photos import write_photos

from relbench.data import find_data_set
from relbench.data.datasets.added import add
from relbench.data.download.card import packaged_card
from relbench.data.table import indices_of, labels_of
from relbench.experiment import Data
from relbench.grid.estimate import ImageCounts, image_counts
from relbench.settings import changed

FEW = {"train_images_per_class": 2}


def counted(source, channels):
    """What the table that a run gets has."""
    train, validation, test = (indices_of(source.table, split) for split in ("train", "validation", "test"))
    longest = {column: max(map(len, source.table[column].to_numpy(dtype=str)[test])) for column in ("name", "label")}
    return ImageCounts(
        classes=len(labels_of(source.table, train)[1]),
        train=len(train),
        validation=len(validation),
        test=len(test),
        test_classes=len(labels_of(source.table, test)[1]),
        channels=channels,
        text=4 * sum(longest.values()),
    )


@pytest.fixture
def photos(tmp_path):
    table = write_photos(tmp_path / "source", classes=12).rename(columns={"name": "path"})
    table.to_csv(tmp_path / "source" / "table.csv", index=False)
    add("mine", tmp_path / "source" / "table.csv", tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("settings", [{}, {"train_classes": 2, "test_classes": 3}, {"hold_out": False}, FEW])
def test_of_a_table(photos, settings):
    data = Data(name="mine", size=32, **settings)
    assert image_counts(data, photos) == counted(find_data_set("mine", photos).load(data, photos, iter), channels=3)


def test_hold_out_moves_images(photos):
    held, whole = (image_counts(Data(name="mine", hold_out=hold_out), photos) for hold_out in (True, False))
    assert held.validation > 0 == whole.validation
    assert held.train + held.validation == whole.train


@pytest.mark.parametrize("settings", [{}, {"train_classes": 40, "test_classes": 12}, FEW])
def test_of_glyphs_before_they_are_rendered(data_folder, tmp_path, settings):
    data = Data(name="glyphs", **settings)
    counts = image_counts(data, tmp_path)
    true = counted(find_data_set("glyphs", data_folder).load(data, data_folder, iter), channels=1)
    assert counts == true
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["cub200", "cars196", "sop", "inshop"])
def test_of_a_card_where_the_data_set_is_missing(tmp_path, name):
    expected = packaged_card(name).usual.expected
    counts = image_counts(Data(name=name, size=224, hold_out=False), tmp_path)
    assert (counts.classes, counts.train, counts.validation) == (expected.train_classes, expected.train_images, 0)
    assert (counts.test_classes, counts.test) == (expected.test_classes, expected.test_images)
    held = image_counts(Data(name=name, size=224), tmp_path)
    assert held.classes == expected.train_classes - round(0.2 * expected.train_classes)
    assert held.train + held.validation == pytest.approx(expected.train_images, abs=1)
    few = image_counts(Data(name=name, size=224, **FEW), tmp_path)
    assert few == replace(held, train=2 * held.classes)
    assert held.validation == pytest.approx(0.2 * expected.train_images, rel=0.03)  # a fifth of the classes, rounded


def test_of_a_card_whose_lists_name_validation_classes(cards, tmp_path):
    sop = packaged_card("sop")
    own = {"train_classes": 80, "train_images": 48000, "validation_classes": 16, "validation_images": 9600}
    split = changed(sop.usual, {"validation": None, "expected": changed(sop.usual.expected, own)})
    cards(changed(sop, {"splits": {"classes": split}}))
    for hold_out, found in ((True, (64, 38400, 9600)), (False, (80, 48000, 0))):
        counts = image_counts(Data(name="sop", hold_out=hold_out), tmp_path)
        assert (counts.classes, counts.train, counts.validation) == found


def test_the_first_classes_of_a_card_are_of_the_usual_size(tmp_path):
    counts = image_counts(Data(name="cub200", train_classes=50, test_classes=10), tmp_path)
    assert (counts.classes, counts.train) == (50, 5864 // 2)
    assert (counts.test_classes, counts.test) == (10, round(5924 / 10))


def test_an_unknown_data_set(tmp_path):
    with pytest.raises(ValueError, match="unknown data set 'a_set_of_nobodys': known are cars196"):
        image_counts(Data(name="a_set_of_nobodys"), tmp_path)
