"""Keys of settings as `--set` takes them: what a key that is not known was meant to be."""

from collections.abc import Collection
from difflib import SequenceMatcher, get_close_matches

from relbench.settings import FORMER_NAMES

ALIASES = {  # what other libraries call a setting
    "lr": "learning_rate",
    "rate": "learning_rate",
    "lr_decay": "decay",
    "gamma": "decay",
    "milestones": "decay_at",
    "wd": "weight_decay",
    "epochs": "steps",
    "iterations": "steps",
    "max_steps": "steps",
    "batch": "batch_size",
    "bs": "batch_size",
    "samples_per_class": "images_per_class",
    "embedding_dim": "dim",
    "embedding_size": "dim",
    "dimensions": "dim",
    "arch": "trunk",
    "backbone": "trunk",
    "model": "trunk",
    "pretrained": "weights",
    "normalize": "unit_length",
    "l2_norm": "unit_length",
    "image_size": "size",
    "img_size": "size",
    "crop": "size",
    "dataset": "name",
    "num_workers": "threads",
    "amp": "precision",
    "fp16": "precision",
}


OPTIONS = {"device": "--device", "selection": "--selection", "name": "--dataset"}  # of the command, in some studies
NAMES = {former: name for name, former in FORMER_NAMES.items()}


def known_key(key: str, keys: Collection[str], study: str) -> str:
    """The key itself, if it is one of those known.

    Args:
        key: as somebody wrote it.
        keys: those there are.
        study: whose settings they are, as `relbench settings` takes it.

    Raises:
        ValueError: it is not; one line with the nearest ones.
    """
    if key in keys:
        return key
    advice = _other_name(key, keys) or _option_instead(key, keys) or _alike(key, keys)
    raise ValueError(f"unknown setting {key!r}: {advice}`relbench settings {study}` lists all settings")


def _other_name(key: str, keys: Collection[str]) -> str:
    """What is said of a key of an earlier version."""
    now = ".".join(NAMES.get(part, part) for part in key.split("."))
    return f"it is called {now} now; " if now != key and now in keys else ""


def _option_instead(key: str, keys: Collection[str]) -> str:
    """What is said of a setting that this study leaves to an option of the command."""
    group, _, name = key.rpartition(".")
    has_group = any(known.startswith(f"{group}.") for known in keys)
    left_out = name in OPTIONS and not any(known.endswith(f".{name}") for known in keys)
    return f"this study takes {OPTIONS[name]} instead; " if has_group and left_out else ""


def _alike(key: str, keys: Collection[str]) -> str:
    near = nearest_keys(key, keys)
    return f"did you mean {' or '.join(near)}? " if near else ""


def nearest_keys(key: str, keys: Collection[str]) -> list[str]:
    """Up to three keys that end as this one was meant to end, in the group that it names if there are such."""
    group, _, name = key.lower().replace("-", "_").rpartition(".")
    names = {known.rpartition(".")[2] for known in keys}
    meant = [ALIASES[name]] if name in ALIASES else get_close_matches(name, sorted(names), n=1)
    found = [known for known in keys if known.rpartition(".")[2] in meant]
    in_group = [known for known in found if known.rpartition(".")[0] == group]
    alike = sorted(found, key=lambda known: -SequenceMatcher(None, key, known).ratio())
    return (in_group or alike)[:3] or get_close_matches(key, keys, n=3)
