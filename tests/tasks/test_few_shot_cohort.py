"""Students of few-shot learning are trained side by side, killed, and resumed: bit by bit as if each were alone."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from planned import plan_runs
from studies import few_shots
from told import Steps

from relbench.results.run_folder import RunFolder
from relbench.run import run, run_cohort
from relbench.trackers import Silent
from relbench.training.cohorts import key

SAME = ("metrics", "history", "counts", "other_counts", "validation", "weights_hash", "embeddings_hash")
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from told import Steps
from tasks.test_few_shot_cohort import planned
from relbench.run import run_cohort
from relbench.trackers import Silent
def kill(step):
    if step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
run_cohort(planned({norm!r})[1], Path({runs!r}), Path({data!r}), [Silent(), Steps(kill)])
"""


def planned(batch_norm):
    """A teacher and its two students."""
    cells = plan_runs(few_shots.build_lines(), (0,), values={"task.batch_norm": batch_norm})
    teacher, *students = [cell.experiment for cell in cells]
    return teacher, [student for student in students if student.teacher]


@pytest.mark.parametrize("batch_norm", ["together", "apart"])
def test_kill_9_in_a_cohort_loses_nothing_but_the_steps_since_the_last_checkpoint(tmp_path, data_folder, batch_norm):
    teacher, students = planned(batch_norm)
    assert len({key(student) for student in students}) == 1
    assert {student.task.batch_norm for student in students} == {batch_norm}
    for name in ("apart", "runs"):
        (tmp_path / name).mkdir()
    run(teacher, tmp_path / "apart", data_folder, Silent())
    alone = [run(student, tmp_path / "apart", data_folder, Silent()) for student in students]
    (tmp_path / "runs" / teacher.fingerprint).symlink_to(RunFolder(tmp_path / "apart", teacher).path)
    given = {"tests": str(Path(__file__).parents[1]), "runs": str(tmp_path / "runs"), "data": str(data_folder)}
    code = KILLED.format(norm=batch_norm, **given)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert [RunFolder(tmp_path / "runs", student).state()["step"] for student in students] == [3, 3]
    steps = [[] for _ in students]
    rows = run_cohort(students, tmp_path / "runs", data_folder, [Steps(told.append) for told in steps])
    assert [told[0] for told in steps] == [3, 3]
    for student, row in zip(students, alone, strict=True):
        for name in SAME:
            assert getattr(rows[student.fingerprint], name) == getattr(row, name), name
