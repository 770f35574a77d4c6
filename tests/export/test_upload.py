"""Upload of an exported folder, to a hub on this machine."""

import huggingface_hub.constants
import pytest
from export.hub import Hub

from relbench.export.upload import hub_api, upload


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("README.md", "model.safetensors"):
        (tmp_path / "model" / name).write_text(name)
    return tmp_path / "model"


@pytest.fixture
def hub(monkeypatch, request):
    with Hub(**getattr(request, "param", {})) as hub:
        monkeypatch.setenv("HF_TOKEN", "hf_ours")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        yield hub


def test_a_folder_is_sent_whole_to_a_private_repository(hub, folder):
    assert upload(hub_api("me/birds"), folder, "me/birds") == f"{hub.address}/me/birds"
    (made,) = hub.made
    assert made["name"] == "birds"
    assert made.get("visibility") == "private" or made.get("private")  # in the words of the library's versions
    assert hub.files == {file.name: file.read_bytes() for file in folder.iterdir()}
    assert hub.tokens == {"Bearer hf_ours"}


@pytest.mark.parametrize("hub", [{"refuses": True}], indirect=True)
def test_a_refusal_is_one_line(hub, folder):
    with pytest.raises(ValueError, match="is written, but was not uploaded to me/birds") as refusal:
        upload(hub_api("me/birds"), folder, "me/birds")
    assert "403" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "hf_ours" not in str(refusal.value)


def test_without_a_token_nothing_is_done(call, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    given = ("export", tmp_path, "--to", "hub-folder", "--out", tmp_path / "out")
    done = call(*given, "--upload", "me/birds")
    assert (done.code, done.error.count("\n")) == (2, 1)
    assert "--upload needs a token of the hub: run `hf auth login`, or set HF_TOKEN" in done.error
    assert "name a repository as OWNER/NAME" in call(*given, "--upload", "birds").error
    done = call("export", tmp_path, "--to", "onnx", "--upload", "me/birds")
    assert "--upload is an option of --to hub-folder, not of onnx" in done.error
