"""The check of machines with a GPU, at toy size on the CPU: all parts run, and an error costs one part alone."""

import json
import sys
from itertools import count
from types import SimpleNamespace

import pytest
import torch

from relbench.benchmarks import agreement, busy, cell, exactness, gpu, tables
from relbench.benchmarks.figure import Figure
from relbench.losses import LOSSES


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    file = tmp_path_factory.mktemp("gpu") / "gpu.json"
    told = []
    return gpu.check("cpu", file, told.append), file, told


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux reports")
def test_all_parts_run(checked):
    report, _, told = checked
    assert {section.name: section.error for section in report.sections} == dict.fromkeys(gpu.parts("cpu"), "")
    assert all(section.figures for section in report.sections)
    assert len(told) >= 2 * len(report.sections)
    assert report.toy


def test_what_must_hold_holds(checked):
    report, _, _ = checked
    judged = [figure for section in report.sections[:7] for figure in section.figures if figure.target is not None]
    assert len(judged) > 8
    assert [figure.name for figure in judged if not figure.met] == []


def test_the_file_is_the_report(checked):
    report, file, _ = checked
    assert gpu.Report.model_validate_json(file.read_text()) == report
    assert json.loads(file.read_text())["machine"]["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_a_part_that_breaks_is_told_and_the_others_go_on(monkeypatch, call, tmp_path):
    def broken():
        yield Figure(name="before", value=1, unit="s")
        raise RuntimeError("CUDA error: an illegal memory access")

    def whole():
        yield Figure(name="after", value=2, unit="s")

    monkeypatch.setattr(gpu, "parts", lambda _: {"one": broken, "two": whole})
    done = call("bench", "gpu", "--device", "cpu", "--json", tmp_path / "gpu.json")
    assert done.code == 1
    for words in ("toy size", "before", "after", "FAILED", "CUDA error: an illegal memory access"):
        assert words in done.out
    report = gpu.Report.model_validate_json((tmp_path / "gpu.json").read_text())
    assert [(section.name, section.error != "") for section in report.sections] == [("one", True), ("two", False)]


def test_the_file_is_written_after_each_part(monkeypatch, call, tmp_path):
    file = tmp_path / "gpu.json"

    def first():
        yield Figure(name="first", value=1)

    def killed():
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(gpu, "parts", lambda _: {"first": first, "killed": killed})
    done = call("bench", "gpu", "--device", "cpu", "--json", file)
    assert done.code == 130
    assert done.error.endswith("\nrelbench: interrupted\n")
    assert [section.name for section in gpu.Report.model_validate_json(file.read_text()).sections] == ["first"]


def test_a_file_that_can_not_be_written_is_told_before_any_part(monkeypatch, call, tmp_path):
    measured = []
    monkeypatch.setattr(gpu, "parts", lambda _: {"one": lambda: measured.append("one") or ()})
    (tmp_path / "taken").touch()
    done = call("bench", "gpu", "--device", "cpu", "--json", tmp_path / "taken" / "gpu.json")
    assert done.code == 2
    assert len(done.error.splitlines()) == 1
    assert str(tmp_path / "taken") in done.error
    assert measured == []


@pytest.mark.parametrize("option", [("--device", "cuda"), ("--json", "figures.json")])
def test_options_of_the_check_alone(call, option):
    done = call("bench", "step", *option)
    assert done.code == 2
    assert done.error == (
        "relbench: --device and --json are for relbench bench gpu alone: leave them out, or write gpu\n"
    )


def test_help_names_the_parts(call):
    said = " ".join(call("bench", "--help").out.split())
    assert f"{', '.join(sorted(tables.PARTS))}; all" in said.replace(" │ │ ", " ")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu(call):
    done = call("bench", "gpu")
    assert done.code == 2
    assert done.error == "relbench: torch sees no GPU: give --device cpu to see that all runs, at toy size\n"


def test_the_parts_on_a_gpu_have_names_of_their_own():
    names = list(gpu.parts("cuda"))
    assert len(names) == len(set(names)) == 16
    assert names[0] == "losses"


def test_a_part_in_the_process_that_has_the_gpu(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "parts", lambda device: {"one": lambda: iter([Figure(name=device, value=2, unit="s")])})
    assert [figure.name for figure in gpu.on_the_gpu("one").figures] == ["cuda"]
    assert capsys.readouterr().err.splitlines()[:2] == ["one ...", "  cuda: 2.00 s"]


def test_a_departure_is_seen():
    found = agreement.Found(1.0, {"student": torch.ones(4)})
    assert agreement.departure(found, found) == 0
    assert agreement.departure(found, agreement.Found(1.1, found.gradients)) == pytest.approx(0.1 / 1.1)
    assert agreement.departure(found, agreement.Found(1.0, {"student": torch.full((4,), 2.0)})) == pytest.approx(0.5)
    for other in ({}, {"teacher": torch.ones(4)}, {"student": torch.full((4,), torch.nan)}):
        assert agreement.departure(agreement.Found(1.0, other), found) > 1e9


def test_tf32_would_be_seen(monkeypatch):
    """A product whose factors are rounded to ten bits, as TF32 does, errs more than is let pass."""

    def rounded(tensor):
        return (tensor.view(torch.int32) + 4096 >> 13 << 13).view(torch.float32)

    rows, columns = torch.randn(2, 512, 512, generator=torch.Generator().manual_seed(0))
    error = exactness._error(rounded(rows) @ rounded(columns), rows.double() @ columns.double())
    assert error > exactness.TF32_ROUNDING
    assert max(exactness.tf32_errors("cpu", "32-true")) < exactness.ROUNDING


def test_work_that_overlaps_counts_once():
    assert busy.covered([(0, 2), (5, 6), (1, 3), (5.5, 5.75)]) == 4
    assert busy.covered([]) == 0


def event(start, end, device="CUDA", **more):
    return SimpleNamespace(
        time_range=SimpleNamespace(start=start, end=end), device_type=SimpleNamespace(name=device), **more
    )


def test_a_gpu_is_busy_while_kernels_run():
    """Neither the CPU's events count nor what torch annotates, such as an optimiser's step."""
    seen = [event(0, 3e6), event(2e6, 4e6), event(9e6, 10e6)]
    others = [event(0, 20e6, "CPU"), event(0, 20e6, is_user_annotation=True)]
    assert busy.busy_seconds(SimpleNamespace(events=lambda: [*others, *seen])) == 5
    with pytest.raises(RuntimeError, match="saw no work on the GPU"):
        busy.busy_seconds(SimpleNamespace(events=lambda: others))


def test_what_a_gpu_waits(monkeypatch):
    """Steps of 0.1 s by the clock, in which it works for 0.095 s."""
    marks = cell.Marks("cpu")
    marks._busy, clock = 0.095, count(0, 0.1)
    monkeypatch.setattr(cell.time, "perf_counter", lambda: next(clock))
    for done in range(cell.PREPARATION + cell.COUNTED + cell.PROFILED):
        marks.step(done)
    step, images, waiting = marks.figures("cell", 128)
    assert (step.value, images.value, waiting.value) == pytest.approx((0.1, 1280, 5))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_compared(name):
    """One that is added later, too: what it takes must be made up."""
    assert agreement.departure(agreement.found(name, "cpu"), agreement.found(name, "cpu")) == 0
