"""Every loss beside the prototypical one, on the same episodes as the teacher: also one that is added later."""

import pytest
import torch
from tasks.signs import SIGNS, signs  # noqa: F401 - a fixture

from relbench.experiment import Data, Experiment, FewShot, Net, Term, Training
from relbench.losses import LOSSES, made_up_batch, prototypical, rkd_angle, rkd_distance
from relbench.models import initial_network, layers_of
from relbench.resolve import resolve
from relbench.run import run, run_cohort
from relbench.settings import changed
from relbench.tasks import find_task
from relbench.trackers import Silent
from relbench.training.assemble import UntrainedNetworks, assemble, shapes_of, table_data, weighted_losses
from relbench.training.division import Layout
from relbench.training.objective import Objective
from relbench.training.trial import try_terms

pytestmark = pytest.mark.usefixtures("signs")

PROTOTYPICAL = Term(loss="prototypical")
TEACHER = Experiment(
    task=FewShot(way=(3,), shot=2, queries=4, episodes=10, validation_episodes=5),
    data=Data(name="signs", size=28, content="signs"),
    net=Net(trunk="conv4-maxpool", width=4, dim=None, unit_length=False),
    terms=(PROTOTYPICAL, Term(loss="probe")),
    training=Training(steps=3, batch_size=25, images_per_class=5, learning_rate=1e-2, validate_every=3),
)
OTHERS = [name for name in LOSSES if name != "prototypical"]
OPTIONS = {"hinton_kd": {"temperature": 4.0}, "refilled_classifier": {"weighted": True, "temperature": 2.0}}


def student(*terms, batch_norm="together"):
    """Taught by the same network, as the paper's students are."""
    task = changed(TEACHER.task, {"batch_norm": batch_norm})
    return resolve(changed(TEACHER, {"terms": (PROTOTYPICAL, *terms), "teacher": TEACHER, "task": task}), "student")


def rows_of(experiments, folder):
    """Those with a teacher in a cohort, and those without in another."""
    (folder / "runs").mkdir()
    run(TEACHER, folder / "runs", folder / "data", Silent())
    cohorts = [[each for each in experiments if bool(each.teacher) == taught] for taught in (True, False)]
    found = {}
    for cohort in filter(None, cohorts):
        found |= run_cohort(cohort, folder / "runs", folder / "data", [Silent() for _ in cohort])
    return [found[each.fingerprint] for each in experiments]


@pytest.mark.parametrize("batch_norm", ["together", "apart"])
def test_every_loss_trains_beside_the_prototypical_one(tmp_path, batch_norm):
    """With its usual layers and weight 1: it changes what the student learns, unless it trains the head alone."""
    terms = [Term(loss=name, options=OPTIONS.get(name, {})) for name in OTHERS]
    plain, *rows = rows_of(
        [student(*given, batch_norm=batch_norm) for given in ((), *((term,) for term in terms))], tmp_path
    )
    for name, row in zip(OTHERS, rows, strict=True):
        assert not isinstance(row, Exception), (name, row)
        assert set(row.history[-1]) >= {"prototypical", name}
        assert (row.embeddings_hash != plain.embeddings_hash) == LOSSES[name].trains_student, name
        assert row.counts.groups == plain.counts.groups


def test_the_sum_of_both_relational_losses_is_halved_by_weights():
    """RKD-DA in the paper's few-shot tables: the prototypical loss, and half the sum of both."""
    halved = student(Term(loss="rkd_distance", weight=0.5), Term(loss="rkd_angle", weight=0.5))
    shapes = shapes_of(halved, 1, 8)
    batch = made_up_batch(
        shapes, 25, 5, torch.Generator().manual_seed(0), find_task(halved.task).episode(halved.training)
    )
    objective = Objective(weighted_losses(halved, shapes), None)
    relational = [loss(batch.embeddings, batch.teacher.embeddings) for loss in (rkd_distance, rkd_angle)]
    expected = prototypical(*batch.parts) + sum(relational) / 2
    torch.testing.assert_close(objective.total(objective(batch)), expected)


def test_the_embedding_can_be_compared_by_fitnet(tmp_path):
    """Alone, as in those tables; its projection is square, as the student has the teacher's network."""
    fitnet = student(Term(loss="fitnet", layers=("embedding",)))
    (part,) = (part for part in weighted_losses(fitnet, shapes_of(fitnet, 1, 8)) if part.term == "fitnet")
    assert part.layer == "embedding"
    assert part.loss.weight.shape == (4, 4)
    (row,) = rows_of([fitnet], tmp_path)
    assert row.history[-1]["fitnet"] > 0


@pytest.mark.parametrize("loss", ["attention_transfer", "neuron_selectivity"])
def test_an_embedding_has_no_places_to_attend_to(loss):
    with pytest.raises(ValueError, match=r"an embedding has no places: compare layers of maps\Z"):
        try_terms(student(Term(loss=loss, layers=("embedding",))), 1, 8)


def test_attention_on_maps_has_the_weight_of_the_paper(tmp_path):
    attention = student(Term(loss="attention_transfer", weight=10.0, layers=("stage1", "stage2", "stage3")))
    (row,) = rows_of([attention], tmp_path)
    assert row.history[-1]["attention_transfer"] > 0


@pytest.mark.parametrize("loss", ["attention_transfer", "neuron_selectivity"])
def test_maps_of_a_single_place_are_refused(loss):
    """Of 28 pixels, the fourth max-pooling leaves one; beside other layers it does no harm."""
    with pytest.raises(ValueError, match=rf"{loss} compares the places .* those of stage4 have a single place, and it"):
        try_terms(student(Term(loss=loss, layers=("stage4",))), 1, 8)
    try_terms(student(Term(loss=loss, layers=("stage3", "stage4"))), 1, 8)
    try_terms(student(Term(loss="fitnet", layers=("stage4",))), 1, 8)


def test_an_embedding_by_place_is_the_last_map():
    """So its attention can be compared where images are large enough, as that of the fourth stage."""
    network = assembled(student(Term(loss="attention_transfer", layers=("stage4",))))
    indices = network.data.batch(0)
    images = network.data.views(indices, torch.Generator().manual_seed(0))
    embeddings, maps = network.features(images)
    assert torch.equal(embeddings, maps["stage4"].flatten(1))


def assembled(experiment):
    task = find_task(experiment.task)
    data = table_data(
        SIGNS,
        lambda labels: task.sampler(labels, experiment.seed, experiment.training),
        lambda *_: {},
        layout=Layout(task.episode(experiment.training)),
    )
    return assemble(experiment, UntrainedNetworks(1, 8), data)


def seen(experiment):
    """What the first step shows to the losses, and the setup."""
    setup = assembled(experiment)
    indices = setup.data.batch(0)
    images = setup.data.views(indices, torch.Generator().manual_seed(0))
    setup.features.train()
    return setup.see(setup.show(indices, images), torch.Generator()), images, setup


def by_hand(experiment, images):
    """Passes of a new network in training mode over parts of an episode, and the running mean of its first layer."""
    network = initial_network(experiment, 1).train()
    return [network(part) for part in images], network.trunk.blocks[0][1]


def test_together_is_one_pass_with_shared_statistics():
    experiment = student(Term(loss="attention_transfer", layers=("stage2",)))
    batch, images, setup = seen(experiment)
    (expected,), norm = by_hand(experiment, [images])
    assert torch.equal(batch.embeddings, expected)
    own = setup.network.trunk.blocks[0][1]
    assert torch.equal(own.running_mean, norm.running_mean)
    assert own.num_batches_tracked == 1
    support, query = batch.parts
    assert torch.equal(support, expected.view(5, 5, -1)[:, :2])
    assert torch.equal(query, expected.view(5, 5, -1)[:, 2:])


def test_apart_is_two_passes_with_statistics_of_their_own():
    """Rows, labels and maps lie in the batch's order, so that the teacher's and those of other losses fit to them."""
    attention = Term(loss="attention_transfer", layers=("stage1", "stage4"))
    experiment = student(attention, batch_norm="apart")
    batch, images, setup = seen(experiment)
    rows = images.view(5, 5, *images.shape[1:])
    (of_support, of_query), norm = by_hand(experiment, [rows[:, :2].flatten(0, 1), rows[:, 2:].flatten(0, 1)])
    found = batch.embeddings.view(5, 5, -1)
    assert torch.equal(found[:, :2].flatten(0, 1), of_support)
    assert torch.equal(found[:, 2:].flatten(0, 1), of_query)
    assert torch.equal(batch.parts[0].flatten(0, 1), of_support)
    assert torch.equal(batch.maps["stage4"].flatten(1), batch.embeddings)
    assert batch.maps["stage1"].shape == (25, 4, 14, 14)
    own = setup.network.trunk.blocks[0][1]
    assert torch.equal(own.running_mean, norm.running_mean)
    assert own.num_batches_tracked == 2
    one_pass, _, _ = seen(student(attention))
    assert torch.equal(one_pass.labels, batch.labels)
    assert torch.equal(one_pass.teacher.embeddings, batch.teacher.embeddings)  # it sees no statistics of a batch
    assert not torch.allclose(one_pass.embeddings, batch.embeddings)


def test_every_layer_can_be_compared_apart():
    layers = tuple(layers_of(TEACHER.net))
    batch, _, _ = seen(student(Term(loss="fitnet", layers=layers), batch_norm="apart"))
    assert set(batch.maps) == set(layers) == set(batch.teacher.maps)
    assert all(len(shown) == 25 for shown in batch.maps.values())
