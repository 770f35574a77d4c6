import pytest
import torch
from torch import nn

from relbench.training.objective import DivergedError, Objective, Part


def supervised(embeddings, labels, generator):
    return (embeddings.sum(dim=1) * labels).mean() + torch.rand((), generator=generator)


def relational(student, teacher):
    return (student - teacher).square().mean()


def make(teacher=None, weight=2.0):
    return Objective({"a": Part(1.0, supervised=supervised), "b": Part(weight, relational=relational)}, teacher)


def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(4, 3, generator=generator, requires_grad=True), torch.rand(4, 3, generator=generator)


def test_total_is_the_weighted_sum():
    embeddings, images = batch()
    objective = make(nn.Linear(3, 3))
    values = objective(embeddings, images, torch.arange(4), torch.Generator().manual_seed(1))
    expected = values["a"] + 2 * values["b"]
    assert objective.total(values, step=1) == expected


def test_gradient_goes_to_the_student_alone():
    teacher = nn.Linear(3, 3)
    embeddings, images = batch()
    objective = make(teacher)
    objective.total(objective(embeddings, images, torch.arange(4), torch.Generator()), 1).backward()
    assert embeddings.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_teacher_is_neither_trained_nor_saved_and_stays_in_evaluation_mode():
    teacher = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    objective = make(teacher).train()
    assert not teacher.training
    assert list(objective.parameters()) == []
    assert objective.state_dict() == {}


def test_a_loss_with_parameters_is_trained_and_saved():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, embeddings, labels, generator):
            return embeddings.sum() * self.scale

    objective = Objective({"pml:Scaled": Part(1.0, supervised=Scaled())}, None)
    assert len(list(objective.parameters())) == 1
    assert len(objective.state_dict()) == 1


def test_relational_without_teacher():
    embeddings, images = batch()
    with pytest.raises(ValueError, match="needs a teacher"):
        make()(embeddings, images, torch.arange(4), torch.Generator())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_term_that_is_not_finite_is_named(bad):
    with pytest.raises(DivergedError, match=r"step 7: the loss term 'b' is"):
        make().total({"a": torch.tensor(1.0), "b": torch.tensor(bad)}, step=7)


def test_a_sum_that_overflows():
    with pytest.raises(DivergedError, match="step 7: the sum"):
        make(weight=1e30).total({"a": torch.tensor(1.0), "b": torch.tensor(1e30)}, step=7)
