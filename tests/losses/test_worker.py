"""Users' losses in the process of a command: known by description, executed elsewhere, and never the end of it."""

import os
import signal
import sys
import threading
import time

import pytest
import torch

from relbench.experiment import Experiment, Net, Term, Training
from relbench.grid.estimate.disk import folder_size
from relbench.grid.estimate.image_counts import ImageCounts
from relbench.losses import find_loss, own_loss, try_loss, validate_term, worker
from relbench.losses.user import DescribedLoss
from relbench.losses.worker import execute, is_worker
from relbench.training.trial import try_terms, where_losses_may_be_built

RUN = {"student_dim": 6, "teacher_dim": 9, "batch_size": 12, "images_per_class": 4, "unit_length": True}
PROJECTED = """\
import torch

class f(torch.nn.Module):
    "A projection, and its distance."

    def __init__(self, embedding_size, teacher_size, power: float = 2.0, *, seed):
        super().__init__()
        self.linear = torch.nn.Linear(embedding_size, teacher_size)
        self.power = power

    def forward(self, student, teacher):
        return (self.linear(student) - teacher.detach()).abs().pow(self.power).mean()
"""


def refusal(source):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        find_loss("my_loss:f", source)
    return str(caught.value)


def test_a_command_knows_the_description_alone():
    described = find_loss("my_loss:f", PROJECTED)
    executed = own_loss("my_loss:f", PROJECTED)
    assert isinstance(described, DescribedLoss)
    assert not isinstance(executed, DescribedLoss)
    for fact in (
        "name",
        "summary",
        "source",
        "takes",
        "needs",
        "needs_teacher",
        "requires",
        "trains_student",
        "layers",
    ):
        assert getattr(described, fact) == getattr(executed, fact), fact
    assert described.options.keys() == executed.options.keys()
    for name, option in executed.options.items():
        assert (described.options[name].default is option.empty) == (option.default is option.empty), name
    assert find_loss("my_loss:f", PROJECTED) is described


def test_nothing_of_it_is_executed_here():
    source = f"import os\nassert os.getpid() != {os.getpid()}\ndef f(student): return student.sum()\n"
    described = find_loss("my_loss:f", source)
    try_loss(described, {}, **RUN, num_classes=20)
    with pytest.raises(RuntimeError, match="in worker processes only"):
        described.build(seed=0)
    assert not any(
        name.startswith("relbench_own_") and source in str(vars(sys.modules[name])) for name in [*sys.modules]
    )


@pytest.mark.usefixtures("in_a_worker")
def test_a_worker_executes_it_itself():
    assert is_worker()
    assert find_loss("my_loss:f", PROJECTED) is own_loss("my_loss:f", PROJECTED)
    assert execute("x", os.getpid) == os.getpid()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"power": "x"}, "option 'power' is 'x', but must be float"), ({"pwer": 1}, "did you mean power")],
)
def test_options_are_checked_where_their_types_are_known(options, message):
    validate_term("my_loss:f", {"power": 3.0}, PROJECTED)
    with pytest.raises(ValueError, match=message):
        validate_term("my_loss:f", options, PROJECTED)


def test_the_smoke_test_is_made_there():
    with pytest.raises(ValueError, match=r"\Aloss 'my_loss:f' fails the check 'scalar' on random embeddings: .+\Z"):
        try_loss(find_loss("my_loss:f", "def f(student): return student"), {}, **RUN, num_classes=20)


def a_run(source):
    training = Training(batch_size=8, images_per_class=2)
    return Experiment(net=Net(width=2, dim=4), training=training, terms=(Term(loss="my_loss:f", source=source),))


def test_the_trial_before_a_run_is_made_there():
    one = a_run("def f(embeddings, indices): return embeddings.sum() / (len(set(indices.tolist())) - 8)")
    with pytest.raises(ValueError, match="in worker processes only"):
        try_terms(one, 1, 9)
    assert where_losses_may_be_built(one, try_terms, one, 1, 9) is None
    bad = a_run("def f(student): return student @ student")
    with pytest.raises(ValueError, match=r"\Aterms my_loss:f: loss 'my_loss:f' in training: my_loss.py, line 1: .+\Z"):
        where_losses_may_be_built(bad, try_terms, bad, 1, 9)


def test_what_a_run_keeps_is_counted_with_the_losss_weights():
    counts = ImageCounts(classes=9, train=45, validation=0, test=10, test_classes=2, channels=1, text=40)
    head = "import torch\nclass f(torch.nn.Module):\n    def __init__(self, size=%d):\n        super().__init__()\n"
    body = "        self.weight = torch.nn.Parameter(torch.ones(size))\n    def forward(self, student): return 0\n"
    sizes = [folder_size(a_run(head % size + body), counts) for size in (1, 1001)]
    assert sizes[1] - sizes[0] == 3 * 4 * 1000  # the weight and Adam's moments


ENDS = {
    "import os\nos._exit(3)": "loss 'my_loss:f': its process ended (exit code 3), by its own code",
    "import ctypes\nctypes.string_at(0)": "loss 'my_loss:f': its process ended (SIGSEGV), by its own code",
    "raise KeyboardInterrupt('x')": "KeyboardInterrupt: x",
    "raise MemoryError": "my_loss.py, line 1: MemoryError",
    "import sys\nsys.stdout.write('x' * 10**7)\nprint('y', file=sys.stderr)\n1 / 0": "line 4: ZeroDivisionError",
    "def f(student): return 0\nf.__doc__ = 'x' * 10**7\nraise ValueError('y' * 10**7)": "ValueError: " + "y" * 200,
}


@pytest.mark.parametrize(("source", "words"), ENDS.items(), ids=ENDS.values())
def test_whatever_the_code_does_is_one_line(source, words, capfd):
    try:
        message = refusal(source)
    except MemoryError as error:
        message = str(error)
    assert words in message
    assert len(message) < 1000
    assert capfd.readouterr() == ("", "")


def test_prints_are_not_seen_and_long_words_are_cut(capfd):
    source = "import os\nprint('here')\nos.system('echo there')\ndef f(student): return 0\nf.__doc__ = 'x' * 10**7\n"
    assert find_loss("my_loss:f", source).summary == "x" * 200
    assert capfd.readouterr() == ("", "")


def test_an_answer_without_an_end():
    named = "exec('def f(student, ' + ', '.join(f'option_{n}=0' for n in range(200000)) + '): return 0')\n"
    assert refusal(named) == f"loss 'my_loss:f' answers with more than {2**20} bytes"


def test_code_that_never_returns(monkeypatch):
    monkeypatch.setattr(worker, "SECONDS", 3.0)
    begun = time.monotonic()
    assert "a check of it takes longer than 3 s: it may never end" in refusal("while True: pass")
    assert time.monotonic() - begun < 60
    monkeypatch.undo()
    assert find_loss("my_loss:f", "def f(student): return 1").takes == ("student",)  # a new worker


def test_one_worker_serves_all_checks_and_ctrl_c_ends_it():
    pid = execute("x", os.getpid)
    find_loss("my_loss:f", "def f(student): return 2")
    assert execute("x", os.getpid) == pid != os.getpid()
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        find_loss("my_loss:f", "while True: pass")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert execute("x", torch.get_num_threads) >= 1
