"""Pretrained weights: found on disk or downloaded, checked against their hash, read without executing anything."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from relbench.files import atomic_write, open_regular
from relbench.tensors import read_tensors


@dataclass(frozen=True)
class Weights:
    """Weights of a network: their address, the name of the file, and the beginning of its hash.

    The address may be that of a zip archive that holds the file.
    """

    url: str
    file: str
    algorithm: str
    hash: str


def load_weights(network: nn.Module, weights: Weights, name: str) -> None:
    """Put weights into a network.

    Args:
        network: of their shapes.
        weights: to be found or downloaded.
        name: what errors call the network.

    Raises:
        ValueError: they are not on disk and can't be downloaded, or are damaged; one line that says where to put them.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        network.load_state_dict(_read(folder, weights))
    except Exception as error:  # noqa: BLE001 - no connection, or a damaged file, which raises nearly anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"the ImageNet weights of {name} could not be loaded ({reason}; from {weights.url}): "
            f"put that file into {folder}, or choose weights = random"
        ) from None


def _read(folder: Path, weights: Weights) -> Any:
    """Weights from the file, downloaded if missing, checked against its hash, without executing anything.

    The libraries themselves would unpickle whatever the file holds, and so execute it.
    """
    path = folder / weights.file
    if not path.exists():
        _fetch(path, weights)
    _check(path, weights)
    return read_tensors(path)


def _fetch(path: Path, weights: Weights) -> None:
    downloaded = path.with_name(Path(weights.url).name)
    if not downloaded.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        beginning = weights.hash if downloaded == path else None  # torch knows SHA-256 alone, and not of archives
        torch.hub.download_url_to_file(weights.url, str(downloaded), hash_prefix=beginning)
    if downloaded != path:
        _unpack(downloaded, path, weights)


def _unpack(archive: Path, path: Path, weights: Weights) -> None:
    """The one file of that name, whatever else the archive holds; it takes its place only if its hash is right."""
    with open_regular(archive) as file, zipfile.ZipFile(file) as members, atomic_write(path) as temporary:
        temporary.write_bytes(members.read(path.name))
        _check(temporary, weights)


def _check(path: Path, weights: Weights) -> None:
    found = _digest(path, weights.algorithm)
    if not found.startswith(weights.hash):
        beginning = weights.hash[:8]
        raise ValueError(f"the {weights.algorithm} of {path} begins with {found[:8]}, not with {beginning}")


def _digest(path: Path, algorithm: str) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
