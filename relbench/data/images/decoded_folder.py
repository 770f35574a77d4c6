"""The folder of decoded images: in the data set's, or elsewhere if a command asks for it, with a link to it."""

from pathlib import Path


def folder_to_fill(folder: Path, elsewhere: Path | None) -> Path:
    """The folder that decoded images are written to. Nothing is made yet.

    Args:
        folder: the usual one, or a link to another.
        elsewhere: the folder that the command asks for; None: it asks for none.

    Raises:
        ValueError: there are decoded images (or other files) in the usual folder, or it is a link that the command does
            not name: links may come from somebody else, so nothing is written where they lead.
    """
    if elsewhere is None:
        if folder.is_symlink():
            raise ValueError(_linked(folder))
        return folder
    if not folder.is_symlink() and folder.exists() and not _is_unused(folder):
        raise ValueError(f"decoded images are kept in {folder} already: delete it to keep them elsewhere")
    return elsewhere.resolve()


def _is_unused(folder: Path) -> bool:
    return folder.is_dir() and all(path.name == ".lock" and path.is_file() for path in folder.iterdir())


def _linked(folder: Path) -> str:
    target = folder.readlink()
    if not folder.exists():
        return f"{folder} leads to {target}, which is gone: bring it back, or delete the link"
    same = folder.resolve().name == folder.absolute().parent.name
    return (
        f"{folder} is a link to {target}, and nothing is written where a link leads unless the command names that "
        f"place: {f'say --cache {folder.resolve().parent}' if same else 'delete the link, and say --cache'}"
    )


def lead_to(folder: Path, elsewhere: Path) -> None:
    """Let the usual folder be a link to the folder that was filled instead."""
    if folder.resolve() == elsewhere:
        return
    if folder.is_dir() and not folder.is_symlink():
        (folder / ".lock").unlink(missing_ok=True)
        folder.rmdir()
    folder.unlink(missing_ok=True)
    folder.symlink_to(elsewhere, target_is_directory=True)


def clear_stale(path: Path) -> list[Path]:
    """Delete the decoded images of the same size that belong to files as they were before."""
    stale = [other for other in path.parent.glob(f"{path.name.rpartition('-')[0]}-*.npy") if other != path]
    for other in stale:
        other.unlink()
    return stale
