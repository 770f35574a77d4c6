"""RepDistiller's benchmark: its numbers, its recipe, and real steps of each of its pairs of networks."""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import pytest
import torch
from data.cifar_archives import make_cifar100
from data.tiny_cards import tiny_card
from torch import nn

from relbench.experiment import Net
from relbench.models import FeatureExtractor, build_embedder, folded, layers_of
from relbench.resolve import resolve
from relbench.results.records import Row, read_record
from relbench.settings import changed
from relbench.studies import build_study
from relbench.trackers import Silent
from relbench.training.assemble import UntrainedNetworks, assemble, classifier_of, layers_in, teacher_of
from relbench.training.learner import Learner
from relbench.training.objective import Teacher
from relbench.training.stream import TrainingData
from relbench.training.trainer import train

ZOO = build_study("zoo-cifar100")
PAIRS = [  # as printed: teacher, student
    ("wrn-40-2", "wrn-16-2"),
    ("wrn-40-2", "wrn-40-1"),
    ("resnet56", "resnet20"),
    ("resnet110", "resnet20"),
    ("resnet110", "resnet32"),
    ("resnet32x4", "resnet8x4"),
    ("vgg13", "vgg8"),
    ("vgg13", "MobileNetV2"),
    ("ResNet50", "MobileNetV2"),
    ("ResNet50", "vgg8"),
    ("resnet32x4", "ShuffleNetV1"),
    ("resnet32x4", "ShuffleNetV2"),
    ("wrn-40-2", "ShuffleNetV1"),
]
PARTS = {pair: f"{'Same' if at < 7 else 'Different'} architecture family" for at, pair in enumerate(PAIRS)}
RECIPE = {  # as scripts/run_cifar_distill.sh calls it: weight of cross-entropy, and what else there is
    "kd": (0.1, {"hinton_kd": 0.9}),
    "fitnet": (1, {"fitnet_regressor": 100}),
    "at": (1, {"attention_transfer": 1000}),
    "sp": (1, {"similarity_preserving": 3000}),
    "cc": (1, {"correlation_congruence": 0.02}),
    "rkd": (1, {"rkd_distance": 25, "rkd_angle": 50}),
    "pkt": (1, {"pkt": 30000}),
    "nst": (1, {"neuron_selectivity": 50}),
}


def test_every_cell_is_as_printed():
    """The README prints a teacher in each of its columns, the file once in each of both tables."""
    text = files("relbench.studies.published").joinpath("sp_repdistiller.csv").read_text(encoding="utf-8")
    lines = [line for line in csv.DictReader(text.splitlines()) if line["table"] == "RepDistiller/CRD benchmark"]
    assert len(lines) == 184
    expected = {
        (line["setting"].capitalize(), line["method"], f"{teacher} to {student}"): float(line["value"])
        for line in lines
        for teacher, student in PAIRS
        if teacher == line["teacher"]
        and (line["method"] == "Teacher (CE)" or student == line["student"])
        and PARTS[teacher, student] == line["setting"].capitalize()
    }
    found = {(cell.part, cell.row, cell.column): round(100 * cell.published, 9) for cell in ZOO.cells}
    assert found == expected
    assert len(found) == len(ZOO.cells) == 184 + 4  # four teachers have two students in a table


def test_a_network_without_a_teacher_is_trained_once_for_all_its_pairs():
    kinds = [path.split("/")[0] if path.count("/") == 1 else "taught" for path in ZOO.runs]
    assert {kind: kinds.count(kind) for kind in kinds} == {"teacher": 6, "alone": 9, "taught": 104}


@pytest.mark.parametrize("method", RECIPE)
def test_weights_and_layers(method):
    for teacher, student in PAIRS:
        spec = ZOO.runs[f"{teacher}/{student}/{method}"]
        weights = {term.loss: term.weight for term in spec.stages[0].terms}
        assert (weights.pop("cross_entropy"), weights) == RECIPE[method]
        assert spec.teacher == f"teacher/{teacher}"
        last = "stage4" if student in {"vgg8", "MobileNetV2"} else "stage3"
        stages = ("stage1", "stage2", "stage3", "stage4")[: int(last[-1])]
        layers = {"fitnet": ("stage2",), "at": stages, "nst": stages, "sp": (last,)}
        assert spec.stages[0].terms[-1].layers == layers.get(method, ())


def test_schedule():
    for path, spec in ZOO.items:
        slow = path.partition("/")[2].partition("/")[0] in {"MobileNetV2", "ShuffleNetV1", "ShuffleNetV2"}
        (experiment,) = ZOO.trainings(path, 0, None, None)
        training = experiment.training
        assert training.steps == 240 * 782
        assert [round(share * training.steps) for share in training.decay_at] == [at * 782 for at in (150, 180, 210)]
        assert (training.learning_rate, training.decay) == (0.01 if slow else 0.05, 0.1)
        assert (training.batch_size, training.momentum, training.nesterov) == (64, 0.9, False)
        assert (training.weight_decay, training.selection) == (5e-4, "last")
        assert (spec.net.normalization, spec.net.dim, spec.net.unit_length) == ("cifar100", None, False)


def test_under_fair_a_method_has_a_rate_for_each_beginning():
    fair = build_study("zoo-cifar100", {"protocol": "fair"})
    assert fair.rates_of("vgg13/vgg8/kd") == ("resnet32x4/resnet8x4/kd", (0.005, 0.015, 0.05, 0.15))
    assert fair.rates_of("vgg13/MobileNetV2/kd") == ("resnet32x4/ShuffleNetV1/kd", (0.001, 0.003, 0.01, 0.03))
    assert fair.rates_of("alone/MobileNetV2")[0] == "alone/ShuffleNetV1"
    assert {fair.rates_of(path)[0] for path in fair.runs if path.startswith("teacher")} == {"teacher/resnet32x4"}


@pytest.fixture(scope="module")
def images():
    """Of the size of CIFAR, of as many classes."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (8, 3, 32, 32), generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="module")
def teachers(images):
    """Teachers by their settings: normalisation knows the images, so maps are as large as after a training."""

    @cache
    def made(net):
        network = build_embedder(net, 3, 0)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the mean of what is seen
        with torch.no_grad():
            network(images)
        return network.eval()

    return made


@dataclass(frozen=True)
class Networks(UntrainedNetworks):
    """A student at its beginning, beside one of `teachers`."""

    made: Callable[[Net], nn.Module]

    def teacher(self, students):
        experiment = teacher_of(students)
        network = folded(self.made(experiment.net), experiment.net, layers_of(experiment.net))
        features = FeatureExtractor(network, experiment.net, layers_in(*students))
        return Teacher(features, classifier_of(experiment, self.classes), {})


def with_all_methods(teacher, student):
    """A run of a pair for two steps of four images, network, images and rate as they are; weights of the study."""
    (taught_by,) = ZOO.trainings(f"teacher/{teacher}", 0, None, None)
    (experiment,) = ZOO.trainings(f"{teacher}/{student}/rkd", 0, None, taught_by)
    methods = [ZOO.runs[f"{teacher}/{student}/{method}"].stages[0].terms for method in RECIPE]
    terms = {term.loss: term for method in methods for term in method}
    brief = {"steps": 2, "batch_size": 4, "images_per_class": 2, "validate_every": 2}
    training = changed(experiment.training, brief)
    return resolve(changed(experiment, {"terms": tuple(terms.values()), "training": training}), student)


@pytest.mark.parametrize(("teacher", "student"), PAIRS)
def test_two_real_steps_of_a_pair_with_all_its_methods(tmp_path, images, teachers, teacher, student):
    """Full networks, full images, a hundred classes; through the loop that trains."""
    experiment = with_all_methods(teacher, student)
    data = TrainingData(
        channels=3,
        classes=100,
        labels=torch.arange(0, 80, 10),
        batch=lambda step: torch.arange(4) + 4 * step,
        views=lambda indices, *_: images[indices],
        validate=lambda *_: {},
    )
    setup = assemble(experiment, Networks(3, 100, teachers), data)
    before = {name: weight.clone() for name, weight in setup.network.named_parameters()}
    learner = Learner(setup, experiment.training, 0, experiment.fingerprint, tmp_path / "checkpoint", Silent())
    history = train(learner)["history"]
    assert [entry["step"] for entry in history] == [1, 2]
    assert all(entry.keys() == {"step", *(term.loss for term in experiment.terms)} for entry in history)
    assert all(math.isfinite(value) for entry in history for value in entry.values())
    after = dict(setup.network.named_parameters())
    assert [name for name, weight in before.items() if torch.equal(weight, after[name])] == []


def test_end_to_end_at_toy_scale(call, cards, tmp_path):
    """A pair of networks of four stages, with all methods, from an archive to the table."""
    root = tmp_path / "datasets"
    cards(tiny_card("cifar100", make_cifar100(root / "cifar100", classes=4, images=5), {}))
    where = ("--data", root, "--results", tmp_path / "results", "--seeds", "0", "--jobs", "1", "--device", "cpu")
    only = ("--only", "vgg13/MobileNetV2/*", "--only", "alone/MobileNetV2")
    made = call("reproduce", "zoo-cifar100", "--scale", "toy", *where, *only)
    assert made.code == 0, made.error
    (folder,) = (tmp_path / "results").iterdir()
    rows = [read_record(Row, path) for path in folder.glob("runs/*/row.json")]
    assert len(rows) == 10  # the teacher, and nine students
    assert "Beside them: 58 numbers from other papers" in made.out
    assert {"report.html", "table.md"} <= {path.name for path in folder.iterdir()}
