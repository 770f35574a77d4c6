"""The objective: the inputs of each loss, where gradients go, what is trained and saved."""

import pytest
import torch
from torch import nn

from relbench.episodes import Episode
from relbench.losses import INPUTS, Batch, FitNet, cross_entropy, probe
from relbench.ranks import ALONE
from relbench.training.objective import Objective, Teacher, WeightedLoss

LABELS = torch.tensor([0, 1, 2, 0])
INDICES = torch.tensor([7, 3, 30, 8])
EPISODE = Episode(way=2, shot=1, queries=1)


class Shown(nn.Module):
    """Embeddings and two maps of other widths, each from weights of its own."""

    def __init__(self, dim=3):
        super().__init__()
        self.embed, self.low, self.high = nn.Linear(3, dim), nn.Linear(3, 2), nn.Linear(3, 5)

    def forward(self, images):
        return self.embed(images), {"low": self.low(images), "high": self.high(images)}


def supervised(embeddings, labels, generator):
    return (embeddings.sum(dim=1) * labels).mean() + torch.rand((), generator=generator)


def relational(student, teacher):
    return (student - teacher).square().mean()


def make(weight=2.0):
    parts = (
        WeightedLoss("a", 1.0, supervised, ("embeddings", "labels", "generator")),
        WeightedLoss("b", weight, relational, ("student", "teacher")),
    )
    return Objective(parts, None)


def batch():
    """What the student shows, with gradients wanted; and images."""
    generator = torch.Generator().manual_seed(0)
    embeddings, low, high, images = (torch.rand(4, size, generator=generator) for size in (3, 2, 5, 3))
    for seen in (embeddings, low, high):
        seen.requires_grad_()
    return (embeddings, {"low": low, "high": high}), images


def values_of(objective, teacher=None, seen=None, images=None):
    first, second = batch()
    taught = teacher.outputs(second if images is None else images) if teacher else None
    generator = torch.Generator().manual_seed(1)
    return objective(Batch(INDICES, LABELS, generator, *(seen or first), taught, episode=EPISODE))


def test_total_is_the_weighted_sum():
    objective = make()
    values = values_of(objective, Teacher(Shown()))
    expected = values["a"] + 2 * values["b"]
    assert objective.total(values) == expected


def test_gradient_goes_to_the_student_alone():
    teacher = Shown()
    seen, images = batch()
    objective = make()
    objective.total(values_of(objective, Teacher(teacher), seen, images)).backward()
    assert seen[0].grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_each_loss_is_given_what_it_takes_in_its_order():
    """One loss that takes all there is, in every rotation of the order."""
    teacher = Teacher(Shown(), nn.Linear(3, 7), {"centres": torch.rand(3, 3)})
    classifier, (seen, images) = nn.Linear(3, 6), batch()
    own, shown = seen[0], teacher.network(images)
    expected = {
        "student": own,
        "embeddings": own,
        "teacher": shown[0],
        "labels": LABELS,
        "host_labels": LABELS,
        "student_map": seen[1]["high"],
        "teacher_map": shown[1]["high"],
        "student_logits": classifier(own),
        "detached_logits": classifier(own),
        "teacher_logits": teacher.classifier(shown[0]),
        "centres": teacher.constants["centres"],
        "indices": INDICES,
        "support": own[[0, 2]].unflatten(0, (2, 1)),
        "query": own[[1, 3]].unflatten(0, (2, 1)),
    }
    assert expected.keys() == INPUTS.keys() - {"generator", "ranks"}
    for first in range(len(INPUTS)):
        takes = (*list(INPUTS)[first:], *list(INPUTS)[:first])
        given = {}

        def remember(*arguments, takes=takes, given=given):
            given.update(zip(takes, arguments, strict=True))
            return arguments[takes.index("student")].sum()

        values_of(Objective([WeightedLoss("x", 1.0, remember, takes, "high")], classifier), teacher, seen, images)
        assert isinstance(given.pop("generator"), torch.Generator)
        assert given.pop("ranks") is ALONE
        for name, value in expected.items():
            assert torch.equal(given[name], value), name


def test_nothing_of_the_teacher_carries_a_gradient():
    taken = ("teacher", "teacher_map", "teacher_logits", "centres")
    teacher = Teacher(Shown(), nn.Linear(3, 7), {"centres": torch.rand(3, 3)})
    given = []

    def remember(student, *theirs):
        given.extend(theirs)
        return student.sum()

    seen, images = batch()
    part = WeightedLoss("x", 1.0, remember, ("student", *taken), "low")
    values_of(Objective([part], None), teacher, seen, images.requires_grad_())
    assert len(given) == 4
    assert not any(value.requires_grad for value in given)


def test_teacher_is_neither_trained_nor_saved_and_stays_in_evaluation_mode():
    teacher = Teacher(
        Shown().train(), nn.Sequential(nn.Dropout(), nn.Linear(3, 7)).train(), {"centres": torch.rand(3, 3)}
    )
    objective = Objective((WeightedLoss("b", 1.0, relational, ("student", "teacher")),), None).train()
    assert not any(module.training for one in (teacher.network, teacher.classifier) for module in one.modules())
    assert not any(
        parameter.requires_grad for one in (teacher.network, teacher.classifier) for parameter in one.parameters()
    )
    assert list(objective.parameters()) == []
    assert objective.state_dict() == {}


def test_a_teacher_without_a_classifier_has_no_logits():
    given = []

    def remember(student, teacher_logits):
        given.append(teacher_logits)
        return student.sum()

    part = WeightedLoss("x", 1.0, remember, ("student", "teacher_logits"))
    values_of(Objective([part], None), Teacher(Shown()))
    assert given == [None]


def test_a_term_is_the_sum_over_its_layers():
    parts = [WeightedLoss("maps", 3.0, lambda own: own.sum(), ("student_map",), layer) for layer in ("low", "high")]
    seen, images = batch()
    objective = Objective(parts, None)
    values = values_of(objective, Teacher(Shown()), seen, images)
    assert values.keys() == {"maps"}
    assert values["maps"] == seen[1]["low"].sum() + seen[1]["high"].sum()
    assert objective.total(values) == 3 * values["maps"]  # the weight counts once


def test_each_layer_has_parameters_of_its_own():
    sizes = {"low": 2, "high": 5}
    parts = [
        WeightedLoss(
            "fitnet", 1.0, FitNet(student_channels=size, teacher_channels=size), ("student_map", "teacher_map"), layer
        )
        for layer, size in sizes.items()
    ]
    objective = Objective(parts, None)
    assert {name: value.shape for name, value in objective.state_dict().items()} == {
        "trainable.fitnet@low.weight": (2, 2),
        "trainable.fitnet@high.weight": (5, 5),
    }
    objective.total(values_of(objective, Teacher(Shown()))).backward()
    assert all(parameter.grad.any() for parameter in objective.parameters())


def test_a_loss_with_parameters_is_trained_and_saved():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, embeddings):
            return embeddings.sum() * self.scale

    objective = Objective([WeightedLoss("pml:Scaled", 1.0, Scaled(), ("embeddings",))], None)
    assert len(list(objective.parameters())) == 1
    assert len(objective.state_dict()) == 1


@pytest.mark.parametrize(("loss", "takes", "reaches"), [(cross_entropy, "student", True), (probe, "detached", False)])
def test_a_probe_teaches_the_classifier_alone(loss, takes, reaches):
    classifier = nn.Linear(3, 3)
    seen, images = batch()
    objective = Objective([WeightedLoss("x", 1.0, loss, (f"{takes}_logits", "labels"))], classifier)
    assert set(objective.state_dict()) == {"classifier.weight", "classifier.bias"}
    value = values_of(objective, seen=seen, images=images)["x"]
    assert torch.equal(value, nn.functional.cross_entropy(classifier(seen[0]), LABELS))
    value.backward()
    assert classifier.weight.grad.any()
    assert (seen[0].grad is not None and bool(seen[0].grad.any())) == reaches


def test_a_loss_that_takes_a_teacher_is_not_computed_without_one():
    with pytest.raises(ValueError, match="compares with a teacher, but there is none"):
        values_of(make())
