"""Tables of SP: what was seen in print and what was not, and the recipes of public codes."""

import pytest

from relbench.models import TRUNKS
from relbench.studies import build_study
from relbench.studies.changes import with_values
from relbench.studies.published import read_published
from relbench.studies.sp.cifar10 import IN_THE_SURVEY, REMEMBERED
from relbench.studies.sp.pairs import COLUMNS

CIFAR10, DTD, CINIC10 = (build_study(f"sp-{name}") for name in ("cifar10", "dtd", "cinic10"))


def training_of(study, path, seed=0):
    (experiment,) = study.trainings(path, seed, None, None)
    return experiment


def terms_of(study, path):
    (stage,) = study.runs[path].stages
    return {term.loss: (term.weight, term.layers, term.options) for term in stage.terms}


def test_six_numbers_are_seen_and_nineteen_from_memory():
    seen = [cell for cell in CIFAR10.cells if not cell.doubt]
    assert len(CIFAR10.cells) == 25
    told = read_published("sp_paper")
    assert sorted(cell.published for cell in seen) == sorted(line.value for line in told)
    assert {cell.source for cell in seen} == {line.source for line in told}
    remembered = [cell for cell in CIFAR10.cells if cell.doubt]
    assert len(remembered) == 19
    assert all("memory" in cell.doubt and "memory" in cell.source for cell in remembered)


def test_memory_agrees_with_the_six_numbers():
    for told in read_published("sp_paper"):
        pair = (told.fields["teacher"].lower(), told.fields["student"].lower())
        at = COLUMNS.index(IN_THE_SURVEY[told.fields["method"]])
        assert round(1 - REMEMBERED[pair][at] / 100, 4) == told.value


def test_a_network_has_the_same_number_in_all_pairs():
    numbers = {}
    for cell in CIFAR10.cells:
        numbers.setdefault(cell.run, set()).add(cell.published)
    assert all(len(values) == 1 for values in numbers.values())
    assert len(numbers) == 5 + 15


def test_the_recipe_of_attention_transfer():
    experiment = training_of(CIFAR10, "wrn-16-2/wrn-16-1/sp")
    training, transform = experiment.training, experiment.data.transform
    assert (training.steps, training.batch_size) == (200 * 391, 128)
    assert training.decay_at == (0.3, 0.6, 0.8)
    assert (training.momentum, training.nesterov, training.decay, training.learning_rate) == (0.9, False, 0.2, 0.1)
    assert (transform.crop, transform.pad, transform.padding, transform.flip) == ("pad", 4, "reflect", True)
    assert experiment.net.normalization == "cifar10-at"
    assert {run.data.hold_out for run in CIFAR10.runs.values()} == {False}


def test_losses():
    maps = ("stage1", "stage2", "stage3")
    path = "wrn-16-8/wrn-40-2"
    cross_entropy = {"cross_entropy": (1.0, (), {})}
    assert terms_of(CIFAR10, f"{path}/sp") == cross_entropy | {"similarity_preserving": (3000.0, maps[-1:], {})}
    assert terms_of(CIFAR10, f"{path}/at") == cross_entropy | {"attention_transfer": (1000.0, maps, {})}
    kd = {"cross_entropy": (0.1, (), {}), "hinton_kd": (0.9, (), {"temperature": 4.0})}
    assert terms_of(CIFAR10, f"{path}/kd") == kd
    assert terms_of(CINIC10, "2.0/0.5/sp")["similarity_preserving"] == (3000.0, ("stem", *maps), {})
    assert terms_of(CINIC10, "2.0/0.5/kd")["hinton_kd"] == (0.2, (), {"temperature": 16.0})


def test_each_seed_of_dtd_has_its_partition_and_shares_it_with_its_teacher():
    assert DTD.seeds == tuple(range(10))
    for path in ("alone/0.5", "1.0/0.25/sp"):
        partitions = [training_of(DTD, path, seed).data.partition for seed in DTD.seeds]
        assert partitions == list(range(1, 11))


def test_one_partition_for_all_seeds_is_not_said_to_be_ten():
    one = with_values(DTD, {"data.partition": 3})
    assert {one.runs["alone/0.5"].data_of(seed).partition for seed in DTD.seeds} == {3}
    assert any("ten partitions" in note for note in DTD.settings_notes)
    assert not any("ten partitions" in note for note in DTD.notes)


def test_the_networks_of_dtd_begin_with_weights_that_there_are():
    for run in DTD.runs.values():
        assert run.net.weights == "imagenet"
        assert TRUNKS[run.net.trunk].weights


def test_nothing_of_the_papers_that_was_not_seen_is_printed():
    assert {cell.published for cell in DTD.cells} == {None}
    assert {cell.published for cell in CINIC10.cells if cell.run} == {None}


def test_numbers_of_anothers_code_are_its_own_and_in_doubt():
    others = [cell for cell in CINIC10.cells if not cell.run]
    told = [
        line
        for line in read_published("sp_repdistiller")
        if line.fields["dataset"] == "CINIC-10" and line.fields["method"] != "margin_ReLU"
    ]
    assert len(others) == 15
    assert {cell.published for cell in others} == {line.value for line in told}
    assert all("Unreliable" in cell.doubt and "PkuDavidGuan" in cell.source for cell in others)


@pytest.mark.parametrize("protocol", ["paper", "fair"])
def test_cinic10_is_trained_on_its_training_part_alone(protocol):
    study = build_study("sp-cinic10", {"protocol": protocol})
    assert {run.data.hold_out for run in study.runs.values()} == {True}
    training = training_of(study, "alone/0.5").training
    assert (training.steps, training.batch_size, training.nesterov) == (140 * 938, 96, True)


@pytest.mark.parametrize("study", [CIFAR10, DTD, CINIC10], ids=lambda study: study.name)
def test_rates_are_chosen_once_for_a_method(study):
    fair = build_study(study.name, {"protocol": "fair"})
    tuned = {fair.rates_of(path)[0] for path in fair.runs}
    assert len(tuned) == 4
    assert all(fair.rates_of(path)[1] for path in fair.runs)
