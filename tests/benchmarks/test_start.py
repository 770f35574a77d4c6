"""The benchmark of loading, planning and reporting: it measures what it says, on data as a user has them."""

from relbench.analysis.results import read_results
from relbench.benchmarks import start
from relbench.data import find_data_set
from relbench.data.table import counts
from relbench.experiment import Data
from relbench.studies.record import read_study


def test_birds_have_the_published_counts(tmp_path):
    start.write_cub(tmp_path)
    table = find_data_set("cub200", tmp_path).table(Data(name="cub200", hold_out=False), tmp_path)
    found = counts(table)
    assert (found["train_images"], found["test_images"], found["train_classes"]) == (5864, 5924, 100)


def test_rows_are_those_of_a_finished_study(tmp_path):
    count = start.write_study(tmp_path / "study", 21)
    record = read_study(tmp_path / "study")
    assert len(read_results(record, tmp_path / "study").rows) == count >= 21


def test_a_small_measurement(tmp_path):
    *_, whole, peak = start.reporting(tmp_path / "study", 1)
    assert 0.5 < whole.value < 100
    assert 100 < peak.value < 10_000
    assert whole.target is None  # the target is that of 5,000 rows
