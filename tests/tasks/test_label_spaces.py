"""Teacher and student of other classes: REFILLED's two stages lead from one label space to the other, KD does not."""

import pytest
import torch
from tasks.patterns import Patterns, pattern_set

import relbench.data.datasets.rendered
from relbench.data.cached_views import CachedViews
from relbench.data.table import indices_of, labels_of
from relbench.evaluation import class_means
from relbench.experiment import Classification, Data, Experiment, Net, Term, Training
from relbench.losses import REFILLED_PRESETS, refilled_classifier
from relbench.losses.inputs import Batch
from relbench.models import build_classifier
from relbench.resolve import resolve
from relbench.results.run_folder import load_trained
from relbench.run import run
from relbench.settings import changed
from relbench.trackers import Silent
from relbench.training.assemble import TrainedNetworks, assemble, table_data

HERS, HIS = ("waves", "crosses", "dots"), ("dots", "stripes")  # the teacher's, the student's: dots has another number
TRAINING = Training(
    optimizer="sgd", momentum=0.9, nesterov=True, learning_rate=0.05, steps=40, batch_size=9, validate_every=20
)


def run_on(classes, width, *terms, **given):
    return Experiment(
        task=Classification(class_means=True),
        data=Data(name="patterns", size=28, content="patterns", split="images", train_classes=classes),
        net=Net(width=width, dim=None, unit_length=False),
        training=TRAINING,
        terms=terms,
        **given,
    )


TEACHER = run_on(HERS, 4, Term(loss="cross_entropy"))
EMBEDDING, CLASSIFIER = (
    Term(loss=f"refilled_{stage}", options=dict(getattr(REFILLED_PRESETS["wgkd2021"], stage)))
    for stage in ("embedding", "classifier")
)
FIRST = run_on(HIS, 2, EMBEDDING, teacher=TEACHER)
SECOND = changed(FIRST, {"terms": (CLASSIFIER,), "initialized_from": FIRST})


@pytest.fixture(scope="module")
def patterns():
    with pytest.MonkeyPatch.context() as patch:
        source = Patterns()
        patch.setitem(relbench.data.datasets.rendered.RENDERED, "patterns", pattern_set(source))
        yield source


@pytest.fixture(scope="module")
def trained(tmp_path_factory, patterns):
    """The folder of all runs, and their rows in order."""
    folder = tmp_path_factory.mktemp("label_spaces")
    return folder / "runs", [
        run(resolve(each, "run"), folder / "runs", folder, Silent()) for each in (TEACHER, FIRST, SECOND)
    ]


def planned(experiment):
    return resolve(experiment, "run")


def test_a_student_learns_other_classes_than_its_teacher_knows(trained):
    runs, (teacher, first, second) = trained
    assert teacher.counts.groups == tuple(sorted(HERS))
    assert first.counts.groups == second.counts.groups == tuple(sorted(HIS))
    assert second.metrics["accuracy"] > 0.7
    assert first.metrics["accuracy"] == first.metrics["ncm_accuracy"] > 0.7  # class means say what it has learnt
    outputs = [len(load_trained(planned(each), runs, 1, "run").classifier.weight) for each in (TEACHER, SECOND)]
    assert outputs == [3, 2]


def test_the_second_stage_begins_with_a_new_head(trained):
    """As in the authors' code: terms of the first take no logits."""
    runs, _ = trained
    assert load_trained(planned(FIRST), runs, 1, "run").classifier is None
    begun = assembled(trained, SECOND).classifier.weight
    assert torch.equal(begun, build_classifier(SECOND.net, SECOND.data.size, len(HIS), SECOND.seed).weight)
    assert not torch.equal(begun, load_trained(planned(SECOND), runs, 1, "run").classifier.weight)


def assembled(trained, experiment, source=None):
    source = source or Patterns().of(HIS)
    data = table_data(source, lambda labels: lambda _: torch.arange(len(labels)), lambda *_: {})
    return assemble(planned(experiment), TrainedNetworks(trained[0], CachedViews(source)), data)


def test_class_centres_are_the_students_classes_in_the_teachers_eyes(trained, patterns):
    source = patterns.of(HIS)
    indices = indices_of(source.table, "train")
    network = load_trained(planned(TEACHER), trained[0], 1, "teacher").network.eval()
    with torch.no_grad():
        embeddings = network(source.test_batch(torch.from_numpy(indices)))
    expected = class_means(embeddings, labels_of(source.table, indices)[0], 2)
    found = assembled(trained, SECOND, source).teacher.constants["centres"]
    torch.testing.assert_close(found.double(), torch.from_numpy(expected), rtol=1e-4, atol=1e-6)


def test_images_are_weighted_by_the_teachers_own_classes(trained, patterns):
    """By its own head, with three logits, whatever number of classes the student has."""
    source = patterns.of(HIS)
    setup = assembled(trained, SECOND, source)
    indices = torch.from_numpy(indices_of(source.table, "train"))
    shown = setup.show(indices, source.test_batch(indices))
    batch: Batch = setup.see(shown, torch.Generator())
    assert batch.teacher.logits.shape == (len(indices), 3)
    found = setup.objective()(batch)["refilled_classifier"]
    given = (setup.classifier(batch.embeddings), batch.teacher.embeddings, batch.labels)
    centres = batch.teacher.constants["centres"]
    weighted = refilled_classifier(*given, centres, batch.teacher.logits, weighted=True)
    torch.testing.assert_close(found, weighted)
    assert not torch.isclose(found, refilled_classifier(*given, centres))


def test_soft_labels_are_refused_before_any_work(patterns):
    soft = changed(FIRST, {"terms": (Term(loss="cross_entropy"), Term(loss="hinton_kd", options={"temperature": 4.0}))})
    with pytest.raises(
        ValueError, match=r"^KD: the loss hinton_kd compares logits class by class, but the teacher was"
    ):
        resolve(soft, "KD")
    both = changed(soft, {"teacher": changed(TEACHER, {"data": soft.data})})
    assert resolve(both, "KD").teacher
