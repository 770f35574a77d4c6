"""CIFAR-10 and CIFAR-100: the same images from records and pickles, and what is refused."""

import pickle
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
from data.cifar_archives import HUNDRED, MAKERS, TEN, TWENTY, picture, write_pickle
from data.damage import refusal, table_or_refusal, with_content
from data.tiny_cards import tiny_card
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relbench.data.datasets.cifar import CIFAR10, CIFAR100
from relbench.data.parsing.annotations import read_lists
from relbench.data.parsing.survey import survey
from relbench.data.table import indices_of, labels_of
from relbench.settings import changed

READERS = {"cifar10": CIFAR10, "cifar100": CIFAR100}
FOLDERS = {
    "cifar10": "cifar-10-batches-bin",
    "cifar10-pickled": "cifar-10-batches-py",
    "cifar100": "cifar-100-binary",
    "cifar100-pickled": "cifar-100-python",
}


def reader(layout):
    return READERS[layout.split("-")[0]]


def read(layout, folder):
    return read_lists(reader(layout).scan, folder, "shared", of_files=False)


@pytest.fixture
def made(request, tmp_path, cards):
    """A layout, its folder, and the truth; no checksum is known."""
    layout = request.param
    truth = MAKERS[layout](tmp_path / "made")
    cards(tiny_card(reader(layout).name, truth, {}))
    return layout, tmp_path / "made", truth


@pytest.mark.parametrize("made", MAKERS, indirect=True)
def test_the_table_is_the_truth(made):
    layout, folder, truth = made
    pd.testing.assert_frame_equal(read(layout, folder), truth)
    assert ("superclass" in truth) == layout.startswith("cifar100")


@pytest.mark.parametrize("made", MAKERS, indirect=True)
def test_the_pixels_are_those_of_the_records(made):
    """Red, green and blue planes, row after row, as `picture` made them."""
    layout, folder, truth = made
    names = sorted(truth["name"])
    images = dict(zip(names, reader(layout).records(folder).read(names), strict=True))
    classes = TEN if layout.startswith("cifar10-") or layout == "cifar10" else HUNDRED
    for split, first in (("train", 0), ("test", 4)):
        rows = truth[truth["split"] == split]
        for label in set(rows["label"]):
            found = {images[name].tobytes() for name in rows["name"][rows["label"] == label]}
            assert found == {picture(classes.index(label), first + at).tobytes() for at in range(4)}


@pytest.mark.parametrize("name", READERS)
def test_records_and_pickles_hold_the_same(tmp_path, cards, name):
    layouts = name, f"{name}-pickled"
    truths = [MAKERS[layout](tmp_path / layout) for layout in layouts]
    cards(tiny_card(name, truths[0], {}))
    found = []
    for layout in layouts:
        table = read(layout, tmp_path / layout)
        images = reader(layout).records(tmp_path / layout).read(table["name"])
        found.append((table.to_csv(), [image.tobytes() for image in images]))
    assert found[0] == found[1]


@pytest.mark.parametrize(("name", "names"), [("cifar10", TEN), ("cifar100", HUNDRED)])
def test_classes_have_the_official_numbers(tmp_path, name, names):
    """Numbers of labels, which are sorted names, equal those in the records."""
    MAKERS[name](tmp_path, classes=len(names), images=1)
    table, folder = read(name, tmp_path), tmp_path / FOLDERS[name]
    numbers, classes = labels_of(table, indices_of(table, "test"))
    assert classes == names
    file = {"cifar10": "test_batch.bin", "cifar100": "test.bin"}[name]
    records = np.fromfile(folder / file, np.uint8).reshape(len(names), -1)
    assert numbers.tolist() == records[:, 0 if name == "cifar10" else 1].tolist()
    if name == "cifar100":
        assert table["superclass"][table["split"] == "test"].tolist() == [TWENTY[at] for at in records[:, 0]]


def test_a_complete_layout_is_preferred_to_one_that_is_begun(tmp_path, cards):
    truth = MAKERS["cifar100-pickled"](tmp_path)
    cards(tiny_card("cifar100", truth, {}))
    (tmp_path / "cifar-100-binary").mkdir()
    pd.testing.assert_frame_equal(read("cifar100", tmp_path), truth)


# what is done to a file, which, and what is told of it
def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def longer(file):
    file.write_bytes(file.read_bytes() + b"\0")


def emptied(file):
    file.write_bytes(b"")


def put(at, value):
    def change(file):
        content = bytearray(file.read_bytes())
        content[at] = value
        file.write_bytes(content)

    return change


def all_numbers(value):
    def change(file):
        content = np.fromfile(file, np.uint8).reshape(-1, 3074)
        content[:, 1] = value
        file.write_bytes(content.tobytes())

    return change


def text(change):
    return lambda file: file.write_text(change(file.read_text()))


def replaced(old, new):
    return text(lambda content: content.replace(old, new, 1))


def pickled(**changes):
    def change(file):
        content = pickle.loads(file.read_bytes())
        content = {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
        write_pickle(file, {key: value for key, value in (content | changes).items() if value is not None})

    return change


class Foreign:
    def __reduce__(self):
        return print, ("this must never be printed",)


FAULTS = [
    ("cifar10", "data_batch_2.bin", cut, "data_batch_2.bin has 9,218 bytes, no whole number of records of 3,073"),
    ("cifar10", "test_batch.bin", longer, "test_batch.bin has 36,877 bytes, no whole number of records of 3,073"),
    ("cifar100", "train.bin", cut, "train.bin has 36,887 bytes, no whole number of records of 3,074"),
    ("cifar100", "test.bin", emptied, "test.bin has 0 bytes, no whole number of records"),
    ("cifar10", "data_batch_3.bin", put(3073, 10), "data_batch_3.bin, record 2: has class number 10, but there are 10"),
    ("cifar100", "train.bin", put(2 * 3074 + 1, 100), "train.bin, record 3: has class number 100, but there are 100"),
    ("cifar100", "train.bin", put(0, 20), "train.bin, record 1: has class number 20, but there are 20, from 0"),
    ("cifar100", "test.bin", all_numbers(200), "record 1: has class number 200, but there are 100, from 0 (12 records"),
    ("cifar100", "train.bin", all_numbers(0), "class 'a2_thing' lies in 'test', by image 'test-00002' ("),
    ("cifar10", "batches.meta.txt", replaced("bird", ""), "batches.meta.txt name 3 is blank"),
    ("cifar10", "batches.meta.txt", replaced("bird", "  "), "batches.meta.txt name 3 is blank"),
    ("cifar10", "batches.meta.txt", replaced("truck\n", ""), "batches.meta.txt has 9 names instead of 10"),
    ("cifar10", "batches.meta.txt", replaced("truck", "truck\nvan"), "batches.meta.txt has 11 names instead of 10"),
    ("cifar10", "batches.meta.txt", replaced("bird", "zebra"), "'cat' stands after 'zebra', but names are in alphab"),
    ("cifar10", "batches.meta.txt", replaced("bird", "cat"), "'cat' stands after 'cat', but names are in alphab"),
    ("cifar10", "batches.meta.txt", emptied, "batches.meta.txt is empty"),
    ("cifar100", "coarse_label_names.txt", replaced("group 03", ""), "coarse_label_names.txt name 4 is blank"),
    ("cifar10-pickled", "test_batch", cut, "test_batch is no whole pickle"),
    ("cifar10-pickled", "data_batch_1", emptied, "data_batch_1 is no whole pickle"),
    ("cifar10-pickled", "data_batch_1", pickled(data=None), "data_batch_1 has no images of 32 x 32 pixels in 'data'"),
    ("cifar10-pickled", "data_batch_1", pickled(data=np.zeros((2, 9), np.uint8)), "has no images of 32 x 32 pixels"),
    ("cifar10-pickled", "data_batch_1", pickled(labels=[0]), "has 2 images, but not as many class numbers in 'labels'"),
    ("cifar10-pickled", "data_batch_1", pickled(labels=["a", "b"]), "not as many class numbers in 'labels'"),
    ("cifar10-pickled", "data_batch_1", pickled(labels=[0, -1]), "data_batch_1, record 2: has class number -1"),
    ("cifar10-pickled", "data_batch_1", pickled(labels=[10**30, 0]), "data_batch_1, record 1: has class number"),
    (
        "cifar10-pickled",
        "batches.meta",
        pickled(label_names=None),
        "batches.meta has no list of names in 'label_names'",
    ),
    ("cifar10-pickled", "batches.meta", pickled(label_names=[*TEN[:9], ""]), "batches.meta name 10 is blank"),
    (
        "cifar10-pickled",
        "batches.meta",
        pickled(x=Foreign()),
        "asks for __builtin__.print, which arrays and lists don't",
    ),
    ("cifar100-pickled", "train", pickled(x=Foreign()), "train asks for __builtin__.print, which arrays and lists"),
    ("cifar100-pickled", "train", lambda file: write_pickle(file, [1]), "train has no keys"),
]


@pytest.mark.parametrize(("made", "file", "damage", "message"), FAULTS, indirect=["made"], ids=range(len(FAULTS)))
def test_a_damaged_file(made, capsys, file, damage, message):
    layout, folder, _ = made
    damage(folder / FOLDERS[layout] / file)
    assert message in refusal(lambda: read(layout, folder))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("made", ["cifar10", "cifar100-pickled"], indirect=True)
def test_a_missing_file_is_no_damage_of_its_own(made):
    layout, folder, _ = made
    file = next(path for path in sorted((folder / FOLDERS[layout]).iterdir()) if "test" in path.name)
    file.unlink()
    assert f"{file.name} cannot be read (No such file or directory)" in refusal(lambda: read(layout, folder))
    assert survey(folder, reader(layout).scan(folder), "shared", complete=False).faults == []


@pytest.mark.parametrize("made", ["cifar10"], indirect=True)
def test_every_damaged_file_is_named_at_once(made):
    layout, folder, _ = made
    root = folder / FOLDERS[layout]
    cut(root / "data_batch_2.bin")
    put(0, 77)(root / "data_batch_4.bin")
    replaced("bird", "")(root / "batches.meta.txt")
    told = survey(folder, CIFAR10.scan(folder), "shared").faults
    assert [" ".join(fault.split()[:3]).rpartition("/")[2] for fault in told] == [
        "batches.meta.txt name 3",
        "data_batch_2.bin has 9,218",
    ]
    root.joinpath("batches.meta.txt").write_text("\n".join(TEN))
    told = survey(folder, CIFAR10.scan(folder), "shared").faults
    assert ["data_batch_2" in told[0], "data_batch_4.bin, record 1" in told[1], len(told)] == [True, True, 2]


@pytest.mark.parametrize("made", ["cifar100-pickled"], indirect=True)
def test_pixels_by_columns_are_the_same(made):
    """As numpy writes an array that was turned: images are pieces of memory all the same."""
    layout, folder, truth = made
    names, file = truth["name"].tolist(), folder / FOLDERS[layout] / "train"
    before = list(reader(layout).records(folder).read(names))
    pickled(data=np.asfortranarray(pickle.loads(file.read_bytes())[b"data"]))(file)
    after = list(reader(layout).records(folder).read(names))
    assert all(image.flags.c_contiguous for image in after)
    np.testing.assert_array_equal(after, before)


def test_a_pickle_with_another_checksum_is_not_opened(tmp_path, cards):
    """Nor looked into: the message is not that of its content."""
    truth = MAKERS["cifar100-pickled"](tmp_path)
    file = tmp_path / "cifar-100-python/train"
    card = tiny_card("cifar100", truth, {})
    cards(changed(card, {"files": {"cifar-100-python/train": "0" * 32}}))
    write_pickle(file, Foreign())
    message = refusal(lambda: read("cifar100", tmp_path))
    assert f"{file} has the md5 " in message
    assert "not 00000000000000000000000000000000, and pickles from elsewhere are not opened" in message
    with pytest.raises(ValueError, match="are not opened"):
        list(CIFAR100.records(tmp_path).read(["train-00000"]))


@pytest.mark.parametrize("layout", ["cifar10", "cifar10-pickled"])
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_gives_a_refusal_or_a_sound_table(tmp_path, cards, layout, data):
    folder = tmp_path / "made"
    shutil.rmtree(folder, ignore_errors=True)
    truth = MAKERS[layout](folder, classes=2, images=3)
    cards(tiny_card("cifar10", truth, {}))
    file = data.draw(
        st.sampled_from(sorted(path for path in (folder / FOLDERS[layout]).iterdir() if "html" not in path.name))
    )
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, min(len(content) - 1, 400)))] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with_content(file, content, partial(table_or_refusal, lambda: read(layout, folder), folder.name))
