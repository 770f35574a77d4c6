"""The runs of a study as the commands plan them, none of them finished."""

from pathlib import Path

from relbench.data import find_data_set
from relbench.grid.plan import planned_runs, selected
from relbench.grid.tuning import TuningPlan
from relbench.resolve import resolve_device
from relbench.settings import changed
from relbench.studies import build_study
from relbench.studies.changes import with_values
from relbench.studies.distillation import TEACHER, Arm, against_teacher, distillation


def plan_runs(study, seeds, device="cpu", values=None, data=Path("nowhere"), only=()):
    study = with_values(study.with_device(resolve_device(device)), values or {})
    pinned = study.with_contents({name: find_data_set(name, data).content(data) for name in study.data_sets})
    return tuple(planned_runs(TuningPlan(pinned, lambda _: None), selected(pinned, pinned.data_sets, only), seeds))


def with_control(study, label):
    """The study with the teacher's own training for as many steps as a student's, judged alone, as studies once had."""
    student = next(path for path, run in study.items if run.role == "student")
    control = changed(study.runs[TEACHER], {"role": "control", "steps_as": student})
    runs, claims = {**study.runs, label: control}, (*study.claims, against_teacher(label, label))
    return changed(study, {"runs": runs, "claims": claims})


def quickstart_with(methods, teacher_terms=None, first_stages=None, control="teacher, student's steps"):
    """The quick start's networks and trainings with other methods."""
    given = build_study("quickstart").runs
    teacher, student = (Arm(net=given[path].net, training=given[path].training) for path in ("teacher", "triplet"))
    study = distillation(
        name="quickstart",
        title="Other methods",
        data=given["teacher"].data,
        teacher=teacher,
        teacher_terms=teacher_terms or given["teacher"].stages[0].terms,
        student=student,
        methods=methods,
        first_stages=first_stages,
    )
    return with_control(study, control) if control else study


def pinned(spec, data):
    """What is to be measured on another data set, with what that holds."""
    content = find_data_set(spec.data.name, data).content(data)
    return changed(spec, {"data": changed(spec.data, {"content": content})})
