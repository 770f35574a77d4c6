"""Bring your own: folders of images."""

import numpy as np
import pytest
from data.archives import write_image
from data.damage import refusal, rows_of

from relbench.data.parsing.class_folders import endings, left_out_files, read_image_folder
from relbench.data.table import counts


def fill(folder, *paths):
    for at, path in enumerate(paths):
        write_image(folder / path, at, 0)


def test_a_folder_with_splits(tmp_path):
    fill(tmp_path, "train/cat/2.jpg", "train/cat/1.JPG", "train/ant/x.png", "test/dog/1.jpeg", "validation/bat/1.jpg")
    assert rows_of(read_image_folder(tmp_path)) == [
        ("test/dog/1.jpeg", "dog", "test"),
        ("train/ant/x.png", "ant", "train"),
        ("train/cat/1.JPG", "cat", "train"),
        ("train/cat/2.jpg", "cat", "train"),
        ("validation/bat/1.jpg", "bat", "validation"),
    ]


def test_stray_files_do_not_enter(tmp_path):
    fill(tmp_path, "train/cat/1.jpg", "train/cat/._1.jpg", "train/cat/notes.txt", "test/dog/1.jpg", "test/.x/1.jpg")
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "train/.directory").write_text("")
    assert read_image_folder(tmp_path)["name"].tolist() == ["test/dog/1.jpg", "train/cat/1.jpg"]


@pytest.mark.parametrize(("classes", "train"), [(2, 1), (3, 2), (10, 5), (11, 6)])
def test_a_folder_of_classes_is_split_into_halves(tmp_path, classes, train):
    fill(tmp_path, *(f"c{number}/{at}.jpg" for number in range(classes) for at in range(2)))
    table = read_image_folder(tmp_path, seed=4)
    names = sorted(f"c{number}" for number in range(classes))
    order = np.random.default_rng(4).permutation(classes)
    assert set(table["label"][table["split"] == "train"]) == {names[at] for at in order[:train]}
    assert counts(table)["test_classes"] == classes - train
    assert table["name"].is_monotonic_increasing


def test_the_seed_decides_the_halves(tmp_path):
    fill(tmp_path, *(f"c{number}/1.jpg" for number in range(12)))
    splits = {tuple(read_image_folder(tmp_path, seed)["split"]) for seed in range(10)}
    assert len(splits) > 5
    assert rows_of(read_image_folder(tmp_path)) == rows_of(read_image_folder(tmp_path, seed=0))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["train/cat/1.jpg", "test/cat/1.jpg"], "class 'cat' lies in 'test' and, by image 'train/cat/1.jpg'"),
        (["train/cat/1.jpg"], "should hold train, test and perhaps validation, nothing else: check 'test'"),
        (["train/cat/1.jpg", "test/dog/1.jpg", "val/x/1.jpg"], "nothing else: check 'val'"),
        (["train/cat/1.jpg", "test/1.jpg"], "has no image in the split 'test'"),
        (["cat/1.jpg"], "has no image in the split 'test'"),
        (["1.jpg", "2.jpg"], "has no image in the split 'train'"),
        (["cat/1.jpg", "dog/1.txt"], "dog holds no image (.jpg .jpeg"),
        (["cat/1.jpg", "dog/old/1.jpg"], "dog has folders inside"),
        (["cat/1.jpg", "dog/a\nb.jpg"], "dog holds 'a\\nb.jpg', a name with characters that cannot be printed"),
        (["cat/1.jpg", "d\udcffg/1.jpg"], "holds 'd\\udcffg', a name with characters that cannot be printed"),
    ],
    ids=range(10),
)
def test_a_folder_is_refused(tmp_path, paths, message):
    fill(tmp_path, *paths)
    found = refusal(lambda: read_image_folder(tmp_path))
    assert message in found
    assert str(tmp_path) in found


def test_a_link_that_leads_nowhere(tmp_path):
    fill(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "a/2.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert refusal(lambda: read_image_folder(tmp_path)) == (
        f"{tmp_path}/a/2.jpg is not a file, or is a broken link: repair or remove it"
    )


def test_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be read (Not a directory)" in refusal(lambda: read_image_folder(tmp_path / "file"))
    assert "cannot be read (No such file" in refusal(lambda: read_image_folder(tmp_path / "gone"))


EVERY_ENDING = ["1.jpg", "2.JPEG", "3.jfif", "4.jpe", "5.gif", "6.avif", "7.pbm", "8.PNG", "9", "no ending"]


def test_images_of_every_ending_and_of_none_are_taken(tmp_path):
    """Known by its content where there is no ending; a file that is not named like an image is none."""
    fill(tmp_path, *(f"{name}/{image}" for name in ("train/cat", "test/dog") for image in EVERY_ENDING))
    (tmp_path / "test/dog/LICENSE").write_text("mine")
    names = read_image_folder(tmp_path)["name"]
    assert sorted(names) == sorted(f"{name}/{image}" for name in ("train/cat", "test/dog") for image in EVERY_ENDING)
    assert left_out_files(tmp_path) == {"no images": ["test/dog/LICENSE"]}


def test_what_is_left_out_is_named(tmp_path):
    fill(tmp_path, "train/cat/1.jpg", "train/cat/._1.jpg", "train/2.jpg", "test/dog/1.jpg", "test/.x/1.jpg", "3.jpg")
    fill(tmp_path, "test/dog/2.jpg.bak")
    for name in ("README.md", "train/cat/notes.txt", "train/cat/9.heic", "train/cat/8.HEIC"):
        (tmp_path / name).write_text("mine")
    assert read_image_folder(tmp_path)["name"].tolist() == ["test/dog/1.jpg", "train/cat/1.jpg"]
    assert left_out_files(tmp_path) == {
        "no images": ["README.md", "train/cat/8.HEIC", "train/cat/9.heic", "train/cat/notes.txt"],
        "images outside of class folders": ["3.jpg", "train/2.jpg"],
        "hidden": ["test/.x", "train/cat/._1.jpg"],
        "images by content, not by ending": ["test/dog/2.jpg.bak"],
    }
    assert endings(left_out_files(tmp_path)["no images"]) == "2 .heic, 1 .md, 1 .txt"


def test_classes_alone_leave_out_what_lies_beside_them(tmp_path):
    fill(tmp_path, "cat/1.jpg", "dog/1.jpg", "1.jpg")
    assert left_out_files(tmp_path) == {"images outside of class folders": ["1.jpg"]}


@pytest.mark.parametrize("splits", [("Train", "Test"), ("training", "testing"), ("train ", "test ", "val")])
def test_splits_under_other_names_are_no_classes(tmp_path, splits):
    fill(tmp_path, *(f"{split}/{number}.jpg" for split in splits for number in range(2)))
    assert "if these are splits, name them train, test and validation" in refusal(lambda: read_image_folder(tmp_path))


def test_the_nearest_split_is_named(tmp_path):
    fill(tmp_path, "train/cat/1.jpg", "test/dog/1.jpg", "val/x/1.jpg")
    assert "check 'val' (did you mean 'validation'?)" in refusal(lambda: read_image_folder(tmp_path))
