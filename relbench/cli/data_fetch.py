"""The work of `relbench data fetch`: archives downloaded and unpacked, images kept decoded."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from relbench.cli.console import FAILED, bar, out
from relbench.data.datasets.photos import PhotoSet
from relbench.data.download.card import Card
from relbench.data.download.fetch import ManualStepsError, fetch
from relbench.data.images.decoded import cache_bytes, decoded_images, decoded_path
from relbench.data.images.decoded_folder import clear_stale, folder_to_fill, lead_to
from relbench.data.images.photos import Originals

SIDE = 256  # pixels, of decoded photos, for crops of 224
LARGE = 2 * 10**9  # bytes: above this a person is asked before decoded images are written


def fetch_card(card: Card, root: Path) -> None:
    """Download a published data set, and print its facts; or the steps by hand where none can be downloaded."""
    try:
        with _bytes_bar() as progress:
            folder = fetch(card, root, progress)
    except ManualStepsError as steps:
        out.print(str(steps), soft_wrap=True)
        raise typer.Exit(FAILED) from None
    out.print(f"{card.name} is unpacked in {folder}")
    facts = {"": f"{card.title}, {card.homepage}"}
    facts |= {f"split by {kind}: ": f"{split.rule} ({split.source})" for kind, split in card.splits.items()}
    facts |= {"licence: ": card.licence, "terms: ": card.terms, "cite:": card.citation.rstrip()}
    for what, words in facts.items():
        out.print(f"{what}{words}", soft_wrap=True)


class _BytesBar:
    """A bar for each thing that is done byte by byte."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks = {task.description: task.id for task in progress.tasks}

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)


@contextmanager
def _bytes_bar() -> Iterator[_BytesBar]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out) as progress:
        yield _BytesBar(progress)


def keep_decoded(photos: PhotoSet, root: Path, side: int | None, cache: Path | None, *, wanted: bool | None) -> None:
    """Build the file of decoded images unless it is there or refused; what is there is opened, and so checked."""
    names, side = photos.all_images(root)["name"].tolist(), decoded_side(photos, side, wanted=wanted)
    originals, usual = photos.originals(root, side), photos.cache_folder(root)
    elsewhere = cache / photos.name if cache and wanted is not False else None
    path = decoded_path(originals, names, usual)
    if not path.exists() or elsewhere:
        folder = usual if wanted is False else folder_to_fill(usual, elsewhere)
        path = decoded_path(originals, names, folder)
    if not path.exists() and not _is_wanted(len(names), originals, path.parent, wanted=wanted):
        out.print("no decoded images are kept: training decodes the files")
        return
    decoded_images(originals, names, path.parent, lambda items: bar(items, "decoded images"))
    if elsewhere:
        lead_to(usual, path.parent)
    for old in [] if path.parent.is_symlink() else clear_stale(path):
        out.print(f"deleted, as the images have changed since: {old}", soft_wrap=True)
    out.print(f"decoded images: {path}", soft_wrap=True)


def decoded_side(photos: PhotoSet, asked: int | None, *, wanted: bool | None) -> int:
    """Side of the decoded images in pixels: what is asked for, or as wide as small images are, which are always kept.

    Raises:
        ValueError: small images are wanted in another size, or not to be kept.
    """
    if photos.side and asked not in (None, photos.side):
        raise ValueError(f"--side {asked}, but the images of {photos.name} have {photos.side} px: leave it out")
    if photos.side and wanted is False:
        raise ValueError(f"the images of {photos.name} are always kept as one array: leave --no-decode out")
    return photos.side or asked or SIDE


def _is_wanted(count: int, images: Originals, folder: Path, *, wanted: bool | None) -> bool:
    """The size is said before anything is built; a person is asked if it is large."""
    size = cache_bytes(count, images.side, images.channels)
    if wanted is False:
        return False
    out.print(f"decoded, {count:,} images of {images.side} px take {decimal(size)} in {folder}", soft_wrap=True)
    ask = wanted is None and size > LARGE and sys.stdin.isatty()
    return not ask or typer.confirm("keep them? (--decode and --no-decode answer this)")
