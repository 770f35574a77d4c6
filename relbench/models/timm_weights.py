"""Pretrained weights of timm: which file holds them, where it is looked for, and whether it is whole."""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from relbench.files import open_regular

SAFE_NAMES = {  # of files that hold the same without code, where a repository has them
    "pytorch_model.bin": "model.safetensors",
    "open_clip_pytorch_model.bin": "open_clip_model.safetensors",
}
SHA256 = re.compile(r"[0-9a-f]{64}")
NAMED_HASH = re.compile(r"-([0-9a-f]{8,})\.")  # torch's convention: the beginning of the file's SHA-256


def pretrained_file(model: str, config: Any) -> Path:
    """The file of a model's pretrained weights, downloaded if it is not there, and checked against its hash.

    Args:
        model: its name in timm.
        config: timm's of these weights.

    Raises:
        ValueError: it is not on disk and can't be downloaded, or is damaged; one line that says where it is looked for.
    """
    try:
        with _unheard("huggingface_hub"):
            path = _of_the_hub(config) if config.hf_hub_id else _of_an_address(config)
        _check(path)
    except Exception as error:  # noqa: BLE001 - no connection, a full disk, a damaged file: all raise otherwise
        raise ValueError(
            f"the weights of timm:{model} could not be had ({_reason(error)}): {_places(config)}; run the command once "
            "with a connection, or copy them there from a machine that has one, or name a file (weights = PATH), or "
            "choose weights = random"
        ) from None
    return path


@contextmanager
def _unheard(library: str) -> Iterator[None]:
    """Without a library's notes on its retries: what became of them is said in one line."""
    logger = logging.getLogger(library)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _places(config: Any) -> str:
    """Where the file is looked for, in words."""
    if not config.hf_hub_id:
        return f"{_file_of(config.url)} was looked for in {_checkpoints()} (TORCH_HOME), then at {config.url}"
    from huggingface_hub import constants  # noqa: PLC0415 - few runs need it

    files = " or ".join(_candidates(config.hf_hub_filename))
    return (
        f"{files} of {config.hf_hub_id} was looked for in {constants.HF_HUB_CACHE} (HF_HOME), then at "
        f"{constants.ENDPOINT}"
    )


def _candidates(file: str | None) -> Sequence[str]:
    """Names of the file in a repository of the hub, those that hold no code first."""
    named = file or "pytorch_model.bin"
    return tuple(dict.fromkeys((SAFE_NAMES.get(named, named), named)))


def _of_the_hub(config: Any) -> Path:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache  # noqa: PLC0415 - few runs need it
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError  # noqa: PLC0415

    repository, _, revision = config.hf_hub_id.partition("@")
    names = _candidates(config.hf_hub_filename)
    for name in names:
        kept = try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(kept, str):
            return Path(kept)
    for name in names[:-1]:
        try:
            return Path(hf_hub_download(repository, name, revision=revision or None))
        except LocalEntryNotFoundError:  # no connection
            raise
        except EntryNotFoundError:  # the repository has only the other
            continue
    return Path(hf_hub_download(repository, names[-1], revision=revision or None))


def _of_an_address(config: Any) -> Path:
    path = _checkpoints() / _file_of(config.url)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        named = NAMED_HASH.search(path.name)
        torch.hub.download_url_to_file(config.url, str(path), hash_prefix=named[1] if named else None, progress=False)
    return path


def _checkpoints() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _file_of(url: str) -> str:
    return Path(url.partition("?")[0]).name


def _check(path: Path) -> None:
    """Compare a file with the hash that its name says: in the hub's cache, it is a link to one named by its SHA-256."""
    kept, named = path.resolve().name, NAMED_HASH.search(path.name)
    beginning = kept if SHA256.fullmatch(kept) else named[1] if named else ""
    with open_regular(path) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest() if beginning else ""
    if not found.startswith(beginning):
        raise ValueError(f"the sha256 of {path} begins with {found[:8]}, not with {beginning[:8]}: delete it")
