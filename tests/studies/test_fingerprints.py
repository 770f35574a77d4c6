"""The runs of every study, in their order: a change of the code gives none of them another name.

`fingerprints.json` was written with the code of 890b0d6, before all studies had one form; entries of younger studies,
when they were added. It has the label, role, seed and fingerprint of each run; of long plans a hash of these lines. Of
protocol fair there is a plan for each round of tuning, with made-up validation results.
"""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from relbench.data import find_data_set
from relbench.grid.plan import PlannedRun, planned_runs, planned_transfers, selected
from relbench.grid.tuning import TuningPlan
from relbench.studies import build_study
from relbench.studies.changes import with_values

EXPECTED = json.loads(Path(__file__).with_name("fingerprints.json").read_text())
SEEDS = (0, 1, 2)
NOWHERE = Path("nowhere")


def line(run):
    planned = isinstance(run, PlannedRun)
    label = run.label if planned else f"?{run.name}"
    return [label, run.role if planned else "", run.experiment.fingerprint, run.experiment.seed]


def short(lines):
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()[:16] if len(lines) > 24 else lines


def score(run):
    """A made-up validation result, by the run's name."""
    return SimpleNamespace(primary="recall@1", validation={"recall@1": int(run.name[:6], 16) % 97 / 100})


def contents_of(study):
    if study.cells:
        return {name: f"c-{name}" for name in (*study.data_sets, *study.other_data)}
    return {name: find_data_set(name, NOWHERE).content(NOWHERE) for name in study.data_sets}


def plans_of(study):
    """The plan of each round of tuning, and then what is measured on other data sets."""
    rows, paths = {}, selected(study, study.data_sets, ())

    def finished(run):
        return rows.get(run.fingerprint)

    while True:
        tuning = TuningPlan(study, finished)
        runs = planned_runs(tuning, paths, SEEDS)
        yield short([line(run) for run in runs])
        candidates = [run for run in runs if isinstance(run, PlannedRun) and run.role == "tuning"]
        if not candidates:
            break
        rows.update((run.name, score(run)) for run in candidates)
    transfers = planned_transfers(tuning, study.data_sets, list(study.other_data), SEEDS)
    if transfers:
        yield short([[key, seed, spec.fingerprint] for (key, seed), spec in transfers.items()])


@pytest.mark.parametrize("asked", EXPECTED)
def test_runs_and_their_order_are_as_ever(asked):
    name, options, device, changes = json.loads(asked)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in changes.items()}
    study = with_values(build_study(name, options).with_device(device), values)
    assert list(plans_of(study.with_contents(contents_of(study)))) == EXPECTED[asked]


def test_every_study_protocol_and_scale_is_among_them():
    asked = {(name, *options.values()) for name, options, *_ in map(json.loads, EXPECTED)}
    tables = (
        *("rkd-table1", "rkd-table2", "rkd-table3", "rkd-table4", "rkd-table5", "rkd-table6", "rkd-fig3"),
        *("glyphs-table1", "zoo-cifar100"),
        *("sp-cifar10", "sp-dtd", "sp-cinic10"),
        *("refilled-cifar100", "refilled-label-spaces", "refilled-cub200", "refilled-incremental"),
        *("refilled-middle-shot",),
    )
    made = {(name, protocol, scale) for name in tables for protocol in ("paper", "fair") for scale in ("full", "toy")}
    scaled = ("glyphs-label-spaces", "glyphs-few-shot", "glyphs-middle-shot", "refilled-few-shot")
    made |= {(name, scale) for name in scaled for scale in ("full", "toy")}
    assert asked == {("quickstart",), ("glyphs-methods",), ("glyphs-classification",), *made}
