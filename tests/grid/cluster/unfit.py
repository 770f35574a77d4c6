"""Runs that are never trained, for tests of nodes; workers import them by name."""

import time

from relbench.results.run_folder import RunFolder

SECONDS = 60.0  # that a test waits at most
CONTENT = bytes(range(256)) * 2**15  # of a checkpoint: two pieces


def tell_data(experiments, runs, data, trackers, _execution):
    return {one.fingerprint: str(data) for one in experiments}


def tell_data_once_heard(experiments, runs, data, trackers, _execution):
    """Ends once the file "heard" lies beside the results folder: it holds its node until then."""
    end = time.monotonic() + SECONDS
    while not (runs.parent / "heard").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    return tell_data(experiments, runs, data, trackers, _execution)


def write_checkpoint(experiments, runs, data, trackers, _execution):
    folder = RunFolder(runs, experiments[0])
    folder.checkpoint.write_bytes(CONTENT)
    return {folder.path.name: "a row"}


def full_disk_at_first(experiments, runs, data, trackers, _execution):
    """Writes a checkpoint, and can't write another; the second time, returns what is in the one that it finds."""
    folder = RunFolder(runs, experiments[0])
    if not folder.checkpoint.exists():
        folder.checkpoint.write_text("half of it")
        raise OSError(28, "No space left on device", str(folder.checkpoint))
    return {folder.path.name: folder.checkpoint.read_text()}
