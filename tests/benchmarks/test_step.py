"""The step beside the authors' form: that it computes the same losses, and what cohorts share."""

import re

import torch

from relbench.benchmarks import authors, cohort
from relbench.losses import rkd_angle, rkd_distance


def test_the_authors_form_is_the_same_loss():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(9, 4, generator=generator), torch.randn(9, 6, generator=generator)
    torch.testing.assert_close(authors.distance_loss(student, teacher), rkd_distance(student, teacher))
    expected = rkd_distance(student, teacher) + 2 * rkd_angle(student, teacher)
    step = authors.AuthorsStep(torch.nn.Linear(4, 4), torch.nn.Linear(4, 6))
    step._student.weight.data, step._student.bias.data = torch.eye(4), torch.zeros(4)
    step._teacher = lambda _: teacher
    assert abs(step(student) - float(expected)) < 1e-6
    assert not torch.equal(step._student.weight, torch.eye(4))  # it learns


def test_the_quick_starts_cohort():
    faster, apart, together = cohort.quick_start(rounds=2, steps=1)
    assert re.search(r"quick start, [3-9] students", faster.name)
    assert 0.5 < faster.value < 4
    assert apart.value > 0
    assert together.value > 0
