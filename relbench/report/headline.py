"""Headline of a report: what came out, in sentences."""

from collections.abc import Sequence
from statistics import fmean

from relbench.analysis.cells import AnsweredClaim
from relbench.analysis.methods import Method, Pair
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison
from relbench.evaluation.metric_names import in_sentence
from relbench.plain_text import counted, listed, percent, signed
from relbench.report.wording import RULES, UNDECIDED, VERDICTS, net_name, pair_verdict, rests_on, verdict_word


def headline(summary: Summary) -> str:
    """The outcome of the methods, in sentences that also hold where no student wins."""
    return " ".join(sentence for kind in _sentences(summary).values() for sentence in kind)


def in_brief(summary: Summary) -> tuple[list[str], list[str]]:
    """The two sentences on the methods that a page begins with, and the others.

    The user's own loss, where there is one; then the best student, and what puts it right: a floor that the teacher is
    not above, a control, or else how many students fare as well.
    """
    said = _sentences(summary)
    kinds = ("added loss", "best", "floor", "control", "count", "no distillation", "single seeds")
    first = [sentence for kind in kinds for sentence in said.get(kind, [])[:1]][:2]
    return first, [sentence for kind in said.values() for sentence in kind if sentence not in first]


def _sentences(summary: Summary) -> dict[str, list[str]]:
    """Sentences on the methods by what they are about, in their order."""
    teacher, *others = summary.methods
    best = summary.best_student
    if best is None:
        return {"best": [f"{_named(teacher)} reaches {_reach(summary, teacher)}; no student was compared with it."]}
    added = [method for method in summary.students if method.label in summary.added_losses]
    return {
        "added loss": [_on_added_loss(summary, method) for method in added],
        "best": [_on_best(summary, best)],
        "count": _on_count(summary),
        "no distillation": _on_no_distillation(summary, best),
        "control": [_on_control(summary, method, best) for method in others if method.role == "control"],
        "floor": _on_floor(summary),
        "single seeds": _on_single_seeds(others),
    }


def _on_added_loss(summary: Summary, own: Method) -> str:
    """What came out for a loss of the user's: against the teacher, and against the best of the study's students."""
    result = f"{_named(own)} reaches {_reach(summary, own)} and {_against(_compared(own))}."
    rivals = [method for method in summary.students if method.label not in summary.added_losses]
    if not rivals:
        return result
    rival = max(rivals, key=summary.score)
    pair = _pair_of(summary, own, rival)
    judged = f": {_pair_words(pair, own)}" if pair else ""
    distance = gap(summary.score(own) - summary.score(rival))
    return f"{result} It is {distance} the best of the study's own students, {rival.label}{judged}."


def _pair_of(summary: Summary, *both: Method) -> Pair | None:
    """The test of two methods against each other, if the study has it."""
    asked = {method.label for method in both}
    return next((pair for pair in summary.pairs if {pair.label, pair.other} == asked), None)


def _pair_words(pair: Pair, own: Method) -> str:
    """The verdict as the user's loss sees it, on whichever side of the pair that stands."""
    turned = {"beats": "loses", "loses": "beats"} if pair.label != own.label else {}
    verdict = verdict_word(pair.comparison)
    return f"{turned.get(verdict, verdict)} ({rests_on(pair.comparison)})"


def _on_best(summary: Summary, best: Method) -> str:
    if summary.winners:
        return _on_winner(summary, best)
    return _on_single_seed(summary, best) if _compared(best).seeds == 1 else _on_no_winner(summary, best)


def _on_single_seed(summary: Summary, best: Method) -> str:
    """Values, and why they are no verdict."""
    reached = f"{_named(best)} reaches {_reach(summary, best)}"
    values = f"{reached}, {gap(_compared(best).difference)} its teacher ({_budget(summary.methods[0])})"
    return f"{values}: no verdict, since a single seed says nothing about new training runs; run three or more."


def _on_winner(summary: Summary, best: Method) -> str:
    teacher = summary.methods[0]
    gain = f"{percent(_compared(best).difference)} points of {in_sentence(summary.primary)}"
    values = f"{_score(summary, best)} against {_score(summary, teacher)}, {_seeds_of(best)}"
    return f"{_named(best)} beats its teacher ({_budget(teacher)}) by {gain} ({values})."


def _on_count(summary: Summary) -> list[str]:
    """How many students beat the teacher, where the best does and there are others."""
    winners, students = len(summary.winners), len(summary.students)
    if not winners or students == 1:
        return []
    return [f"{winners} of {counted(students, 'student')} beat{'s' if winners == 1 else ''} the teacher."]


def _on_no_winner(summary: Summary, best: Method) -> str:
    teacher = summary.methods[0]
    start = f"No student is shown to beat the teacher ({_budget(teacher)}), which reaches {_reach(summary, teacher)}"
    return f"{start}; the best, {_named(best)}, reaches {_reach(summary, best)} and {_against(_compared(best))}."


def _on_no_distillation(summary: Summary, best: Method) -> list[str]:
    """How far the best distilled student stands from the best of its network that never saw a teacher."""
    alone = [student for student in summary.students if student.row.experiment.last_teacher is None]
    if not alone or best in alone:
        return []
    other = max(alone, key=summary.score)
    taught = [student for student in summary.students if student not in alone and net_name(student) == net_name(other)]
    if not taught:
        return []
    best = max(taught, key=summary.score)
    distance = gap(summary.score(best) - summary.score(other))
    best_of = "the best student" if len(alone) > 1 else "the student"
    named = f"{other.label} ({_score(summary, other)}){_unless_shown(_pair_of(summary, best, other))}"
    return [f"{best.label} is {distance} {best_of} trained without a teacher, {named}."]


def _unless_shown(pair: Pair | None) -> str:
    """What keeps a difference between two methods from being a result, if anything does."""
    if pair is None:
        return ": a difference that is not tested"
    if pair.comparison.verdict in ("beats", "loses"):
        return ""
    return f": {pair_verdict(pair)}"


def _on_control(summary: Summary, control: Method, best: Method) -> str:
    comparison, winner = _compared(control), _compared(best)
    opening = "But the control" if comparison.verdict == winner.verdict == "beats" else "The control"
    to_best = f"{gap(summary.score(control) - summary.score(best))} {best.label}"
    values = f"{_score(summary, control)}: it {_against(comparison)}"
    return f"{opening} “{control.label}” ({_budget(control)}) reaches {values}, and is {to_best}."


def _on_floor(summary: Summary) -> list[str]:
    """A teacher that is no better than what nobody trained has nothing to teach."""
    teacher = summary.methods[0]
    reached = {floor.label: floor.metrics[summary.primary].mean for floor in summary.all_floors}
    higher = [f"{label} ({percent(value)} %)" for label, value in reached.items() if value >= summary.score(teacher)]
    if not higher:
        return []
    return [f"But the teacher ({_score(summary, teacher)}) is no better than the floor: {listed(higher)}."]


def _on_single_seeds(others: Sequence[Method]) -> list[str]:
    """Whom one seed leaves without a verdict, where others have one."""
    single = [method.label for method in others if _compared(method).seeds == 1]
    return [f"No verdict on {listed(single)}: a single seed."] if 0 < len(single) < len(others) else []


def _against(comparison: Comparison) -> str:
    """Verdict and size: "beats the teacher by 4.9 points"."""
    if verdict_word(comparison) == UNDECIDED:
        return f"is {gap(comparison.difference)} the teacher ({rests_on(comparison)}, {UNDECIDED})"
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


def _score(summary: Summary, method: Method) -> str:
    return f"{percent(summary.score(method))} %"


def _reach(summary: Summary, method: Method) -> str:
    return f"{_score(summary, method)} {in_sentence(summary.primary)} ({_seeds_of(method)})"


def _seeds_of(method: Method) -> str:
    return counted(len(method.rows), "seed")


def outcome(summary: Summary) -> str:
    """What came out of the cells: how many are measured, how far from the paper, and what became of the claims."""
    return " ".join([_progress(summary), *_distance(summary), *_claims(summary.claims)])


def _progress(summary: Summary) -> str:
    asked = [cell for cell in summary.cells if cell.path]
    finished = [cell for cell in asked if summary.shown[0] in cell.ours]
    others = len(summary.cells) - len(asked)
    beside = f" Beside them: {counted(others, 'number')} from other papers." if others else ""
    verb = "has" if len(finished) == 1 else "have"
    return f"Of {counted(len(asked), 'number')} to measure, {len(finished):,} {verb} been measured.{beside}"


def _distance(summary: Summary) -> list[str]:
    """Nothing at toy scale, whose numbers are of other networks on other images than the paper's."""
    differences = [
        difference for cell in summary.cells if (difference := cell.difference(summary.shown[0])) is not None
    ]
    if not differences or summary.is_toy:
        return []
    spread = f"from {signed(min(differences))} to {signed(max(differences))}"
    rule = RULES[summary.shown[0]]
    return [f"Ours ({rule}) minus the paper's: {signed(fmean(differences))} points on average, {spread}."]


def _claims(claims: tuple[AnsweredClaim, ...]) -> list[str]:
    if not claims:
        return []
    answers = [claim.answer for claim in claims]
    holds, fails, open_ = (answers.count(answer) for answer in ("holds", "does not", "not shown"))
    verbs = f"{holds} hold{'s' if holds == 1 else ''}, {fails} {'does' if fails == 1 else 'do'} not"
    return [f"Of {counted(len(claims), 'claim')}, {verbs}, and {open_} {'is' if open_ == 1 else 'are'} not shown."]
