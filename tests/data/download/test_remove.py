"""Data sets removed: all that fetching or adding made, nothing else, and nothing where a link leads."""

import subprocess
import sys
from pathlib import Path

import pytest
from data.archives import MAKERS, pack, write_image
from data.tiny_cards import tiny_card

import relbench


def tree(folder):
    """All paths below a folder, links not followed."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def fetched(call, cards, tmp_path):
    """CUB, unpacked from an archive that was placed by hand, and decoded."""
    truth = MAKERS["cub200"](tmp_path / "made", classes=4, images=2)
    folder = tmp_path / "datasets" / "cub200"
    folder.mkdir(parents=True)
    (archive,) = pack("cub200", tmp_path / "made", folder)
    cards(tiny_card("cub200", truth, {archive.name: archive}, ["http://127.0.0.1:9/never/asked"]))
    done = call("data", "fetch", "cub200", "--data", folder.parent, "--side", 16)
    assert done.code == 0, done.error
    return folder


def remove(call, folder, *more):
    return call("data", "remove", folder.name, "--data", folder.parent, *more)


def test_what_fetching_made_is_removed(call, fetched):
    assert (fetched / "attributes.txt").exists()
    (fetched / "mine.txt").write_text("mine")
    done = remove(call, fetched, "--yes")
    assert done.code == 0, done.error
    assert tree(fetched) == {"CUB_200_2011.tgz", "mine.txt", ".lock"}
    assert f"stays: {fetched}/mine.txt" in done.out
    assert "by hand" not in done.out
    assert call("data", "fetch", "cub200", "--data", fetched.parent, "--no-decode").code == 0


def test_with_its_archives_nothing_is_left(call, fetched):
    (fetched / "CUB_200_2011.tgz.part").touch()
    (fetched / ".CUB_200_2011.tgz.unpacking" / "a").mkdir(parents=True)
    done = remove(call, fetched, "--archives", "--yes")
    assert done.code == 0, done.error
    assert not fetched.exists()
    assert fetched.parent.exists()
    assert "there is nothing to remove" in remove(call, fetched, "--yes").out


def test_what_and_how_much_is_said_and_nothing_done_unasked(call, fetched):
    before, (decoded,) = tree(fetched), (fetched / "decoded").glob("*.npy")
    refused = remove(call, fetched, "--archives")
    assert refused.code == 2
    assert "nothing is removed unless you agree: say --yes" in refused.error
    assert tree(fetched) == before
    assert f"{decoded}: {decoded.stat().st_size / 1000:.1f} kB" in refused.out
    sizes = sum(path.stat().st_size for path in fetched.rglob("*") if path.is_file() and path.name != ".lock")
    assert f"{sizes / 1000:.1f} kB in all" in refused.out


@pytest.mark.parametrize("what", ["CUB_200_2011", "attributes.txt", "decoded"])
def test_nothing_is_deleted_where_a_link_leads(call, fetched, tmp_path, what):
    mine = tmp_path / "mine"
    (fetched / what).rename(mine)
    (fetched / what).symlink_to(mine)
    (fetched / "CUB_200_2011" / "images" / "link").symlink_to(tmp_path)
    before = tree(mine) if mine.is_dir() else mine.read_bytes()
    done = remove(call, fetched, "--archives", "--yes")
    assert done.code == 0, done.error
    assert f"{fetched}/{what}: the link alone; {mine} stays" in done.out
    assert not fetched.exists()
    assert (tree(mine) if mine.is_dir() else mine.read_bytes()) == before
    assert (tmp_path / "made").exists()


def test_a_folder_that_is_a_link_is_refused(call, fetched, tmp_path):
    fetched.rename(tmp_path / "elsewhere")
    fetched.symlink_to(tmp_path / "elsewhere")
    before = tree(tmp_path / "elsewhere")
    refused = remove(call, fetched, "--yes")
    assert refused.code == 2
    assert "cub200 is a link, and nothing is deleted through links" in refused.error
    assert tree(tmp_path / "elsewhere") == before


@pytest.mark.parametrize("below", [".", "decoded"])
def test_what_is_in_use_stays(call, fetched, below):
    before = tree(fetched)
    holding = (
        "import sys; from pathlib import Path; from relbench.locks import lock; held = lock(Path(sys.argv[1])); "
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", holding, str(fetched / below)]
    root = Path(relbench.__file__).parents[1]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout.readline() == "held\n"
        refused = remove(call, fetched, "--yes")
        process.communicate()
    assert refused.code == 2
    assert f"is in use by process {process.pid}: wait for it, then try again" in refused.error
    assert tree(fetched) == before


def test_what_cannot_be_downloaded_again_is_named(call, cards, tmp_path):
    truth = MAKERS["cars196-A"](tmp_path / "cars196", classes=4, images=2)
    cards(tiny_card("cars196", truth, {}))
    refused = remove(call, tmp_path / "cars196")
    assert refused.code == 2
    assert "cars196 can't be downloaded: to get it back, place it by hand" in refused.out


def test_an_added_data_set_is_forgotten_and_its_source_kept(call, tmp_path):
    for label in range(5):
        for number in range(2):
            write_image(tmp_path / "photos" / f"class {label}" / f"{number}.jpg", label, number)
    before = tree(tmp_path / "photos")
    assert call("data", "add", "mine", tmp_path / "photos", "--data", tmp_path / "datasets").code == 0
    assert call("data", "fetch", "mine", "--data", tmp_path / "datasets", "--side", 16).code == 0
    done = remove(call, tmp_path / "datasets" / "mine", "--yes")
    assert done.code == 0, done.error
    assert not (tmp_path / "datasets" / "mine").exists()
    assert tree(tmp_path / "photos") == before
    assert call("data", "add", "mine", tmp_path / "photos", "--data", tmp_path / "datasets").code == 0


def test_what_only_looks_like_ours_stays(call, tmp_path):
    """Adding unpacks nothing, and decoded images have a name of one form."""
    mine = ("mine/.photos.unpacked/a.jpg", "mine/.photos.unpacking/b.jpg", "mine/decoded/decoded-by-me.npy")
    ours = ("mine/added.json", "mine/decoded/decoded-8px-0123456789abcdef.npy")
    for name in (*mine, *ours):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert remove(call, tmp_path / "mine", "--yes").code == 0
    assert {name for name in (*mine, *ours) if (tmp_path / name).exists()} == set(mine)


@pytest.mark.parametrize("content", ["{", ""])
def test_a_damaged_note_is_removed(call, tmp_path, content):
    note = tmp_path / "mine" / "added.json"
    note.parent.mkdir()
    note.write_text(content)
    assert remove(call, note.parent, "--yes").code == 0
    assert not note.parent.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("glyphs", "is rendered on first use"), *((name, "unknown data set") for name in ("cub", "..", "."))],
)
def test_no_data_set(call, tmp_path, name, message):
    refused = call("data", "remove", name, "--data", tmp_path, "--yes")
    assert refused.code == 2
    assert message in refused.error
    assert refused.error.count("\n") == 1
