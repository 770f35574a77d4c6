"""Networks measured on other data sets: the numbers are those of the network, and are kept whole or not at all."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from planned import pinned
from test_run import CELLS, done  # noqa: F401 - a fixture: finished teachers and students

import relbench.transfer
from relbench.data.datasets.glyphs import GLYPHS
from relbench.data.table import indices_of
from relbench.evaluation import retrieval_metrics
from relbench.experiment import Data, Net
from relbench.models import build_embedder
from relbench.results.records import write_record
from relbench.results.run_folder import RunFolder, load_trained
from relbench.settings import changed
from relbench.transfer import TransferSpec, check_transfers, finished_transfer, transfer

OTHER = Data(size=28, train_classes=40, test_classes=7)  # fewer classes than the runs', and so other queries
NET = Net(width=4, dim=16)


def refusal(call):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        call()
    return str(caught.value)


def refused(spec, data_folder):
    """Why a network can't be measured on another data set."""
    return refusal(lambda: check_transfers([spec], data_folder / "none", data_folder, iter))


@pytest.fixture
def folder(done, tmp_path):  # noqa: F811
    """Results of a study whose runs are finished."""
    (tmp_path / "runs").symlink_to(done[0])
    return tmp_path


@pytest.fixture
def asked(data_folder):
    """A student on other classes."""
    return pinned(TransferSpec.of(CELLS["rkd-da"], OTHER), data_folder)


def images_of(data, data_folder):
    source = GLYPHS.load(data, data_folder, iter)
    lines = indices_of(source.table, "test")
    return source.test_batch(torch.from_numpy(lines)), source.table["label"].to_numpy(dtype=str)[lines], source


def test_a_trained_network(folder, asked, data_folder):
    found = transfer(asked, folder, data_folder)
    images, labels, source = images_of(OTHER, data_folder)
    network = load_trained(CELLS["rkd-da"], folder / "runs", 1, "network").network.eval()
    with torch.inference_mode():
        embeddings = network(images).numpy()
    assert found.metrics == retrieval_metrics(embeddings, labels, GLYPHS.ks)
    assert found.counts.share == pytest.approx(found.metrics["recall@1"])
    assert len(found.counts.groups) == 7
    assert (found.fingerprint, found.asked, found.weights) == (asked.fingerprint, asked, "")
    assert found.data_hash == source.data_hash
    assert found.asked.data.content == GLYPHS.content(data_folder)
    assert (found.asked.net, found.asked.seed) == (CELLS["rkd-da"].net, 0)
    assert found.seconds > 0


def test_on_its_own_data_a_network_gives_what_its_row_says(done, folder, data_folder):  # noqa: F811
    found = transfer(pinned(TransferSpec.of(CELLS["rkd-da"], CELLS["rkd-da"].data), data_folder), folder, data_folder)
    assert found.metrics == done[1]["rkd-da"].metrics
    assert found.counts == done[1]["rkd-da"].counts


def test_an_untrained_network_shows_its_trunks_features(tmp_path, data_folder):
    """Raw: neither through a random linear layer nor brought to one length."""
    asked = pinned(TransferSpec(experiment=None, net=NET, seed=3, data=OTHER), data_folder)
    images, labels, _ = images_of(OTHER, data_folder)
    network = build_embedder(NET, 1, 3).eval()
    with torch.inference_mode():
        features, embeddings = network.trunk(images).numpy(), network(images).numpy()
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    expected = retrieval_metrics(features, labels, GLYPHS.ks)
    assert expected not in [retrieval_metrics(one, labels, GLYPHS.ks) for one in (embeddings, features / lengths)]
    assert transfer(asked, tmp_path, data_folder).metrics == expected


def test_what_is_measured_is_not_measured_again(folder, asked, data_folder, monkeypatch):
    assert finished_transfer(asked, folder) is None
    assert check_transfers([asked, asked], folder, data_folder, iter) == (asked,)
    first = transfer(asked, folder, data_folder)
    assert [path.name for path in (folder / "transfers").iterdir()] == [f"{asked.fingerprint}.json"]
    monkeypatch.setattr(relbench.transfer, "_measured", None)  # not to be called
    assert transfer(asked, folder, data_folder) == first == finished_transfer(asked, folder)
    assert check_transfers([asked], folder, data_folder, iter) == ()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda content: content.update(fingerprint="0" * 16), "is the transfer of another experiment (0000"),
        (lambda content: content["asked"].update(threads=2), "contradicts itself: its settings have the fingerprint"),
        (
            lambda content: content["metrics"].update({"recall@1": 0.0}),
            "recall@1 is not what its counts add up to",
        ),
        (lambda content: content["metrics"].update({"map@r": 2.0}), "map@r = 2.0 is not in [0, 1]"),
        (lambda content: content.pop("machine"), "is not a readable transfer (machine: Field required)"),
        (lambda content: content["asked"]["net"].update(dim=3), "net, seed and scale must be those of the run"),
    ],
)
def test_a_damaged_file_is_refused(folder, asked, data_folder, change, why):
    transfer(asked, folder, data_folder)
    path = folder / "transfers" / f"{asked.fingerprint}.json"
    content = json.loads(path.read_text())
    change(content)
    del content["hash"]
    path.write_text(json.dumps(content))
    for call in (
        lambda: finished_transfer(asked, folder),
        lambda: transfer(asked, folder, data_folder),
        lambda: check_transfers([asked], folder, data_folder, iter),
    ):
        message = refusal(call)
        assert message.startswith(str(path))
        assert why in message
    path.write_text("{")
    assert "is not a readable transfer" in refusal(lambda: finished_transfer(asked, folder))


def test_what_was_measured_with_other_weights_is_refused(tmp_path, done, asked, data_folder):  # noqa: F811
    run = RunFolder(tmp_path / "runs", CELLS["rkd-da"])
    shutil.copytree(RunFolder(done[0], CELLS["rkd-da"]).path, run.path)
    found = transfer(asked, tmp_path, data_folder)
    assert found.weights_hash == done[1]["rkd-da"].weights_hash
    write_record(done[1]["rkd-da"].model_copy(update={"weights_hash": "0" * 64}), run.row)
    assert "contradicts itself: it was measured with other weights than those that the run has now; delete it" in (
        refusal(lambda: finished_transfer(asked, tmp_path))
    )
    (tmp_path / "transfers" / f"{asked.fingerprint}.json").unlink()
    assert "does not hold the weights of" in refusal(lambda: transfer(asked, tmp_path, data_folder))


def test_the_fingerprint_names_all_that_can_change_the_result():
    run = CELLS["rkd-da"]
    first = TransferSpec.of(run, OTHER)
    others = [
        TransferSpec.of(CELLS["teacher"], OTHER),
        TransferSpec.of(changed(run, {"training": changed(run.training, {"steps": 7})}), OTHER),
        TransferSpec.of(changed(run, {"seed": 1}), OTHER),
        TransferSpec.of(changed(run, {"scale": "toy"}), OTHER),
        TransferSpec(experiment=None, net=run.net, data=OTHER),
        *(
            changed(first, {"data": changed(OTHER, values)})
            for values in ({"test_classes": 8}, {"content": "x"}, {"size": 32})
        ),
        *(changed(first, values) for values in ({"device": "cuda"}, {"threads": 2}, {"code_version": 7})),
    ]
    prints = {one.fingerprint for one in (first, *others)}
    assert len(prints) == 1 + len(others)
    assert changed(first, {"data": Data(**OTHER.model_dump())}).fingerprint == first.fingerprint
    untrained = TransferSpec(experiment=None, net=NET, data=OTHER)
    alike = [changed(untrained, one) for one in ({"seed": 1}, {"net": Net(width=5)}, {"scale": "toy"})]
    assert len({one.fingerprint for one in (untrained, *alike)}) == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"net": Net(trunk="googlnet")}, "unknown trunk 'googlnet': did you mean googlenet"),
        ({"net": Net(trunk="resnet18")}, "data.size = 28 pixels, but the trunk resnet18 needs 32 or more"),
        ({"data": Data(name="glyph")}, "unknown data set 'glyph': did you mean glyphs?"),
    ],
)
def test_what_can_not_be_is_refused_when_it_is_planned(data_folder, values, message):
    asked = changed(TransferSpec(experiment=None, net=NET, data=OTHER), values)
    assert refused(asked, data_folder).startswith(message)


def test_a_gpu_where_there_is_none(data_folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = TransferSpec(experiment=None, net=NET, data=OTHER, device="cuda")
    assert refused(asked, data_folder).startswith("device cuda: torch sees no GPU here")


def stop(_):
    raise InterruptedError


def test_images_of_another_size_than_the_features_are_places_of(data_folder):
    trained = changed(CELLS["teacher"], {"net": Net(trunk="conv4-maxpool", width=4, dim=16)})
    asked = TransferSpec.of(trained, changed(OTHER, {"size": 32}))
    assert refused(asked, data_folder).startswith(
        "the network, conv4-maxpool trained on images of 28 pixels, takes no images of 32: make data.size equal, or"
    )


def test_images_of_other_channels(data_folder, monkeypatch):
    monkeypatch.setattr(relbench.transfer, "find_data_set", lambda name, _: replace(GLYPHS, channels=len(name)))
    asked = TransferSpec.of(CELLS["teacher"], changed(OTHER, {"name": "photo"}))
    assert refused(asked, data_folder).startswith(
        "conv4 trained on glyphs takes images of 6 channels, but those of photo have 5: choose another data set"
    )
    net = Net(trunk="resnet18", dim=8)
    asked = TransferSpec.of(changed(CELLS["teacher"], {"net": net}), changed(OTHER, {"name": "photo", "size": 32}))
    monkeypatch.setattr(relbench.transfer, "check_weights", lambda *_: stop(None))
    with pytest.raises(InterruptedError):  # it is not refused for its channels
        check_transfers([asked], data_folder / "none", data_folder, iter)


def test_channels_are_what_a_source_has(data_folder):
    assert GLYPHS.load(OTHER, data_folder, iter).shape.channels == GLYPHS.channels


def test_too_few_images_are_refused_before_any_work(tmp_path, data_folder, monkeypatch):
    monkeypatch.setattr(relbench.transfer, "find_data_set", lambda *_: replace(GLYPHS, ks=(1, 84)))
    asked = pinned(TransferSpec(experiment=None, net=NET, data=OTHER), data_folder)
    message = "Recall@K is asked for K = 84, but a test image has 83 others: use more classes"
    for call in (check_transfers, lambda one, folder, data, _: transfer(one[0], folder, data)):
        assert refusal(lambda call=call: call([asked], tmp_path, data_folder, iter)) == message
    assert not (tmp_path / "transfers").exists()


def test_other_data_than_planned_for(tmp_path, data_folder):
    asked = TransferSpec(experiment=None, net=NET, data=OTHER)
    message = "the data set glyphs is not the one that was planned for: plan the transfer again"
    assert refusal(lambda: transfer(asked, tmp_path, data_folder)) == message


def test_a_run_that_is_not_finished(tmp_path, asked, data_folder):
    name = CELLS["rkd-da"].fingerprint
    message = f"the run {name} is not finished: run the study first"
    assert refusal(lambda: transfer(asked, tmp_path, data_folder)) == message
    assert not (tmp_path / "transfers").exists()


def test_a_checkpoint_that_is_gone(tmp_path, done, asked, data_folder):  # noqa: F811
    there = RunFolder(tmp_path / "runs", CELLS["rkd-da"])
    there.path.mkdir(parents=True)
    there.row.symlink_to(RunFolder(done[0], CELLS["rkd-da"]).row)
    assert refusal(lambda: transfer(asked, tmp_path, data_folder)).startswith(
        f"the network's checkpoint {there.checkpoint} is missing: delete {there.row} too"
    )
