"""A data set removed again: what fetching or adding it has made, and nothing that somebody else put there.

No link is followed: of what a link leads to nothing is counted, and nothing deleted.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from relbench.data.datasets.added import NOTE, added_names
from relbench.data.download.card import Card, card_names, packaged_card
from relbench.data.download.unpack import HALF, WHOLE
from relbench.files import clear_unfinished
from relbench.locks import HeldError, lock
from relbench.lookup import lookup

LOCK = ".lock"
DECODED = re.compile(r"decoded-[0-9]+px-[0-9a-f]{16}\.npy")  # files of decoded images, of any version


def removable(name: str, root: Path, *, archives: bool = False) -> list[Path]:
    """Files, folders and links of a data set that would be removed.

    Args:
        name: of a data set, published or added; the source of an added data set is never touched.
        root: the folder of all data sets.
        archives: also those of a published data set, be they downloaded or placed by hand.

    Raises:
        ValueError: there is no such data set, or its folder is a link.
    """
    lookup(name, [*card_names(), *added_names(root)], "data set")
    folder = root / name
    if folder.is_symlink():
        raise ValueError(f"{folder} is a link, and nothing is deleted through links: delete it, and what it leads to")
    made = [NOTE] if name not in card_names() else list(_made_by_fetch(packaged_card(name), archives=archives))
    found = [folder / path for path in made if os.path.lexists(folder / path)]
    left = [path for end in (HALF, WHOLE) for path in folder.glob(f".*{end}")] if name in card_names() else []
    return [*found, *left, *_decoded(folder / "decoded")]


def _made_by_fetch(card: Card, *, archives: bool) -> Iterator[str]:
    """Paths in the data set's folder; of what an archive unpacks to, its first part."""
    packed = [archive for archive in card.archives if not archive.is_plain]
    unpacked = [path for archive in packed for path in (*archive.unpacks_to, *archive.beside)]
    yield from dict.fromkeys(PurePosixPath(path).parts[0] for path in unpacked)
    yield from (f"{archive.file}.part" for archive in card.archives)
    if archives:
        yield from (archive.file for archive in card.archives)


def _decoded(folder: Path) -> list[Path]:
    if folder.is_symlink():
        return [folder]
    return sorted(path for path in folder.glob("decoded-*.npy") if DECODED.fullmatch(path.name) and not path.is_dir())


def bytes_of(path: Path) -> int:
    """Size of a file, or of all files in a folder; a link counts as nothing."""
    if path.is_symlink():
        return 0
    if not path.is_dir():
        return path.lstat().st_size
    return sum(Path(below, name).lstat().st_size for below, _, names in os.walk(path) for name in names)


def stays_gone(name: str, root: Path, paths: Iterable[Path]) -> bool:
    """Whether nothing brings a published data set back once the paths are removed: it must be placed by hand again."""
    if name not in card_names():
        return False
    card, going = packaged_card(name), set(paths)

    def comes_back(path: str) -> bool:
        places = [(archive, archive.place(root / name)) for archive in card.providers(path)]
        return any(archive.addresses or (place.is_file() and place not in going) for archive, place in places)

    return not any(all(comes_back(path) for path in layout.paths) for layout in card.accepted)


@contextmanager
def alone(name: str, root: Path) -> Iterator[None]:
    """Keep other processes from fetching or decoding meanwhile.

    Raises:
        ValueError: one is at it.
    """
    folders = (root / name, root / name / "decoded")
    with ExitStack() as stack:
        for folder in (path for path in folders if path.is_dir() and not path.is_symlink()):
            try:
                stack.enter_context(lock(folder))
            except HeldError as error:
                raise ValueError(f"{folder} is in use by process {error.holder}: wait for it, then try again") from None
        yield


def remove(name: str, root: Path, paths: Iterable[Path]) -> list[Path]:
    """Delete the paths, and the data set's folders where nothing else is in them.

    Args:
        name: of the data set.
        root: the folder of all data sets.
        paths: from `removable`.

    Returns:
        What is still in the data set's folder: somebody else's, or archives that are kept.
    """
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for folder in (root / name / "decoded", root / name):
        if folder.is_dir() and not folder.is_symlink():
            _leave_if_empty(folder)
    return sorted(path for path in (root / name).glob("*") if path.name != LOCK)


def _leave_if_empty(folder: Path) -> None:
    clear_unfinished(folder)
    if [path.name for path in folder.iterdir()] in ([], [LOCK]):
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
