"""On a GPU: every loss, runs in every precision, resuming, other processes, lack of memory, the commands.

Where the numbers of a GPU are compared with those of the CPU, sums are taken in another order: float32 agrees to a few
units of rounding, TF32 and bfloat16 to their own 10 and 7 bits.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from planned import plan_runs
from tasks.signs import signs  # noqa: F401 - a fixture
from test_run import QUICKSTART, WITH_CLASSIFIER, Stop, ignore, switches
from tiny import TINY, tiny_folder
from told import Steps

from relbench.analysis.results import read_results
from relbench.benchmarks import agreement
from relbench.data import find_data_set
from relbench.data.datasets.glyphs import GLYPHS
from relbench.evaluation import nearest, retrieval_metrics
from relbench.experiment import Data, Experiment, FewShot, Net, Term, Training
from relbench.grid.jobs import Failure, Job, attempt
from relbench.losses import LOSSES
from relbench.memory import ADVICE
from relbench.models import build_embedder, embed
from relbench.resolve import resolve_device
from relbench.results.records import Row, read_record
from relbench.results.run_folder import RunFolder, load_trained
from relbench.run import run, run_cohort
from relbench.settings import changed
from relbench.studies.record import read_study
from relbench.tasks import Model
from relbench.tasks.retrieval import RetrievalTask
from relbench.training.computing import computing

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICE = "cuda"
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradients_are_those_of_the_cpu(name):
    assert agreement.departure(agreement.found(name, DEVICE), agreement.found(name, "cpu")) < agreement.TOLERANCE


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_under_autocast(name):
    """What computes in higher precision stays the same; the linear classifier's logits are bfloat16's."""
    mixed, plain = agreement.found(name, DEVICE, autocast=True), agreement.found(name, DEVICE)
    assert agreement.departure(mixed, plain) < agreement.AUTOCAST_TOLERANCE


def test_embedding():
    images = torch.randint(256, (64, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    network = build_embedder(Net(trunk="resnet18", dim=32), 3, 0)
    expected = embed(network, iter(images.split(25)), CPU)
    with computing(1, "32-true"):
        found = embed(network.to(DEVICE), iter(images.split(25)), torch.device(DEVICE))
        turned = embed(network.with_channels_last(), iter(images.split(25)), torch.device(DEVICE))
    assert found.shape == (64, 32)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(turned, expected, atol=1e-5)


@pytest.mark.parametrize("precision", ["32-true", "tf32", "bf16-mixed"])
@pytest.mark.parametrize("decimals", [None, 1])  # rounded: many distances are equal, and the index decides
def test_evaluation_is_exact_whatever_the_switches(precision, decimals):
    """With more images than are multiplied at once, far from the origin, where float32 alone would err."""
    generator = np.random.default_rng(0)
    rows = (generator.standard_normal((3000, 24)) + 30).astype(np.float32)
    rows = rows if decimals is None else rows.round(decimals)
    labels = generator.integers(300, size=3000)
    expected = retrieval_metrics(torch.from_numpy(rows), labels, (1, 10), backend="faiss")
    with computing(1, precision), torch.autocast(DEVICE, torch.bfloat16):
        neighbours = nearest(torch.from_numpy(rows).to(DEVICE), 20, chunk=700)
        assert retrieval_metrics(torch.from_numpy(rows).to(DEVICE), labels, (1, 10)) == expected
        assert retrieval_metrics(rows, labels, (1, 10)) == expected
    assert np.array_equal(neighbours, nearest(torch.from_numpy(rows), 20))


SETTINGS = {
    "32-true": {"precision": "32-true"},
    "tf32": {"precision": "tf32"},
    "bf16-mixed": {"precision": "bf16-mixed"},
    "32-true, channels last": {"channels_last": True},
    "bf16-mixed, channels last": {"precision": "bf16-mixed", "channels_last": True},
}
NEAR = {"32-true": 1e-4, "tf32": 0.01, "bf16-mixed": 0.05}  # the first step's loss to the CPU's
RUNS = ("teacher", "rkd-da", "probed, teacher", "weights", "staged, first stage", "staged")


def planned(device, **training):
    """The runs by label: a student by RKD, one by losses with weights, one in two stages, and their teachers."""
    values = {f"{arm}.{key}": value for arm in ("teacher", "student") for key, value in training.items()}
    more = {"teacher.selection": "validation"}
    plain = plan_runs(QUICKSTART, (0,), device, TINY | values | more)
    probed = plan_runs(WITH_CLASSIFIER, (0,), device, TINY | values | {"student.steps": 18})
    cells = {cell.label: cell.experiment for cell in plain}
    cells |= {cell.label.replace("teacher", "probed, teacher"): cell.experiment for cell in probed}
    return {label: cells[label] for label in RUNS}


@pytest.fixture(scope="module", params=SETTINGS)
def made(request, tmp_path_factory, data_folder):
    """Experiments and rows, by label; and the folder of the runs."""
    before = switches()
    runs, cells = tmp_path_factory.mktemp("runs"), planned(DEVICE, **SETTINGS[request.param])
    rows = {label: run(experiment, runs, data_folder, ignore) for label, experiment in cells.items()}
    assert switches() == before
    return cells, rows, runs


@pytest.fixture(scope="module")
def on_the_cpu(tmp_path_factory, data_folder):
    runs = tmp_path_factory.mktemp("on_the_cpu")
    return {label: run(one, runs, data_folder, ignore) for label, one in planned("cpu").items()}


def test_rows(made):
    for label, row in made[1].items():
        assert row.machine.device == torch.cuda.get_device_name()
        assert [entry["step"] for entry in row.history][-1] == made[0][label].training.steps
        assert all(np.isfinite(value) for entry in row.history for value in entry.values())
        assert row.metrics["recall@1"] >= 1 / 12
        assert 10**5 < row.peak_memory < 10**10


def test_the_first_step_is_the_cpus(made, on_the_cpu):
    """Of teachers, whose networks begin alike."""
    cells, rows, _ = made
    for label in ("teacher", "probed, teacher"):
        expected = without_recall(on_the_cpu[label].history[0])
        assert without_recall(rows[label].history[0]) == pytest.approx(
            expected, rel=NEAR[cells[label].training.precision]
        )


def test_a_checkpoint_is_read_and_measured_on_the_cpu(made, data_folder):
    cells, rows, runs = made
    data_set = find_data_set("glyphs", data_folder)
    for label in ("teacher", "rkd-da", "staged"):
        source = data_set.load(cells[label].data, data_folder, iter)
        trained = load_trained(cells[label], runs, source.shape.channels, "run")
        assert {value.device.type for value in trained.network.state_dict().values()} == {"cpu"}
        kept = RunFolder(runs, cells[label]).stored()
        found = RetrievalTask(GLYPHS.ks).evaluate(Model(trained.network, CPU), source, "test")
        near = 1e-4 if cells[label].training.precision == "32-true" else 1e-2
        np.testing.assert_allclose(found.embeddings, kept.embeddings, atol=near)
        assert found.metrics["recall@1"] == pytest.approx(rows[label].metrics["recall@1"], abs=0.03)
        assert retrieval_metrics(torch.from_numpy(kept.embeddings), kept.labels, GLYPHS.ks) == rows[label].metrics


@pytest.mark.usefixtures("signs")
@pytest.mark.parametrize("batch_norm", ["together", "apart"])
def test_the_first_episode_is_the_cpus(tmp_path, batch_norm):
    """Of a student whose embedding is its last map, taught by the same network."""

    def made(device):
        teacher = Experiment(
            task=FewShot(way=(3,), shot=2, queries=4, episodes=10, validation_episodes=5, batch_norm=batch_norm),
            data=Data(name="signs", size=28, content="signs"),
            net=Net(trunk="conv4-maxpool", width=4, dim=None, unit_length=False),
            terms=(Term(loss="prototypical"),),
            training=Training(steps=1, batch_size=25, images_per_class=5, validate_every=1, device=device),
        )
        terms = (*teacher.terms, Term(loss="rkd_distance", weight=0.5), Term(loss="rkd_angle", weight=0.5))
        student = changed(teacher, {"terms": terms, "teacher": teacher, "seed": 1})
        return [run(each, tmp_path / device, tmp_path, ignore) for each in (teacher, student)]

    for own, expected in zip(made(DEVICE), made("cpu"), strict=True):
        assert own.counts.groups == expected.counts.groups
        losses = {name: value for name, value in expected.history[0].items() if "shot" not in name}
        assert {name: own.history[0][name] for name in losses} == pytest.approx(losses, rel=NEAR["32-true"])


@pytest.fixture
def fixed_order(monkeypatch):
    """Sums are taken in a fixed order, which torch does on a GPU only when it is told to."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(mode=True)
    yield
    torch.use_deterministic_algorithms(mode=False)


def three_times(label, folder, data_folder):
    """Rows and folders of the same run, from its teacher on: twice at a stretch, once stopped between checkpoints."""
    experiment = planned(DEVICE)[label]
    first, second, stopped = places = [folder / name for name in ("first", "second", "stopped")]
    for place in places:
        make_foundations(experiment, place, data_folder)

    def stop(step):
        if step == 5:
            raise Stop

    with pytest.raises(Stop):
        run(experiment, stopped, data_folder, Steps(stop))
    steps = {place: [] for place in places}
    rows = [run(experiment, place, data_folder, Steps(steps[place].append)) for place in places]
    assert [steps[place][0] for place in (first, second, stopped)] == [0, 0, 3]
    return rows, [RunFolder(place, experiment) for place in places]


LABELS = ["rkd-da", "weights", "staged"]


@pytest.mark.usefixtures("fixed_order")
@pytest.mark.parametrize("label", LABELS)
def test_the_same_seed_and_an_interruption_change_no_bit_in_a_fixed_order(tmp_path, data_folder, label):
    (row, *others), (folder, *folders) = three_times(label, tmp_path, data_folder)
    same = ("metrics", "history", "counts", "validation", "selected_step", "weights_hash", "embeddings_hash")
    for other in others:
        assert {name: getattr(other, name) for name in same} == {name: getattr(row, name) for name in same}
    for other in folders:
        assert other.stored().hash == folder.stored().hash


@pytest.mark.parametrize("label", LABELS)
def test_the_same_seed_and_an_interruption_change_rounding_alone(tmp_path, data_folder, label):
    """Of the first steps: from then on the differences grow, with some losses beyond a percent."""
    (row, *others), _ = three_times(label, tmp_path, data_folder)
    for other in others:
        assert without_recall(other.history[0]) == pytest.approx(without_recall(row.history[0]), rel=0.01)


def without_recall(entry):
    return {name: value for name, value in entry.items() if name != "recall@1"}


def make_foundations(experiment, runs, data_folder):
    """What a run builds on, in a folder of its own."""
    for one in experiment.dependencies.values():
        make_foundations(one, runs, data_folder)
        if not RunFolder(runs, one).row.exists():
            run(one, runs, data_folder, ignore)


def test_a_student_on_the_cpu_of_a_teacher_on_the_gpu(made, data_folder):
    """And the other way round: a checkpoint belongs to no device."""
    cells, _, runs = made
    experiment = changed(cells["rkd-da"], {"training": changed(cells["rkd-da"].training, {"device": "cpu"})})
    row = run(experiment, runs, data_folder, ignore)
    assert row.machine.device != torch.cuda.get_device_name()
    teacher = changed(cells["teacher"], {"training": changed(cells["teacher"].training, {"device": "cpu"})})
    run(teacher, runs, data_folder, ignore)
    row = run(changed(cells["rkd-da"], {"teacher": teacher}), runs, data_folder, ignore)
    assert row.machine.device == torch.cuda.get_device_name()


LEFT_ALONE = """
import sys
from pathlib import Path

import torch
from test_run import planned, QUICKSTART, ignore
from relbench.run import run

runs, data = map(Path, sys.argv[1:])
cells = planned(QUICKSTART)
for label in ("teacher", "rkd-da"):
    run(cells[label], runs, data, ignore)
print("used" if torch.cuda.max_memory_reserved() else "left alone")
"""


def test_runs_on_the_cpu_leave_the_gpu_alone(tmp_path, data_folder):
    """They compute nothing there, and ask for no memory of it."""
    done = subprocess.run(
        [sys.executable, "-c", LEFT_ALONE, tmp_path, data_folder],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "left alone\n"


def test_lack_of_memory_is_one_line_with_advice_and_ends_with_the_run(tmp_path, data_folder):
    experiment = planned(DEVICE)["teacher"]
    job = Job(run_cohort, (experiment,), tmp_path / "runs", data_folder)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        (end,) = attempt(job).values()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert isinstance(end, Failure)
    assert end.words.startswith("out of memory (")
    assert "CUDA out of memory" in end.words
    assert ADVICE in end.words
    assert "\n" not in end.words
    (end,) = attempt(job).values()
    assert isinstance(end, Row)


@pytest.fixture
def reproduce(call, tmp_path, data_folder):
    """Call the command, in this process."""

    def reproduce(study, *options):
        place = ("--results", tmp_path / "results", "--data", data_folder)
        return call("reproduce", study, "--seeds", "0", *place, *options)

    return reproduce


TINY_OPTIONS = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_where_auto_is_the_gpu(reproduce, tmp_path, jobs):
    """In this process, and in two that share the GPU."""
    assert resolve_device("auto") == DEVICE
    done = reproduce("quickstart", *TINY_OPTIONS, "--device", "auto", "--jobs", jobs)
    assert (done.code, done.error) == (0, "")
    folder = tiny_folder(tmp_path / "results")
    rows = [read_record(Row, path) for path in folder.glob("runs/*/row.json")]
    assert len(rows) == 6
    assert {row.machine.device for row in rows} == {torch.cuda.get_device_name()}
    assert torch.cuda.get_device_name() in (folder / "report.html").read_text(encoding="utf-8")


def test_a_loss_of_ones_own(call, tmp_path, data_folder):
    (tmp_path / "my_loss.py").write_text(
        "def pull(student, teacher):\n    return (student.norm(dim=1) - teacher.detach().norm(dim=1)).square().mean()\n"
    )
    place = ("--results", tmp_path / "results", "--data", data_folder, "--device", DEVICE)
    done = call("compare", f"{tmp_path}/my_loss.py:pull", "--seeds", "0", *place, *TINY_OPTIONS, "--jobs", 1)
    assert (done.code, done.error) == (0, "")
    (folder,) = (tmp_path / "results").glob("quickstart+pull-*")
    row = read_results(read_study(folder), folder).rows["pull", 0]
    assert row.machine.device == torch.cuda.get_device_name()


def test_a_table_at_toy_scale_and_its_estimate(reproduce, tmp_path):
    options = ("--scale", "toy", "--device", DEVICE)
    planned = reproduce("glyphs-table1", *options, "--estimate", "--set", "training.precision=bf16-mixed")
    assert planned.code == 0
    assert "time: about " in planned.out
    assert "judging by steps on whole batches" in planned.out
    assert not (tmp_path / "results").exists()
    assert reproduce("glyphs-table1", *options, "--jobs", 2).code == 0
    (folder,) = (tmp_path / "results").iterdir()
    rows = [read_record(Row, path) for path in folder.glob("runs/*/row.json")]
    assert {row.machine.device for row in rows} == {torch.cuda.get_device_name()}
    assert (folder / "report.html").exists()
