"""Clusters that do not answer, and options that make no sense: one line, at once."""

import socket
import subprocess
import sys

import pytest

from relbench.grid.cluster import connection
from relbench.grid.cluster.connection import connected


def refused(address):
    with pytest.raises(ValueError, match=f"^--cluster {address}") as refusal, connected(address):
        pass
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("address", ["head", "", "ray://head:10001", "head:", ":6379"])
def test_an_address_is_a_host_and_a_port(address):
    pytest.importorskip("ray", reason="Ray is not installed")
    assert refused(address).endswith("give auto, local, or HOST:PORT of the cluster's head")


def test_nobody_is_there():
    pytest.importorskip("ray", reason="Ray is not installed")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # but does not listen
        assert "Connection refused" in refused(f"127.0.0.1:{nobody.getsockname()[1]}")


def test_somebody_else_is_there(monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setattr(connection, "PROBE", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "no Ray cluster answers (within 1 s)" in refused(f"127.0.0.1:{silent.getsockname()[1]}")


def test_a_token_is_asked_for(monkeypatch):
    """Ray sends a token of its own accord to a cluster that it has found, not to an address."""
    pytest.importorskip("ray", reason="Ray is not installed")
    said = "Traceback:\nray.exceptions.AuthenticationError: RPC error: InvalidAuthToken"
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", said))
    monkeypatch.setattr("ray.init", lambda address, **_: found.append(address))
    monkeypatch.setattr("ray.shutdown", lambda: None)  # other tests are connected
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    found = []
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        head.listen()
        assert "asks for a token: set RAY_AUTH_MODE=token" in refused(f"127.0.0.1:{head.getsockname()[1]}")
    with connected("auto"):
        assert found == ["auto"]
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert "asks for a token" in refused("auto")


def test_ray_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    words = r"^--cluster needs Ray: pip install 'relbench-kd\[cluster\]'$"
    with pytest.raises(ValueError, match=words), connected("local"):
        pass


@pytest.mark.parametrize("option", ["--cpus-per-run", "--gpus-per-run"])
def test_shares_of_a_node_without_a_cluster(call, option, tmp_path):
    result = call("reproduce", "quickstart", option, "1", "--results", tmp_path / "results")
    assert (result.code, result.error) == (2, f"relbench: {option} is of runs on a cluster: give --cluster, too\n")
    assert not (tmp_path / "results").exists()
