"""Archives of a card downloaded, checked, and unpacked: one folder for each data set."""

from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from relbench.data.download.card import Archive, Card, Layout
from relbench.data.download.checksum import checksum_mismatch
from relbench.data.download.disk import plain_disk_errors
from relbench.data.download.mirrors import Fetched, download
from relbench.data.download.unpack import is_settled, settle, unpack
from relbench.locks import HeldError, lock

Availability = Literal["absent", "partial", "archive", "ready"]


class ManualStepsError(ValueError):
    """The data set can't be downloaded: the message tells, on several lines, what to do by hand."""


def fetch(card: Card, root: Path, progress: Fetched, *, wait: bool = False) -> Path:
    """Bring a data set into its folder: download what is missing, check it, unpack it.

    Archives placed in the folder by hand are taken if they fit the card. What is already there is not touched, and an
    interrupted download goes on where it stopped. The archives stay; once the data set is ready they may be deleted.

    Args:
        card: the data set.
        root: the folder of all data sets; that of this data set is `root / card.name`.
        progress: told what is done ("fetching ...", "checking ...", "unpacking ..."), and how far it is.
        wait: until another process that is fetching the same has finished.

    Returns:
        The data set's folder.

    Raises:
        ManualStepsError: no layout can be completed by downloading.
        ValueError: one line. No address returns the archive (each with its reason); an archive placed by hand is not
            the card's; something is in the way; another process is fetching; the disk is full or can't be written.
    """
    folder = root / card.name
    with plain_disk_errors(folder):
        if is_settled(folder):
            if state(card, root) == "ready":  # also where the folder can't be written
                return folder
            _refuse_by_hand(card, folder)  # before anything is written
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, wait=wait):
            settle(folder)
            if state(card, root) != "ready":
                _complete(card, folder, progress)
    return folder


def state(card: Card, root: Path) -> Availability:
    """The state of a data set on disk.

    Returns:
        "ready": the paths of a layout are there; "archive": whole archives, to be unpacked; "partial": something, but
        not enough; "absent": nothing. That all images are there is for `verify` to say.

    Raises:
        ValueError: one line: the folder can't be looked into.
    """
    with plain_disk_errors(root / card.name):
        return _state(card, root / card.name)


def _state(card: Card, folder: Path) -> Availability:
    if any(not _missing(layout, folder) for layout in card.accepted):
        return "ready"
    if _needed(card, folder, download=False) is not None:
        return "archive"
    names = {name for archive in card.archives for name in (archive.file, f"{archive.file}.part")}
    names |= {PurePosixPath(path).parts[0] for layout in card.accepted for path in layout.paths}
    return "partial" if any((folder / name).exists() for name in names) else "absent"


def not_ready(card: Card, root: Path) -> str:
    """What to say of a data set that is not ready, in one line."""
    folder, names = root / card.name, "; ".join(layout.name for layout in card.layouts)
    unknown = bool(names) and state(card, root) == "absent" and _holds_something(folder)
    what = (
        f"{folder} holds no known layout of {card.name} ({names})"
        if unknown
        else f"{card.name} is not ready in {folder}"
    )
    return f"{what}: relbench data fetch {card.name} --data {root}"


def _holds_something(folder: Path) -> bool:
    """Whether somebody put something there: hidden files and decoded images are relbench's own."""
    with plain_disk_errors(folder):
        return folder.is_dir() and any(path.name[0] != "." and path.name != "decoded" for path in folder.iterdir())


def _alone(folder: Path, *, wait: bool) -> IO[str]:
    """Keep other processes from fetching the same; the system lets go when this process ends, however it does."""
    try:
        return lock(folder, wait=wait)
    except HeldError:
        raise ValueError(f"another process is fetching into {folder}: try again when it has finished") from None


def _missing(layout: Layout, folder: Path) -> list[str]:
    return [path for path in layout.paths if not (folder / path).exists()]


def _needed(card: Card, folder: Path, *, download: bool) -> list[Archive] | None:
    """The archives that complete the first layout that can be completed; None if none can."""

    def obtainable(archive: Archive) -> bool:
        return archive.place(folder).is_file() or (download and bool(archive.addresses))

    for layout in card.accepted:
        sources = {path: [a for a in card.providers(path) if obtainable(a)] for path in layout.paths}
        if all(sources[path] for path in _missing(layout, folder)):
            needed = {archives[0].file: archives[0] for archives in sources.values() if archives}
            return [archive for archive in needed.values() if archive.is_plain or _lacks(archive, folder)]
    return None


def _lacks(archive: Archive, folder: Path) -> bool:
    """Something that comes out of the archive is not there."""
    return any(not (folder / path).exists() for path in archive.unpacks_to)


def _complete(card: Card, folder: Path, progress: Fetched) -> None:
    _refuse_by_hand(card, folder)
    archives = _needed(card, folder, download=False) or _needed(card, folder, download=True) or []
    for archive in archives:
        if not archive.is_plain:
            _refuse_in_the_way(archive, folder)
    for archive in archives:
        path = _at_hand(archive, folder, progress)
        if not archive.is_plain:
            unpack(path, folder, partial(progress, f"unpacking {archive.file}"), archive.unpacks_to)


def _refuse_by_hand(card: Card, folder: Path) -> None:
    if _needed(card, folder, download=True) is None:
        raise ManualStepsError(_manual_steps(card, folder))


def _manual_steps(card: Card, folder: Path) -> str:
    layouts = "\n".join(f"  - {layout.name}: {', '.join(layout.paths)}" for layout in card.accepted)
    steps = card.manual.strip().replace("{folder}", str(folder))
    return f"{steps}\nUnpacked by hand, any of these is taken:\n{layouts}"


def _refuse_in_the_way(archive: Archive, folder: Path) -> None:
    """Better before the download than after it."""
    for name in sorted({PurePosixPath(path).parts[0] for path in archive.unpacks_to}):
        if (folder / name).exists():
            raise ValueError(
                f"{folder / name} is there, but not complete: complete it, or move it away or delete it, then fetch "
                f"again to get it from {archive.file}"
            )


def _at_hand(archive: Archive, folder: Path, progress: Fetched) -> Path:
    """The archive's path; it is there, and the one that the card names."""
    path = archive.place(folder)
    if not path.exists():
        download(archive, path, progress)
    elif wrong := checksum_mismatch(path, archive, partial(progress, f"checking {archive.file}")):
        raise ValueError(f"{path} {wrong}: move it away or delete it, then fetch again")
    return path
