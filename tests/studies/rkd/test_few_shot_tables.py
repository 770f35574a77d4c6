"""Tables 5 and 6: their numbers, what is known of how they came about, and the choices of what is not."""

import csv
from importlib.resources import files

import pytest
import torch

from relbench.resolve import resolve
from relbench.studies import build_study
from relbench.studies.changes import with_values
from relbench.tasks import find_task
from relbench.training import TrainingData
from relbench.training.assemble import UntrainedNetworks, assemble
from relbench.training.division import Layout
from relbench.training.optimizers import build_optimizer, build_scheduler

TABLES = {name: build_study(name) for name in ("rkd-table5", "rkd-table6")}
DATA_SETS = {"rkd-table5": "Omniglot", "rkd-table6": "miniImageNet"}
NETWORKS = {"rkd-table5": 6, "rkd-table6": 10}
CLAIMS = {"rkd-table5": 9, "rkd-table6": 12}
SUMMANDS = {  # beside the prototypical loss: loss, weight, layers
    "teacher": {},
    "rkd-d": {"rkd_distance": (50.0, ())},
    "rkd-da": {"rkd_distance": (25.0, ()), "rkd_angle": (25.0, ())},  # half of the sum
    "fitnet": {"fitnet": (50.0, ("embedding",))},
    "attention": {"attention_transfer": (10.0, ("stage4",))},
}
EPISODES = {  # classes, support images and queries of each class in training
    ("rkd-table5", "1-shot"): (60, 1, 5),
    ("rkd-table5", "5-shot"): (60, 5, 5),
    ("rkd-table6", "1-shot"): (30, 1, 15),
    ("rkd-table6", "5-shot"): (20, 5, 15),
}
RUNS = [(name, path) for name, study in TABLES.items() for path in study.runs]


def made(name, **options):
    return build_study(name, options)


def planned(study, path, rate=None):
    """A run as it is trained, with its teacher."""
    teacher = study.runs[path].teacher
    (experiment,) = study.trainings(path, 0, rate, planned(study, teacher, rate) if teacher else None)
    return resolve(experiment, path)


def printed(name):
    text = files("relbench.studies.published").joinpath("rkd_table5_6.csv").read_text(encoding="utf-8")
    lines = [line for line in csv.DictReader(text.splitlines()) if line["dataset"] == DATA_SETS[name]]
    return {(line["method"], int(line["way"]), int(line["shot"])): line for line in lines}


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_is_as_printed(name):
    lines, cells = printed(name), TABLES[name].cells
    assert len(cells) == len(lines) == {"rkd-table5": 12, "rkd-table6": 10}[name]
    by_place = {(cell.row, cell.column): cell for cell in cells}
    for (method, way, shot), line in lines.items():
        cell = by_place[method, f"{way}-way {shot}-shot"]
        assert round(100 * cell.published, 9) == float(line["accuracy"])
        assert cell.published_interval == (pytest.approx(float(line["ci95"]) / 100) if line["ci95"] else None)
        assert (cell.run, cell.metric) == (f"{method.lower()}/{shot}-shot", f"{way}way_{shot}shot")
        assert cell.part == f"{DATA_SETS[name]}, accuracy"


@pytest.mark.parametrize("name", TABLES)
def test_a_network_answers_for_its_shot_in_all_its_ways(name):
    study = TABLES[name]
    assert len(study.runs) == NETWORKS[name]
    measured = {(path, f"{way}way_{run.task.shot}shot") for path, run in study.items for way in run.task.way}
    assert {(cell.run, cell.metric) for cell in study.cells} == measured
    assert {path: run.task.shot for path, run in study.items} == {path: int(path[-6]) for path in study.runs}


@pytest.mark.parametrize(("name", "path"), RUNS)
def test_what_each_network_is_trained_with(name, path):
    run, (method, shot) = TABLES[name].runs[path], path.split("/")
    (stage,) = run.stages
    terms = {term.loss: (term.weight, term.layers) for term in stage.terms}
    assert terms.pop("prototypical") == (1.0, ())
    assert terms == SUMMANDS[method]
    assert run.teacher == (f"teacher/{shot}" if SUMMANDS[method] else "")


@pytest.mark.parametrize("name", TABLES)
def test_students_are_their_teachers_own_network(name):
    nets = {run.net.model_dump_json() for run in TABLES[name].runs.values()}
    assert len(nets) == 1
    (net,) = {run.net for run in TABLES[name].runs.values()}
    assert (net.trunk, net.width, net.dim, net.unit_length) == ("conv4-maxpool-uniform", 64, None, False)
    assert net.normalization == (None if name == "rkd-table5" else "imagenet")
    narrow = with_values(TABLES[name], {"teacher.width": 32})
    assert {run.net.width for run in narrow.runs.values()} == {32}
    with pytest.raises(ValueError, match=r"unknown setting 'student\.width'"):
        with_values(TABLES[name], {"student.width": 32})


@pytest.mark.parametrize(("name", "path"), [run for run in RUNS if run[1].endswith("1-shot")])
def test_a_step_of_the_full_network(name, path):
    """In an episode of two classes; all terms look at it, and every weight of the network learns."""
    images = EPISODES[name, "1-shot"][1] + EPISODES[name, "1-shot"][2]
    experiment = planned(with_values(TABLES[name], {"training.batch_size": 2 * images}), path)
    channels, size = {"rkd-table5": (1, 28), "rkd-table6": (3, 84)}[name]
    shown = torch.rand(2 * images, channels, size, size, generator=torch.Generator().manual_seed(0))
    data = TrainingData(
        channels=channels,
        classes=2,
        labels=torch.arange(2 * images) // images,
        batch=torch.arange,
        views=lambda *_: shown,
        validate=lambda *_: {},
        layout=Layout(find_task(experiment.task).episode(experiment.training)),
    )
    setup = assemble(experiment, UntrainedNetworks(channels, 2), data)
    setup.network.train()
    seen = setup.see(setup.show(torch.arange(2 * images), shown), torch.Generator())
    terms = setup.objective()(seen)
    assert {term.partition("@")[0] for term in terms} == {term.loss for term in experiment.terms}
    assert all(torch.isfinite(term) and term > 0 for term in terms.values())
    torch.autograd.backward(list(terms.values()))
    gradients = {name: weight.grad for name, weight in setup.network.named_parameters()}
    assert sum(map(torch.numel, gradients.values())) == {"rkd-table5": 111_936, "rkd-table6": 113_088}[name]
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert all((gradient != 0).any() for name, gradient in gradients.items() if not name.endswith("0.bias"))


@pytest.mark.parametrize(("name", "path"), RUNS)
def test_episodes(name, path):
    experiment = planned(TABLES[name], path)
    way, shot, queries = EPISODES[name, path.split("/")[1]]
    episode = find_task(experiment.task).episode(experiment.training)
    assert (episode.way, episode.shot, episode.queries) == (way, shot, queries)
    assert episode.apart == (name == "rkd-table6")
    task = experiment.task
    assert (task.queries, task.validation_episodes, task.scorer) == (15, 400, "prototypes")
    assert (task.way, task.episodes) == (((5, 20), 1000) if name == "rkd-table5" else ((5,), 600))


@pytest.mark.parametrize("name", TABLES)
def test_rates_are_halved_every_2000_episodes(name):
    training = planned(TABLES[name], "rkd-da/1-shot").training
    assert (training.optimizer, training.steps, training.weight_decay) == ("adam", 20_000, 0)
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(1))], training)
    scheduler = build_scheduler(optimizer, training)
    for step in range(training.steps):
        if step % 100 == 0:
            assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * 0.5 ** (step // 2000))
        optimizer.step()
        scheduler.step()


def test_the_step_that_counts_is_that_of_the_public_code():
    for run in TABLES["rkd-table5"].runs.values():  # trained on training and validation classes
        assert (run.training.selection, run.data.hold_out) == ("last", False)
    for run in TABLES["rkd-table6"].runs.values():
        assert (run.training.selection, run.training.validate_every, run.data.hold_out) == ("validation", 100, True)
    assert [TABLES[name].selection for name in TABLES] == ["last", "validation"]


@pytest.mark.parametrize("name", TABLES)
def test_images_are_shown_whole(name):
    (data,) = {run.data for run in TABLES[name].runs.values()}
    assert (data.size, data.split) == ({"rkd-table5": 28, "rkd-table6": 84}[name], "classes")
    assert (data.transform.crop, data.transform.flip, data.transform.rotation) == ("none", False, 0)


@pytest.mark.parametrize("name", TABLES)
def test_under_fair_each_method_has_a_rate_chosen_in_one_shot_episodes_of_validation_classes(name):
    fair = made(name, protocol="fair")
    for path, run in fair.items:
        assert fair.rates_of(path) == (f"{path.split('/')[0]}/1-shot", (1e-4, 3e-4, 1e-3, 3e-3))
        assert (run.data.hold_out, run.training.selection, run.training.steps) == (True, "last", 20_000)
        assert run.net == TABLES[name].runs[path].net
        assert run.task == TABLES[name].runs[path].task


@pytest.mark.parametrize("name", TABLES)
def test_claims_are_those_of_the_printed_numbers(name):
    study, lines = TABLES[name], printed(name)
    numbers = {
        f"{method.lower()}/{shot}-shot#{way}way_{shot}shot": float(line["accuracy"])
        for (method, way, shot), line in lines.items()
    }
    assert len(study.claims) == CLAIMS[name]
    for claim in study.claims:
        ((better, worse),) = claim.better
        assert numbers[better] > numbers[worse], claim.text
        assert better.partition("#")[2] == worse.partition("#")[2]  # over the same episodes
        assert claim.family == ("students and their teacher" if "the teacher" in claim.text else "students alone")


def test_claims_in_words():
    texts = [claim.text for claim in TABLES["rkd-table6"].claims]
    assert texts[2] == "5-way 1-shot: RKD-DA beats the teacher"
    assert "5-way 5-shot: the teacher beats Attention" in texts
    assert not any("20-way 5-shot: RKD-DA" in claim.text for claim in TABLES["rkd-table5"].claims)


@pytest.mark.parametrize(
    "changes",
    [
        {"terms.rkd_distance.weight": 1.0, "terms.rkd_angle.weight": 2.0},
        {"terms.prototypical.squared": False},
        {"training.steps": 40_000, "data.hold_out": True},
        {"teacher.normalization": None, "teacher.width": 32},
    ],
    ids=["weights", "unsquared", "longer", "network"],
)
@pytest.mark.parametrize("name", TABLES)
def test_what_is_not_known_can_be_set(name, changes):
    study = with_values(TABLES[name], changes)
    for path in study.runs:
        planned(study, path)


def test_fitnet_as_the_authors_have_it_can_be_set():
    study = with_values(TABLES["rkd-table6"], {"terms.fitnet.trained": False})
    assert planned(study, "fitnet/1-shot").terms[1].options == {"trained": False}
