"""The programs for curves that follow a command's runs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from relbench.cli.options import RunOptions, tell
from relbench.trackers.follower import Follower
from relbench.trackers.loggers import FOLDER, LOGGERS


@contextmanager
def followers_of(options: RunOptions, folder: Path) -> Iterator[Sequence[Follower]]:
    """Followers of a study's runs, one for each program that is asked for; all is written when the block ends.

    Args:
        options: of the command.
        folder: of the study.
    """
    tracks = folder / FOLDER
    with ExitStack() as stack:
        followers = []
        for name in options.track:
            entry = LOGGERS[name]
            follower = Follower(name, partial(entry.open, tracks), folder.name, tell)
            followers.append(stack.enter_context(follower))
            tell(f"--track {name}: {entry.shown.format(folder=tracks)}")
        yield followers
