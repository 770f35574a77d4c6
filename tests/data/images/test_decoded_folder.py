"""Decoded images elsewhere: a link is made once they are there, and nothing is written through one unasked."""

import pytest

from relbench.data.images.decoded_folder import clear_stale, folder_to_fill, lead_to


def test_the_usual_folder(tmp_path):
    assert folder_to_fill(tmp_path / "decoded", None) == tmp_path / "decoded"
    assert not (tmp_path / "decoded").exists()


def test_a_link_that_no_command_names(tmp_path):
    link, target = tmp_path / "cub200" / "decoded", tmp_path / "disk" / "cub200"
    target.mkdir(parents=True)
    link.parent.mkdir()
    link.symlink_to(target)
    with pytest.raises(ValueError, match=f"unless the command names that place: say --cache {tmp_path}/disk$"):
        folder_to_fill(link, None)
    assert folder_to_fill(link, target) == target
    target.rename(tmp_path / "disk" / "mine")
    with pytest.raises(ValueError, match="which is gone: bring it back, or delete the link"):
        folder_to_fill(link, None)
    link.unlink()
    link.symlink_to(tmp_path / "disk" / "mine")
    with pytest.raises(ValueError, match=r"names that place: delete the link, and say --cache$"):
        folder_to_fill(link, None)


@pytest.mark.parametrize("name", ["decoded-8px-a.npy", "somebody's.txt"])
def test_a_folder_in_use_is_not_replaced(tmp_path, name):
    """Whatever lies in it: it may be all that there is of it."""
    folder = tmp_path / "decoded"
    folder.mkdir()
    (folder / name).touch()
    with pytest.raises(ValueError, match=r"decoded images are kept in .*decoded already: delete it to keep"):
        folder_to_fill(folder, tmp_path / "elsewhere")
    assert (folder / name).exists()


@pytest.mark.parametrize("before", ["nothing", "folder", "link", "the same link"])
def test_led_elsewhere(tmp_path, before):
    link, old, new = (tmp_path / name for name in ("decoded", "old", "new"))
    for folder in (old, new):
        folder.mkdir()
        (folder / "decoded-8px-a.npy").touch()
    if before == "folder":
        link.mkdir()
        (link / ".lock").touch()
    elif before != "nothing":
        link.symlink_to(new if before == "the same link" else old)
    assert folder_to_fill(link, new) == new
    lead_to(link, new)
    assert link.readlink() == new
    assert (old / "decoded-8px-a.npy").exists()


def test_only_stale_ones_of_the_same_size_are_deleted(tmp_path):
    for name in ("decoded-8px-a.npy", "decoded-8px-b.npy", "decoded-16px-a.npy", "mine.npy"):
        (tmp_path / name).touch()
    assert clear_stale(tmp_path / "decoded-8px-b.npy") == [tmp_path / "decoded-8px-a.npy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoded-16px-a.npy", "decoded-8px-b.npy", "mine.npy"]
