"""A study of classification, from its runs to every file of its report: in words of classification, and no other's."""

import csv
import re

import pytest
from tasks.patterns import Patterns, pattern_set
from typer.testing import CliRunner

import relbench.cli.console
import relbench.data.datasets.rendered
import relbench.studies
from relbench.cli.main import app
from relbench.experiment import Classification, Data, Net, Term, Training
from relbench.studies.distillation import Arm, distillation
from relbench.studies.study import Epochs

TRAINING = Training(optimizer="sgd", momentum=0.9, learning_rate=0.05, batch_size=9)
CROSS_ENTROPY = Term(loss="cross_entropy")
METRICS = ("accuracy", "top5", "class_accuracy", "likelihood", "calibration_error", "ncm_accuracy")
RETRIEVAL = re.compile(r"recall|quer(y|ies)|neighbour|per.class|(validation|unseen) classes", re.IGNORECASE)


def study():
    """A teacher and two students, of two epochs each."""
    arms = [
        Arm(net=Net(width=width, dim=None, unit_length=False), training=TRAINING, epochs=Epochs(count=2, images=48))
        for width in (4, 2)
    ]
    return distillation(
        name="patterns",
        title="Students on {data}",
        data=Data(name="patterns", size=28, split="images"),
        task=Classification(class_means=True),
        teacher=arms[0],
        teacher_terms=(CROSS_ENTROPY,),
        student=arms[1],
        methods={
            "alone": (CROSS_ENTROPY,),
            "hkd": (CROSS_ENTROPY, Term(loss="hinton_kd", options={"temperature": 4.0})),
        },
        task_terms=(CROSS_ENTROPY,),
        pairs=(("hkd", "alone"),),
    )


@pytest.fixture(scope="module", autouse=True)
def registered():
    """The study and its data set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(relbench.data.datasets.rendered.RENDERED, "patterns", pattern_set(Patterns()))
        patch.setitem(relbench.studies.STUDIES, "patterns", study)
        patch.setattr(relbench.cli.console.out, "width", 300)
        yield


@pytest.fixture(scope="module")
def reported(registered, tmp_path_factory):
    """The results folder, and what its commands told."""
    root = tmp_path_factory.mktemp("classification")
    where = ["--results", root / "results", "--data", root / "data", "--device", "cpu", "--jobs", 1]
    commands = ["reproduce", "patterns", "--seeds", "0,1"], ["reproduce", "patterns", "--dry-run"]
    done = [told(*command, *where) for command in commands] + [told("settings", "patterns")]
    assert [result.exit_code for result in done] == [0, 0, 0], done[0].stderr
    return root / "results" / "patterns", "".join(result.stdout for result in done)


def told(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="relbench")


def lines(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_words_are_of_classification(reported):
    folder, told = reported
    texts = {name: (folder / name).read_text("utf-8") for name in ("table.md", "table.tex", "table.csv", "pairs.csv")}
    texts["page"] = re.sub(r'<style>.*?</style>|srcset="[^"]*"|src="[^"]*"', "", page(folder), flags=re.DOTALL)
    told = told.replace("data.train_images_per_class", "")  # a setting of the images, whatever the task
    for name, text in (texts | {"told": told}).items():
        assert not RETRIEVAL.search(text), name
    assert "| Top-5 accuracy, % | Mean class accuracy, % | Likelihood, % | Calibration error, % |" in texts["table.md"]
    assert "15 bins of equal width; the lower, the better." in texts["table.md"]
    assert "at unit length; classified by the nearest class mean of the training images." in texts["table.md"]
    assert "paired by seed, over the same test images" in texts["table.md"]
    assert "24 test images of 4 test classes" in texts["table.md"]
    assert "% accuracy (2 seeds)" in texts["table.md"]
    assert 'id="missing"' not in texts["page"]


def page(folder):
    return (folder / "report.html").read_text("utf-8")


def test_numbers_have_no_column_of_what_classification_does_not_have(reported):
    folder, _ = reported
    table, rows = lines(folder / "table.csv"), lines(folder / "rows.csv")
    assert set(METRICS) < table[0].keys()
    assert set(METRICS) < rows[0].keys()
    assert not {"images_per_class", "training.images_per_class", "data.crop", "data.resize"} & {*table[0], *rows[0]}
    assert {row["data.split"] for row in rows} == {"images"}
    assert {row["training.steps"] for row in rows} == {"12"}  # of 48 images, in 6 batches an epoch
    assert [line["role"] for line in table] == ["teacher", "student", "student", "floor", "floor"]
    floors = table[-2:]
    assert [line["ncm_accuracy"] for line in floors] == [line["accuracy"] for line in floors]
    assert all(float(line["parameters"]) < float(table[1]["parameters"]) for line in floors)  # these have no head


def test_settings_are_those_that_have_a_say(reported):
    _, told = reported
    keys = set(re.findall(r"^ ?((?:data|training|student|teacher)\.\w+)", told, re.MULTILINE))
    assert {"data.split", "data.distortion", "training.epochs", "student.epochs", "student.momentum"} <= keys
    assert not {"data.crop", "data.resize", "training.steps", "training.images_per_class"} & keys


def test_images_of_a_class_are_no_setting_of_shuffled_epochs():
    refused = told("reproduce", "patterns", "--set", "training.images_per_class=2", "--dry-run")
    assert refused.exit_code == 2
    assert "unknown setting 'training.images_per_class'" in refused.stderr
