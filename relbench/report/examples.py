"""Examples of queries that a student fixes and breaks, as the page shows them: pictures, marks, and words."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import PIL.Image

from relbench.analysis.images import Example, Examples, Image, Neighbour, Outcomes
from relbench.plain_text import counted

SIDE = 80  # pixels at most: some hundred pictures must stay a small part of the page
EXACT = 32  # pixels up to which pictures are shown as they are
QUALITY = 75  # of JPEG, beyond


@dataclass(frozen=True)
class Shown:
    """A picture on the page."""

    address: str  # holds the picture itself
    text: str  # for those who do not see it
    right: bool | None = None  # whether a neighbour is of the query's class


@dataclass(frozen=True)
class Strip:
    """Neighbours that a network finds."""

    method: str
    pictures: tuple[Shown, ...]


@dataclass(frozen=True)
class Card:
    """One example."""

    class_name: str
    name: str
    query: Shown
    strips: tuple[Strip, Strip]


@dataclass(frozen=True)
class Group:
    """Examples of one kind."""

    title: str
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Section:
    """All of it."""

    sentences: tuple[str, ...]
    groups: tuple[Group, ...]


def examples_shown(examples: Examples | None) -> Section | None:
    """The content of the page's section on single queries."""
    if examples is None:
        return None
    labels = (examples.teacher, examples.student)
    kinds = {
        "Fixed: the teacher is wrong, the student right": examples.fixed,
        "Broken: the teacher is right, the student wrong": examples.broken,
    }
    groups = [Group(title, tuple(_card(example, labels) for example in some)) for title, some in kinds.items()]
    return Section((_counts_in_words(examples), _reading(examples)), tuple(groups))


def _counts_in_words(examples: Examples) -> str:
    counts, teacher, student = examples.counts, examples.teacher, examples.student
    return (
        f"A query is right where its nearest neighbour is of its class. Of {counted(_total(counts), 'query image')} "
        f"(seed {examples.seed}), {teacher} and {student} both get {counts.both:,} right; {student} fixes "
        f"{counts.fixed:,} that {teacher} gets wrong, and breaks {counts.broken:,} that {teacher} gets right; "
        f"both get {counts.neither:,} wrong."
    )


def _total(counts: Outcomes) -> int:
    return counts.both + counts.fixed + counts.broken + counts.neither


def _reading(examples: Examples) -> str:
    return (
        f"Examples are drawn at random (seed {examples.draw}), not picked, from different classes where there are "
        "enough. Each query is followed by its nearest neighbours, nearest first: those of its class have a solid "
        "green frame and a check mark, those of another a dashed orange frame and a cross."
    )


def _card(example: Example, labels: Sequence[str]) -> Card:
    query = example.query
    found = zip(labels, (example.teacher, example.student), strict=True)
    teacher, student = (Strip(label, tuple(map(_neighbour, neighbours))) for label, neighbours in found)
    text = f"Query: {query.class_name}"
    return Card(query.class_name, query.name, Shown(_address(query), text), (teacher, student))


def _neighbour(neighbour: Neighbour) -> Shown:
    text = f"{'right' if neighbour.right else 'wrong'}: {neighbour.image.class_name}"
    return Shown(_address(neighbour.image), text, neighbour.right)


def _address(image: Image) -> str:
    """The picture itself, made small where it is large."""
    height, width, channels = image.pixels.shape
    picture = PIL.Image.fromarray(image.pixels[:, :, 0] if channels == 1 else image.pixels)
    picture.thumbnail((SIDE, SIDE), PIL.Image.Resampling.LANCZOS)
    content, kind = BytesIO(), "png" if max(height, width) <= EXACT else "jpeg"
    picture.save(content, kind, optimize=True, quality=QUALITY)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
