"""The reference of data sets, from their cards and from those that are rendered."""

from collections.abc import Iterator

from generators.markdown import NONE, block, code, facts, link, plain, section, table
from relbench.data.data_set import DataSet
from relbench.data.datasets.rendered import RENDERED
from relbench.data.download.card import Archive, Card, card_names, packaged_card


def data_sets() -> str:
    """A table of all data sets, then a section for each."""
    cards = [packaged_card(name) for name in card_names()]
    summaries = {name: entry.summary for name, entry in RENDERED.items()} | {card.name: card.summary for card in cards}
    overview = table(
        ["data set", "what it is"],
        ([link(code(name), "", anchor_of(name)), plain(summary)] for name, summary in summaries.items()),
    )
    rendered = (_rendered(name, entry) for name, entry in RENDERED.items())
    return "\n\n".join([overview, *rendered, *map(_card, cards)])


def anchor_of(name: str) -> str:
    """Where the section of a data set is."""
    return f"data-{name}"


def _rendered(name: str, entry: DataSet) -> str:
    named = {
        "how it gets there": "rendered on this machine when it is first used",
        "licence": plain(entry.licence),
        "channels": str(entry.channels),
        "usual K": ", ".join(map(str, entry.ks)),
        **{key.replace("_", " "): f"{count:,}" for key, count in entry.counts.items()},
    }
    return section(
        2,
        code(name),
        f"**{plain(entry.title)}**: {plain(entry.summary)}.",
        facts(named),
        anchor=anchor_of(name),
    )


def _card(card: Card) -> str:
    return section(
        2,
        code(card.name),
        f"**{plain(card.title)}**: {plain(card.summary)}.",
        facts(dict(_facts(card))),
        table(["split", "training", "test", "validation", "rule", "source"], map(list, _splits(card))),
        table(["archive", "bytes", "addresses"], map(list, map(_archive, card.archives))),
        block(card.citation, "bibtex"),
        anchor=anchor_of(card.name),
    )


def _facts(card: Card) -> Iterator[tuple[str, str]]:
    yield (
        "how it gets there",
        code(f"relbench data fetch {card.name}") + (", which prints the steps by hand" if card.manual else ""),
    )
    yield "home page", f"<{card.homepage}>"
    yield "licence", plain(card.licence)
    yield "terms", plain(card.terms)
    yield "usual K", ", ".join(map(str, card.ks))
    if card.side:
        yield "images", f"{card.side} px, {card.channels} channels"
    if card.partitions > 1:
        yield "partitions", str(card.partitions)
    if card.seen_by or card.seen_in:
        yield "test classes are seen in", ", ".join((*card.seen_by, *card.seen_in))


def _splits(card: Card) -> Iterator[tuple[str, ...]]:
    for kind, split in card.splits.items():
        counts = split.expected
        sides = (
            f"{counts.train_images:,} images of {counts.train_classes:,} classes",
            f"{counts.test_images:,} images of {counts.test_classes:,} classes",
        )
        yield f"by {kind}", *sides, _validation(card, kind), plain(split.rule), plain(split.source)


def _validation(card: Card, kind: str) -> str:
    split = card.splits[kind]
    if split.validation:
        return f"{split.validation.share:.0%} of the {'classes' if kind == 'classes' else 'images of each class'}"
    return f"{split.expected.validation_images:,} images that the lists name"


def _archive(archive: Archive) -> tuple[str, str, str]:
    size = f"{archive.bytes:,}" if archive.bytes else NONE
    return code(archive.file), size, ", ".join(f"<{address}>" for address in archive.addresses) or "by hand"
