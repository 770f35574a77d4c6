"""Unpacking: all inside the folder or refused; whole or not there, whatever the archive and whatever happens."""

import bz2
import gzip
import io
import os
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import tracemalloc
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from data.full_disk import files_up_to
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import relbench
from relbench.data.download import archive_members
from relbench.data.download import unpack as module
from relbench.data.download.unpack import settle, unpack

CUB = {
    "attributes.txt": b"1 has_bill",
    "CUB_200_2011/images.txt": b"1 a.jpg\n",
    "CUB_200_2011/images/a/a.jpg": b"\xff" * 5000,
}


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch):
    """Other people's files are not ours to wait for."""
    monkeypatch.setattr(os, "sync", lambda: None)


def silent(done, total):
    pass


def tarred(path, contents, kind="gz", **changes):
    """A tar archive of names and contents; `changes` are set on every member."""
    with tarfile.open(path, f"w:{kind}") as archive:
        for name, content in contents.items() if isinstance(contents, dict) else contents:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path, contents, **changes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items() if isinstance(contents, dict) else contents:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in changes.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return path


def below(folder):
    """Paths and contents of all files."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive, target, message, must_hold=()):
    """The error is one line that names the archive, and nothing is left."""
    before = below(target) if target.exists() else {}
    with pytest.raises(ValueError, match=message) as caught:
        unpack(archive, target, silent, must_hold)
    assert str(archive) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert below(target) == before
    assert not list(target.glob(".*"))
    return str(caught.value)


MAKERS = {
    "tgz": tarred,
    "tar": lambda path, contents: tarred(path, contents, ""),
    "bz2": lambda path, contents: tarred(path, contents, "bz2"),
    "zip": zipped,
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_unpacked(tmp_path, make):
    """Several top members, folders that have no entry of their own, and the kind told by content, not by name."""
    archive = make(tmp_path / "archive", CUB)
    told = []
    unpack(
        archive,
        tmp_path / "deep" / "target",
        lambda *news: told.append(news),
        ["CUB_200_2011/images", "attributes.txt"],
    )
    assert below(tmp_path / "deep" / "target") == CUB
    total = sum(map(len, CUB.values()))
    assert told[0] == (0, None)
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_was_there_stays(tmp_path):
    archive = tarred(tmp_path / "a.tgz", CUB)
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    unpack(archive, tmp_path, silent)
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert archive.exists()


def test_folder_entries_and_a_leading_dot(tmp_path):
    """As `tar -C folder .` makes them."""
    folder = tmp_path / "folder"
    (folder / "empty").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"a")
    subprocess.run(["tar", "-czf", tmp_path / "a.tgz", "-C", folder, "."], check=True)
    unpack(tmp_path / "a.tgz", tmp_path / "target", silent)
    assert below(tmp_path / "target") == {"a.txt": b"a"}
    assert (tmp_path / "target" / "empty").is_dir()


def test_a_zip_made_by_another_program(tmp_path):
    shutil.make_archive(tmp_path / "other", "zip", tarred_folder(tmp_path))
    unpack(tmp_path / "other.zip", tmp_path / "target", silent)
    assert below(tmp_path / "target") == CUB


def tarred_folder(tmp_path):
    for name, content in CUB.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "source"


def test_modes_are_normal(tmp_path):
    """Not those of the archive: neither unreadable nor to be run nor with another's rights."""
    tarred(tmp_path / "a.tgz", CUB, mode=0o6000, uid=12345)
    zipped(tmp_path / "b.zip", {"b/b.txt": b"b"}, external_attr=0o100777 << 16)
    for archive in (tmp_path / "a.tgz", tmp_path / "b.zip"):
        unpack(archive, tmp_path / "target", silent)
    usual = tmp_path / "usual"
    usual.touch()
    modes = {path.stat().st_mode for path in (tmp_path / "target").rglob("*") if path.is_file()}
    assert modes == {usual.stat().st_mode}
    assert {path.stat().st_uid for path in (tmp_path / "target").rglob("*")} == {os.getuid()}


OUTSIDE = ["../evil", "a/../../evil", "/tmp/evil", "//evil", "a/..", "a\\..\\evil", "a/\nb", "a/\x1b[31m"]


OWN = [".archive.unpacking/a", "./.archive.unpacked/a", ".b.zip.unpacked/a", ".unpacked"]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("make", [tarred, zipped])
def test_names_of_our_own_temporary_folders(tmp_path, make, name):
    """They would be left behind, or taken for a killed process's the next time."""
    archive = make(tmp_path / "archive", {"fine.txt": b"fine", name: b"evil"})
    refused(archive, tmp_path / "target", "has a name reserved for unpacking")


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("make", [tarred, zipped])
def test_names_that_lead_elsewhere(tmp_path, make, name):
    archive = make(tmp_path / "archive", {"fine.txt": b"fine", name: b"evil"})
    refused(archive, tmp_path / "target", "does not lie inside|characters not allowed in file names")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"], ids=repr
)
def test_only_files_and_folders_in_tar(tmp_path, kind):
    archive = tmp_path / "archive.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("fine.txt"))
        info = tarfile.TarInfo("evil")
        info.type, info.linkname = kind, "fine.txt"
        tar.addfile(info)
    refused(archive, tmp_path / "target", "'evil' is a link or device")


@pytest.mark.parametrize("kind", [0o120777, 0o020666, 0o010666, 0o140777])
def test_only_files_and_folders_in_zip(tmp_path, kind):
    archive = zipped(tmp_path / "archive.zip", {"evil": b"/etc/passwd"}, external_attr=kind << 16)
    refused(archive, tmp_path / "target", "'evil' is a link or device")


def test_a_file_through_a_link_of_the_same_archive(tmp_path):
    """The classic: a link to a folder outside, then a file below the link."""
    archive = tmp_path / "archive.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("door")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("door/evil"))
    refused(archive, tmp_path / "target", "'door' is a link")
    assert not (tmp_path / "evil").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile's own
@pytest.mark.parametrize("make", [tarred, zipped])
@pytest.mark.parametrize("names", [("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a"), ("b/a", "b//a")])
def test_a_name_that_stands_twice(tmp_path, make, names):
    archive = make(tmp_path / "archive", [(name, b"x") for name in names])
    refused(archive, tmp_path / "target", "occurs twice")


def test_a_password(tmp_path):
    """As the high-resolution images of In-Shop have it."""
    archive = zipped(tmp_path / "img_highres.zip", {"a.jpg": b"secret"})
    content = bytearray(archive.read_bytes())
    for start in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):
        content[start] |= 1
    archive.write_bytes(content)
    refused(archive, tmp_path / "target", r"'a\.jpg' is a file with a password")


def test_a_compression_that_python_lacks(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"a.jpg": b"packed in another way"})
    content = bytearray(archive.read_bytes())
    for start in (content.index(b"PK\x03\x04") + 8, content.index(b"PK\x01\x02") + 10):
        content[start : start + 2] = struct.pack("<H", 97)
    archive.write_bytes(content)
    refused(archive, tmp_path / "target", r"'a\.jpg' can't be read")


@pytest.mark.parametrize("make", [tarred, zipped])
def test_more_than_the_disk_has(tmp_path, make, monkeypatch):
    """A bomb: small as an archive, large when it is unpacked. Refused by what the headers state, before writing."""
    archive = make(tmp_path / "bomb", {"zeros": bytes(5_000_000), "more": b"1"})
    assert archive.stat().st_size < 10_000
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 4_000_000, 4_000_000))
    monkeypatch.setattr(module, "_write", None)
    refused(archive, tmp_path / "target", r"holds needs 5\.0 MB on the disk of .*target, but 4\.0 MB are free")


@pytest.fixture
def few_allowed(monkeypatch):
    """Limits that are cheap to reach."""
    for name, value in {"SPARE_BYTES": 10**6, "SPARE_MEMBERS": 100, "MOST_PADDING": 10**6}.items():
        monkeypatch.setattr(archive_members, name, value)


@pytest.mark.parametrize("make", [tarred, zipped])
def test_far_more_than_photos_can_be_packed_to(tmp_path, make, few_allowed, monkeypatch):
    """Refused while the members are listed, before anything large is unpacked to look at it."""
    bomb = make(tmp_path / "bomb", {"zeros": bytes(5_000_000)})
    refused(bomb, tmp_path / "target", r"it holds far more than \d\.\d kB of photos can")
    photos = make(tmp_path / "photos", {"a.jpg": os.urandom(1_500_000)})
    unpack(photos, tmp_path / "photos unpacked", silent)


def test_more_members_than_its_size_allows(tmp_path, few_allowed):
    """Each takes memory, and hardly a byte of the archive."""
    archive = tarred(tmp_path / "many", {f"{number:08}": b"" for number in range(600)})
    refused(archive, tmp_path / "target", "it holds far more than")
    assert archive.stat().st_size < 10_000


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_header_that_would_take_all_memory(tmp_path, kind):
    info = tarfile.TarInfo("evil")
    info.type, info.size = kind, 64 << 20
    header = info.tobuf(tarfile.GNU_FORMAT)
    archive = tmp_path / "archive.tgz"
    with gzip.open(archive, "wb", compresslevel=1) as file:
        file.write(header)
        file.write(bytes(8 << 20))
    tracemalloc.start()
    try:
        refused(archive, tmp_path / "target", "not a tar or zip archive|a header of 67108864 bytes")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2e6


def test_a_sparse_file(tmp_path):
    """Its size is whatever it says."""
    info = tarfile.TarInfo("evil")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 512)
    header[483:495] = b"%011o\0" % (1 << 22)
    header[148:156] = b"%06o\0 " % (256 + sum(header[:148]) + sum(header[156:]))
    archive = tmp_path / "archive.tar"
    archive.write_bytes(bytes(header) + bytes(512 + 1024))
    with tarfile.open(archive) as tar:
        assert tar.next().size == 1 << 22
    refused(archive, tmp_path / "target", "'evil' is a link or device")


@pytest.mark.parametrize("kind", ["gz", "bz2"])
def test_zeros_without_end_after_the_end_mark(tmp_path, few_allowed, kind):
    archive = tarred(tmp_path / "archive", {"a": b"a"}, "")
    packed = {"gz": gzip.compress, "bz2": bz2.compress}[kind](archive.read_bytes() + bytes(3_000_000))
    archive.write_bytes(packed)
    refused(archive, tmp_path / "target", "it goes on after its end mark")


def test_many_empty_files_need_room_too(tmp_path, monkeypatch):
    archive = tarred(tmp_path / "a.tgz", {f"{number}": b"1" for number in range(100)})
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 100 * 4096 - 1))
    refused(archive, tmp_path / "target", "needs 409.6 kB")


@pytest.mark.parametrize("stated", [10, 200_000])
def test_a_stated_size_that_is_a_lie(tmp_path, stated):
    """More than the header says would get round the check of the room; less is a file cut short."""
    archive = zipped(tmp_path / "a.zip", {"a": bytes(100_000)})
    content = bytearray(archive.read_bytes())
    for start in (content.index(b"PK\x03\x04") + 22, content.index(b"PK\x01\x02") + 24):
        content[start : start + 4] = struct.pack("<I", stated)
    archive.write_bytes(content)
    refused(archive, tmp_path / "target", "'a' can't be read")


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_truncated(tmp_path, make):
    """Wherever it is cut: two files with their headers and the end mark are 5 1/2 kB as tar; padding follows."""
    whole = make(tmp_path / "whole", {"a/a": os.urandom(3000), "b": os.urandom(700)}).read_bytes()[:5632]
    archive = tmp_path / "archive"
    for cut in [0, 1, 4, *range(5, len(whole) - 512, 397), len(whole) - 513, len(whole) - 1]:
        archive.write_bytes(whole[:cut])
        refused(archive, tmp_path / f"cut at {cut}", "not a tar or zip archive|damaged or cut short|no file")


@pytest.mark.parametrize("make", [tarred, MAKERS["tar"]], ids=["tgz", "tar"])
def test_a_damaged_header_is_not_the_end(tmp_path, make):
    """Python takes it for the end, and lists fewer members without a word."""
    whole = tmp_path / "whole.tar"
    tarred(whole, {"a": b"1", "b": b"2", "c": b"3"}, "")
    content = bytearray(whole.read_bytes())
    content[1024:1034] = b"\xff" * 10  # the name in the second header: its sum is wrong now
    damaged = tmp_path / "archive"
    damaged.write_bytes(content)
    if make is tarred:
        subprocess.run(["gzip", damaged], check=True)
        damaged = tmp_path / "archive.gz"
    with tarfile.open(damaged) as tar:
        assert tar.getnames() == ["a"]
    refused(damaged, tmp_path / "target", "no end mark")


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html></html>", b"", b"PK\x03\x04 but no zip", bytes(100)])
def test_no_archive(tmp_path, content):
    archive = tmp_path / "CUB_200_2011.tgz"
    archive.write_bytes(content)
    refused(archive, tmp_path / "target", "is not a tar or zip archive")


def test_not_there(tmp_path):
    refused(tmp_path / "nothing.tgz", tmp_path / "target", "No such file")


@pytest.mark.parametrize("make", [tarred, zipped])
def test_nothing_in_it(tmp_path, make):
    refused(make(tmp_path / "archive", {}), tmp_path / "target", "holds no file|not a tar or zip")


def test_another_archive_than_expected(tmp_path):
    archive = tarred(tmp_path / "archive", {"birds/images.txt": b""})
    refused(archive, tmp_path / "target", "does not hold CUB_200_2011/images.txt", ["CUB_200_2011/images.txt"])


def test_something_in_the_way(tmp_path):
    """It may be the user's: told before anything is written, and left alone."""
    archive = tarred(tmp_path / "archive", CUB)
    target = tmp_path / "target"
    (target / "CUB_200_2011").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"target/CUB_200_2011 is in the way"):
        unpack(archive, target, silent)
    assert not below(target)
    (target / "CUB_200_2011").rmdir()
    unpack(archive, target, silent)
    assert below(target) == CUB


@pytest.mark.parametrize("make", [tarred, zipped])
def test_the_disk_can_take_no_more(tmp_path, make):
    """Half-way; a second try works."""
    archive = make(tmp_path / "archive", CUB)
    target = tmp_path / "target"
    with files_up_to(4000), pytest.raises(ValueError, match="target: File too large: free some space") as caught:
        unpack(archive, target, silent)
    assert "\n" not in str(caught.value)
    assert not list(target.iterdir())
    unpack(archive, target, silent)
    assert below(target) == CUB


def test_no_permission(tmp_path, monkeypatch):
    archive = tarred(tmp_path / "archive", CUB)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file/target: Not a directory: free some space, change the rights"):
        unpack(archive, tmp_path / "file" / "target", silent)

    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ValueError, match="target: Permission denied: free some space, change the rights"):
        unpack(archive, tmp_path / "target", silent)


@contextmanager
def without_rights():
    """The superuser may write anywhere, and so takes another's place meanwhile."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_folder_of_somebody_else():
    with tempfile.TemporaryDirectory() as folder:  # not below a folder that only one user may enter
        Path(folder).chmod(0o755)
        archive, target = tarred(Path(folder) / "archive", CUB), Path(folder) / "target"
        target.mkdir(mode=0o555)
        with without_rights(), pytest.raises(ValueError, match=r"target/\.archive\.unpacking: Permission denied: free"):
            unpack(archive, target, silent)
        assert not list(target.iterdir())


def test_interrupted(tmp_path):
    """By Ctrl-C."""
    archive = tarred(tmp_path / "archive", CUB)

    def interrupt(done, total):
        if done > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "target", interrupt)
    assert not list((tmp_path / "target").iterdir())


WITHOUT_TORCH = """
import os, signal, sys, types
from pathlib import Path
sys.modules["relbench.data"] = types.ModuleType("relbench.data")  # its data sets take seconds to load
sys.modules["relbench.data"].__path__ = ["relbench/data"]
"""
KILLED_WHILE_WRITING = """
from relbench.data.download.unpack import unpack
def kill(done, total):
    if done > 100:
        os.kill(os.getpid(), signal.SIGKILL)
unpack(Path(sys.argv[1]), Path(sys.argv[2]), kill)
"""
KILLED_WHILE_MOVING = """
from relbench.data.download import unpack as module
def kill(place):
    if place.name == "CUB_200_2011" and place.parent.joinpath("attributes.txt").exists():
        os.kill(os.getpid(), signal.SIGKILL)
module._refuse_in_the_way = kill
module.unpack(Path(sys.argv[1]), Path(sys.argv[2]), lambda done, total: None)
"""


@pytest.mark.parametrize("script", [KILLED_WHILE_WRITING, KILLED_WHILE_MOVING], ids=["writing", "moving"])
def test_killed(tmp_path, script):
    """What is left is hidden, and out of the way after the next try."""
    archive, target = tarred(tmp_path / "archive.tgz", CUB), tmp_path / "target"
    command = [sys.executable, "-c", WITHOUT_TORCH + script, str(archive), str(target)]
    process = subprocess.run(command, cwd=Path(relbench.__file__).parents[1], check=False)
    assert process.returncode == -signal.SIGKILL
    assert not (target / "CUB_200_2011").exists()
    assert list(target.glob(".archive.tgz.unpack*"))
    shutil.copytree(target, tmp_path / "another")
    unpack(archive, target, silent)
    assert below(target) == CUB
    assert settle(tmp_path / "another") == ({"archive.tgz"} if script is KILLED_WHILE_MOVING else set())
    assert below(tmp_path / "another") == (CUB if script is KILLED_WHILE_MOVING else {})
    assert not [*target.glob(".*"), *(tmp_path / "another").glob(".*")]


def test_settling_overwrites_nothing(tmp_path):
    (tmp_path / ".a.tgz.unpacked").mkdir()
    (tmp_path / ".a.tgz.unpacked" / "mine").write_text("theirs", encoding="utf-8")
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="mine is in the way of what is unpacked"):
        settle(tmp_path)
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "mine"


HIDDEN = (".unpacking", ".unpacked")
PARTS = st.one_of(
    st.sampled_from(["..", ".", "", "a", "b", "~", "C:", "...", " ", ".archive.unpacking", ".x.unpacked"]),
    st.text(max_size=3),
)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join).filter(bool)
MEMBERS = st.lists(st.tuples(NAMES, st.binary(max_size=20)), max_size=4)


def outcome(archive, room):
    """Unpack inside `room`: what came, or None for a refusal in one line. Outside of its target nothing changes."""
    target = room / "deep" / "target"
    target.mkdir(parents=True)
    beside = {path for path in room.rglob("*") if target not in path.parents}
    refusal = None
    try:
        unpack(archive, target, silent)
    except ValueError as error:
        refusal = str(error)
    assert refusal is None or (refusal.isprintable() and not list(target.iterdir()))
    assert {path for path in room.rglob("*") if target not in path.parents} == beside
    assert not [path for path in target.rglob("*") if path.is_symlink()]
    assert not [path for path in target.iterdir() if path.name.startswith(".") and path.name.endswith(HIDDEN)]
    return None if refusal else below(target)


def plain(name):
    return os.path.normpath(name)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(members=MEMBERS, make=st.sampled_from([tarred, zipped]))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_names(members, make):
    """Either everything lies inside the target, with its content, or it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            archive = make(Path(folder) / "archive", members)
        except (UnicodeEncodeError, ValueError):  # no archive can have such a name
            return
        came = outcome(archive, Path(folder))
        if came is not None:
            with tarfile.open(archive) if make is tarred else zipfile.ZipFile(archive) as opened:
                names = opened.getnames() if make is tarred else opened.namelist()
            contents = {plain(name): content for name, (_, content) in zip(names, members, strict=True)}
            assert came == {name: content for name, content in contents.items() if name in came}
            folders = {plain(name) for name in names if name.endswith("/")}
            assert set(contents) - set(came) <= folders


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), make=st.sampled_from(list(MAKERS)))
def test_any_damage(data, make):
    """Bytes changed, left out or cut off: one clear line or files inside the target, never another exception."""
    with tempfile.TemporaryDirectory() as folder:
        archive = MAKERS[make](Path(folder) / "archive", {"a/b": b"content" * 30, "c": b"2"})
        content = bytearray(archive.read_bytes()[: 4096 if make == "tar" else None])
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(content) - 1))
            content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        archive.write_bytes(content)
        outcome(archive, Path(folder))
