"""Benchmark of what goes before and after training: loading, planning a paper's table, the report of thousands of rows.

Each is a process of its own, whose processor time and peak memory the system tells when it ends. Peaks hold torch
itself, which takes 0.3 GB without CUDA and 0.7 GB with it.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch

from relbench.benchmarks.figure import Figure
from relbench.benchmarks.startup import spent
from relbench.benchmarks.timing import quartiles, ratio, seconds
from relbench.counts import Counts
from relbench.data.download.card import packaged_card
from relbench.experiment import Experiment
from relbench.machine import describe_machine
from relbench.resolve import resolve
from relbench.results.records import Row, write_record
from relbench.results.run_folder import RunFolder
from relbench.studies import build_study
from relbench.studies.record import FILE, StudyRecord
from relbench.studies.study import Study

COMMAND = ("-m", "relbench", "list")
WORKER, TORCH = ("-c", "import relbench.run"), ("-c", "import torch")
IMPORT_TARGET = 1.7
"""Most time to load all that a run needs, in times that of torch alone."""

DRY_RUN_TARGET, DRY_RUN_MEMORY = 15.0, 1000.0  # seconds, MB
REPORT_TARGET = 8.0  # seconds
ROWS, CLASSES, QUERIES, ENTRIES = 5000, 1074, 12, 100  # of the report; of each row: as those of Glyphs


def figures(rows: int = ROWS, rounds: int = 5) -> Iterator[Figure]:
    """Times of loading, of a dry run and of a report.

    Args:
        rows: of the report.
        rounds: how often each loading is timed.
    """
    yield from loading(rounds)
    with TemporaryDirectory(prefix="relbench-start-") as name:
        yield from planning(Path(name))
        yield from reporting(Path(name) / "study", rows)


def loading(rounds: int) -> Iterator[Figure]:
    """Of a command that lists what there is, and of a process that trains."""
    taken = [{form: spent(form) for form in (COMMAND, WORKER, TORCH)} for _ in range(rounds)]
    times = {form: [each[form].seconds for each in taken] for form in (COMMAND, WORKER, TORCH)}
    yield seconds("relbench list", times[COMMAND])
    yield seconds("loading what a run needs", times[WORKER])
    yield ratio("loading what a run needs / loading torch", times[WORKER], times[TORCH], target=IMPORT_TARGET)
    peaks = [each[WORKER].peak / 1e6 for each in taken]
    yield Figure(
        name="memory of a process with all that loaded", value=median(peaks), unit="MB", spread=quartiles(peaks)
    )


def planning(folder: Path) -> Iterator[Figure]:
    """Of rkd-table1: 270 runs, half of them with their data there."""
    write_cub(folder / "data")
    where = ("--data", str(folder / "data"), "--results", str(folder / "results"))
    taken = spent(("-m", "relbench", "reproduce", "rkd-table1", "--dry-run", *where))
    name = "rkd-table1 --dry-run, 270 runs"
    yield Figure(name=name, value=taken.seconds, unit="s", target=DRY_RUN_TARGET)
    why = f"of these, torch alone takes {spent(TORCH).peak / 1e6:,.0f} MB"
    yield Figure(name=f"{name}: peak memory", value=taken.peak / 1e6, unit="MB", target=DRY_RUN_MEMORY, why=why)


def reporting(folder: Path, rows: int) -> Iterator[Figure]:
    """Of all methods on Glyphs, with as many seeds as make that many rows."""
    count = write_study(folder, rows)
    taken = spent(("-m", "relbench", "report", str(folder), "--data", str(folder / "none")))
    target = REPORT_TARGET if rows == ROWS else None
    name = f"report of {count:,} rows of {CLASSES:,} classes"
    why = "a third is reading: about 1 ms a row for JSON, validation and hash; loading and drawing take as much again"
    yield Figure(name=name, value=taken.seconds, unit="s", target=target, why=why)
    yield Figure(name=f"{name}: peak memory", value=taken.peak / 1e6, unit="MB")


def write_cub(folder: Path) -> None:
    """CUB-200-2011's lists, with the published numbers of classes and images; the files of images are empty."""
    there, root = packaged_card("cub200").usual.expected, folder / "cub200" / "CUB_200_2011"
    labels = [
        *_spread(1, there.train_classes, there.train_images),
        *_spread(101, there.test_classes, there.test_images),
    ]
    names = [f"{label:03d}.Bird/{number}.jpg" for number, label in enumerate(labels)]
    for label in set(labels):
        (root / "images" / f"{label:03d}.Bird").mkdir(parents=True)
    for name in names:
        (root / "images" / name).touch()
    lists = {
        "images.txt": names,
        "image_class_labels.txt": [str(label) for label in labels],
        "classes.txt": [f"{label:03d}.Bird" for label in sorted(set(labels))],
    }
    for file, values in lists.items():
        lines = [f"{number} {value}\n" for number, value in enumerate(values, start=1)]
        (root / file).write_text("".join(lines), encoding="ascii")


def _spread(first: int, classes: int, images: int) -> list[int]:
    """Labels of images, as evenly as can be."""
    return sorted(first + number % classes for number in range(images))


def write_study(folder: Path, rows: int) -> int:
    """A finished study of every method; returns the number of its rows, which is the next that seeds can make."""
    study, generator = build_study("glyphs-methods"), np.random.default_rng(0)
    seeds = tuple(range(-(-rows // len(study.runs))))
    record = StudyRecord(study=study, changes={}, contents={"glyphs": ""}, seeds=seeds)
    folders = [RunFolder(folder / "runs", run) for seed in seeds for run in _runs(record.pinned, seed)]
    for run in folders:
        run.path.mkdir(parents=True)
        write_record(made_up_row(run.experiment, generator), run.row)
    write_record(record, folder / FILE)
    return len(folders)


def _runs(study: Study, seed: int) -> list[Experiment]:
    """Those of a study whose learning rates are known, with one seed; teachers stand before their students."""
    made: dict[str, Experiment] = {}
    for path, spec in study.items:
        *_, last = study.trainings(path, seed, None, made.get(spec.teacher))
        made[path] = resolve(last, path)
    return list(made.values())


def made_up_row(experiment: Experiment, generator: np.random.Generator) -> Row:
    """A row as a run on Glyphs leaves it, with random numbers."""
    correct = generator.integers(QUERIES + 1, size=CLASSES).tolist()
    groups = tuple(f"{number:04X}" for number in range(CLASSES))
    counts = Counts(groups=groups, trials=(QUERIES,) * CLASSES, correct=tuple(correct))
    steps = experiment.training.steps
    names = [term.loss for term in experiment.terms]
    history = [
        {"step": steps * entry / ENTRIES} | dict(zip(names, generator.random(len(names)).tolist(), strict=True))
        for entry in range(1, ENTRIES + 1)
    ]
    history[-1]["recall@1"] = counts.share
    recalls = {f"recall@{k}": counts.share + (1 - counts.share) * k / 20 for k in (2, 4, 8, 16)}
    return Row(
        fingerprint=experiment.fingerprint,
        experiment=experiment,
        data_hash="0" * 64,
        parameters=10_000,
        selected_step=steps,
        metrics={"recall@1": counts.share} | recalls | {"r_precision": 0.3, "map@r": 0.2},
        validation={"recall@1": counts.share},
        counts=counts,
        history=tuple(history),
        train_seconds=60.0,
        evaluate_seconds=2.0,
        peak_memory=10**9,
        finished="2000-01-01T00:00:00+00:00",
        machine=describe_machine(torch.device("cpu")),
    )
