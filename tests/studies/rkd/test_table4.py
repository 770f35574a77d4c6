"""Table 4: its numbers, what is known of how they came about, and the choices of what is not."""

import csv
from importlib.resources import files

import pytest
import torch
from data.archives import make_tiny_imagenet
from data.cifar_archives import make_cifar100
from data.tiny_cards import tiny_card

from relbench.resolve import resolve
from relbench.results.records import Row, read_record
from relbench.studies import build_study
from relbench.studies.changes import with_values
from relbench.training.optimizers import build_optimizer, build_scheduler

TABLE4 = build_study("rkd-table4")
STEM = {"teacher.trunk": "resnet101-cifar", "student.trunk": "resnet18-cifar"}
BATCHES = {"cifar100": 391, "tiny-imagenet": 782}  # of 128 images, the last one smaller
DROPS = {"cifar100": (200, (60, 120, 160)), "tiny-imagenet": (300, (60, 120, 160, 200, 250))}
SUMMANDS = {  # beside cross-entropy: loss, weight
    "baseline": {},
    "rkd-d": {"rkd_distance": 25},
    "rkd-da": {"rkd_distance": 25, "rkd_angle": 50},
    "hkd": {"hinton_kd": 1},
    "hkd+rkd-da": {"hinton_kd": 1, "rkd_distance": 25, "rkd_angle": 50},
    "fitnet": {"fitnet": 1},
    "fitnet+rkd-da": {"fitnet": 1, "rkd_distance": 25, "rkd_angle": 50},
    "attention": {"attention_transfer": 50},
    "attention+rkd-da": {"attention_transfer": 50, "rkd_distance": 25, "rkd_angle": 50},
    "teacher": {},
}
PRINTED = {"Tiny ImageNet": "tiny-imagenet", "CIFAR-100": "cifar100"}


def training_of(path, study=TABLE4):
    (experiment,) = study.trainings(path, 0, None, None)
    return experiment.training


def test_every_cell_is_as_printed():
    text = files("relbench.studies.published").joinpath("rkd_table4.csv").read_text(encoding="utf-8")
    printed = {
        (line["dataset"], line["method"]): (float(line["accuracy"]), line["model"])
        for line in csv.DictReader(text.splitlines())
    }
    cells = {(cell.column, cell.row): cell for cell in TABLE4.cells}
    assert cells.keys() == printed.keys()
    assert len(TABLE4.cells) == 20
    for (data, method), (accuracy, _) in printed.items():
        cell = cells[data, method]
        assert round(100 * cell.published, 9) == accuracy
        assert (cell.metric, cell.run) == ("accuracy", f"{PRINTED[data]}/{method.lower()}")


def test_networks_are_those_that_are_printed():
    trunks = {path: run.net.trunk for path, run in TABLE4.items}
    assert trunks.pop("cifar100/teacher") == "resnet50-rkd"
    assert trunks.pop("tiny-imagenet/teacher") == "resnet101"
    assert {path.split("/")[0]: trunk for path, trunk in trunks.items()} == {
        "cifar100": "vgg11-rkd",
        "tiny-imagenet": "resnet18",
    }
    assert {(run.net.dim, run.net.unit_length) for run in TABLE4.runs.values()} == {(None, False)}
    assert {run.net.normalization for path, run in TABLE4.items if path.startswith("cifar")} == {"cifar10"}


@pytest.mark.parametrize("data", DROPS)
@pytest.mark.parametrize("method", SUMMANDS)
def test_what_each_student_is_trained_with(data, method):
    run = TABLE4.runs[f"{data}/{method}"]
    (stage,) = run.stages
    weights = {term.loss: term.weight for term in stage.terms}
    assert weights.pop("cross_entropy") == 1
    assert weights == SUMMANDS[method]
    assert run.teacher == (f"{data}/teacher" if SUMMANDS[method] else "")


def test_rkd_acts_on_features_of_unit_length_and_hkd_at_temperature_4():
    options = {term.loss: term.options for term in TABLE4.terms}
    assert options["rkd_distance"] == options["rkd_angle"] == {"unit_length": True}
    assert options["hinton_kd"] == {"temperature": 4.0}


@pytest.mark.parametrize("data", DROPS)
def test_schedule(data):
    training, (epochs, drops) = training_of(f"{data}/rkd-da"), DROPS[data]
    assert (training.steps, training.validate_every) == (epochs * BATCHES[data], BATCHES[data])
    assert (training.optimizer, training.momentum, training.nesterov) == ("sgd", 0.9, False)
    assert (training.weight_decay, training.batch_size) == (5e-4, 128)
    assert training.log_test_metrics
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(1))], training)
    scheduler = build_scheduler(optimizer, training)
    for epoch in range(epochs):
        expected = 0.1 * 0.2 ** sum(epoch >= drop for drop in drops)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)
        optimizer.step()
        for _ in range(BATCHES[data]):
            scheduler.step()


def test_views():
    cifar, tiny = (TABLE4.runs[f"{data}/teacher"].data for data in DROPS)
    assert cifar.transform.model_dump() == {
        "kind": "small", "crop": "pad", "pad": 4, "padding": "zero", "flip": True, "rotation": 0.0, "jitter": 0.0
    }  # fmt: skip
    assert (tiny.transform.crop, tiny.transform.flip) == ("none", True)
    assert tiny.transform.rotation > 0 < tiny.transform.jitter
    assert {run.data.hold_out for run in TABLE4.runs.values()} == {False}


@pytest.mark.parametrize(
    "changes",
    [
        STEM,
        {"data.rotation": 10, "data.jitter": 0.2, "training.weight_decay": 1e-4},
        {"terms.fitnet.loss": "fitnet_regressor", "terms.fitnet.weight": 100.0},
        {"teacher.normalization": "imagenet", "student.normalization": "imagenet"},
    ],
    ids=["stem", "views", "regressor", "normalization"],
)
def test_what_is_not_known_can_be_set(changes):
    study = with_values(TABLE4, changes)
    for path, run in study.items:
        if path.startswith("tiny-imagenet"):
            teacher = study.trainings(run.teacher, 0, None, None)[-1] if run.teacher else None
            resolve(study.trainings(path, 0, None, teacher)[-1], path)


def test_under_fair_each_method_has_a_rate_of_its_own_chosen_on_images_held_out():
    fair = build_study("rkd-table4", {"protocol": "fair"})
    for path, run in fair.items:
        assert fair.rates_of(path) == (path, (0.01, 0.03, 0.1, 0.3))
        assert run.data.hold_out
        assert run.epochs == TABLE4.runs[path].epochs


def test_end_to_end_at_toy_scale(call, cards, tmp_path):
    """Both data sets, from archives of the published layouts to the table."""
    root = tmp_path / "datasets"
    makers = {"cifar100": make_cifar100, "tiny-imagenet": make_tiny_imagenet}
    cards(*[tiny_card(name, make(root / name, classes=4, images=5), {}) for name, make in makers.items()])
    where = ("--data", root, "--results", tmp_path / "results", "--seeds", "0", "--jobs", "1", "--device", "cpu")
    made = call("reproduce", "rkd-table4", "--scale", "toy", *where)
    assert made.code == 0, made.error
    assert "Of 20 numbers to measure, 20 have been measured." in made.out
    (folder,) = (tmp_path / "results").iterdir()
    rows = [read_record(Row, path) for path in folder.glob("runs/*/row.json")]
    assert len(rows) == 20
    assert {row.primary for row in rows} == {"accuracy"}
    assert {"report.html", "table.md"} <= {path.name for path in folder.iterdir()}
