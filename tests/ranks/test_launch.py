"""How the processes that share a run find each other."""

import socket

import pytest

from relbench.ranks.launch import _loopback


@pytest.mark.parametrize(
    ("interfaces", "found"),
    [(["lo", "eth0"], "lo"), (["en0", "lo0"], "lo0"), (["eth0", "lorem"], None)],
    ids=["Linux", "macOS", "none"],
)
def test_ranks_meet_on_the_interface_of_a_machine_with_itself(monkeypatch, interfaces, found):
    monkeypatch.setattr(socket, "if_nameindex", lambda: list(enumerate(interfaces, 1)))
    assert _loopback() == found
