"""A loss from a file: what it may look like, how it is run, and every way to be refused."""

import inspect
import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relbench.losses import Loss, find_loss, own_loss, read_own
from relbench.losses.user import guarded
from relbench.losses.user_file import LARGEST_FILE

README_EXAMPLE = """\
from torch.nn.functional import kl_div, log_softmax

def soft_neighbours(student, teacher, *, temperature: float = 0.1):
    cosines = [(x @ x.T / temperature).fill_diagonal_(-99) for x in (student, teacher.detach())]
    return kl_div(*(log_softmax(c, dim=1) for c in cosines), log_target=True, reduction="batchmean")
"""

MODULE = '''\
from __future__ import annotations

import torch
from torch import Tensor, nn


class Projected(nn.Module):
    """Distance to the teacher's row.

    After a projection.
    """

    def __init__(self, embedding_size: int, teacher_size: int, power: float = 2, *, scale: float = 1.0) -> None:
        super().__init__()
        self.projection = nn.Linear(embedding_size, teacher_size)
        self.power, self.scale = power, scale

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        return self.scale * (self.projection(student) - teacher.detach()).abs().pow(self.power).mean()
'''

ROWS = {
    "student": torch.randn(6, 3, generator=torch.Generator().manual_seed(0)),
    "teacher": torch.randn(6, 4, generator=torch.Generator().manual_seed(1)),
    "labels": torch.arange(6) // 2,
}
ONE_FILE = "only this file is kept with a run, so it can import installed packages, but no other file from its folder"
FACTS = {"embedding_size": 3, "teacher_size": 4, "num_classes": 3, "seed": 0}


def written(folder: Path, source: str, name: str = "my_loss.py") -> str:
    path = folder / name
    path.write_text(source, encoding="utf-8")
    return str(path)


def built(entry: Loss, **options: Any) -> Any:
    return entry.build(**{name: FACTS[name] for name in entry.needs} | options)


def arguments(entry: Loss, student: Tensor) -> list[Any]:
    given = {**ROWS, "student": student, "embeddings": student, "generator": torch.Generator().manual_seed(0)}
    return [given[name] for name in entry.takes]


def refused(call: Any, *arguments: Any) -> str:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011
        call(*arguments)
    message = str(refusal.value)
    assert "\n" not in message
    return message


def test_a_file_becomes_an_entry(tmp_path: Path):
    name, source = read_own(f"{written(tmp_path, README_EXAMPLE)}:soft_neighbours")
    assert (name, source) == ("my_loss:soft_neighbours", README_EXAMPLE)
    entry = own_loss(name, source)
    assert entry.takes == find_loss(name, source).takes
    assert entry.name == name
    assert entry.takes == ("student", "teacher")
    assert entry.needs_teacher
    assert entry.summary == "loss of my_loss.py"
    assert entry.source.startswith("my_loss.py, sha256 ")
    assert len(entry.source.split()[-1]) == 12
    assert entry.layers == ()


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path):
    path = tmp_path / "my_loss.py"
    path.write_bytes(b"\xef\xbb\xbf" + README_EXAMPLE.replace("\n", "\r\n").encode())
    assert read_own(f"{path}:soft_neighbours")[1] == README_EXAMPLE


FORMS = {
    "def f(student, teacher):\n    return (student[:, :3] - teacher[:, :3]).square().mean()": ("student", "teacher"),
    "def f(teacher, student):\n    return (student[:, :3] - teacher[:, :3]).square().mean()": ("teacher", "student"),
    "def f(student, teacher, labels):\n    return student[labels == 1].square().mean()": (
        "student",
        "teacher",
        "labels",
    ),
    "def f(student, teacher, labels=None):\n    return student.square().mean()": ("student", "teacher", "labels"),
    "def f(embeddings, labels):\n    return (embeddings.T @ labels.float()).square().sum()": ("embeddings", "labels"),
    "def f(embeddings, labels, /):\n    return embeddings[labels == 0].square().sum()": ("embeddings", "labels"),
    "def f(embeddings, labels, generator, **rest):\n"
    "    return embeddings.sum() + embeddings.new_tensor(generator.initial_seed())": (
        "embeddings",
        "labels",
        "generator",
    ),
    "f = lambda embeddings: embeddings.square().mean()": ("embeddings",),
    "def f(embeddings, labels, factor=2.0):\n    return factor * embeddings.square().mean()": ("embeddings", "labels"),
    "def plain(factor, embeddings):\n    return factor * embeddings.square().mean()\n"
    "from functools import partial\nf = partial(plain, 3)": ("embeddings",),
    MODULE.replace("Projected", "f"): ("student", "teacher", "labels"),
    "import torch\nclass f(torch.nn.Module):\n    def forward(self, embeddings, labels, pairs=None):\n"
    "        return embeddings[labels == 2].square().sum()": ("embeddings", "labels"),
    "from torch import nn\nclass f(nn.Module):\n    def __init__(self, num_classes, embedding_size):\n"
    "        super().__init__()\n        self.proxies = nn.Embedding(num_classes, embedding_size)\n"
    "    def forward(self, embeddings, labels):\n"
    "        return (embeddings - self.proxies(labels)).square().mean()": ("embeddings", "labels"),
}


@pytest.mark.parametrize(("source", "takes"), FORMS.items(), ids=lambda case: case if isinstance(case, str) else "")
def test_every_form_takes_a_step_downhill(source: str, takes: tuple[str, ...]):
    entry = own_loss("my_loss:f", source)
    assert entry.takes == takes
    loss, student = built(entry), ROWS["student"].clone().requires_grad_()
    own = list(loss.parameters()) if isinstance(loss, nn.Module) else []
    before = loss(*arguments(entry, student))
    before.backward()
    with torch.no_grad():
        for parameter in (student, *own):
            assert parameter.grad.abs().sum() > 0
            parameter.sub_(1e-3 * parameter.grad)
    assert loss(*arguments(entry, student)) < before


@pytest.mark.parametrize("collapsed", [False, True])
def test_the_readmes_example_equals_its_definition_in_loops(*, collapsed: bool):
    """The divergence from the teacher's odds of being a row's neighbour to the student's, the mean over rows."""
    student, teacher = (ROWS[name].double() for name in ("student", "teacher"))
    student = student[:1].expand(6, -1) if collapsed else student
    total = 0.0
    for row in range(6):
        others = [other for other in range(6) if other != row]
        p, q = (torch.stack([x[row] @ x[other] for other in others]).div(0.5).softmax(0) for x in (teacher, student))
        total += float((p * (p / q).log()).sum())
    loss = own_loss("my_loss:soft_neighbours", README_EXAMPLE).build(temperature=0.5)
    assert float(loss(student, teacher)) == pytest.approx(total / 6, rel=1e-9)


def test_the_readmes_example_has_five_lines():
    assert len(README_EXAMPLE.splitlines()) == 5


def test_options_of_a_function():
    source = (
        "from typing import Literal\ndef f(embeddings, power: 'int' = 2, *, mode: Literal['a', 'b'], any=None): ..."
    )
    entry = own_loss("my_loss:f", source)
    assert list(entry.options) == ["seed", "power", "mode", "any"]
    for options in ({"mode": "a"}, {"mode": "b", "power": 3, "any": ["x", {"y": None}]}, {"mode": "a", "any": 1.5}):
        entry.check(options)
    assert "needs a value for mode" in refused(entry.check, {})
    assert "option 'mode' is 'c'" in refused(entry.check, {"mode": "c"})
    assert "option 'power' is 2.5, but must be int" in refused(entry.check, {"mode": "a", "power": 2.5})
    assert "loss 'my_loss:f' has no option 'moed': did you mean mode?" in refused(entry.check, {"moed": "a"})


def test_options_reach_the_function():
    entry = own_loss(
        "my_loss:f", "def f(embeddings, power=1, *, factor=1.0): return factor * (embeddings**power).sum()"
    )
    assert entry.build(power=2, factor=10.0)(torch.tensor([3.0])) == 90
    assert entry.build(seed=5)(torch.tensor([3.0])) == 3


ANNOTATIONS = """
from __future__ import annotations
import functools
from typing import TYPE_CHECKING
import torch
if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

def plain(student: Tensor, teacher: Tensor, *, power: float = 1.0, table: np.ndarray | None = None) -> Tensor:
    '''One line.'''
    return power * (student.mean() - teacher.mean()).square()

def logged(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)
    return call

decorated = logged(plain)
part = functools.partial(plain, power=2.0)

class Called:
    def __call__(self, student: Tensor, teacher: Tensor, *, power: float = 1.0) -> Tensor:
        '''One line.'''
        return plain(student, teacher, power=power)

instance = Called()

class Module(torch.nn.Module):
    '''One line.'''
    def __init__(self, *, power: float = 1.0, table: np.ndarray | None = None) -> None:
        super().__init__()
        self.power = power
    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return plain(student, teacher, power=self.power)
"""


@pytest.mark.parametrize("name", ["plain", "decorated", "part", "instance", "Module"])
def test_annotations_that_are_only_for_type_checkers(name: str):
    """What they name isn't there when the file runs; those that are there are still checked."""
    entry = own_loss(f"my_loss:{name}", ANNOTATIONS)
    assert entry.takes == ("student", "teacher")
    assert entry.options["power"].annotation is float
    with pytest.raises(ValueError, match="option 'power' is 'x', but must be float"):
        entry.check({"power": "x"})
    loss = entry.build(power=3.0)
    assert loss(torch.ones(2, 2), torch.zeros(2, 2)).item() == 3


def test_a_file_that_defines_one_thing_needs_no_name(tmp_path: Path):
    source = "def _helper(x):\n    return x\n\ndef near(student, teacher):\n    return student.mean()\n"
    path = written(tmp_path, source)
    assert read_own(path)[0] == "my_loss:near"
    written(tmp_path, source + "class Far:\n    pass\n")
    assert f"{path} defines near, Far: write which one is the loss, as in {path}:near" in refused(read_own, path)
    written(tmp_path, "x = 1\n")
    assert f"{path} defines no function or class: write which one" in refused(read_own, path)


def test_options_of_a_class_and_what_the_run_knows():
    entry = own_loss("my_loss:Projected", MODULE)
    assert entry.summary == "Distance to the teacher's row."
    assert set(entry.needs) == {"embedding_size", "teacher_size", "seed"}
    loss = built(entry, power=1, scale=3.0)
    assert (loss.power, loss.scale, tuple(loss.projection.weight.shape)) == (1, 3.0, (4, 3))
    entry.check({"scale": 2})
    assert "must be float" in refused(entry.check, {"scale": "2"})
    assert "needs a value for embedding_size" in refused(lambda: entry.build(teacher_size=4))


def test_first_values_follow_the_seed_and_leave_the_global_generator_alone():
    entry, before = own_loss("my_loss:Projected", MODULE), torch.get_rng_state()
    weights = []
    for seed in (1, 1, 2):
        torch.rand(3)
        weights.append(built(entry, seed=seed).projection.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    torch.set_rng_state(before)
    own_loss.cache_clear()
    built(own_loss("my_loss:Projected", MODULE))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_that_the_loss_takes_itself():
    source = "def f(embeddings, *, seed: int): return embeddings.sum() + seed"
    assert own_loss("my_loss:f", source).build(seed=7)(torch.zeros(2)) == 7


def test_what_the_file_draws_follows_the_seed():
    entry = own_loss("my_loss:f", "import torch\nFIXED = torch.rand(())\ndef f(embeddings): return FIXED")
    values = [entry.build(seed=seed)(None) for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_every_loss_that_is_built_starts_from_a_fresh_file():
    entry = own_loss("my_loss:f", "CALLS = []\ndef f(embeddings):\n    CALLS.append(1)\n    return len(CALLS)")
    first, second = entry.build(), entry.build()
    assert [first(None), first(None), second(None)] == [1, 2, 1]


def test_the_lines_of_the_text_are_found_by_tracebacks_and_inspect():
    loss = own_loss("my_loss:f", "def f(embeddings):\n    return embeddings / 'what is this'\n").build()
    with pytest.raises(TypeError) as problem:
        loss(torch.ones(2))
    assert "return embeddings / 'what is this'" in "".join(traceback.format_exception(problem.value))
    module = built(own_loss("my_loss:Projected", MODULE))
    assert inspect.getsource(type(module)) in MODULE
    assert sys.modules[type(module).__module__].Projected is type(module)


def test_another_process_rebuilds_the_loss_from_name_and_text_alone(tmp_path: Path):
    path = written(tmp_path, MODULE)
    name, source = read_own(f"{path}:Projected")
    Path(path).unlink()
    script = (
        "import json, sys, torch; from relbench.losses import find_loss, worker\n"
        "worker.work_here()\n"
        "name, source, rows, facts = json.load(sys.stdin); entry = find_loss(name, source)\n"
        "loss = entry.build(**{key: facts[key] for key in entry.needs})\n"
        "print(loss(*(torch.tensor(rows[key]) for key in entry.takes)).item())"
    )
    told = json.dumps([name, source, {key: rows.tolist() for key, rows in ROWS.items()}, FACTS])
    place = {"cwd": Path(__file__).parents[2], "text": True}
    done = subprocess.run([sys.executable, "-c", script], input=told, capture_output=True, check=True, **place)
    entry = own_loss(name, source)
    assert float(done.stdout) == pytest.approx(built(entry)(*arguments(entry, ROWS["student"])).item(), rel=1e-6)


@pytest.mark.parametrize("spec", ["my_loss:f", "my_loss.py:", ":f", "", "triplet", "my_loss.txt:f"])
def test_what_is_no_file_and_name_is_refused(spec: str):
    assert refused(read_own, spec) == (
        f"{spec!r} names no loss: write the file and the loss in it, as in my_loss.py:MyLoss"
    )


@pytest.mark.parametrize(
    "spec", ["a.b.py:f", "pml.py:f", "my loss.py:f", "\N{LATIN SMALL LETTER AE}.py:f", "a.py:g.f", ".py:f"]
)
def test_names_that_cannot_stand_in_tables_are_refused(spec: str):
    message = refused(read_own, spec)
    assert "name the file with letters, digits, _ and - before the .py (but not pml)" in message or "no loss" in message


def test_files_that_cannot_be_read_are_refused(tmp_path: Path):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "latin.py").write_bytes(b"# caf\xe9\n")
    (tmp_path / "large.py").write_bytes(b"#" * (LARGEST_FILE + 1))
    long = "x" * 300
    expected = {
        "missing": "missing.py is not there: name the file of a loss",
        "folder": "folder.py is a folder: name the file of a loss",
        "latin": "latin.py is not UTF-8 at byte 5: save it as UTF-8",
        "large": "large.py is larger than 1048576 bytes: name a file that holds the loss alone",
        long: f"{long}.py cannot be read: File name too long",
    }
    for stem, message in expected.items():
        assert refused(read_own, f"{tmp_path}/{stem}.py:f") == f"{tmp_path}/{message}"


def test_a_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def denied(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path, README_EXAMPLE)
    monkeypatch.setattr(Path, "read_text", denied)
    assert refused(read_own, f"{path}:f") == f"{path} cannot be read: Permission denied"


@pytest.mark.parametrize("imports", ["import beside", "import beside.part as x", "def f():\n    from beside import g"])
@pytest.mark.parametrize("kind", ["file", "package", "folder"])
def test_a_neighbour_that_would_be_imported_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, imports: str, kind: str
):
    if kind == "file":
        written(tmp_path, "", "beside.py")
    else:
        (tmp_path / "beside").mkdir()
    if kind == "package":
        written(tmp_path / "beside", "", "__init__.py")
    monkeypatch.syspath_prepend(tmp_path)
    line = len(imports.splitlines())
    assert refused(read_own, f"{written(tmp_path, imports)}:f") == (
        f"loss 'my_loss:f': my_loss.py, line {line}: imports beside from the same folder; {ONE_FILE}"
    )


def test_what_lies_beside_the_file_and_is_not_what_python_finds_does_not_matter(tmp_path: Path):
    for name in ("json.py", "torch.py", "colorsys.py", "relbench.py"):
        written(tmp_path, "", name)
    read_own(f"{written(tmp_path, 'import json, torch, colorsys, not_there' + chr(10) + 'import relbench')}:f")


REFUSED_TEXTS = {
    "def f(student, teacher:\n    return 0": "line 1: SyntaxError: '(' was never closed",
    "x = 1\n  y = 2": "line 2: IndentationError: unexpected indent",
    "x = 1\nx / 0": "line 2: ZeroDivisionError: division by zero",
    "def g():\n    return {}[3]\ng()": "line 2: KeyError: 3",
    "raise ValueError('one\\ntwo')": "line 1: ValueError: one",
    "class E(Exception): ...\nraise E": "line 2: E",
    "raise SystemExit(3)": "line 1: SystemExit: 3",
    "import sys\nsys.exit('bye')": "line 2: SystemExit: bye",
    "def f(student, *, power: Power): ...": "line 1: NameError: name 'Power' is not defined",
    "import not_there": "line 1: ModuleNotFoundError: No module named 'not_there'; " + ONE_FILE,
    "\nfrom . import helper": "line 2: ImportError: attempted relative import with no known parent package; "
    + ONE_FILE,
    "raise ValueError('x' * 300)": "line 1: ValueError: " + "x" * 200,
}


@pytest.mark.parametrize(("source", "message"), REFUSED_TEXTS.items(), ids=REFUSED_TEXTS.values())
def test_a_text_that_does_not_run_is_refused_with_its_line(source: str, message: str):
    place = "loss 'my_loss:f': my_loss.py" + (", " if message.startswith("line") else ": ")
    assert refused(own_loss, "my_loss:f", source) == place + message


def test_an_interrupt_is_no_refusal():
    with pytest.raises(KeyboardInterrupt):
        own_loss("my_loss:f", "raise KeyboardInterrupt")


def test_a_text_that_is_no_python_is_refused_when_it_is_read(tmp_path: Path):
    message = refused(read_own, f"{written(tmp_path, 'def f(' + chr(10))}:f")
    assert message == "loss 'my_loss:f': my_loss.py, line 1: SyntaxError: '(' was never closed"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "my_loss.py has no 'MyLoss': there are none"),
        ("from torch.nn.functional import kl_div\ndef MyLos(student): ...", "did you mean MyLos?"),
        ("def one(student): ...\nclass Two: ...", "my_loss.py has no 'MyLoss': known are Two, one"),
        ("MyLoss = 3", "is an object of type int: name a function, or a class that is a torch.nn.Module"),
        ("class MyLoss:\n    def __call__(self, student): ...", "is a class of another kind: name a function"),
        ("import torch\nMyLoss = torch.nn.MSELoss()", "is an object of type MSELoss: name a function"),
    ],
)
def test_a_name_that_is_not_there_or_no_loss_is_refused(source: str, message: str):
    assert message in refused(own_loss, "my_loss:MyLoss", source)


PARAMETERS = {
    "x, y": "x, y",
    "*rows": "*rows",
    "student, teacher, *more": "student, teacher, *more",
    "student, teacher, temperature": "student, teacher, temperature",
    "student, temperature=1, labels=None": "student, temperature=1, labels=None",
    "student, embeddings": "student, embeddings",
    "teacher, labels": "teacher, labels",
    "": "",
    "detached_logits, labels": "detached_logits, labels",
    "teacher_logits, labels": "teacher_logits, labels",
    "student_map, teacher_map": "student_map, teacher_map",
    "student, centres": "student, centres",
    "student, teacher, *, power=2, **rest": None,
}


@pytest.mark.parametrize(("written_as", "shown"), PARAMETERS.items(), ids=str)
@pytest.mark.parametrize(
    "form", ["def f({}): ...", "import torch\nclass f(torch.nn.Module):\n    def forward(self, {}): ..."]
)
def test_parameters_that_are_no_inputs_are_refused(form: str, written_as: str, shown: str | None):
    source = form.format(written_as)
    if shown is None:
        assert own_loss("my_loss:f", source).takes == ("student", "teacher")
        return
    assert refused(own_loss, "my_loss:f", source) == (
        f"loss 'my_loss:f' is called with ({shown}): name its parameters (student, teacher), "
        "(student, teacher, labels), (embeddings, labels), (student_logits, teacher_logits) or, for few-shot, "
        "(support, query), and then generator, for random draws; options have a default or follow a *"
    )


def test_a_module_without_forward_and_one_whose_call_needs_an_option_are_refused():
    start = "import torch\nclass f(torch.nn.Module):\n"
    assert "is called with (*input: Any)" in refused(own_loss, "my_loss:f", f"{start}    pass")
    needs = f"{start}    def forward(self, student, *, power): ..."
    assert "is called with (student, power)" in refused(own_loss, "my_loss:f", needs)


def test_a_class_that_cannot_be_built_is_refused_with_its_line():
    source = "import torch\nclass f(torch.nn.Module):\n    def __init__(self, size=3):\n        self.x = [][size]\n"
    entry = own_loss("my_loss:f", source + "    def forward(self, student): ...\n")
    assert refused(entry.build) == "loss 'my_loss:f': my_loss.py, line 4: IndexError: list index out of range"


def test_a_name_from_elsewhere_is_checked_too():
    for name in ("f", "pml:f", "a.b:f", "a:b:c"):
        assert f"a loss cannot be called {name!r}" in refused(own_loss, name, "def f(student): ...")


@pytest.mark.parametrize(
    "source",
    [
        "def f(student, teacher):\n    return [][len(student)]\n",
        "import torch\nclass f(torch.nn.Module):\n    def forward(self, student, teacher): return [][len(student)]\n",
    ],
)
def test_what_a_guarded_loss_raises_in_training_is_one_line(source: str):
    entry = own_loss("my_loss:f", source)
    message = refused(guarded(entry, entry.build()), torch.ones(2, 3), torch.ones(2, 3))
    line = len(source.splitlines())
    assert message == f"loss 'my_loss:f' in training: my_loss.py, line {line}: IndexError: list index out of range"


def test_a_guarded_module_is_the_same_module():
    source = (
        "import torch\nclass f(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.scale = torch.nn.Parameter(torch.ones(()))\n"
        "    def forward(self, student): return (student * self.scale).sum()\n"
    )
    entry = own_loss("my_loss:f", source)
    module = entry.build()
    assert guarded(entry, module) is module
    module(torch.ones(2, 3)).backward()
    assert module.scale.grad == 6


GLOBALS = {
    "torch.set_default_dtype(torch.float64)": "the default dtype",
    "torch.backends.mkldnn.enabled = False": "the use of oneDNN",
    "torch.set_num_threads(2)": "the number of threads",
    "torch.set_grad_enabled(False)": "the gradient mode",
    "torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark": "cuDNN's benchmark",
}


@pytest.fixture
def torch_put_back():
    """As only the process of a worker ends with what a user's code has done to torch."""
    before = torch.get_default_dtype(), torch.get_num_threads(), torch.backends.cudnn.benchmark
    yield
    torch.set_default_dtype(before[0])
    torch.set_num_threads(before[1])
    torch.backends.cudnn.benchmark = before[2]
    torch.backends.mkldnn.enabled = True
    torch.set_grad_enabled(True)


def changing(line: str) -> str:
    return f"import torch\n{line}\ndef f(student, teacher): return student.sum()\n"


@pytest.mark.usefixtures("torch_put_back")
@pytest.mark.parametrize(("line", "what"), GLOBALS.items())
def test_what_torch_does_for_everything_else_is_left_alone(line: str, what: str):
    assert f"my_loss.py changes {what} of torch" in refused(own_loss, "my_loss:f", changing(line))


def test_a_command_is_not_touched_by_what_a_users_code_does_to_torch():
    """And the worker that has executed it is not asked again."""
    line = "torch.set_default_dtype(torch.float64); torch.set_num_threads(3); torch.set_grad_enabled(False)"
    before = (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())
    message = refused(find_loss, "my_loss:f", changing(line))
    assert "changes the default dtype and the number of threads and the gradient mode of torch" in message
    assert (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()) == before
    ours = "import torch\nassert torch.get_default_dtype() == torch.float32\n"
    assert find_loss("my_loss:f", ours + "def f(student, teacher): return student.sum()\n").needs_teacher


@pytest.mark.parametrize("option", ["weight", "layers", "loss", "source"])
def test_options_that_every_loss_has_in_another_sense(option: str):
    source = f"def f(student, teacher, *, {option}=1): return student.sum()\n"
    assert f"has an option {option!r}, which means something else" in refused(own_loss, "my_loss:f", source)


def test_an_option_of_a_type_that_no_plain_value_has():
    source = (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 0\n"
        "def f(student, teacher, *, p: P = P()): return student.sum()\n"
    )
    assert "option 'p' is 3, but must be P" in refused(own_loss("my_loss:f", source).check, {"p": 3})
