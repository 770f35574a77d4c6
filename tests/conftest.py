"""What all tests share."""

import pytest
import torch

from relbench.data.glyphs import Glyphs


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Tests run one at a time on small numbers: more threads only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    """Data sets made once for all tests: Glyphs at 28 px takes a quarter of a minute."""
    folder = tmp_path_factory.mktemp("datasets")
    Glyphs(size=28, train_classes=None, test_classes=None, distortion=1.0, folder=folder / "glyphs")
    return folder
