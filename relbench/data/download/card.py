"""Cards: what is known of data sets before they are there, each a TOML file in `cards/`, checked when it is read."""

import json
import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, StringConstraints, ValidationError, model_validator

from relbench.experiment import Fraction
from relbench.settings import Settings, one_line
from relbench.transforms import SmallTransform

Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Md5OrSha1 = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{32}|[0-9a-f]{40})$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
FileName = Annotated[str, StringConstraints(pattern=rf"^{NAME}$", max_length=120)]  # what any file system takes
RelativePath = Annotated[str, StringConstraints(pattern=rf"^{NAME}(/{NAME})*$", max_length=250)]
Address = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\n]+$")]


class Archive(Settings):
    """A file to be fetched, or placed by hand, and what it holds."""

    file: FileName
    bytes: PositiveInt | None = None
    md5: Md5 | None = None
    sha256: Sha256 | None = None
    addresses: tuple[Address, ...] = ()  # in order of preference
    also: tuple[RelativePath, ...] = ()  # where else it is taken from, if the user placed it there
    unpacks_to: Annotated[tuple[RelativePath, ...], Field(min_length=1)]  # the file's own name: nothing to unpack
    beside: tuple[RelativePath, ...] = ()  # what else comes out of it that nobody needs

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if self.addresses and not (self.md5 or self.sha256):
            raise ValueError("an archive with addresses needs md5 or sha256: downloads are checked")
        return self

    def place(self, folder: Path) -> Path:
        """Where it lies in the data set's folder, or belongs if it is not there."""
        places = [folder / path for path in (self.file, *self.also)]
        return next((path for path in places if path.is_file()), places[0])

    @property
    def is_plain(self) -> bool:
        """The file is itself what is wanted."""
        return self.unpacks_to == (self.file,)


class Layout(Settings):
    """One way in which a data set may lie in its folder: all these paths are there."""

    name: Line
    paths: Annotated[tuple[RelativePath, ...], Field(min_length=1)]


class Validation(Settings):
    """What is held out of the training side: classes, or images of each class, as the data set is split."""

    share: Annotated[Fraction, Field(gt=0, lt=1)]  # of the training classes, or of each class's training images
    seed: Annotated[int, Field(ge=0)]


class Expected(Settings):
    """Counts of the complete data set; the training side includes what is validated on."""

    train_classes: PositiveInt
    train_images: PositiveInt
    test_classes: PositiveInt
    test_images: PositiveInt
    validation_images: PositiveInt | None = None  # where the data set's lists name them
    validation_classes: PositiveInt | None = None  # likewise, where these images have classes of their own
    queries: PositiveInt | None = None  # where queries are searched in a gallery: both, else none
    gallery: PositiveInt | None = None

    @property
    def both_sides(self) -> dict[str, int]:
        """The counts of the training and the test side."""
        counts: dict[str, int] = self.model_dump(exclude_none=True)
        return {key: count for key, count in counts.items() if not key.startswith("validation")}

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if (self.queries is None) != (self.gallery is None):
            raise ValueError("state both queries and gallery, or neither")
        if self.queries and self.gallery and self.queries + self.gallery != self.test_images:
            raise ValueError(f"{self.queries} queries and {self.gallery} in the gallery are not test_images")
        return self


class Split(Settings):
    """A rule of what is for training and what for testing, its source, and how much there then is on both sides."""

    rule: Line
    source: Line
    expected: Expected
    validation: Validation | None = None  # None: the data set's lists name the images

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if (self.validation is None) != bool(self.expected.validation_images):
            raise ValueError("state either validation, or expected.validation_images, which the lists name")
        return self


SplitKind = Literal["classes", "images"]
"""What training never sees of the test, as the setting `data.split` has it."""


class Card(Settings):
    """A data set: where it comes from, under which terms, how it is split, how much of it there is."""

    name: FileName
    title: Line
    summary: Line
    homepage: Address
    licence: Line
    terms: Line
    citation: str
    ks: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]  # the Ks of Recall@K that are usual for it
    manual: str = ""  # the steps by hand where no layout can be downloaded; {folder} stands for the data set's folder
    archives: Annotated[tuple[Archive, ...], Field(min_length=1)]
    layouts: tuple[Layout, ...] = ()  # in order of preference; none: everything that the archives unpack to
    splits: Annotated[dict[SplitKind, Split], Field(min_length=1)]  # the usual one first
    partitions: PositiveInt = 1  # ways in which the images are split, where a data set has several
    side: PositiveInt | None = None  # of small images, in pixels, which are kept as an array; None: photos of any size
    channels: Literal[1, 3] = 3  # of small images: grey, or colours
    views: SmallTransform = SmallTransform()  # of small images, if nothing else is asked for
    oriented: bool = False  # turned or mirrored images would be of other classes, so that views are neither
    seen_by: tuple[Literal["imagenet"], ...] = ()  # weights whose training images have the classes of its test
    seen_in: tuple[FileName, ...] = ()  # published data sets whose training images have some of these classes
    files: dict[RelativePath, Md5OrSha1] = Field(default={})  # of some below the folder, for those that the layout has

    @model_validator(mode="after")
    def _validate(self) -> Self:
        names = [archive.file for archive in self.archives]
        if len(set(names)) != len(names):
            raise ValueError("two archives have the same file name")
        if list(self.ks) != sorted(set(self.ks)):
            raise ValueError("ks must increase")
        for kind, split in self.splits.items():
            if bool(split.expected.validation_classes) != (kind == "classes" and split.validation is None):
                raise ValueError(
                    "state expected.validation_classes where lists name validation images of other classes, and "
                    "nowhere else"
                )
        if not (self.manual or any(self._can_be_downloaded(layout) for layout in self.accepted)):
            raise ValueError("no layout can be downloaded: `manual` must state the steps by hand")
        return self

    def _can_be_downloaded(self, layout: Layout) -> bool:
        return all(any(archive.addresses for archive in self.providers(path)) for path in layout.paths)

    def providers(self, path: str) -> list[Archive]:
        """The archives that a path comes out of."""
        return [archive for archive in self.archives if path in archive.unpacks_to]

    @property
    def usual_split(self) -> SplitKind:
        """What the data set is split by if nothing else is asked for."""
        return next(iter(self.splits))

    @property
    def usual(self) -> Split:
        """The split that is taken if nothing else is asked for."""
        return self.splits[self.usual_split]

    @property
    def accepted(self) -> tuple[Layout, ...]:
        """The layouts in which the data set may lie in its folder."""
        paths = tuple(path for archive in self.archives for path in archive.unpacks_to)
        return self.layouts or (Layout(name="as in the archive", paths=paths),)

    @property
    def size(self) -> int | None:
        """Bytes of the archives of the first layout; None where the size of any is not known."""
        archives = {archive.file: archive for path in self.accepted[0].paths for archive in self.providers(path)}
        sizes = [archive.bytes for archive in archives.values()]
        return sum(size for size in sizes if size) if sizes and all(sizes) else None


def read_card(path: Traversable) -> Card:
    """Read a card.

    Raises:
        ValueError: it can't be read, or a key is unknown, missing or of the wrong kind: one line with file and key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return Card.model_validate_json(json.dumps(content, default=str))  # a list becomes a tuple, a date is refused
    except ValidationError as error:
        raise ValueError(f"{path}: {one_line(error)}") from None
    except (ValueError, RecursionError) as error:  # also of numbers with thousands of digits, and of lists in lists
        raise ValueError(f"{path} is not TOML ({' '.join(str(error).split())})") from None
    except OSError as error:
        raise ValueError(f"{path} can't be read ({error.strerror})") from None


def card_names() -> list[str]:
    """Names of the packaged cards, sorted."""
    return sorted(path.name.removesuffix(".toml") for path in _folder().iterdir() if path.name.endswith(".toml"))


def packaged_card(name: str) -> Card:
    """The card that comes with relbench.

    Raises:
        ValueError: there is none of that name, or it is damaged.
    """
    if name not in card_names():
        raise ValueError(f"no card is named {name!r}: there are {', '.join(card_names())}")
    path = _folder() / f"{name}.toml"
    card = read_card(path)
    if card.name != name:
        raise ValueError(f"{path}: name is {card.name!r}, not that of the file: replace it with a good copy")
    return card


def packaged_list(name: str) -> Path:
    """The file of a list that comes with the cards, where a data set's archives have none."""
    return Path(str(_folder() / name))


def _folder() -> Traversable:
    return files("relbench.data") / "cards"
