"""The trial of a loss: what passes, and each check with its line."""

from typing import Any

import pytest
import torch

from relbench.losses import LOSSES, find_loss, own_loss, try_loss

SHAPES = {
    "student_dim": 6,
    "teacher_dim": 9,
    "batch_size": 13,
    "images_per_class": 4,
    "unit_length": True,
    "num_classes": 20,
}

GOOD = """\
from torch.nn.functional import kl_div, log_softmax

def f(student, teacher, *, temperature: float = 0.1):
    cosines = [(x @ x.T / temperature).fill_diagonal_(-99) for x in (student, teacher.detach())]
    return kl_div(*(log_softmax(c, dim=1) for c in cosines), log_target=True, reduction="batchmean")
"""

IMPORTS = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"

PROXIES = (
    IMPORTS
    + """
class f(nn.Module):
    def __init__(self, num_classes, embedding_size):
        super().__init__()
        self.proxies = nn.Embedding(num_classes, embedding_size)

    def forward(self, embeddings, labels):
        return F.cross_entropy(embeddings @ self.proxies.weight.T, labels)
"""
)


BANK = (
    IMPORTS
    + """
class f(nn.Module):
    def __init__(self, embedding_size, momentum=0.5):
        super().__init__()
        self.momentum, self.bank = momentum, {}

    def forward(self, student, indices):
        images = indices.tolist()
        old = torch.stack([self.bank.get(image, row) for image, row in zip(images, torch.zeros_like(student))])
        new = self.momentum * old + (1 - self.momentum) * student.detach()
        self.bank |= dict(zip(images, new, strict=True))
        return (student - old).square().mean()
"""
)


def function(body: str, parameters: str = "student, teacher") -> str:
    lines = "\n    ".join(body.splitlines())
    return f"{IMPORTS}def f({parameters}):\n    {lines}\n"


SOFT_LABELS = """\
own, target = ((x / temperature).log_softmax(dim=1) for x in (student_logits, teacher_logits.detach()))
return F.kl_div(own, target, log_target=True, reduction="batchmean")"""


def tried(source: str, options: dict[str, Any] | None = None, **shapes: Any) -> None:
    try_loss(own_loss("my_loss:f", source), options or {}, **(SHAPES | shapes))


EPISODES = {"batch_size": 12, "images_per_class": 4, "shot": 1}
CENTROIDS = """\
distances = torch.cdist(query.flatten(0, 1), support.mean(dim=1))
return F.cross_entropy(-distances, torch.arange(len(query)).repeat_interleave(query.shape[1]))"""


def test_losses_of_episodes_pass_where_batches_are_episodes():
    """Also beside what other losses take; the shapes are those of the episode."""
    tried(function(CENTROIDS, "support, query"), **EPISODES)
    shapes = "assert (support.shape, query.shape, len(student)) == ((3, 1, 6), (3, 3, 6), 12)"
    tried(function(f"{shapes}\n{CENTROIDS}", "support, query, teacher, labels, student"), **EPISODES)
    tried(GOOD, **EPISODES)
    for name in ("prototypical", "pkt"):
        try_loss(find_loss(name), {}, **(SHAPES | EPISODES))


def test_losses_of_episodes_are_tried_on_collapsed_ones():
    source = function(
        "return (query - support.mean(dim=1, keepdim=True)).square().sum(2).sqrt().mean()", "support, query"
    )
    assert "'finite gradient' on duplicated embeddings" in refusal(source, **EPISODES)


def test_losses_of_episodes_are_for_few_shot():
    assert refusal(function(CENTROIDS, "support, query")) == (
        "loss 'my_loss:f' compares queries with support images, but batches are no episodes: it is for few-shot"
    )


def refusal(source: str, **given: Any) -> str:
    with pytest.raises(ValueError) as problem:  # noqa: PT011
        tried(source, **given)
    message = str(problem.value)
    assert "\n" not in message
    assert message.startswith("loss 'my_loss:f'")
    return message


@pytest.mark.parametrize("unit_length", [True, False])
@pytest.mark.parametrize(
    "source",
    [
        GOOD,
        PROXIES,
        BANK,
        function("return (student @ student.T - teacher.detach() @ teacher.detach().T).square().mean()"),
        function(
            "return F.triplet_margin_loss(embeddings[:-2], embeddings[1:-1], embeddings[2:])", "embeddings, labels"
        ),
        function("return F.cross_entropy(student_logits, labels)", "student_logits, labels"),
        function(SOFT_LABELS, "student_logits, teacher_logits, *, temperature=4.0"),
        function("return student.sum() + teacher_logits.detach().sum()", "student, teacher_logits=None"),
        function("student, rest = student.clone(), labels\nstudent[0] = 0\nreturn student.sum()", "student, labels"),
        function("return F.dropout(student, 0.5).sum() + torch.rand((), generator=generator)", "student, generator"),
    ],
)
def test_good_losses_pass(source: str, *, unit_length: bool):
    tried(source, unit_length=unit_length)


FITTING = {"student", "embeddings", "teacher", "labels", "generator"}


@pytest.mark.parametrize(
    "name",
    [name for name, loss in LOSSES.items() if set(loss.takes) <= FITTING]
    + ["pml:MultiSimilarityLoss", "pml:ArcFaceLoss"],
)
def test_losses_of_relbench_pass(name: str):
    """What conforms to published code must not fail a check: the checks would be too strict."""
    try_loss(find_loss(name), {}, **SHAPES)


WRONG = {
    "tensor": ("return 3.0", "random", "it returns a float: compute with torch, and return the tensor"),
    "scalar": ("return student.sum(dim=1)", "random", "it returns the shape (13,): return one number, of shape ()"),
    "floating": ("return (student > 0).sum()", "random", "it returns torch.int64: return a floating-point number"),
    "finite value": ("return (student.sum() * 1e30).square()", "random", "it returns inf; equal rows have distance 0"),
    "gradient to the student": ("return student.detach().sum()", "random", "the value is a constant: detach no"),
    "inputs unchanged": ("student -= 1\nreturn student.sum()", "random", "it writes into student, which other losses"),
    "no gradient to the teacher": (
        "return (student[:, :6] - teacher[:, :6]).square().mean()",
        "random",
        "the teacher is a constant: write teacher.detach()",
    ),
    "finite gradient": (
        "return (student[:-1] - student[1:]).square().sum(1).sqrt().mean()",
        "duplicated",
        "it is infinite or NaN; equal rows have distance 0: keep it out of roots",
    ),
}


@pytest.mark.parametrize("check", WRONG)
def test_each_check_has_its_line(check: str):
    body, case, message = WRONG[check]
    assert refusal(function(body)).startswith(f"loss 'my_loss:f' fails the check {check!r} on {case} embeddings")
    assert f": {message}" in refusal(function(body))


@pytest.mark.parametrize("body", ["return student.sum(0, keepdim=True).sum(1)", "return student.sum().view(1)"])
def test_one_number_in_a_row_is_no_scalar(body: str):
    assert "it returns the shape (1,)" in refusal(function(body))


def test_none_is_no_tensor():
    assert "it returns a NoneType" in refusal(function("pass"))


def test_a_complex_value_is_refused():
    assert "it returns torch.complex64" in refusal(function("return (student * 1j).sum()"))


@pytest.mark.parametrize(
    "body", ["return student.round().sum()", "return (student * 0).sum() + teacher.detach().sum()"]
)
def test_a_gradient_of_zero_on_random_embeddings_is_refused(body: str):
    message = refusal(function(body))
    assert "'gradient to the student' on random embeddings: student gets none" in message


def test_a_module_that_trains_only_itself_is_refused():
    source = PROXIES.replace("embeddings @", "embeddings.detach() @")
    assert "'gradient to the student' on random embeddings: embeddings gets none" in refusal(source)


def test_gradients_of_logits_are_looked_at_too():
    body = "return F.cross_entropy(student_logits.detach(), labels)"
    source = function(f"{body} + 0 * student_logits.sum()", "student_logits, labels")
    assert "'gradient to the student' on random embeddings: student_logits gets none" in refusal(source)
    pulling = function(SOFT_LABELS.replace(".detach()", ""), "student_logits, teacher_logits, *, temperature=4.0")
    assert "the teacher is a constant: write teacher_logits.detach()" in refusal(pulling)
    tried(function(f"{body} + student.sum()", "student, student_logits, labels"))  # one of them is enough


def test_logits_are_those_of_a_classifier_on_the_embeddings():
    body = """\
assert student_logits.shape == teacher_logits.shape == (13, 20)
spread = student.std(0).sum(), student_logits.std(0).sum()
assert (spread[0] < 1e-5) == (spread[1] < 1e-4), spread
return student_logits.square().sum() + student.sum()"""
    tried(function(body, "student, student_logits, teacher_logits"))


def test_a_parameter_whose_gradient_is_not_finite_is_refused():
    source = PROXIES.replace("return ", "return self.proxies.weight.mul(0).norm(dim=1).pow(0.5).sum() + ")
    assert "'finite gradient' on random embeddings" in refusal(source)


DEGENERATE = {
    "duplicated embeddings (each twice)": "distances = (student[:-1] - student[1:]).square().sum(1)[::2]",
    "duplicated embeddings (equal within a class)": "distances = (student[1:-1] - student[2:]).square().sum(1)[::4]",
    "collapsed embeddings (all equal)": "distances = (student - student.roll(1, 0)).square().sum()",
    "collapsed embeddings (the student's equal, the teacher's not)": "distances = student[:4] - student[4:8]\n"
    "distances = distances.square().sum() + (teacher.std(0).sum() < 0.1)",
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_what_is_not_finite_on_degenerate_embeddings_is_refused_there(case: str):
    source = function(f"teacher = teacher.detach()\n{DEGENERATE[case]}\nreturn (1 / distances).mean()")
    assert f"fails the check 'finite value' on {case}: it returns" in refusal(source)


def test_a_constant_where_nothing_is_left_to_compare_is_refused():
    source = function("spread = student.std(0).sum()\nreturn spread if spread > 0.01 else torch.tensor(0.0)")
    message = refusal(source)
    assert "'gradient to the student' on collapsed embeddings (all equal): the value is a constant" in message
    assert message.endswith("with nothing to compare, return 0 times their sum")


def test_a_gradient_to_the_teacher_is_found_on_any_batch():
    """This one compares with the teacher only where the student collapses."""
    source = function(
        "spread = student.std(0).sum()\nreturn spread if spread > 0.01 else spread + teacher.std(0).sum()"
    )
    assert "fails the check 'no gradient to the teacher' on collapsed" in refusal(
        source.replace("spread + ", "student.sum() + ")
    )


@pytest.mark.parametrize(("name", "body"), [("teacher", "teacher.mul_(2)"), ("labels", "labels.zero_()")])
def test_writing_into_other_inputs_is_refused(name: str, body: str):
    source = function(f"with torch.no_grad():\n    {body}\nreturn student.sum()", "student, teacher, labels")
    assert f"it writes into {name}, which other losses see: write into {name}.clone()" in refusal(source)


RAISED = {
    "return student[99].sum()": "line 6: IndexError: index 99 is out of bounds for dimension 0 with size 13",
    "return student @ teacher": "line 6: RuntimeError: ",
    "raise NotImplementedError": "line 6: NotImplementedError",
    "raise SystemExit(1)": "line 6: SystemExit: 1",
    "raise BaseException('panicked')": "line 6: BaseException: panicked",
    "assert len(student) == 3, 'a\\nb'": "line 6: AssertionError: a",
    "return teacher.numpy().sum()": "line 6: RuntimeError: Can't call numpy() on Tensor that requires grad",
}


@pytest.mark.parametrize("body", RAISED)
def test_what_a_loss_raises_becomes_a_line(body: str):
    message = refusal(function(f"x = 0\n{body}"))
    assert message.startswith(f"loss 'my_loss:f' on random embeddings: my_loss.py, {RAISED[body]}")


def test_what_only_the_gradient_raises_becomes_a_line():
    message = refusal(function("x = student.exp()\ny = x.sum()\nx.zero_()\nreturn y"))
    assert message.startswith("loss 'my_loss:f' on random embeddings: my_loss.py: RuntimeError: one of the variables")


def test_the_last_class_is_in_the_batch():
    """A loss made for fewer classes than the run has fails before the run."""
    assert "IndexError: Target 19 is out of bounds" in refusal(PROXIES.replace("(num_classes,", "(19,"))
    tried(PROXIES.replace("(num_classes,", "(20,"))


def test_a_loss_sees_the_shapes_and_labels_of_the_run():
    body = """\
assert (student.shape, teacher.shape) == ((13, 6), (13, 9))
assert labels.tolist() == [19] * 4 + [18] * 4 + [17] * 4 + [16]
assert labels.dtype == torch.int64
assert not student.is_leaf
assert (student.norm(dim=1) - 1).abs().max() < 1e-6
return student.sum()"""
    tried(function(body, "student, teacher, labels"))
    assert "AssertionError" in refusal(function(body, "student, teacher, labels"), unit_length=False)


def test_each_batch_is_given_to_a_loss_of_its_own():
    tried("CALLS = []\n" + function("CALLS.append(1)\nassert len(CALLS) == 1\nreturn student.sum()"))


def test_options_reach_the_loss_and_are_checked():
    source = function("return student.sum() * factor", "student, *, factor: float, embedding_size=0")
    tried(source, options={"factor": 2.0})
    assert refusal(source) == "loss 'my_loss:f' needs a value for factor"
    assert "option 'factor' is '2', but must be float" in refusal(source, options={"factor": "2"})
    assert "finite value" in refusal(source, options={"factor": 1e39})
    facts = function(
        "assert (embedding_size, teacher_size, num_classes, seed) == (6, 9, 20, 0)\nreturn student.sum()",
        "student, *, embedding_size, teacher_size, num_classes, seed",
    )
    tried(facts)


def test_the_trial_leaves_the_global_generator_alone_and_ends_the_same_each_time():
    source = function("return student.sum() * torch.rand(()) * (torch.rand(()) - 1e9 * len(student))")
    before = torch.get_rng_state()
    tried(source)
    assert torch.equal(torch.get_rng_state(), before)
    messages = {refusal(function("raise ValueError(torch.rand(()).item())")) for _ in range(2)}
    assert len(messages) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_a_loss_is_tried_where_the_run_computes():
    tried(GOOD, device="cuda")
    tried(PROXIES, device="cuda")
    source = function("return (student * torch.ones(6)).sum()")
    tried(source)
    assert "RuntimeError" in refusal(source, device="cuda")
