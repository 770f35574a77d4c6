"""What all tests share."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Tests run one at a time on small numbers: more threads only wait for each other."""
    torch.set_num_threads(1)
