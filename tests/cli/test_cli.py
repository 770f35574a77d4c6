"""The command: what it prints, and the exit codes that scripts rely on."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, tiny_folder
from typer.testing import CliRunner

import relbench.cli.console
import relbench.cli.make_study
from relbench.analysis.results import read_results
from relbench.cli.main import app
from relbench.evaluation import retrieval_metrics
from relbench.execution import Execution
from relbench.grid.scheduler import locked
from relbench.results.records import Row, read_record
from relbench.studies.record import FILE as RECORD
from relbench.studies.record import read_study
from relbench.studies.setting_list import settings_of
from relbench.training import Objective


@pytest.fixture
def relbench_command(monkeypatch):
    """Call the command; returns exit code, standard output, standard error."""

    def call(*arguments):
        for console in (relbench.cli.console.out, relbench.cli.console.errors):
            monkeypatch.setattr(console, "width", 200)
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="relbench")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return call


def refused(result, *parts):
    """Exit code 2, nothing but one line, with all the parts in it."""
    code, _, error = result
    assert code == 2
    assert error.startswith("relbench: ")
    assert error.count("\n") == 1
    for part in parts:
        assert part in error


def test_help_names_the_verbs(relbench_command):
    code, text, _ = relbench_command("--help")
    assert code == 0
    for verb in ("reproduce", "compare", "evaluate", "list", "report", "bench", "--install-completion"):
        assert verb in text


def test_list(relbench_command):
    code, text, _ = relbench_command("list")
    assert code == 0
    for name in (
        "glyphs",
        "glyphs-textured",
        "triplet",
        "rkd_distance",
        "rkd_angle",
        "conv4",
        "resnet18",
        "resnet50",
        "googlenet",
        "quickstart",
    ):
        assert re.search(rf"{name}\s+\w+", text), name


def test_dry_run_writes_nothing(relbench_command, tmp_path):
    options = ("--results", tmp_path / "results", "--device", "cuda")  # a GPU that need not be there
    code, text, _ = relbench_command("reproduce", "quickstart", "--dry-run", *options)
    assert code == 0
    assert re.search(r"students +35 +1,200 +0 +0", text)
    assert re.search(
        r"42 runs to make, in 14 cohorts of 2 to 4 that are trained together, 1 at once; disk: .* MB\n", text
    )
    assert re.search(r"\nmemory: about .* [MG]B.*\ntime: not known yet; --estimate measures it", text)
    assert text.count("\n") < 10
    code, text, _ = relbench_command("reproduce", "quickstart", "--runs", *options)
    assert code == 0
    assert text.count("to do") == 42
    code, text, _ = relbench_command("reproduce", "quickstart", "--runs", "--seeds", "0,1", *options)
    assert code == 0
    assert text.count("to do") == 12
    code, text, _ = relbench_command("reproduce", "quickstart", "--dry-run", "--cohort", "1", *options)
    assert code == 0
    assert re.search(r"42 runs to make, 1 at once; disk: .* MB\nmemory: about ", text)
    assert not (tmp_path / "results").exists()


def test_settings_of_a_study(relbench_command):
    code, text, _ = relbench_command("settings", "quickstart")
    assert code == 0
    assert re.search(r"teacher\.dim +128 +Dimensions of the embedding.*\n *student\.dim +32", text)
    refused(relbench_command("settings", "quickstrat"), "unknown study 'quickstrat': did you mean quickstart?")


@pytest.mark.parametrize(("study", "width"), [("quickstart", 48), ("glyphs-methods", 80)])
def test_a_narrow_terminal_cuts_no_setting_short(monkeypatch, study, width):
    monkeypatch.setattr(relbench.cli.console.out, "width", width)
    text = CliRunner().invoke(app, ["settings", study]).stdout
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    keys = [key for setting in settings_of(study) for key in setting.values]
    assert {line.split()[0] for line in text.splitlines() if line.strip()} >= set(keys)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["quickstrat"], ["unknown study 'quickstrat'", "did you mean quickstart"]),
        (["quickstart", "--set", "data.name=glyhps"], ["unknown data set 'glyhps'", "did you mean glyphs"]),
        (["quickstart", "--set", "student.trunk=resnet19"], ["unknown trunk 'resnet19'", "resnet18"]),
        (["quickstart", "--set", "student.dmi=3"], ["unknown setting 'student.dmi'", "student.dim"]),
        (
            ["quickstart", "--set", "training.lr=0.1"],
            ["did you mean training.learning_rate?", "`relbench settings quickstart` lists"],
        ),
        (["quickstart", "--set", "student.dim=many"], ["student.dim", "'many'", "integer"]),
        (["quickstart", "--set", "student.dim=0"], ["student.dim", "greater than or equal to 1"]),
        (["quickstart", "--set", "student.steps=1.5"], ["student.steps"]),
        (["quickstart", "--set", "student.learning_rate=NaN"], ["student.learning_rate"]),
        (["quickstart", "--set", "student.dim"], ["KEY=VALUE"]),
        (["quickstart", "--set", "student.dim=3", "--set", "student.dim=4"], ["student.dim is given twice"]),
        (["quickstart", "--set", f"student.dim={'[' * 9999}"], ["student.dim", "integer"]),
        (["quickstart", "--set", f"student.dim={'9' * 9999}"], ["student.dim", "integer"]),
        (["quickstart", "--set", "student.width=3000000"], ["student.width", "1024"]),
        (["quickstart", "--set", "terms.triplet.loss=tripled"], ["unknown loss 'tripled'", "did you mean triplet"]),
        (["quickstart", "--set", "terms.triplet.magrin=0.1"], ["'triplet'", "'magrin'", "margin"]),
        (
            ["quickstart", "--set", "terms.rkd_angle.loss=fitnet", "--set", 'terms.rkd_angle.layers=["stage9"]'],
            ["'stage9'"],
        ),
        (
            ["quickstart", "--set", 'terms.rkd_angle.layers=["stage4"]'],
            ["rkd_angle", "compares embeddings, not layers"],
        ),
        (
            [
                "quickstart",
                "--set",
                "terms.rkd_angle.loss=attention_transfer",
                "--set",
                'terms.rkd_angle.layers=["embedding"]',
            ],
            ["attention_transfer: student must be a floating map"],
        ),
        (["quickstart", "--set", "terms.triplet.loss=pkt"], ["teacher: the loss pkt compares with a teacher, but"]),
        (
            ["quickstart", "--set", "terms.rkd_angle.loss=hinton_kd", "--set", "terms.rkd_angle.temperature=4"],
            ["hinton_kd compares with the output of the teacher's classifier", "add the loss probe"],
        ),
        (["quickstart", "--seeds", "0,x"], ["--seeds", "whole numbers"]),
        (["quickstart", "--seeds", "0,0"], ["each once"]),
        (["quickstart", "--seeds", "-1"], ["seed"]),
        (["quickstart", "--device", "tpu"], ["unknown device 'tpu'"]),
        (["quickstart", "--device", "gpu"], ["unknown device 'gpu': did you mean cuda?"]),
        (["quickstart", "--set", "data.train_classes=9999"], ["data.train_classes = 9999", "858"]),
        (["quickstart", "--set", "data.train_classes=10"], ["26 classes", "there are 10"]),
        (["quickstart", "--set", "data.test_classes=2"], ["K = 32", "23"]),
    ],
)
def test_impossible_requests(relbench_command, tmp_path, data_folder, arguments, parts):
    refused(relbench_command("reproduce", *arguments, "--results", tmp_path, "--data", data_folder), *parts)
    assert not list(tmp_path.rglob("checkpoint.pt"))


@pytest.mark.parametrize(
    "settings",
    [
        ["data.train_classes=9999"],
        ["data.train_classes=10"],
        ["data.test_classes=2"],
        ["data.resize=64"],
        ["terms.rkd_angle.loss=attention_transfer", 'terms.rkd_angle.layers=["embedding"]'],
    ],
    ids=str,
)
def test_a_plan_refuses_what_the_runs_refuse(relbench_command, tmp_path, data_folder, settings):
    options = [part for setting in settings for part in ("--set", setting)]
    where = ("--results", tmp_path, "--data", data_folder)
    made = relbench_command("reproduce", "quickstart", *options, *where)
    refused(made)
    assert relbench_command("reproduce", "quickstart", *options, *where, "--dry-run") == made


def test_results_folder_that_can_not_be_written(relbench_command, tmp_path):
    (tmp_path / "file").write_text("")
    refused(relbench_command("reproduce", "quickstart", "--results", tmp_path / "file"), "can't be written", "file")


def tiny_options(tmp_path, data_folder, *more):
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    return ["reproduce", "quickstart", "--results", tmp_path, "--data", data_folder, "--jobs", "1", *settings, *more]


FILES = {
    "table.md",
    "forest.png",
    "forest.svg",
    "table.csv",
    "pairs.csv",
    "table.tex",
    "recall_at_k.png",
    "recall_at_k.svg",
    "recall_at_1.png",
    "training.png",
    "rows.csv",
    "report.html",
}


def test_reproduce_again_and_report(relbench_command, tmp_path, data_folder):
    code, text, _ = relbench_command(*tiny_options(tmp_path, data_folder, "--seeds", "0,1"))
    assert code == 0
    folder = tiny_folder(tmp_path)
    assert {path.name for path in folder.iterdir()} >= FILES
    assert "rkd-da" in text
    rows = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/row.json")}
    assert len(rows) == 12
    before = (folder / "table.md").read_bytes()

    fewer_seeds(relbench_command, tiny_options(tmp_path, data_folder, "--seeds", "1"))
    assert (folder / "table.md").read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in rows} == rows

    row = json.loads(next(iter(rows)).read_text(encoding="utf-8"))
    _, text, _ = relbench_command("evaluate", next(iter(rows)).with_name("embeddings.npz"), "--k", "1,2", "--json")
    expected = {name: row["metrics"][name] for name in ("recall@1", "recall@2", "r_precision", "map@r")}
    assert json.loads(text) == {**expected, "queries": 144, "gallery": 144, "classes": 12}

    lost = lose_embeddings(relbench_command, folder, data_folder)
    (folder / "table.md").unlink()
    assert f"{lost} of teacher is not there" in relbench_command("report", folder, "--data", data_folder)[1]
    assert (folder / "table.md").read_bytes() == before
    assert f"{lost} of teacher is not there" in (folder / "report.html").read_text()

    record = (folder / RECORD).read_bytes()
    options = tiny_options(tmp_path, data_folder, "--seeds", "0,1", "--set", "student.batch_size=10000")
    refused(relbench_command(*options), "2000 classes")
    assert (folder / RECORD).read_bytes() == record

    damage_and_mend(relbench_command, folder, tiny_options(tmp_path, data_folder, "--seeds", "0,1"), before)


def fewer_seeds(relbench_command, options):
    """What is finished of other seeds stays in the report, and is named."""
    code, text, _ = relbench_command(*options)
    assert code == 0
    assert "6 of 6 runs are finished already" in text
    assert "runs of seed 0 were finished before with the same settings, and stay in the report" in text


PARTS = ("Queries that the student fixes and breaks", "Distances of pairs")


def lose_embeddings(relbench_command, folder, data_folder):
    """Test images are on the page; embeddings that are damaged or another run's are refused; returns what went lost."""
    page = (folder / "report.html").read_bytes()
    assert all(f"<h2>{part}</h2>" in page.decode() for part in PARTS)
    runs = read_results(read_study(folder), folder).rows
    teacher, student = (
        folder / "runs" / runs[path, 0].fingerprint / "embeddings.npz" for path in ("teacher", "triplet")
    )
    for content in (teacher.read_bytes()[:-100], student.read_bytes()):
        teacher.write_bytes(content)
        refused(relbench_command("report", folder, "--data", data_folder), str(teacher), "delete it")
        assert (folder / "report.html").read_bytes() == page
    teacher.unlink()
    return str(teacher.relative_to(folder))


def damage_and_mend(relbench_command, folder, options, table):
    """A truncated row is refused by name, nothing else is touched, and without it the study goes on."""
    runs = read_results(read_study(folder), folder).rows  # of these two no other study here has a copy
    row, other = (folder / "runs" / runs[path, 0].fingerprint / "row.json" for path in ("triplet", "rkd-d"))
    content = row.read_bytes()
    row.write_bytes(content[: len(content) // 2])
    refused(relbench_command(*options), str(row), "delete it")
    refused(relbench_command("report", folder), str(row), "delete it")
    assert (folder / "table.md").read_bytes() == table
    row.write_bytes(other.read_bytes())
    refused(relbench_command(*options), str(row), "another experiment")
    row.unlink()
    damage_checkpoints(relbench_command, folder, options, row)
    assert relbench_command(*options)[0] == 0
    assert strip_time(json.loads(row.read_bytes())) == strip_time(json.loads(content))


def a_student_and_its_teacher(folder):
    """Path of the row of a student with a network of its own, fingerprint of its teacher."""
    rows = {path: read_record(Row, path) for path in folder.glob("runs/*/row.json")}
    taught = {path: row.experiment for path, row in rows.items() if row.experiment.teacher}
    return next((path, run.teacher.fingerprint) for path, run in taught.items() if run.net != run.teacher.net)


def damage_checkpoints(relbench_command, folder, options, row):
    """What a run would stumble over is refused before any work; the advice is enough to mend it."""
    own = row.with_name("checkpoint.pt")
    content = own.read_bytes()
    own.write_bytes(content[: len(content) // 2])
    refused(relbench_command(*options), str(own), "delete it, and the run starts again")
    own.unlink()
    student, teacher = a_student_and_its_teacher(folder)
    student.unlink()
    checkpoint = folder / "runs" / teacher / "checkpoint.pt"
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(student.with_name("checkpoint.pt").read_bytes())
    refused(
        relbench_command(*options), str(checkpoint), "another experiment", f"delete {checkpoint.with_name('row.json')}"
    )
    checkpoint.unlink()
    refused(relbench_command(*options), str(checkpoint), "is missing", f"delete {checkpoint.with_name('row.json')}")
    checkpoint.write_bytes(content)


TIMES = ("train_seconds", "evaluate_seconds", "peak_memory", "finished", "machine", "hash")


def strip_time(row):
    """A row without what may differ between two equal runs."""
    return {name: value for name, value in row.items() if name not in TIMES}


README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def readmes_loss():
    """The example of a loss of one's own, as it stands in the README."""
    section = README.partition("## Your own loss")[2]
    return section.partition("```python\n")[2].partition("```")[0]


def test_compare_with_the_readmes_loss(relbench_command, tmp_path, data_folder):
    path, loss = tmp_path / "my_loss.py", readmes_loss()
    assert len([line for line in loss.splitlines() if line]) <= 5
    path.write_text(loss)
    reproduce, _, *rest = tiny_options(tmp_path, data_folder, "--seeds", "0")
    assert relbench_command(reproduce, "quickstart", *rest)[0] == 0
    option = ("--set", "terms.my_loss:soft_neighbours.temperature=0.2")
    code, text, _ = relbench_command("compare", f"{path}:soft_neighbours", *rest, *option)
    assert code == 0
    assert "6 finished runs are taken over from" in text
    assert "6 of 7 runs are finished already" in text
    assert "Methods against each other" in text

    (folder,) = tmp_path.glob("quickstart+soft_neighbours-*")
    row = read_results(read_study(folder), folder).rows["soft_neighbours", 0]
    assert [(term.loss, term.source) for term in row.experiment.terms[1:]] == [("my_loss:soft_neighbours", loss)]
    assert row.experiment.terms[1].options == {"temperature": 0.2}
    assert "def soft_neighbours(student, teacher" in (folder / "report.html").read_text()

    path.write_text(loss.replace("-99", "-98"))  # another source is another run
    _, text, _ = relbench_command("compare", f"{path}:soft_neighbours", *rest, *option, "--runs")
    assert f"{folder} holds results of other settings, device, data or losses, and is left alone" in text
    (line,) = [line for line in text.splitlines() if "soft_neighbours" in line and "quickstart+" not in line]
    assert "to do" in line
    path.unlink()  # what is kept needs the file no more, and is not run for a report
    with locked(folder):  # as while runs go on
        assert relbench_command("report", folder, "--data", data_folder)[0] == 0


@pytest.mark.parametrize(
    ("text", "spec", "parts"),
    [
        ("x = (", "my_loss.py:f", ["my_loss.py"]),
        ("raise RuntimeError('no')", "my_loss.py:f", ["my_loss.py", "RuntimeError", "no"]),
        ("def g(student, teacher): return student.sum()", "my_loss.py:f", ["'f'"]),
        ("def f(student, teacher): return student", "my_loss.py:f", ["scalar"]),
        ("def f(student, teacher): return student.sum() / 0 * 0", "my_loss.py:f", ["finite"]),
        ("def f(student, teacher): return student.detach().sum()", "my_loss.py:f", ["gradient"]),
        ("", "elsewhere.py:f", ["elsewhere.py"]),
        ("", "pkd", ["unknown loss 'pkd': did you mean pkt"]),
    ],
)
def test_compare_refuses_what_is_no_loss(relbench_command, tmp_path, data_folder, text, spec, parts):
    (tmp_path / "my_loss.py").write_text(text)
    place = f"{tmp_path}/{spec}" if ".py" in spec else spec
    arguments = ("compare", place, "--results", tmp_path / "results", "--data", data_folder)
    refused(relbench_command(*arguments), *parts)
    assert not (tmp_path / "results").exists()


def test_report_of_a_folder_without_results(relbench_command, tmp_path):
    refused(relbench_command("report", tmp_path), str(tmp_path), "holds no results")


def test_a_failed_teacher_gives_exit_code_1(relbench_command, tmp_path, data_folder):
    options = tiny_options(tmp_path, data_folder, "--seeds", "0", "--set", "teacher.learning_rate=1e30")
    code, text, _ = relbench_command(*options)
    assert code == 1
    assert "failed: step 2: " in text


def test_a_failed_run_gives_exit_code_1_and_a_table_of_the_rest(relbench_command, tmp_path, data_folder, monkeypatch):
    """Out of memory is the commonest failure on a GPU: the others go on, and the traceback is in the run's folder."""
    total = Objective.total

    def short(self, values):
        if "rkd_angle" in values:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return total(self, values)

    monkeypatch.setattr(Objective, "total", short)
    code, text, _ = relbench_command(*tiny_options(tmp_path, data_folder, "--seeds", "0", "--jobs", "1"))
    assert code == 1
    failed = [line for line in text.replace("\n ", " ").splitlines() if ": failed: " in line]
    assert failed
    assert all(part in text for part in ("out of memory (OutOfMemoryError", "fewer --jobs", "error.txt"))
    errors, rows = (list(tiny_folder(tmp_path).glob(f"runs/*/{name}")) for name in ("error.txt", "row.json"))
    assert len(errors) == len(failed)
    assert len(rows) + len(errors) == len(list(tiny_folder(tmp_path).glob("runs/*")))
    assert "in short\n" in errors[0].read_text()
    assert "Not finished, and left out" in (tiny_folder(tmp_path) / "table.md").read_text()


def test_memory_that_a_command_lacks_is_one_line(relbench_command, monkeypatch):
    def short(*_):
        raise MemoryError("Unable to allocate 7.3 TiB for an array")

    monkeypatch.setattr("relbench.benchmarks.tables.measured", short)
    code, _, error = relbench_command("bench", "all")
    assert code == 1
    assert error.startswith("relbench: out of memory (Unable to allocate 7.3 TiB for an array): a smaller batch_size")


def test_an_absurd_number_of_jobs_is_refused(relbench_command):
    code, _, error = relbench_command("reproduce", "quickstart", "--jobs", "3000000000")
    assert code == 2
    assert "less than or equal to 256" in error


@pytest.mark.parametrize(("given", "why"), [("0", "greater than or equal to 1"), ("all", "valid integer")])
@pytest.mark.parametrize("command", [["reproduce", "quickstart"], ["compare", "pkt"]])
def test_a_cohort_of_no_runs_is_refused(relbench_command, command, given, why):
    code, _, error = relbench_command(*command, "--cohort", given)
    assert code == 2
    assert "--cohort" in error
    assert why in error


@pytest.fixture
def arrays(tmp_path):
    generator = np.random.default_rng(0)
    np.save(tmp_path / "e.npy", generator.normal(size=(40, 5)).astype(np.float32))
    np.save(tmp_path / "l.npy", generator.integers(0, 8, 40))
    return tmp_path / "e.npy", tmp_path / "l.npy"


def test_evaluate(relbench_command, arrays):
    code, text, _ = relbench_command("evaluate", *arrays, "--k", "1,3", "--json")
    assert code == 0
    expected = retrieval_metrics(np.load(arrays[0]), np.load(arrays[1]), (1, 3))
    assert json.loads(text) == {**expected, "queries": 40, "gallery": 40, "classes": 8}
    code, text, _ = relbench_command("evaluate", *arrays)
    assert f"{100 * retrieval_metrics(np.load(arrays[0]), np.load(arrays[1]))['recall@4']:.2f}" in text


@pytest.mark.parametrize(
    ("embeddings", "labels", "k", "parts"),
    [
        (np.full((4, 2), np.nan), [0, 0, 1, 1], "1", ["row 0"]),
        (np.ones((1, 2)), [0], "1", ["two"]),
        (np.ones(4), [0, 0, 1, 1], "1", ["shape"]),
        (np.ones((4, 2)), [0, 0, 1], "1", ["labels", "4"]),
        (np.ones((4, 2)), [0, 0, 1, 1], "4", ["K = 4", "3"]),
        (np.ones((4, 2)), [0, 0, 1, 1], "0", ["K = 0"]),
        (np.ones((4, 2)), [0, 0, 1, 1], "a", ["--k"]),
        (np.ones((4, 2)), [0, 1, 2, 3], "1", ["no query"]),
        (np.ones((4, 2)), [0.5, 1, 2, 3], "1", ["labels"]),
        (np.ones((4, 2), dtype=bool), [0, 0, 1, 1], "1", ["float"]),
    ],
)
def test_evaluate_refuses(relbench_command, tmp_path, embeddings, labels, k, parts):
    np.save(tmp_path / "e.npy", embeddings)
    np.save(tmp_path / "l.npy", labels)
    files = () if parts == ["--k"] else ("e.npy and ", "l.npy: ")
    refused(relbench_command("evaluate", tmp_path / "e.npy", tmp_path / "l.npy", "--k", k), *parts, *files)


def test_evaluate_files(relbench_command, tmp_path, arrays):
    refused(relbench_command("evaluate", tmp_path / "none.npy", arrays[1]), "none.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, 1], dtype=object))
    refused(relbench_command("evaluate", tmp_path / "objects.npy", arrays[1]), "objects.npy")
    (tmp_path / "short.npy").write_bytes(arrays[0].read_bytes()[:100])
    refused(relbench_command("evaluate", tmp_path / "short.npy", arrays[1]), "short.npy")
    refused(relbench_command("evaluate", arrays[0]), "e.npy", "holds no labels")
    np.savez(tmp_path / "several.npz", a=np.ones(2))
    refused(relbench_command("evaluate", tmp_path / "several.npz"), "several.npz", "'embeddings'")
    refused(relbench_command("evaluate", tmp_path / "several.npz", arrays[1]), "several.npz")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
@pytest.mark.parametrize(
    "arguments", [["list"], ["--help"], ["evaluate", "both.npz"], ["evaluate", "both.npz", "--json"]]
)
def test_nowhere_to_print(tmp_path, arguments):
    np.savez(tmp_path / "both.npz", embeddings=np.eye(4), labels=[0, 0, 1, 1])
    command = [sys.executable, "-m", "relbench", *arguments, *(["--k", "1"] if "both.npz" in arguments else [])]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(r"relbench: .*No space left on device.*\n", done.stderr)


def test_bench_refuses(relbench_command):
    refused(relbench_command("bench", "angel"), "unknown benchmark 'angel'")


class Reached(Exception):  # noqa: N818 - nothing is wrong
    pass


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), Execution(workers=0)), (("--devices", 2, "--workers", 3, "--views-on", "device"), Execution(2, 3, "device"))],
)
def test_options_of_the_execution_reach_the_runs(
    relbench_command, monkeypatch, tmp_path, data_folder, options, expected
):
    def grid(*given):
        raise Reached(given[-1])

    monkeypatch.setattr(relbench.cli.make_study, "run_grid", grid)
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    with pytest.raises(Reached) as caught:
        relbench_command("reproduce", "quickstart", *settings, "--results", tmp_path, "--data", data_folder, *options)
    assert caught.value.args == (expected,)
