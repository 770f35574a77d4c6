"""Fetching from a server that behaves in every bad way: the right archive or one clear line, and a second try works."""

import gzip
import hashlib
import io
import os
import random
import shutil
import socket
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from data.full_disk import files_up_to
from data.misbehaving_server import (
    PAGE,
    always_truncated,
    called_compressed,
    empty,
    good,
    hanging,
    page,
    redirect,
    reset,
    serving,
    status,
    trickling,
    truncated,
    without_length,
    without_range,
    wrong_range,
)

from relbench.data.download import mirrors as module
from relbench.data.download.card import Archive, Card, Expected, Layout, Split, Validation, packaged_card
from relbench.data.download.fetch import ManualStepsError, fetch, state
from relbench.settings import changed

IMAGE = random.Random(7).randbytes(300_000)
INSIDE = {"attributes.txt": b"beside", "birds/images.txt": b"1 a.jpg\n", "birds/images/a.jpg": IMAGE}


def tgz(contents):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)  # the same at any time


WHOLE = tgz(INSIDE)
HALF = len(WHOLE) // 2
OTHER = random.Random(8).randbytes(len(WHOLE))


def sums(content):
    return {"md5": hashlib.md5(content).hexdigest(), "sha256": hashlib.sha256(content).hexdigest()}


BIRDS = Archive(
    file="birds.tgz", bytes=len(WHOLE), **sums(WHOLE), unpacks_to=("birds/images", "birds/images.txt"), addresses=()
)
CARD = Card(
    name="birds",
    title="Birds",
    summary="a few birds",
    homepage="https://example.org",
    licence="MIT",
    terms="none",
    citation="nobody",
    ks=(1, 2),
    manual="Place it in {folder}.",
    archives=(BIRDS,),
    splits={
        "classes": Split(
            rule="by name",
            source="here",
            validation=Validation(share=0.2, seed=1),
            expected=Expected(train_classes=1, train_images=1, test_classes=1, test_images=1),
        )
    },
)


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    """No proxy between us and the server, little patience, and other people's files are not ours to wait for."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(module, "TIMEOUT", (5.0, 0.3))
    monkeypatch.setattr(module, "PATIENCE", 0.4)
    monkeypatch.setattr(os, "sync", lambda: None)


def silent(what, done, total):
    pass


def from_addresses(*addresses, **changes):
    return changed(CARD, {"archives": (changed(BIRDS, {"addresses": addresses, **changes}),)})


def below(folder):
    """Paths and contents of all files but the lock."""
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path != folder / ".lock"}
    return {str(path.relative_to(folder)): content for path, content in files.items()}


COMPLETE = {**INSIDE, "birds.tgz": WHOLE}


def fails(card, root, message):
    """One line, no unpacked data, no archive taken for whole."""
    with pytest.raises(ValueError, match=message) as caught:
        fetch(card, root, silent)
    assert "\n" not in str(caught.value)
    assert set(below(root / card.name)) <= {"birds.tgz.part"}
    return str(caught.value)


def ranges(server):
    return [request.range for request in server.requests]


def test_fetched(tmp_path):
    told = []
    with serving({"/birds.tgz": good(WHOLE)}) as server:
        card = from_addresses(server.address("/birds.tgz"))
        assert state(card, tmp_path) == "absent"
        assert fetch(card, tmp_path, lambda *news: told.append(news)) == tmp_path / "birds"
        assert state(card, tmp_path) == "ready"
        assert below(tmp_path / "birds") == COMPLETE
        fetch(card, tmp_path, silent)
        assert server.count("/birds.tgz") == 1  # what is there is not fetched again
    assert list(dict.fromkeys(what for what, _, _ in told)) == [
        "fetching birds.tgz",
        "checking birds.tgz",
        "unpacking birds.tgz",
    ]
    for what in ("fetching birds.tgz", "checking birds.tgz"):
        news = [(done, total) for each, done, total in told if each == what]
        assert news == sorted(news)
        assert news[-1] == (len(WHOLE), len(WHOLE))


@pytest.mark.parametrize("behaviour", [without_range, wrong_range, without_length, called_compressed])
@pytest.mark.parametrize("size", [None, len(WHOLE)])
def test_odd_but_right(tmp_path, behaviour, size):
    """From nothing, and with a part that is there."""
    with serving({"/birds.tgz": behaviour(WHOLE)}) as server:
        card = from_addresses(server.address("/birds.tgz"), bytes=size)
        for root in (tmp_path / "new", tmp_path / "begun"):
            if root.name == "begun":
                (root / "birds").mkdir(parents=True)
                (root / "birds/birds.tgz.part").write_bytes(WHOLE[:HALF])
            fetch(card, root, silent)
            assert below(root / "birds") == COMPLETE
        assert ranges(server)[:2] == [None, f"bytes={HALF}-"]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (status(404), "answers 404"),
        (status(500), "answers 500"),
        (status(206), "answers 206"),
        (page(), "returns a page, not a file"),
        (page("application/octet-stream"), "returns a page, not a file"),
        (page("text/html", WHOLE), "returns a page, not a file"),
        (empty(), "returns nothing"),
        (always_truncated(WHOLE, HALF), "broke off"),
        (reset(WHOLE, HALF), "broke off"),
        (reset(WHOLE, 0), "broke off"),
        (hanging(), "silent for too long"),
        (hanging(WHOLE, HALF), "silent for too long"),
        (trickling(WHOLE), "is too slow: "),
        (redirect("/bad"), "redirects without end"),
        (redirect("ftp://127.0.0.1/birds.tgz"), "fails"),
        (redirect("file:///etc/passwd"), "fails"),
        (good(OTHER), f"returns another file: it has the md5 {sums(OTHER)['md5']}"),
        (without_length(WHOLE[:HALF]), "returns another file"),
    ],
)
def test_the_next_address_helps(tmp_path, behaviour, reason):
    """Each bad address is told with its reason if none is good; if the next is good, that one serves."""
    with serving({"/bad": behaviour, "/good": good(WHOLE)}) as server:
        bad, fine = server.address("/bad"), server.address("/good")
        message = fails(from_addresses(bad, bytes=None), tmp_path, r"birds\.tgz can't be fetched")
        assert f"{bad} {reason}" in message
        assert f"place the file in {tmp_path / 'birds'}" in message
        assert state(CARD, tmp_path) in ("absent", "partial")
        fetch(from_addresses(bad, fine, bytes=None), tmp_path, silent)
        assert server.count("/good") == 1
    assert below(tmp_path / "birds") == COMPLETE


def test_every_address_has_its_reason(tmp_path):
    with serving({"/a": page(), "/b": empty(), "/c": redirect("/c")}) as server:
        card = from_addresses(*(server.address(path) for path in ("/a", "/b", "/c", "/d")), bytes=None)
        message = fails(card, tmp_path, "can't be fetched")
    for path, reason in {
        "/a": "returns a page",
        "/b": "returns nothing",
        "/c": "redirects",
        "/d": "answers 404",
    }.items():
        assert f"{path} {reason}" in message


def test_a_good_redirect(tmp_path):
    with serving({"/old": redirect("/new"), "/new": good(WHOLE)}) as server:
        fetch(from_addresses(server.address("/old")), tmp_path, silent)
    assert below(tmp_path / "birds") == COMPLETE


def test_redirects_without_end_are_not_followed_for_long(tmp_path):
    with serving({"/old": redirect("/old")}) as server:
        fails(from_addresses(server.address("/old")), tmp_path, "redirects without end")
        assert server.count("/old") == 11


def test_nobody_there(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # not listening
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/birds.tgz"
        fails(from_addresses(address), tmp_path, f"{address} can't be reached")


def test_no_answer_to_the_connection():
    error = module.requests.exceptions.ConnectTimeout()
    assert module._reason(error) == "no answer within 15 seconds"


@pytest.mark.parametrize("behaviour", [good(OTHER[:-1]), good(OTHER + b"x"), page()])
def test_a_wrong_size_is_told_before_anything_is_written(tmp_path, behaviour):
    with serving({"/birds.tgz": behaviour}) as server:
        fails(from_addresses(server.address("/birds.tgz")), tmp_path, rf"returns .*bytes instead of {len(WHOLE)}")
    assert set(below(tmp_path / "birds")) == set()


def test_too_much_without_a_length(tmp_path):
    with serving({"/long": without_length(WHOLE * 3), "/good": good(WHOLE)}) as server:
        fails(from_addresses(server.address("/long")), tmp_path, f"sends more than {len(WHOLE)} bytes")
        fetch(from_addresses(server.address("/long"), server.address("/good")), tmp_path, silent)
    assert below(tmp_path / "birds") == COMPLETE


def test_resumed_at_once(tmp_path):
    """A connection that breaks off is asked for the rest, and only for that."""
    with serving({"/birds.tgz": truncated(WHOLE, HALF)}) as server:
        fetch(from_addresses(server.address("/birds.tgz")), tmp_path, silent)
        assert ranges(server) == [None, f"bytes={HALF}-"]
    assert below(tmp_path / "birds") == COMPLETE


def test_resumed_later_and_elsewhere(tmp_path):
    with serving({"/bad": always_truncated(WHOLE, HALF), "/good": good(WHOLE)}) as server:
        fails(from_addresses(server.address("/bad")), tmp_path, "broke off")
        assert (tmp_path / "birds/birds.tgz.part").read_bytes() == WHOLE[:HALF]
        assert state(CARD, tmp_path) == "partial"
        fetch(from_addresses(server.address("/good")), tmp_path, silent)
        assert ranges(server)[-1] == f"bytes={HALF}-"
    assert below(tmp_path / "birds") == COMPLETE


@pytest.mark.parametrize(
    ("part", "asked"),
    [
        (WHOLE, []),  # killed just before the end
        (OTHER, [None]),
        (OTHER[:HALF], [f"bytes={HALF}-", None]),  # the checksum tells
        (WHOLE + b"x", [f"bytes={len(WHOLE) + 1}-", None]),  # the server says 416
        (PAGE, [f"bytes={len(PAGE)}-", None]),
        (b"", [None]),
    ],
    ids=["whole", "wrong", "wrong half", "too long", "page", "empty"],
)
def test_any_part_that_is_there(tmp_path, part, asked):
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds/birds.tgz.part").write_bytes(part)
    with serving({"/birds.tgz": good(WHOLE)}) as server:
        fetch(from_addresses(server.address("/birds.tgz")), tmp_path, silent)
        assert ranges(server) == asked
    assert below(tmp_path / "birds") == COMPLETE


def test_a_part_survives_an_address_that_gives_a_page(tmp_path):
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds/birds.tgz.part").write_bytes(WHOLE[:HALF])
    with serving({"/page": page(), "/good": good(WHOLE)}) as server:
        fetch(from_addresses(server.address("/page"), server.address("/good"), bytes=None), tmp_path, silent)
        assert ranges(server)[-1] == f"bytes={HALF}-"


def test_an_address_is_not_asked_for_ever(tmp_path, monkeypatch):
    """Although each try gets further."""
    monkeypatch.setattr(module, "TRIES", 3)
    step = iter(range(1, 100))

    def drip(handler):
        start = handler.first_wanted() or 0
        handler.head(206 if start else 200, len(WHOLE) - start, Content_Range=f"bytes {start}-/{len(WHOLE)}")
        handler.wfile.write(WHOLE[start : start + 10 * next(step)])

    with serving({"/drip": drip}) as server:
        fails(from_addresses(server.address("/drip")), tmp_path, "broke off 3 times")
        assert server.count("/drip") == 3


def test_interrupted_and_resumed(tmp_path):
    def interrupt(what, done, total):
        if done > HALF:
            raise KeyboardInterrupt

    with serving({"/birds.tgz": good(WHOLE)}) as server:
        card = from_addresses(server.address("/birds.tgz"))
        with pytest.raises(KeyboardInterrupt):
            fetch(card, tmp_path, interrupt)
        assert set(below(tmp_path / "birds")) == {"birds.tgz.part"}
        fetch(card, tmp_path, silent)
        assert ranges(server)[1].startswith("bytes=")
    assert below(tmp_path / "birds") == COMPLETE


def test_placed_by_hand(tmp_path):
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds/birds.tgz").write_bytes(WHOLE)
    assert state(CARD, tmp_path) == "archive"
    fetch(CARD, tmp_path, silent)
    assert below(tmp_path / "birds") == COMPLETE


@pytest.mark.parametrize("content", [WHOLE[:HALF], OTHER, PAGE, b""])
def test_a_wrong_archive_placed_by_hand_is_kept(tmp_path, content):
    """And no other is fetched behind the user's back."""
    path = tmp_path / "birds/birds.tgz"
    path.parent.mkdir()
    path.write_bytes(content)
    with serving({"/birds.tgz": good(WHOLE)}) as server:
        card = from_addresses(server.address("/birds.tgz"))
        with pytest.raises(ValueError, match=r"birds\.tgz has .*, not .*: move it away or delete it") as caught:
            fetch(card, tmp_path, silent)
        assert "\n" not in str(caught.value)
        assert below(path.parent) == {"birds.tgz": content}
        path.unlink()
        fetch(card, tmp_path, silent)
    assert below(tmp_path / "birds") == COMPLETE


def test_unpacked_by_hand(tmp_path):
    for name, content in INSIDE.items():
        path = tmp_path / "birds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert state(CARD, tmp_path) == "ready"
    assert fetch(CARD, tmp_path, silent) == tmp_path / "birds"
    assert below(tmp_path / "birds") == INSIDE  # not even a lock: the folder may be read-only


def test_half_unpacked_by_hand(tmp_path):
    """Told before the download, and nothing of it is touched."""
    (tmp_path / "birds/birds/images").mkdir(parents=True)
    with serving({"/birds.tgz": good(WHOLE)}) as server:
        card = from_addresses(server.address("/birds.tgz"))
        assert state(card, tmp_path) == "partial"
        fails(card, tmp_path, "birds/birds is there, but not complete")
        assert not server.requests
        shutil.rmtree(tmp_path / "birds/birds")
        fetch(card, tmp_path, silent)
    assert below(tmp_path / "birds") == COMPLETE


def test_an_archive_whose_content_is_bad(tmp_path):
    """The checksum fits, but it leads outside."""
    evil = tgz({"birds/images/a": b"", "birds/images.txt": b"", "../../evil": b""})
    with serving({"/birds.tgz": good(evil)}) as server:
        card = from_addresses(server.address("/birds.tgz"), **sums(evil), bytes=len(evil))
        with pytest.raises(ValueError, match=r"'\.\./\.\./evil' does not lie inside"):
            fetch(card, tmp_path, silent)
    assert below(tmp_path / "birds") == {"birds.tgz": evil}


def test_an_archive_that_holds_something_else(tmp_path):
    other = tgz({"bees/images.txt": b""})
    with serving({"/birds.tgz": good(other)}) as server:
        card = from_addresses(server.address("/birds.tgz"), **sums(other), bytes=len(other))
        with pytest.raises(ValueError, match="does not hold birds/images"):
            fetch(card, tmp_path, silent)


def test_the_second_waits_if_asked_to(tmp_path):
    """And then finds all that there is to be found."""
    waiting = []

    def fetch_beside(what, done, total):
        if not waiting:
            with pytest.raises(ValueError, match="another process is fetching"):
                fetch(card, tmp_path, silent)
            waiting.append(beside.submit(fetch, card, tmp_path, silent, wait=True))

    with serving({"/birds.tgz": good(WHOLE)}) as server, ThreadPoolExecutor() as beside:
        card = from_addresses(server.address("/birds.tgz"))
        fetch(card, tmp_path, fetch_beside)
        assert waiting[0].result() == tmp_path / "birds"
        assert server.count("/birds.tgz") == 1
    assert below(tmp_path / "birds") == COMPLETE


def test_one_process_at_a_time(tmp_path):
    """The second is told; the first goes on undisturbed."""
    told = []

    def fetch_again(what, done, total):
        if not told:
            with pytest.raises(ValueError, match=r"another process is fetching into .*birds: try again") as caught:
                fetch(card, tmp_path, silent)
            told.append(str(caught.value))

    with serving({"/birds.tgz": good(WHOLE)}) as server:
        card = from_addresses(server.address("/birds.tgz"))
        fetch(card, tmp_path, fetch_again)
        assert server.count("/birds.tgz") == 1
    assert len(told) == 1
    assert below(tmp_path / "birds") == COMPLETE


def test_what_a_killed_process_had_half_in_place(tmp_path):
    """Whole when it was killed, but only one of two names had been moved."""
    folder = tmp_path / "birds"
    contents = {"birds.tgz": tgz({"a.csv": b"a", "b/b": b"b"}), "a.csv": b"a", ".birds.tgz.unpacked/b/b": b"b"}
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    card = from_addresses(unpacks_to=("a.csv", "b/b"), bytes=None, **sums(contents["birds.tgz"]))
    fetch(card, tmp_path, silent)
    assert below(folder) == {"birds.tgz": contents["birds.tgz"], "a.csv": b"a", "b/b": b"b"}


def test_what_a_killed_process_had_just_put_in_place(tmp_path):
    """All is ready, but an empty hidden folder is left."""
    for name, content in INSIDE.items():
        (tmp_path / "birds" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "birds" / name).write_bytes(content)
    (tmp_path / "birds/.birds.tgz.unpacked").mkdir()
    fetch(CARD, tmp_path, silent)
    assert not list((tmp_path / "birds").glob(".*unpack*"))
    assert below(tmp_path / "birds") == {**INSIDE}


def test_no_room_for_the_download(tmp_path, monkeypatch):
    usage = type(shutil.disk_usage(tmp_path))
    with serving({"/birds.tgz": good(WHOLE)}) as server:
        with monkeypatch.context() as context:
            context.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
            card = from_addresses(server.address("/birds.tgz"))
            fails(card, tmp_path, r"the rest of birds\.tgz needs 300\.\d kB on the disk of .*, but 1\.0 kB are free")
        fetch(card, tmp_path, silent)


def test_the_disk_is_full(tmp_path):
    with serving({"/birds.tgz": good(WHOLE)}) as server:
        card = from_addresses(server.address("/birds.tgz"))
        with (
            files_up_to(100_000),
            pytest.raises(ValueError, match="birds: File too large: free some space") as caught,
        ):
            fetch(card, tmp_path, silent)
        assert "\n" not in str(caught.value)
        fetch(card, tmp_path, silent)


@pytest.mark.parametrize("kind", [Path.symlink_to, Path.hardlink_to], ids=["symbolic", "hard"])
@pytest.mark.parametrize("name", [".lock", "birds.tgz.part"])
def test_nothing_is_written_through_a_link(tmp_path, kind, name):
    """In a folder that came from somebody else; as the superuser too."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "birds").mkdir()
    kind(tmp_path / "birds" / name, tmp_path / "mine")
    with serving({"/birds.tgz": good(WHOLE)}) as server:
        card = from_addresses(server.address("/birds.tgz"))
        with pytest.raises(
            ValueError, match=f"{name} is a link or not a regular file, and is never written to: delete"
        ):
            fetch(card, tmp_path, silent)
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("name", [".birds.tgz.unpacked", ".birds.tgz.unpacking"])
def test_nothing_is_moved_or_deleted_through_a_link(tmp_path, name):
    mine = tmp_path / "mine" / "birds"
    mine.mkdir(parents=True)
    (mine / "images.txt").write_text("mine")
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / name).symlink_to(mine.parent)
    with serving({"/birds.tgz": good(WHOLE)}) as server:
        card = from_addresses(server.address("/birds.tgz"))
        with pytest.raises(ValueError, match=f"{name} is a link or a file where a folder was left: delete it"):
            fetch(card, tmp_path, silent)
    assert below(tmp_path / "mine") == {"birds/images.txt": b"mine"}


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file/birds: Not a directory: free some space, change the rights") as caught:
        fetch(from_addresses("http://127.0.0.1/never/asked"), tmp_path / "file", silent)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_looked_into(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(tmp_path), "exists", refuse)
    with pytest.raises(ValueError, match="Permission denied: free some space, change the rights"):
        state(CARD, tmp_path)


def test_manual_steps(tmp_path):
    with pytest.raises(ManualStepsError, match=f"Place it in {tmp_path / 'birds'}") as caught:
        fetch(CARD, tmp_path, silent)
    assert "- as in the archive: birds/images, birds/images.txt" in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert state(CARD, tmp_path) == "absent"


@pytest.mark.parametrize("name", ["cars196", "inshop"])
def test_manual_steps_of_the_real_ones(tmp_path, name):
    card = packaged_card(name)
    with pytest.raises(ManualStepsError) as caught:
        fetch(card, tmp_path, silent)
    message = str(caught.value)
    assert str(tmp_path / name) in message
    assert "{folder}" not in message
    for layout in card.accepted:
        assert f"- {layout.name}: {', '.join(layout.paths)}" in message


def laid(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


@pytest.mark.parametrize(
    ("name", "paths", "expected"),
    [
        ("cub200", ["CUB_200_2011/images/a.jpg"], "partial"),
        ("cub200", ["CUB_200_2011.tgz.part"], "partial"),
        ("cub200", ["CUB_200_2011.tgz"], "archive"),
        ("cub200", [".lock"], "absent"),
        ("cars196", ["cars_train.tgz"], "partial"),
        ("cars196", ["car_ims.tgz", "cars_annos.mat"], "archive"),
        ("cars196", ["car_ims/000001.jpg", "cars_annos.mat"], "ready"),
        ("cars196", ["cars_train/00001.jpg", "cars_test/00001.jpg", "devkit/cars_train_annos.mat"], "partial"),
        (
            "cars196",
            ["cars_train/1.jpg", "cars_test.tgz", "car_devkit.tgz", "cars_test_annos_withlabels.mat"],
            "archive",
        ),
        (
            "cars196",
            [
                "cars_train/1.jpg",
                "cars_test/1.jpg",
                "devkit/cars_train_annos.mat",
                "devkit/cars_meta.mat",
                "devkit/cars_test_annos_withlabels.mat",
            ],
            "ready",
        ),
        ("cars196", ["stanford-car-dataset-by-classes-folder.zip"], "archive"),
        ("inshop", ["img.zip"], "partial"),
        ("inshop", ["img.zip", "Eval/list_eval_partition.txt"], "archive"),
        ("inshop", ["Img/img/a.jpg", "Eval/list_eval_partition.txt"], "ready"),
        ("inshop", ["img/a.jpg", "Eval/list_eval_partition.txt"], "ready"),
    ],
)
def test_states_of_the_real_layouts(tmp_path, name, paths, expected):
    laid(tmp_path / name, *paths)
    assert state(packaged_card(name), tmp_path) == expected


def zipped(path, contents):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("place", ["img.zip", "Img/img.zip"])
def test_in_shop_by_hand(tmp_path, place):
    """No checksum is known; the archive lies where the steps say, or in its published folder."""
    folder = tmp_path / "inshop"
    laid(folder, "Eval/list_eval_partition.txt", place)
    assert state(packaged_card("inshop"), tmp_path) == "archive"
    zipped(folder / place, {"img/WOMEN/a.jpg": "a"})
    fetch(packaged_card("inshop"), tmp_path, silent)
    assert (folder / "img/WOMEN/a.jpg").read_bytes() == b"a"
    assert state(packaged_card("inshop"), tmp_path) == "ready"


def two_archives(address=None):
    """A layout made of two archives and a file that needs no unpacking; and another one that can't be had."""
    cars, kit, marks = tgz({"cars/1.jpg": b"1"}), tgz({"kit/a.mat": b"2"}), b"3"
    archives = (
        Archive(file="cars.tgz", **sums(cars), unpacks_to=("cars",)),
        Archive(
            file="kit.tgz", **sums(kit), unpacks_to=("kit/a.mat",), addresses=(f"{address}/kit",) if address else ()
        ),
        Archive(file="marks.mat", **sums(marks), unpacks_to=("marks.mat",)),
    )
    layouts = (
        Layout(name="nowhere", paths=("nothing",)),
        Layout(name="ours", paths=("cars", "kit/a.mat", "marks.mat")),
    )
    contents = {"cars.tgz": cars, "kit.tgz": kit, "marks.mat": marks}
    return changed(CARD, {"archives": archives, "layouts": layouts}), contents


def placed(folder, contents, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(contents[name])


def test_some_by_hand_some_fetched(tmp_path):
    _, contents = two_archives()
    with serving({"/kit": good(contents["kit.tgz"])}) as server:
        card, _ = two_archives(server.address(""))
        placed(tmp_path / "birds", contents, "marks.mat")
        with pytest.raises(ManualStepsError):
            fetch(card, tmp_path, silent)
        assert not server.requests
        placed(tmp_path / "birds", contents, "cars.tgz")
        fetch(card, tmp_path, silent)
    assert state(card, tmp_path) == "ready"
    assert set(below(tmp_path / "birds")) == {*contents, "cars/1.jpg", "kit/a.mat"}


def test_a_file_that_needs_no_unpacking_is_checked_too(tmp_path):
    card, contents = two_archives()
    placed(tmp_path / "birds", contents | {"marks.mat": b"4"}, *contents)
    with pytest.raises(ValueError, match=r"marks\.mat has the md5"):
        fetch(card, tmp_path, silent)
    placed(tmp_path / "birds", contents, "marks.mat")
    fetch(card, tmp_path, silent)
    assert state(card, tmp_path) == "ready"


def test_a_file_that_needs_no_unpacking_is_fetched(tmp_path):
    marks = b"3" * 100
    with serving({"/marks": truncated(marks, 50)}) as server:
        archive = Archive(
            file="marks.mat", **sums(marks), unpacks_to=("marks.mat",), addresses=(server.address("/marks"),)
        )
        card = changed(CARD, {"archives": (archive,)})
        fetch(card, tmp_path, silent)
    assert below(tmp_path / "birds") == {"marks.mat": marks}
