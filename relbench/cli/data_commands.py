"""The commands `relbench data ...`: what is there, get it, look at it."""

import os
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.filesize import decimal
from rich.table import Table

from relbench.cli.console import FAILED, bar, errors_as_one_line, expanded, out
from relbench.cores import usable_cores
from relbench.files import atomic_write

if TYPE_CHECKING:
    from relbench.data.datasets.photos import PhotoSet
    from relbench.data.download.card import Card

PLAIN = box.SIMPLE_HEAD
SHOWN = 6, 6  # classes of either side, images of each

app = typer.Typer(no_args_is_help=True, help="Data sets: list, fetch, verify, show, remove; add your own.")

Root = Annotated[
    Path,
    typer.Option(
        "--data", "--root", envvar="RELBENCH_DATA", callback=expanded, help="The folder that holds all data sets."
    ),
]
Name = Annotated[str, typer.Argument(help="Which data set; `relbench data list` names them.")]


def _find(name: str, root: Path) -> tuple["PhotoSet", "Card | None"]:
    """A data set of images in files, and its card if it is published."""
    from relbench.data import find_photos
    from relbench.data.download.card import card_names, packaged_card

    _refuse_rendered(name)
    return find_photos(name, root), packaged_card(name) if name in card_names() else None


def _refuse_rendered(name: str) -> None:
    from relbench.data import find_rendered

    if find_rendered(name):
        raise ValueError(f"{name} is rendered on first use, not kept in files of images: this command is for those")


@app.command("list")
def list_all(root: Root = Path("datasets")) -> None:
    """List the data sets: classes and images, whether they are here, licence, size."""
    with errors_as_one_line():
        from relbench.data import data_set_names

        table = Table("data set", "train:\nclasses, images", "test:\nclasses, images", "state", "download", box=PLAIN)
        licences = {}
        for name in data_set_names(root):
            *cells, licences[name] = _described(name, root)
            table.add_row(name, *cells)
        out.print(table)
        for name, licence in licences.items():
            if licence:
                out.print(f"  licence of {name}: {licence}")


def _described(name: str, root: Path) -> tuple[str, str, str, str, str]:
    """Both sides, state, download and licence; a damaged note must not keep other data sets from being listed."""
    from relbench.data import find_data_set

    try:
        data_set = find_data_set(name, root)
    except ValueError:
        return "?", "?", "damaged", "none", ""
    return *_sides(data_set.counts), *_source(name, root), data_set.licence


def _sides(counts: Mapping[str, int]) -> tuple[str, str]:
    train, test = (f"{counts[f'{side}_classes']:,}, {counts[f'{side}_images']:,}" for side in ("train", "test"))
    return train, test


def _source(name: str, root: Path) -> tuple[str, str]:
    """State of a data set, and what is downloaded for it."""
    from relbench.data import find_rendered
    from relbench.data.datasets.added import read_added
    from relbench.data.download.card import card_names, packaged_card
    from relbench.data.download.fetch import state

    if name in card_names():
        card = packaged_card(name)
        return state(card, root), "by hand" if card.manual or card.size is None else decimal(card.size)
    there = find_rendered(name) or os.path.exists(read_added(name, root).source)  # noqa: PTH110 - Path raises for impossible names
    return "ready" if there else "absent", "none"


@app.command("fetch")
def fetch_one(
    name: Name,
    root: Root = Path("datasets"),
    cache: Annotated[
        Path | None,
        typer.Option(callback=expanded, help="Keep the decoded images in a folder in here, not with the data set."),
    ] = None,
    side: Annotated[
        int | None, typer.Option(help="Side of decoded photos in pixels, 256 by default.", min=8, max=2048)
    ] = None,
    *,
    decode: Annotated[
        bool | None,
        typer.Option("--decode/--no-decode", help="Keep decoded images, so that training need not decode JPEGs."),
    ] = None,
) -> None:
    """Download a data set, check and unpack it, and keep its images decoded. Finished steps are not repeated."""
    with errors_as_one_line():
        from relbench.cli.data_fetch import decoded_side, fetch_card, keep_decoded

        photos, card = _find(name, root)
        decoded_side(photos, side, wanted=decode)  # refuses before anything is downloaded
        if card:
            fetch_card(card, root)
        keep_decoded(photos, root, side, cache, wanted=decode)
        _tell(photos.notes(root))


@app.command()
def verify(name: Name, root: Root = Path("datasets")) -> None:
    """Check a data set: checksums, table, counts, and every image decoded."""
    with errors_as_one_line():
        from relbench.data.datasets.added import notes, read_added
        from relbench.data.verify import faults

        photos, card = _find(name, root)
        found, count = faults(photos, card, root, usable_cores(), lambda paths: bar(paths, "decoding"))
        for fault in found:
            out.print(fault, soft_wrap=True)
        if not found:
            own = [] if card else notes(read_added(name, root), lambda names: bar(names, "looking at images"))
            _tell([*photos.notes(root), *own])
        sum_of_it = f"{count} fault{'s' if count > 1 else ''}" if count else "all is well"
        out.print(f"{name}: {sum_of_it}")
    if found:
        raise typer.Exit(FAILED)


@app.command()
def show(
    name: Name,
    root: Root = Path("datasets"),
    output: Annotated[
        Path | None, typer.Option(callback=expanded, help="The picture; by default NAME.png in this folder.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which classes are shown.", min=0)] = 0,
) -> None:
    """Draw a picture of a few training and test classes."""
    with errors_as_one_line():
        import torch

        from relbench.data.images.gallery import gallery

        photos, _ = _find(name, root)
        generator = torch.Generator().manual_seed(seed)
        picture = gallery(photos.all_images(root), photos.originals(root, 128), *SHOWN, generator)
        path = output or Path(f"{name}.png")
        with atomic_write(path) as temporary:
            temporary.write_bytes(picture)
        out.print(f"written: {path}")


@app.command("add")
def add_one(
    name: Annotated[str, typer.Argument(help="The name of the data set in experiments.")],
    source: Annotated[
        Path,
        typer.Argument(
            callback=expanded,
            help="A table (.csv or .parquet: path,label,split[,query,gallery,class_name]) or a folder of images.",
        ),
    ],
    root: Root = Path("datasets"),
    seed: Annotated[int, typer.Option(help="Seed of the split, where the source has none.", min=0)] = 0,
    split: Annotated[
        str,
        typer.Option(
            help="What the test has of its own: classes, for retrieval or few-shot, or images, for classification."
        ),
    ] = "classes",
    background: Annotated[
        str, typer.Option(help="Background of transparent images: a colour, such as white or #ff0080; or refuse them.")
    ] = "white",
    exif: Annotated[
        str, typer.Option(help="Images with an EXIF rotation or mirroring: apply it, or refuse them.")
    ] = "apply",
) -> None:
    """Make a data set of a table or a folder of images: `--set data.name=NAME` then trains on it."""
    with errors_as_one_line():
        from relbench.data.datasets.added import add, asked_split
        from relbench.data.images.decoding import asked_decoding

        asked, kind = asked_decoding(background, exif), asked_split(split)
        with_bar = partial(bar, what="looking at images")
        added, found = add(name, source, root, seed=seed, split=kind, decoding=asked, progress=with_bar)
        train, test = _sides(added.counts)
        out.print(f"{name}: classes, images: {train} for training; {test} for testing")
        _tell(found)


def _tell(notes: Iterable[str]) -> None:
    for note in notes:
        out.print(f"  {note}", soft_wrap=True)


@app.command("remove")
def remove_one(
    name: Name,
    root: Root = Path("datasets"),
    *,
    archives: Annotated[bool, typer.Option("--archives", help="Also the archives that it was unpacked from.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete what fetching or adding a data set has made; what and how much is said first.

    The files that were added, and where links lead, are left alone.
    """
    with errors_as_one_line():
        from relbench.data.download.remove import alone, removable, remove

        _refuse_rendered(name)
        removable(name, root)  # refuses before anything is locked
        with alone(name, root):
            paths = removable(name, root, archives=archives)
            if not paths:
                out.print(f"{name}: there is nothing to remove")
                return
            _say_what_goes(name, root, paths)
            _confirm(yes=yes)
            stays = remove(name, root, paths)
        out.print("removed")
        _tell(f"stays: {path}" for path in stays)


def _say_what_goes(name: str, root: Path, paths: Iterable[Path]) -> None:
    from relbench.data.download.remove import bytes_of, stays_gone

    sizes = {path: bytes_of(path) for path in paths}
    for path, size in sizes.items():
        what = f"the link alone; {path.readlink()} stays" if path.is_symlink() else decimal(size)
        out.print(f"{path}: {what}", soft_wrap=True)
    out.print(f"{decimal(sum(sizes.values()))} in all")
    if stays_gone(name, root, paths):
        out.print(f"{name} can't be downloaded: to get it back, place it by hand", soft_wrap=True)


def _confirm(*, yes: bool) -> None:
    if not yes and not sys.stdin.isatty():
        raise ValueError("nothing is removed unless you agree: say --yes")
    if not yes:
        typer.confirm("remove this?", abort=True)
