"""Networks of real runs, exported and used by other programs: onnxruntime, plain torch, safetensors."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from export.trained import add_photos, classification_of_patterns, finished, retrieval_on_photos
from huggingface_hub import ModelCard
from safetensors import safe_open
from safetensors.torch import load_file
from tasks.patterns import Patterns, pattern_set
from torch.torch_version import TorchVersion
from typer.testing import CliRunner

import relbench.data.datasets.rendered
import relbench.export.hub_folder
from relbench.cli.exported import FolderOptions
from relbench.cli.main import app
from relbench.data import find_data_set
from relbench.data.table import indices_of
from relbench.experiment import Experiment, Net, Term
from relbench.export.computation import ONNX, Computation, answers, check_onnx, checked, write_onnx
from relbench.export.configuration import read_configuration, without_folders
from relbench.export.finished import FinishedRun, TrainedNetwork, find_run, trained_network
from relbench.export.hub_folder import prepared
from relbench.export.model_card import model_card
from relbench.export.study_results import ALONE, study_results
from relbench.models import build_embedder, weights_of
from relbench.results.records import read_row
from relbench.results.run_folder import RunFolder
from relbench.settings import changed

since_2_7 = pytest.mark.skipif(torch.__version__ < "2.7", reason="older versions of torch can't export to ONNX")
REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "quickstart"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return add_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory, data):
    """The folder of a run on photos."""
    return finished(retrieval_on_photos(data), tmp_path_factory.mktemp("study") / "runs", data)


@pytest.fixture(scope="module")
def patterns(tmp_path_factory):
    """The folder of a run with a head."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(relbench.data.datasets.rendered.RENDERED, "patterns", pattern_set(Patterns()))
        folder = tmp_path_factory.mktemp("patterns")
        yield finished(classification_of_patterns(), folder / "runs", folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photos, data):
    """An exported folder."""
    out = tmp_path_factory.mktemp("exported") / "model"
    given = ["export", str(photos), "--to", "hub-folder", "--out", str(out), "--data", str(data), "--licence", "mit"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert f"written: {out}" in done.output.replace("\n", "")
    return out


def kept(run):
    """Embeddings of a run's test images, by the image's name."""
    with np.load(run / "embeddings.npz") as file:
        return dict(zip(file["names"].tolist(), file["embeddings"], strict=True))


def test_plain_torch_in_the_lines_of_the_card_embeds_a_file_as_the_run_did(folder, photos, data, tmp_path):
    """They are executed as they stand there, in a process that cannot import relbench."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    name, expected = next(iter(kept(photos).items()))
    (original,) = data.parent.rglob(f"photos/{name}")
    shutil.copyfile(original, tmp_path / "image.png")  # Pillow looks at what is in it
    (lines,) = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)
    assert len(lines.splitlines()) <= 10
    blocked = "import sys; sys.modules['relbench'] = None\n"
    (tmp_path / "lines.py").write_text(f"{blocked}{lines}print(embeddings.tolist())\n")
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-W", "error", "lines.py"]
    done = subprocess.run(command, cwd=tmp_path, env=outside, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout)[0], expected, atol=1e-6)


@since_2_7
def test_onnxruntime_embeds_all_test_images_as_the_run_did(folder, photos, data):
    run = find_run(photos)
    source = find_data_set("photos", data).load(run.experiment.data, data, iter)
    images = source.test_batch(torch.from_numpy(indices_of(source.table, "test"))).float() / 255
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images.numpy()})
    np.testing.assert_allclose(found, list(kept(photos).values()), atol=1e-6)
    assert session.get_modelmeta().custom_metadata_map["fingerprint"] == photos.name
    assert {file.name for file in folder.iterdir()} == {
        *("README.md", "config.json", "model.onnx", "model.pt2", "model.safetensors")
    }


def test_weights_and_configuration_are_those_of_the_run(folder, photos):
    run = find_run(photos)
    expected = trained_network(run, 3).embedder.state_dict()
    found = load_file(folder / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    told = read_configuration(folder)
    assert (told.fingerprint, told.metrics, told.experiment) == (photos.name, run.row.metrics, run.experiment)
    assert (told.preprocessing.resize, told.preprocessing.crop) == (37, (2, 2, 34, 34))
    damaged = json.loads((folder / "config.json").read_text()) | {"selected_step": 1}
    (folder.parent / "config.json").write_text(json.dumps(damaged))
    with pytest.raises(ValueError, match=r"config.json is not a readable configuration .*: export the run again"):
        read_configuration(folder.parent)


def test_a_hub_reads_the_metadata_of_the_card(folder, photos):
    card = ModelCard((folder / "README.md").read_text())
    assert (card.data.license, card.data.pipeline_tag) == ("mit", "image-feature-extraction")
    found = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert found == pytest.approx(find_run(photos).row.metrics, abs=1e-4)
    assert ALONE in card.text


@pytest.mark.parametrize(
    ("weights", "licence"),
    [("imagenet", "Their licence is apache-2.0; that of their training images is"), ("w.pt", "Their licence and that")],
)
def test_the_licence_of_pretrained_weights(folder, photos, weights, licence):
    """Timm says it of its own; nobody of those in a file."""
    run = find_run(photos)
    net = Net(trunk="timm:test_efficientnet.r160_in1k", weights=weights)
    begun = RunFolder(photos.parent, changed(run.experiment, {"net": net}))
    row = changed(run.row, {"weights": weights_of(net)})
    assert licence in model_card(FinishedRun(begun, row, None), read_configuration(folder), "mit", {})


def test_a_head_goes_along(call, patterns, tmp_path):
    """With the names of its classes in the order of the logits."""
    out = tmp_path / "out"
    done = call("export", patterns, "--to", "hub-folder", "--without-onnx", "--out", out, "--data", tmp_path)
    assert done.code == 0, done.error
    told, images = read_configuration(out), Patterns().test_batch(torch.arange(3))
    loaded = torch.export.load(out / "model.pt2").module()
    embeddings, logits = answers(loaded, images)
    own = trained_network(find_run(patterns), 1)
    with torch.no_grad():
        assert torch.equal(own.embedder(images), torch.from_numpy(embeddings))
        assert torch.equal(own.head(own.embedder(images)), torch.from_numpy(logits))
    assert told.classes == ("crosses", "dots", "stripes", "waves")
    assert "class number" in (out / "README.md").read_text()
    assert {"head.weight", "head.bias"} <= load_file(out / "model.safetensors").keys()
    assert not (out / "model.onnx").exists()


def test_weights_alone_say_what_they_are(call, photos, data, tmp_path):
    assert call("export", photos, "--to", "safetensors", "--out", tmp_path / "w", "--data", data).code == 0
    with safe_open(tmp_path / "w", "pt") as file:
        header = file.metadata()
    assert header["fingerprint"] == photos.name
    assert json.loads(header["configuration"])["preprocessing"]["colours"] == "RGB"


def test_torch_that_is_too_old_for_onnx(call, tmp_path, monkeypatch, capsys):
    """What was asked for is refused before any work; a folder comes without it, and a line says so."""
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.6.0"))
    why = "an export to ONNX needs torch 2.7 or newer, this is 2.6.0: update torch, or export --to "
    for given in (("onnx",), ("hub-folder", "--with-onnx")):
        done = call("export", tmp_path / "nowhere", "--to", *given, "--out", tmp_path / "out")
        assert (done.code, done.error.count("\n")) == (2, 1)
        assert why in done.error
    assert not FolderOptions(None, None, None).with_onnx()
    assert f"no ONNX file: {why}" in capsys.readouterr().out
    for new in ("2.7.0", "2.10.1+cu126"):
        monkeypatch.setattr(torch, "__version__", TorchVersion(new))
        check_onnx()


@since_2_7
@pytest.mark.parametrize("trunk", ["timm:test_vit", "resnet18"])
def test_trunks_of_libraries(tmp_path, trunk):
    network = Computation(TrainedNetwork(build_embedder(Net(trunk=trunk, dim=8), 3, 0, 64).eval(), None))
    images = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert write_onnx(network, images, tmp_path / "m.onnx", {}) <= 1e-4


@pytest.mark.parametrize("wrong", [2e-4, np.nan])
def test_answers_that_differ_are_refused(wrong):
    network = Computation(TrainedNetwork(build_embedder(Net(width=2, dim=4), 1, 0).eval(), None))
    images = torch.rand(4, 1, 28, 28)
    assert checked(network, lambda shown: [answers(network, shown)[0] + np.float32(5e-5)], images, ONNX) < 1e-4
    with pytest.raises(ValueError, match=r"ONNX and torch differ by .* on 4 real images, .*--without-onnx"):
        checked(network, lambda shown: [answers(network, shown)[0] + np.float32(wrong)], images, ONNX)


def test_a_folder_appears_whole_or_not_at_all(call, photos, data, tmp_path, monkeypatch):
    def fails(*_):
        raise ValueError("no card")

    monkeypatch.setattr(relbench.export.hub_folder, "model_card", fails)
    done = call("export", photos, "--to", "hub-folder", "--without-onnx", "--out", tmp_path / "out", "--data", data)
    assert (done.code, done.error) == (2, "relbench: no card\n")
    assert list(tmp_path.iterdir()) == []


def test_a_card_has_the_verdict_of_the_whole_study():
    """The seed's line of seven, judged among all students: what the report of the study says, and nothing else."""
    row = next(
        row
        for row in (read_row(path, path.parent.name) for path in (REFERENCE / "runs").glob("*/row.json"))
        if [term.loss for term in row.experiment.terms] == ["triplet", "rkd_angle"]
    )
    text = "\n".join(study_results(FinishedRun(RunFolder(REFERENCE / "runs", row.experiment), row, REFERENCE)))
    reported = next(line for line in (REFERENCE / "table.md").read_text().splitlines() if line.startswith("| rkd-a |"))
    assert reported in text
    assert "loses to the teacher (Holm p" in text
    assert "| rkd-d |" not in text
    assert "Verdicts are corrected for 5 students" in text


def test_what_is_no_finished_run_is_refused_in_one_line(call, photos, data, tmp_path):
    def refused(run, *more):
        done = call("export", run, "--to", "safetensors", "--out", tmp_path / "out", "--data", data, *more)
        assert (done.code, done.out, done.error.count("\n"), (tmp_path / "out").exists()) == (2, "", 1, False)
        return done.error

    copy = tmp_path / "runs" / photos.name
    shutil.copytree(photos, copy)
    assert "is not there: name the folder of a finished run" in refused(tmp_path / "nowhere")
    assert f"holds 1 finished runs: name one of them, such as {copy}" in refused(tmp_path)
    assert f"such as {copy}" in refused(tmp_path / "runs")
    (copy / "checkpoint.pt").rename(copy / "elsewhere")
    assert "checkpoint.pt is missing" in refused(copy)
    (copy / "checkpoint.pt").write_bytes((copy / "elsewhere").read_bytes()[:-100])
    assert "is not a readable checkpoint" in refused(copy)
    (copy / "row.json").unlink()
    assert "is not finished: run its study again" in refused(copy)
    (copy / "error.txt").write_text("Traceback\nDivergedError: the loss is not finite\n")
    assert "has failed (DivergedError: the loss is not finite)" in refused(copy)
    assert "is not finished or no run's folder" in refused(data)


@since_2_7
def test_nothing_is_replaced(call, photos, data, folder):
    before = (folder / "README.md").read_text()
    for kind in ("hub-folder", "safetensors", "onnx"):
        done = call("export", photos, "--to", kind, "--out", folder, "--data", data)
        assert (done.code, done.error.count("\n")) == (2, 1)
        assert "is there already, and nothing is replaced" in done.error
    assert (folder / "README.md").read_text() == before


def test_a_head_without_its_data_set_is_refused(photos, tmp_path):
    """Glyphs and cards are known without files; a set that a user added is not."""
    with pytest.raises(ValueError, match="unknown data set 'photos'"):
        prepared(find_run(photos), tmp_path)


def test_folders_of_weights_are_not_told():
    """A path may name its user; what the file holds is what a run is named by."""
    net = Net(weights="/home/me/w.pt", weights_content="0" * 64)
    first = Experiment(terms=(Term(loss="triplet"),), net=net)
    run = changed(first, {"initialized_from": first, "teacher": first})
    told = without_folders(run)
    assert "/home" not in told.model_dump_json()
    assert told.fingerprint == run.fingerprint
