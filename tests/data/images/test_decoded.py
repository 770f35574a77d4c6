"""Decoded images on disk: the same pixels as from the files, whole or not there, built once."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_photos import write_photos

import relbench
from relbench.data.images import decoded
from relbench.data.images.decoded import DecodedImages, cache_bytes, decoded_images, decoded_path, kept_sides
from relbench.data.images.photos import ImageFiles, Photos
from relbench.data.table import checked

SIDE, SIZE = 20, 15


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "photos"


@pytest.fixture
def table(folder):
    return checked(write_photos(folder))


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "deep" / "kept"


def files(folder, side=SIDE):
    return ImageFiles(folder, side, threads=2)


def build(table, folder, kept, **options):
    return decoded_images(files(folder), table["name"], kept, **options)


def visible(kept):
    return sorted(path.name for path in kept.iterdir() if path.name != ".lock")


def refusal(call):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        call()
    return str(caught.value)


def test_views_are_bit_identical(table, folder, kept):
    """From the files or from disk: the same crops and mirrored views for the same random numbers."""
    plain = Photos(table, folder, SIZE, files(folder), content="")
    quick = Photos(table, folder, SIZE, build(table, folder, kept), content="")
    lines = torch.randint(len(table), (60,), generator=torch.Generator().manual_seed(0))
    assert torch.equal(plain.test_batch(lines), quick.test_batch(lines))
    for seed in range(3):
        views = [one.train_batch(lines, torch.Generator().manual_seed(seed)) for one in (plain, quick)]
        assert torch.equal(*views)
        assert not torch.equal(views[0], plain.test_batch(lines))
    assert plain.data_hash == quick.data_hash


def test_a_subset_needs_no_file_of_its_own(table, folder, kept):
    part = table[table["label"].isin(["class 1", "class 4"])][::-1].reset_index(drop=True)
    lines = torch.arange(len(part))
    plain, quick = (Photos(part, folder, SIZE, pixels, "") for pixels in (files(folder), build(table, folder, kept)))
    assert torch.equal(plain.test_batch(lines), quick.test_batch(lines))
    assert len(visible(kept)) == 1


def test_the_file_is_numpys_and_as_large_as_said(table, folder, kept):
    build(table, folder, kept)
    (name,) = visible(kept)
    images = np.load(kept / name)
    assert images.shape == (18, 3, SIDE, SIDE)
    for image, expected in zip(images, files(folder).read(sorted(table["name"])), strict=True):
        np.testing.assert_array_equal(image, expected)
    assert (kept / name).stat().st_size == cache_bytes(18, SIDE)
    assert name == decoded_path(files(folder), table["name"], kept).name


@pytest.mark.parametrize("count", [0, 1, 11_788, 10**12])
def test_the_headers_size_holds_for_any_number(count):
    assert len(decoded._header((count, 3, 1024, 1024))) == decoded.HEADER


def test_the_size_of_stanford_online_products():
    assert cache_bytes(120_053, 256) == pytest.approx(23.6e9, rel=0.002)


def test_built_once(table, folder, kept, monkeypatch):
    seen = []

    def progress(names):
        for name in names:
            seen.append(name)
            yield name

    build(table, folder, kept, progress=progress)
    assert seen == sorted(table["name"])
    before = (kept / visible(kept)[0]).stat().st_mtime_ns
    monkeypatch.delattr(decoded, "_build")
    shuffled = table.sample(frac=1, random_state=0)
    build(shuffled, folder, kept, progress=progress)
    assert seen == 2 * sorted(table["name"])  # checked
    assert (kept / visible(kept)[0]).stat().st_mtime_ns == before


def test_a_finished_file_needs_no_writing(table, folder, kept):
    build(table, folder, kept)
    (kept / ".lock").unlink()
    kept.chmod(0o500)
    try:
        build(table, folder, kept)
        assert not (kept / ".lock").exists()
    finally:
        kept.chmod(0o700)


def test_both_folders_can_be_moved(table, folder, kept, tmp_path, monkeypatch):
    build(table, folder, kept)
    folder.rename(tmp_path / "elsewhere")
    kept.rename(tmp_path / "there")
    monkeypatch.delattr(decoded, "_build")
    build(table, tmp_path / "elsewhere", tmp_path / "there")


def changed_content(path):
    state = path.stat()
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def changed_time(path):
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


def renamed(path):
    path.rename(path.with_name("other.jpg"))


@pytest.mark.parametrize("change", [changed_content, changed_time, renamed])
def test_a_changed_image_is_decoded_again(table, folder, kept, change):
    build(table, folder, kept)
    change(folder / table["name"][5])
    names = table["name"].where((table.index != 5) | (change is not renamed), "c1/other.jpg")
    assert decoded_path(files(folder), names, kept).name != visible(kept)[0]
    pixels = decoded_images(files(folder), names, kept)
    assert len(visible(kept)) == 2
    for image, expected in zip(pixels.read(names), files(folder).read(names), strict=True):
        np.testing.assert_array_equal(image, expected)


def test_another_side_pil_or_version_makes_another_file(table, folder, kept, monkeypatch):
    places = [decoded_path(files(folder, side), table["name"], kept) for side in (SIDE, SIDE, 21)]
    monkeypatch.setattr(decoded, "VERSION", decoded.VERSION + 1)
    places.append(decoded_path(files(folder), table["name"], kept))
    monkeypatch.setattr(decoded.PIL, "__version__", "0")
    places.append(decoded_path(files(folder), table["name"], kept))
    assert len(set(places)) == 4
    assert places[0] == places[1]


def test_no_room(table, folder, kept, monkeypatch):
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=12_345))
    new = kept / "not there" / "yet"
    message = refusal(lambda: build(table, folder, new))
    assert message == (
        f"the 18 decoded images need 22.0 kB, and {new} has 12.3 kB free: "
        "keep them elsewhere (relbench data fetch --cache); photos, not small images, can go without (training then "
        "decodes the files again and again)"
    )
    assert not new.parent.exists()  # nothing is left of it
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=cache_bytes(18, SIDE) - 1))
    refusal(lambda: build(table, folder, new))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=cache_bytes(18, SIDE)))
    build(table, folder, new)


def test_a_disk_that_fills_up_meanwhile(table, folder, kept, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(relbench.files, "_to_disk", full)
        message = refusal(lambda: build(table, folder, kept))
    assert message.startswith(f"decoded images can't be written to {kept} (No space left on device): keep them elsew")
    assert visible(kept) == []
    build(table, folder, kept)


def test_a_folder_that_can_not_be_made(table, folder, tmp_path):
    (tmp_path / "file").write_text("")
    message = refusal(lambda: build(table, folder, tmp_path / "file"))
    assert message.startswith(f"decoded images can't be written to {tmp_path / 'file'} (")


def test_a_corrupt_image_is_named_and_nothing_is_left(table, folder, kept):
    broken = folder / table["name"][7]
    content = broken.read_bytes()
    broken.write_bytes(content[:-100])
    assert refusal(lambda: build(table, folder, kept)).startswith(f"{broken} can't be decoded (")
    assert visible(kept) == []
    broken.write_bytes(content)
    build(table, folder, kept)
    assert len(visible(kept)) == 1


def test_a_missing_image_is_named(table, folder, kept):
    (folder / table["name"][7]).unlink()
    assert str(folder / table["name"][7]) in refusal(lambda: build(table, folder, kept))
    assert not kept.exists()


@pytest.fixture
def small_file(folder, kept):
    """A kept file of few bytes, its reader and what it holds."""
    names = write_photos(folder, classes=3, images=1)["name"]
    images = [image.copy() for image in decoded_images(files(folder, 2), names, kept).read(names)]
    (name,) = visible(kept)

    def read():
        pixels = DecodedImages(kept / name, names, 2)
        return [image.copy() for image in pixels.read(names)]

    np.testing.assert_array_equal(read(), images)
    return kept / name, read, images


def test_a_file_of_another_length_is_refused(small_file):
    path, read, _ = small_file
    content = path.read_bytes()
    for wrong in (*(content[:length] for length in range(len(content))), content + b"\0"):
        path.write_bytes(wrong)
        assert refusal(read) == (
            f"{path} is damaged: its size or header is not that of 3 images of 2 px; "
            "delete it, and the images are decoded again"
        )


def test_a_wrong_byte_in_the_header_is_refused(small_file):
    path, read, images = small_file
    content = path.read_bytes()
    for place in range(decoded.HEADER):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        assert f"{path} is damaged" in refusal(read)
    path.write_bytes(content)
    np.testing.assert_array_equal(read(), images)


def test_a_wrong_byte_in_an_image_or_its_hash_is_refused(small_file):
    path, read, images = small_file
    content = path.read_bytes()
    for place in range(decoded.HEADER, len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        message = refusal(read)
        assert message.startswith(f"{path} is damaged: its picture of c")
        assert message.endswith("; delete the file, and the images are decoded again")
    path.write_bytes(content)
    np.testing.assert_array_equal(read(), images)


def test_an_image_is_checked_when_it_is_first_read(table, folder, kept, monkeypatch):
    build(table, folder, kept)
    (name,) = visible(kept)
    content = bytearray((kept / name).read_bytes())
    place = sorted(table["name"]).index("c3/1.jpg")
    content[decoded.HEADER + place * 3 * SIDE**2 + 7] ^= 0x80
    (kept / name).write_bytes(content)
    checked, plain = [], decoded._hash
    monkeypatch.setattr(decoded, "_hash", lambda image: checked.append(image) or plain(image))
    pixels = DecodedImages(kept / name, table["name"], SIDE)
    for _ in range(3):
        list(pixels.read(["c0/0.jpg", "c5/2.jpg", "c0/0.jpg"]))
    assert len(checked) == 2
    for read in (lambda: list(pixels.read(["c3/1.jpg"])), pixels.check, lambda: build(table, folder, kept)):
        assert f"{kept / name} is damaged: its picture of c3/1.jpg has another hash" in refusal(read)


def test_sides_that_are_kept(tmp_path):
    for name in ("decoded-256px-0a.npy", "decoded-32px-0a.npy", "decoded-32px-0b.npy", "decoded-px-0.npy", ".lock"):
        (tmp_path / name).touch()
    assert kept_sides(tmp_path) == [32, 256]
    assert kept_sides(tmp_path / "none") == []


@pytest.mark.parametrize(("shape", "dtype"), [((2, 3, 2, 2), "u1"), ((3, 2, 2, 3), "u1"), ((3, 3, 2, 2), "i1")])
def test_a_file_of_other_images_is_refused(small_file, shape, dtype):
    path, read, _ = small_file
    np.save(path, np.zeros(shape, dtype))
    assert f"{path} is damaged" in refusal(read)


def test_images_can_not_be_written_to(table, folder, kept):
    image = next(build(table, folder, kept).read(table["name"]))
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0, 0] = 1


DIES = """
import os, signal, sys
from pathlib import Path
import pandas as pd
from relbench.data.images.decoded import decoded_images
from relbench.data.images.photos import ImageFiles

def progress(names):
    for place, name in enumerate(names):
        if place == 9:
            os.kill(os.getpid(), signal.SIGKILL)
        yield name

names = [f"c{label}/{number}.jpg" for label in range(6) for number in range(3)]
decoded_images(ImageFiles(Path(sys.argv[1]), 200, 1), names, Path(sys.argv[2]), progress)
"""


def test_killed_while_building(table, folder, kept):
    environment = os.environ | {"PYTHONPATH": str(Path(relbench.__file__).parents[1])}
    command = [sys.executable, "-c", DIES, str(folder), str(kept)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    (half_written,) = visible(kept)
    assert half_written.startswith(".decoded-200px-")
    assert (kept / half_written).stat().st_size < cache_bytes(18, 200)
    build(table, folder, kept)  # another side: what is left of the dead process goes all the same
    (whole,) = visible(kept)
    assert whole.startswith(f"decoded-{SIDE}px-")


def _build_and_log(folder, kept, names, log):
    """In a process of its own: waits for the other one, then notes each image it decodes for the file."""
    (kept.parent / f"ready {os.getpid()}").touch()
    while len(list(kept.parent.glob("ready *"))) < 2:
        time.sleep(0.01)

    def progress(items):
        for item in items:
            with log.open("a") as file:
                file.write(f"{os.getpid()}\n")
            time.sleep(0.02)
            yield item

    pixels = decoded_images(ImageFiles(folder, SIDE, 1), names, kept, progress)
    return [image.copy() for image in pixels.read(names)]


def test_two_processes_build_once(table, folder, kept, tmp_path):
    names, log = table["name"].tolist(), tmp_path / "log"
    kept.parent.mkdir()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(_build_and_log, *zip(*[(folder, kept, names, log)] * 2, strict=True)))
    builders = log.read_text().split()
    assert len(builders) == len(table)
    assert len(set(builders)) == 1
    assert len(visible(kept)) == 1
    expected = list(files(folder).read(names))
    for images in found:
        np.testing.assert_array_equal(images, expected)
