"""Data sets on nodes: made ready once, and equal to the driver's or refused."""

import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from data.archives import MAKERS, pack
from data.full_disk import files_up_to
from data.misbehaving_server import good, serving
from data.tiny_cards import tiny_card
from small_jobs import FEW
from tiny_photos import write_photos

from relbench.data.datasets.added import add
from relbench.data.download.disk import plain_disk_errors
from relbench.data.glyphs import glyphs
from relbench.experiment import Data
from relbench.grid.cluster import data_sets
from relbench.grid.cluster.data_sets import VARIABLE, Images, _keep_decoded, folder_here, images_of, make_ready

pytestmark = pytest.mark.usefixtures("own_temporary_folder")
MINE = Data(name="mine", size=8)
SOP = "Stanford_Online_Products.zip"


@pytest.fixture
def own_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


def add_mine(root, source):
    """Own photos, in files whose sizes are part of their hash."""
    write_photos(source, classes=12).rename(columns={"name": "path"}).to_csv(source / "table.csv", index=False)
    add("mine", source / "table.csv", root)


def refusal(data, root, wanted):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught, plain_disk_errors(root):
        make_ready(data, root, wanted)
    return str(caught.value)


def test_what_is_rendered_is_the_same_elsewhere(tmp_path):
    there = images_of(FEW, tmp_path / "there")
    make_ready(FEW, tmp_path / "here", there)
    assert images_of(FEW, tmp_path / "here") == there
    assert [path.suffix for path in (tmp_path / "here").rglob("*.raw")] == [".raw"]


@pytest.mark.parametrize("other", [Images("other", ""), Images("", "other")], ids=["content", "data"])
def test_other_images_are_refused(tmp_path, other):
    there = images_of(FEW, tmp_path)
    wanted = Images(other.content or there.content, other.data_hash or there.data_hash)
    assert refusal(FEW, tmp_path, wanted) == (
        f"glyphs in {tmp_path} has other images, classes or splits than that of the command: put a copy there"
    )


def test_own_data_are_found_where_all_see_them_and_refused_elsewhere(tmp_path):
    add_mine(tmp_path / "shared", tmp_path / "source")
    there = images_of(MINE, tmp_path / "shared")
    make_ready(MINE, tmp_path / "shared", there)
    assert refusal(MINE, tmp_path / "node", there) == (
        f"mine was added on the machine of the command, and is not in {tmp_path / 'node'}: let --data be a folder that "
        "all nodes see, with the images in it"
    )


def test_own_data_whose_images_are_others_on_the_node(tmp_path):
    """Its note was copied; the photos at that path are others."""
    add_mine(tmp_path / "shared", tmp_path / "source")
    there = images_of(MINE, tmp_path / "shared")
    shutil.copytree(tmp_path / "shared", tmp_path / "node")
    photo = next((tmp_path / "source").rglob("*.jpg"))
    photo.write_bytes(photo.read_bytes() + b"longer")
    assert "has other images" in refusal(MINE, tmp_path / "node", there)


def test_two_processes_at_once_render_once(tmp_path, monkeypatch):
    """Here two threads, each of which opens the lock for itself, as processes do."""
    there, rendered, meeting = images_of(FEW, tmp_path / "there"), [], threading.Barrier(2, timeout=60)

    def render(kept, *about):
        rendered.append(kept)
        time.sleep(0.3)
        return draw(kept, *about)

    def come(_):
        meeting.wait()
        make_ready.__wrapped__(FEW, tmp_path / "here", there)

    draw = glyphs._render
    monkeypatch.setattr(glyphs, "_render", render)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(come, range(2)))
    assert len(rendered) == 1


@pytest.mark.parametrize("decoded", [False, True], ids=["as files", "decoded"])
def test_two_nodes_at_once_fetch_once(tmp_path, cards, decoded, monkeypatch):
    """Into a folder that both see; and keep the images decoded if the driver does."""
    monkeypatch.setattr(data_sets, "folder_of_this_user", lambda: Path(tempfile.mkdtemp(dir=tmp_path)))
    truth = MAKERS["sop"](tmp_path / "there" / "sop")
    (archive,) = pack("sop", tmp_path / "there" / "sop", tmp_path)
    with serving({f"/{SOP}": good(archive.read_bytes())}) as server:
        cards(tiny_card("sop", truth, {SOP: archive}, [server.address(f"/{SOP}")]))
        data, meeting = Data(name="sop", size=8), threading.Barrier(2, timeout=60)
        if decoded:
            _keep_decoded(data, tmp_path / "there")
        there = images_of(data, tmp_path / "there")
        assert there.decoded == decoded

        def come(_):
            meeting.wait()
            make_ready.__wrapped__(data, tmp_path / "here", there)

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(come, range(2)))
        assert server.count(f"/{SOP}") == 1
    assert images_of(data, tmp_path / "here").decoded == decoded


def test_what_must_be_fetched_by_hand_is_refused_in_one_line(tmp_path):
    words = refusal(Data(name="cars196", size=8), tmp_path, Images("", ""))
    assert words == (
        f"cars196 is not ready in {tmp_path / 'cars196'}: relbench data fetch cars196 --data {tmp_path}, or let --data "
        "be a folder that all nodes see"
    )


def test_a_full_disk(tmp_path):
    """Nothing half-written is taken for whole."""
    there = images_of(FEW, tmp_path / "there")
    with files_up_to(5000):
        words = refusal(FEW, tmp_path / "here", there)
    assert words.startswith(f"{tmp_path}/here/glyphs/")
    assert "File too large: free some space" in words
    assert not list((tmp_path / "here" / "glyphs").iterdir())
    make_ready(FEW, tmp_path / "here", there)


def test_a_node_may_keep_data_sets_elsewhere(tmp_path, monkeypatch):
    assert folder_here(tmp_path) == tmp_path
    monkeypatch.setenv(VARIABLE, "~/data")
    assert folder_here(tmp_path) == Path.home() / "data"
