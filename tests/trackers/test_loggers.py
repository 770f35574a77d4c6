"""Programs for curves: what is written is read back by each program's own library, and never stands there twice."""

import json
import struct
import time

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from wandb.proto.wandb_internal_pb2 import Record

from relbench.experiment import Experiment, Term, Training
from relbench.studies.study import PlannedRun
from relbench.trackers.loggers import LOGGERS, loggers_asked
from relbench.trackers.tracked_run import TrackedRun

STEPS = [
    {"step": 1, "loss/triplet": 0.5, "loss/rkd_angle": 2.0},
    {"step": 2, "loss/triplet": 0.25, "loss/rkd_angle": 1.0, "validation/recall@1": 0.125},
    {"step": 4, "loss/triplet": 0.125, "loss/rkd_angle": 0.5, "validation/recall@1": 0.25},
]
RESULTS = {"result/recall@1": 0.375, "result/selected_step": 4.0}
CURVES = {
    "loss/triplet": [(1, 0.5), (2, 0.25), (4, 0.125)],
    "loss/rkd_angle": [(1, 2.0), (2, 1.0), (4, 0.5)],
    "validation/recall@1": [(2, 0.125), (4, 0.25)],
    "result/recall@1": [(4, 0.375)],
    "result/selected_step": [(4, 4.0)],
}


def run(label="cub200/rkd da, [x]", seed=3):
    terms = Term(loss="triplet", options={"margin": 0.25}), Term(loss="rkd_angle", weight=2.0)
    experiment = Experiment(terms=terms, seed=seed, training=Training(steps=4), teacher=Experiment(terms=terms[:1]))
    return TrackedRun("my-study", PlannedRun(label, "student", experiment))


def in_csv(folder):
    """Curves and settings, as (curves, settings)."""
    (curves,) = [path for path in (folder / "csv").glob("*.csv") if not path.name.endswith(".settings.csv")]
    table = pd.read_csv(curves, index_col="step")
    settings = pd.read_csv(curves.with_suffix(".settings.csv"), index_col="setting")["value"].to_dict()
    return {name: list(table[name].dropna().items()) for name in table}, settings


def in_tensorboard(folder):
    """The same, by TensorBoard's own reader; tags and hyper-parameters are in its plugins."""
    (of_run,) = (folder / "tensorboard").iterdir()
    found = EventAccumulator(str(of_run), size_guidance={"tensors": 0})
    found.Reload()
    metadata = found.SummaryMetadata
    scalars = [tag for tag in found.Tags()["tensors"] if metadata(tag).plugin_data.plugin_name == "scalars"]
    values = {tag: [(event.step, event.tensor_proto.float_val[0]) for event in found.Tensors(tag)] for tag in scalars}
    (tags,) = found.Tensors("tags")
    rows = [line.strip("| ").split(" | ") for line in tags.tensor_proto.string_val[0].decode().splitlines()]
    data = HParamsPluginData.FromString(found.PluginTagToContent("hparams")["_hparams_/session_start_info"])
    kinds = {name: value.WhichOneof("kind") for name, value in data.session_start_info.hparams.items()}
    settings = {
        name: getattr(value, kinds[name]) for name, value in data.session_start_info.hparams.items() if kinds[name]
    }
    return values, settings | dict(rows)


def in_mlflow(folder):
    """The same, by MLflow's client; it allows no @ in names."""
    client = MlflowClient((folder / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("my-study").experiment_id
    (found,) = client.search_runs([experiment])
    assert found.info.status == "FINISHED"
    curves = {
        name.replace("_at_", "@"): client.get_metric_history(found.info.run_id, name) for name in found.data.metrics
    }
    curves = {name: sorted((each.step, each.value) for each in history) for name, history in curves.items()}
    return curves, found.data.tags | found.data.params


BLOCK = 2**15  # bytes; a record of W&B's file is in one or several chunks, none of which crosses a block's end


def chunks(file):
    """Kind and content of each chunk of a file in LevelDB's format of logs, after W&B's own seven bytes."""
    content, place = file.read_bytes(), 7
    while place + 7 <= len(content):
        size, kind = struct.unpack_from("<HB", content, place + 4)
        if kind:
            yield kind, content[place + 7 : place + 7 + size]
        place += 7 + size
        place += BLOCK - place % BLOCK if BLOCK - place % BLOCK < 7 else 0


def records(file):
    """W&B's messages up to the exit; its service may be some milliseconds late."""
    for _ in range(1000):
        found = list(records_so_far(file))
        if found and found[-1].HasField("exit"):
            return found
        time.sleep(0.005)
    raise AssertionError("the run has no exit")


def records_so_far(file):
    whole = b""
    for kind, part in chunks(file):
        whole += part
        if kind in {1, 4}:  # alone, or the last of several
            yield Record.FromString(whole)
            whole = b""


def in_wandb(folder):
    """The same, by W&B's own messages; results are the summary's, which has no step."""
    (file,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    curves, settings, results = {}, {}, {}
    for record in records(file):
        for item in record.run.config.update:
            settings[item.key] = json.loads(item.value_json)
        for item in record.summary.update:
            results[item.key or item.nested_key[0]] = json.loads(item.value_json)
        for item in record.history.item:
            value = json.loads(item.value_json)
            curves.setdefault(item.key or item.nested_key[0], []).append((record.history.step.num, value))
    curves = {name: values for name, values in curves.items() if not name.startswith("_")}
    results = {name: [(4, value)] for name, value in results.items() if name.startswith("result/")}
    return curves | results, settings


READERS = {"csv": in_csv, "mlflow": in_mlflow, "tensorboard": in_tensorboard, "wandb": in_wandb}


@pytest.fixture(params=READERS)
def name(request):
    return request.param


def opened(name, folder, label="cub200/rkd da, [x]"):
    """As a new command opens it."""
    return LOGGERS[name].open(folder).open(run(label))


def test_a_run_that_is_read_back(name, tmp_path):
    log = opened(name, tmp_path)
    assert log.written == 0
    log.write(STEPS[:1])
    log.write(STEPS[1:])
    assert log.written == 4
    log.end("finished", RESULTS)
    curves, settings = READERS[name](tmp_path)
    assert curves == CURVES
    assert settings["label"] == run().planned.label
    assert (settings["study"], settings["role"], str(settings["seed"])) == ("my-study", "student", "3")
    assert settings["fingerprint"] == run().fingerprint
    assert settings["teacher"] == run().planned.experiment.teacher.fingerprint
    assert float(settings["terms.rkd_angle.weight"]) == 2.0
    assert float(settings["terms.triplet.margin"]) == 0.25
    assert float(settings["training.steps"]) == 4


def test_a_later_command_goes_on_where_the_first_was_killed(name, tmp_path):
    """The first has closed nothing; the run is called otherwise, as its learning rate is chosen now."""
    log = opened(name, tmp_path, "rkd at 0.01")
    log.write(STEPS[:1])
    if name == "wandb":  # its service, which outlives the command for a moment, knows that the run is not over
        log.end("interrupted", {})
    log = opened(name, tmp_path, "rkd")
    log.write([step for step in STEPS[:2] if step["step"] > log.written])
    log.end("interrupted", {})
    log = opened(name, tmp_path, "rkd")
    log.write([step for step in STEPS if step["step"] > log.written])
    log.end("finished", RESULTS)
    assert READERS[name](tmp_path)[0] == CURVES
    assert opened(name, tmp_path, "rkd") is None


def test_a_run_of_the_same_name_is_another_one(name, tmp_path):
    for seed in (0, 1):
        log = LOGGERS[name].open(tmp_path).open(run(seed=seed))
        assert log.written == 0
        log.write(STEPS)
        log.end("finished", RESULTS)


def test_names_are_refused_before_any_run(monkeypatch):
    assert loggers_asked(["tensorboard,csv", " csv"]) == ("tensorboard", "csv")
    with pytest.raises(ValueError, match="unknown tracker 'tensorbord': did you mean tensorboard"):
        loggers_asked(["tensorbord"])
    monkeypatch.setattr("relbench.extras.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"--track tensorboard needs tensorboard: pip install 'relbench-kd\[tens"):
        loggers_asked(["csv", "tensorboard"])


def test_wandb_writes_nowhere_else(monkeypatch, tmp_path):
    """Where its folder can't be written it would take the system's temporary one, and say so nowhere."""
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(PermissionError, match=f"can't be written: '{tmp_path}'"):
        opened("wandb", tmp_path)


def test_a_record_that_was_being_written_is_left_out(tmp_path):
    """The disk was full, or the process was killed: TensorBoard's file ends within a record."""
    opened("tensorboard", tmp_path).write(STEPS)
    (file,) = tmp_path.rglob("*tfevents*")
    file.write_bytes(file.read_bytes()[:-3])
    log = opened("tensorboard", tmp_path)
    assert log.written == 2
    log.write(STEPS[2:])
    log.end("finished", RESULTS)
    assert in_tensorboard(tmp_path)[0] == CURVES
