"""Images that are listed and not there: named, counted, and looked for once in each folder."""

import os

from data.damage import refusal

from relbench.data.parsing.missing import refuse_missing


def number_of(row):
    return f"line {row + 1}"


def test_images_that_are_there(tmp_path):
    for name in ("a/1.jpg", "a/b/2.jpg", "3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "3.jpg")
    refuse_missing(tmp_path, ["a/1.jpg", "a/b/2.jpg", "3.jpg", "link.jpg", str(tmp_path / "3.jpg")], number_of)
    refuse_missing(tmp_path, [], number_of)


def test_images_that_are_not_there(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").touch()
    (tmp_path / "dead.jpg").symlink_to(tmp_path / "nowhere")
    names = [
        "a/1.jpg",
        "a",
        "a/1.JPG",
        "b/1.jpg",
        "a/1.jpg/x",
        "dead.jpg",
        "c\0/1.jpg",
        "x" * 999,
        f"{'y' * 999}/1.jpg",
    ]
    assert refusal(lambda: refuse_missing(tmp_path, names, number_of)) == (
        f"line 2: image 'a' is not in {tmp_path} (of 9 listed images 8 are missing): put the images there"
    )


def test_each_folder_is_listed_once(tmp_path, monkeypatch):
    names = [f"{folder}/{number}.jpg" for folder in "abc" for number in range(50)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listed, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: (listed.append(folder), scandir(folder))[1])
    refuse_missing(tmp_path, names, number_of)
    assert sorted(listed) == [tmp_path / folder for folder in "abc"]


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    def forbidden(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", forbidden)
    message = refusal(lambda: refuse_missing(tmp_path, ["a/1.jpg"], number_of))
    assert message == f"{tmp_path}/a cannot be read (Permission denied): make it readable"
