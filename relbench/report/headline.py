"""What came out, in sentences."""

from collections.abc import Sequence

from relbench.analysis.methods import Floor, Method, Pair
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison
from relbench.plain_text import counted, listed
from relbench.report.wording import MAIN, VERDICTS, main_recall, net_name, percent, rests_on


def headline(summary: Summary) -> str:
    """What came out, in sentences that also hold where no student wins."""
    return " ".join(sentence for kind in _sentences(summary).values() for sentence in kind)


def in_brief(summary: Summary) -> tuple[list[str], list[str]]:
    """The two sentences that a page begins with, and the others.

    The user's own loss, where there is one; then the best student, and what puts it right: a floor that the teacher is
    not above, a control, or else how many students fare as well.
    """
    said = _sentences(summary)
    kinds = ("contender", "best", "floor", "control", "count", "no distillation", "single seeds")
    first = [sentence for kind in kinds for sentence in said.get(kind, [])[:1]][:2]
    return first, [sentence for kind in said.values() for sentence in kind if sentence not in first]


def _sentences(summary: Summary) -> dict[str, list[str]]:
    """By what they are about, in their order."""
    teacher, *others = summary.methods
    students = [method for method in others if method.role == "student"]
    if not students:
        return {"best": [f"{_named(teacher)} reaches {_reach(teacher)}; no student was compared with it."]}
    best = best_student(students)
    return {
        "contender": [_on_contender(method, summary) for method in students if method.label in summary.added_losses],
        "best": [_on_best(best, teacher, students)],
        "count": _on_count(students),
        "no distillation": _on_no_distillation(best, students),
        "control": [_on_control(method, best) for method in others if method.role == "control"],
        "floor": _on_floor(teacher, summary.all_floors),
        "single seeds": _on_single_seeds(others),
    }


def best_student(students: Sequence[Method]) -> Method:
    """The one of the greatest mean recall@1 among those that beat the teacher, or among all where none does."""
    return max(_winners(students) or students, key=main_recall)


def _winners(students: Sequence[Method]) -> list[Method]:
    return [student for student in students if _compared(student).verdict == "beats"]


def _on_contender(own: Method, summary: Summary) -> str:
    """What came out for a loss of the user's: against the teacher, and against the best of the study's students."""
    result = f"{_named(own)} reaches {_reach(own)} and {_against(_compared(own))}."
    rivals = [one for one in summary.methods if one.role == "student" and one.label not in summary.added_losses]
    if not rivals:
        return result
    rival = max(rivals, key=main_recall)
    asked = {own.label, rival.label}
    pair = next((one for one in summary.pairs if {one.label, one.other} == asked), None)
    judged = f": {_pair_words(pair, own)}" if pair else ""
    distance = gap(main_recall(own) - main_recall(rival))
    return f"{result} It is {distance} the best of the study's own students, {rival.label}{judged}."


def _pair_words(pair: Pair, own: Method) -> str:
    """The verdict as the user's loss sees it, on whichever side of the pair that stands."""
    turned = {"beats": "loses", "loses": "beats"} if pair.label != own.label else {}
    verdict = pair.comparison.verdict
    return f"{turned.get(verdict, verdict)} ({rests_on(pair.comparison)})"


def _on_best(best: Method, teacher: Method, students: Sequence[Method]) -> str:
    if _winners(students):
        return _on_winner(best, teacher)
    return _on_single_seed(best, teacher) if _compared(best).seeds == 1 else _on_no_winner(best, teacher)


def _on_single_seed(best: Method, teacher: Method) -> str:
    """Values, and why they are no verdict."""
    values = (
        f"{_named(best)} reaches {_reach(best)}, {gap(_compared(best).difference)} its teacher ({_budget(teacher)})"
    )
    return f"{values}: no verdict, since a single seed says nothing about new training runs; run three or more."


def _on_winner(best: Method, teacher: Method) -> str:
    gain = f"{percent(_compared(best).difference)} points of Recall@1"
    values = f"{percent(main_recall(best))} % against {percent(main_recall(teacher))} %, {_seeds_of(best)}"
    return f"{_named(best)} beats its teacher ({_budget(teacher)}) by {gain} ({values})."


def _on_count(students: Sequence[Method]) -> list[str]:
    """How many students beat the teacher, where the best does and there are others."""
    winners = len(_winners(students))
    if not winners or len(students) == 1:
        return []
    return [f"{winners} of {counted(len(students), 'student')} beat{'s' if winners == 1 else ''} the teacher."]


def _on_no_winner(best: Method, teacher: Method) -> str:
    start = f"No student is shown to beat the teacher ({_budget(teacher)}), which reaches {_reach(teacher)}"
    return f"{start}; the best, {_named(best)}, reaches {_reach(best)} and {_against(_compared(best))}."


def _on_no_distillation(best: Method, students: Sequence[Method]) -> list[str]:
    """How far the best distilled student stands from the best one that never saw a teacher."""
    alone = [student for student in students if student.row.experiment.last_teacher is None]
    if not alone or best in alone:
        return []
    other = max(alone, key=main_recall)
    distance = gap(main_recall(best) - main_recall(other))
    best_of = "the best student" if len(alone) > 1 else "the student"
    values = f"({percent(main_recall(other))} %)"
    return [f"{best.label} is {distance} {best_of} trained without a teacher, {other.label} {values}."]


def _on_control(control: Method, best: Method) -> str:
    comparison, winner = _compared(control), _compared(best)
    opening = "But the control" if comparison.verdict == winner.verdict == "beats" else "The control"
    to_best = f"{gap(main_recall(control) - main_recall(best))} {best.label}"
    values = f"{percent(main_recall(control))} %: it {_against(comparison)}"
    return f"{opening} “{control.label}” ({_budget(control)}) reaches {values}, and is {to_best}."


def _on_floor(teacher: Method, floors: Sequence[Floor]) -> list[str]:
    """A teacher that is no better than what nobody trained has nothing to teach."""
    higher = [floor for floor in floors if floor.metrics[MAIN].mean >= main_recall(teacher)]
    if not higher:
        return []
    named = listed([f"{floor.label} ({percent(floor.metrics[MAIN].mean)} %)" for floor in higher])
    return [f"But the teacher ({percent(main_recall(teacher))} %) is no better than the floor: {named}."]


def _on_single_seeds(others: Sequence[Method]) -> list[str]:
    """Whom one seed leaves without a verdict, where others have one."""
    single = [method.label for method in others if _compared(method).seeds == 1]
    return [f"No verdict on {listed(single)}: a single seed."] if 0 < len(single) < len(others) else []


def _against(comparison: Comparison) -> str:
    """Verdict and size: "beats the teacher by 4.9 points"."""
    if comparison.verdict == "no verdict":
        return f"is {gap(comparison.difference)} the teacher ({rests_on(comparison)}, no verdict)"
    if comparison.verdict == "not shown to differ":
        return f"is not shown to differ from the teacher ({gap(comparison.difference)} it, {rests_on(comparison)})"
    return f"{VERDICTS[comparison.verdict]} by {percent(abs(comparison.difference))} points"


def _compared(method: Method) -> Comparison:
    if method.against_teacher is None:
        raise ValueError(f"method {method.label!r} has no comparison with the teacher: compare it before reporting")
    return method.against_teacher


def gap(difference: float) -> str:
    """Where a method stands, before the other's name: "4.9 points above"."""
    if abs(difference) < 0.0005:
        return "within 0.05 points of"
    return f"{percent(abs(difference))} points {'above' if difference > 0 else 'below'}"


def _named(method: Method) -> str:
    return f"{method.label} ({_budget(method)})"


def _budget(method: Method) -> str:
    """Net and steps, without which no two values should be compared."""
    return f"{net_name(method)}, {counted(method.row.experiment.total_steps, 'step')}"


def _reach(method: Method) -> str:
    return f"{percent(main_recall(method))} % Recall@1 ({_seeds_of(method)})"


def _seeds_of(method: Method) -> str:
    return counted(len(method.rows), "seed")
