"""Notes of added data sets: a damaged one is named in one line, and keeps nothing else from being listed."""

import json

import pytest
from data.damage import refusal

from relbench.data.datasets.added import read_added

NOTE = {
    "name": "mine",
    "source": "/photos",
    "seed": 0,
    "share": 0.2,
    "ks": [1, 2],
    "counts": {"train_classes": 3, "train_images": 6, "test_classes": 2, "test_images": 4, "queries": 4, "gallery": 4},
    "content": "0" * 64,
}


def write(root, **changes):
    path = root / "mine" / "added.json"
    path.parent.mkdir()
    path.write_text(json.dumps(NOTE | changes))
    return path


def test_a_whole_note(tmp_path, call):
    write(tmp_path)
    assert read_added("mine", tmp_path).counts["queries"] == 4
    assert "absent" in call("data", "list", "--data", tmp_path).out


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"counts": {}}, "train_classes is missing"),
        ({"counts": {"train_classes": 3, "train_images": 6, "test_images": 4}}, "test_classes is missing"),
        ({"name": "other"}, "it is that of 'other'"),
        ({"source": ""}, "source"),
        ({"source": "photos"}, "source"),
        ({"source": "/photos\0"}, "source"),
        ({"seed": -1}, "seed"),
        ({"ks": [0]}, "ks"),
        ({"share": 7}, "share"),
    ],
)
def test_a_damaged_note(tmp_path, call, changes, why):
    path = write(tmp_path, **changes)
    found = refusal(lambda: read_added("mine", tmp_path))
    assert found.startswith(f"{path} is damaged (")
    assert why in found
    listed = call("data", "list", "--data", tmp_path)
    assert listed.code == 0
    assert "damaged" in listed.out


def test_a_source_that_no_file_can_have_as_its_name(tmp_path, call):
    write(tmp_path, source="/" + "x" * 5000)
    assert "absent" in call("data", "list", "--data", tmp_path).out
