"""What all tests share."""

import os
import shutil
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from data.tiny_cards import write_card
from filelock import FileLock
from typer.testing import CliRunner

import relbench.cli.console
import relbench.data.download.card
import relbench.data.download.mirrors
import relbench.losses.worker
from relbench.cli.main import app
from relbench.data.glyphs.glyphs import Glyphs

LONG = (
    *(
        "test_cuda.py",
        "test_end_to_end.py",
        "test_ranks.py",
        "test_printed_tables.py",
        "test_cli.py",
        "test_real_data.py",
    ),
    "test_wheel.py",
)


def pytest_collection_modifyitems(items):
    """The files that take longest first: where several processes test, none is left alone with them at the end."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(autouse=True, scope="session")
def _listening_to_ctrl_c():
    """What a shell runs in the background ignores Ctrl-C, and so would the processes that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Tests run one at a time on small numbers: more threads only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    """Data sets made once for all tests, whichever process runs them: Glyphs at 28 px takes a quarter of a minute."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "datasets"
    folder.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        Glyphs(size=28, train_classes=None, test_classes=None, distortion=1.0, folder=folder / "glyphs")
    return folder


@pytest.fixture
def in_a_worker(monkeypatch):
    """Let this process execute users' code, as the worker processes do."""
    here = threading.Event()
    here.set()
    monkeypatch.setattr(relbench.losses.worker, "_HERE", here)


CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser():
    """Playwright's own Chromium, or the system's."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright, of the group dev, is not installed")
    with playwright.sync_playwright() as driver:
        places = [driver.chromium.executable_path, *map(shutil.which, CHROMIUM)]
        path = next((place for place in places if place and Path(place).exists()), None)
        if path is None:
            pytest.skip("no Chromium is installed: apt install chromium, or playwright install chromium")
        running = driver.chromium.launch(executable_path=path)
        yield running
        running.close()


@dataclass
class Result:
    """What a command gave."""

    code: int
    out: str
    error: str


@pytest.fixture
def call(monkeypatch):
    """Call the command."""
    for console in (relbench.cli.console.out, relbench.cli.console.errors):
        monkeypatch.setattr(console, "width", 300)

    def call(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="relbench")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Result(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def cards(tmp_path, monkeypatch):
    """Use cards of the tests in place of the packaged ones."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(relbench.data.download.mirrors, "TIMEOUT", (2.0, 2.0))
    folder = tmp_path / "cards"
    folder.mkdir()

    def use(*some):
        for card in some:
            write_card(card, folder)
        monkeypatch.setattr(relbench.data.download.card, "_folder", lambda: folder)

    return use
