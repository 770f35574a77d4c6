"""Cards of the tiny archives: as the packaged ones, but with their own sizes, checksums, counts and addresses."""

import hashlib
import json
from pathlib import Path

from data.archives import by_images

from relbench.data.download.card import Archive, Card, Split, packaged_card
from relbench.data.table import counts
from relbench.settings import changed

KS = (1, 2, 4)


def tiny_card(name: str, truth, files: dict[str, Path], addresses=()) -> Card:
    """The card of what a maker made.

    Args:
        name: of the data set.
        truth: the table that the maker gave.
        files: archives that exist, by their published names.
        addresses: where the first archive that has addresses can be had instead.
    """
    card = packaged_card(name)
    archives = tuple(_of_file(archive, files.get(archive.file), addresses) for archive in card.archives)
    truths = {card.usual_split: truth} | ({"images": by_images(truth)} if name == "cub200" else {})
    splits = {kind: _of_truth(split, truths[kind]) for kind, split in card.splits.items()}
    return changed(card, {"archives": archives, "splits": splits, "ks": KS, "files": {}})


def _of_truth(split: Split, truth) -> Split:
    validation = truth[truth["split"] == "validation"]
    found = counts(truth) | {"validation_images": len(validation), "validation_classes": validation["label"].nunique()}
    expected = {key: found[key] for key in split.expected.model_dump(exclude_none=True)}
    return changed(split, {"expected": changed(split.expected, expected)})


def _of_file(archive: Archive, file: Path | None, addresses) -> Archive:
    if file is None:
        return archive
    content = file.read_bytes()
    sums = {kind: hashlib.new(kind, content).hexdigest() for kind in ("md5", "sha256")}
    own = {**sums, "bytes": len(content), "addresses": tuple(addresses) if archive.addresses else ()}
    kept = [kind for kind in sums if getattr(archive, kind) is None]
    return changed(archive, {key: value for key, value in own.items() if key not in kept})


def write_card(card: Card, folder: Path) -> None:
    """As a TOML file."""
    content = card.model_dump(mode="json", exclude_none=True)
    lines = [f"{key} = {_toml(value)}" for key, value in content.items()]
    (folder / f"{card.name}.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
