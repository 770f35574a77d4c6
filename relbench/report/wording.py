"""Words and numbers as every format of a report writes them."""

from collections.abc import Iterable, Mapping

from relbench.analysis.cells import PairedDifference
from relbench.analysis.methods import Method, Pair
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison, Decision, Interval, Outcome
from relbench.evaluation.metric_names import MEANING_OF_HALF_INTERVAL, MEANINGS, half_interval_of, metric_name
from relbench.experiment import Experiment
from relbench.plain_text import counted, listed, many, p_value, percent, signed
from relbench.results.records import Machine, Selection
from relbench.tasks import Task, find_task

RECALL = "recall@"
VERDICTS = {
    "beats": "beats the teacher",
    "not shown to differ": "not shown to differ",
    "loses": "loses to the teacher",
    "no verdict": "no verdict",
}
RULES: Mapping[Selection, str] = {
    "last": "last step",
    "validation": "best on validation images",
    "test": "best on test images: peeking",
}
BRIEF: Mapping[Selection, str] = {"last": "last", "validation": "validation", "test": "test: peeking"}
TOY = "Toy scale: these numbers say only that everything runs."
NOTHING = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
ONE_SEED = "\N{DAGGER}"
RAISED = dict(zip("abcdefghijklmnoprstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ", strict=True))  # there is no raised q


def recall_ranks(method: Method) -> list[int]:
    """Every K that recall@K was measured at, rising."""
    return sorted(int(metric.removeprefix(RECALL)) for metric in method.metrics if metric.startswith(RECALL))


def mean_cell(interval: Interval, decimals: int = 1) -> str:
    """Mean and 95 % interval in percent: with ± where both arms are equal, else with both bounds."""
    mean = percent(interval.mean, decimals)
    if interval.low is None or interval.high is None:
        return mean
    below, above = interval.mean - interval.low, interval.high - interval.mean
    if abs(below - above) < 1e-9:
        return f"{mean} ± {percent(above, decimals)}"
    return f"{mean} [{percent(interval.low, decimals)}, {percent(interval.high, decimals)}]"


def bounds_cell(interval: Interval, without: str = "one seed") -> str:
    """The bounds of a difference, in points; or of what there is too little for it to have any."""
    if interval.low is None or interval.high is None:
        return without
    return f"[{signed(interval.low)}, {signed(interval.high)}]"


def net_name(method: Method) -> str:
    """Trunk, width where it has one, and dimensions: conv4-16/128."""
    return method.row.experiment.net.short_name


def verdict(method: Method) -> str:
    """The verdict against the teacher as a phrase, with its p: "not shown to differ (Holm p = 0.052)"."""
    comparison = method.against_teacher
    if comparison is None:
        return NOTHING
    word = verdict_word(comparison)
    return f"{VERDICTS.get(word, word)} ({rests_on(comparison)})"


def verdict_word(comparison: Comparison) -> str:
    """The verdict; where seeds are still added, that there is none yet."""
    return UNDECIDED if is_open(comparison) else comparison.verdict


def is_open(comparison: Comparison) -> bool:
    """Whether a look to come may decide it; not where chance stays unknown, which no number of seeds changes."""
    if comparison.decision is None or comparison.decision.outcome != "open":
        return False
    return unseen(comparison) or comparison.p_adjusted is not None


UNDECIDED = "not decided yet"


PAIRS_TITLE = "Methods against each other"


def pair_verdict(pair: Pair) -> str:
    """The verdict on one method against another, with its p."""
    return f"{verdict_word(pair.comparison)} ({rests_on(pair.comparison)})"


def rests_on(comparison: Comparison) -> str:
    """The p that decides, "Holm p = 0.052"; where there is none, of what there is too little: "1 seed", "1 class"."""
    if comparison.p_adjusted is None:
        return NO_LOOK if unseen(comparison) else _too_little(comparison)
    p = f"{'Holm ' if comparison.family > 1 else ''}{p_value(comparison.p_adjusted)}"
    return f"{p}{decided_in_words(comparison.decision)}"


def _too_little(comparison: Comparison) -> str:
    """Why there is no p: where the variance is known, it is zero."""
    if comparison.parts:
        return "no variance"
    return counted(1, "seed" if comparison.seeds == 1 else "class")


def unseen(compared: Comparison | PairedDifference) -> bool:
    """Whether seeds are added until it is decided, and no look is made yet."""
    return compared.decision is not None and compared.decision.seeds == 0


NO_LOOK = "no look yet"
DECIDED: Mapping[Outcome, str] = {
    "shown": "decided with {}",
    "within the margin": "within the margin with {}",
    "not shown": "after all {}",
    "open": "after {}",
    "withdrawn": "shown with {}, and withdrawn",
}


def decided_in_words(decision: Decision | None) -> str:
    """With how many seeds a comparison was decided, where they were added for that: ", decided with 8 seeds"."""
    return f", {DECIDED[decision.outcome].format(counted(decision.seeds, 'seed'))}" if decision else ""


def seeds_in_words(summary: Summary) -> str:
    """How many seeds stand behind the values: 3 seeds, or 1 to 3 seeds where some runs are missing."""
    fewest, most = min(counts := [len(method.rows) for method in summary.methods]), max(counts)
    return counted(most, "seed") if fewest == most else f"{fewest} to {counted(most, 'seed')}"


def groups_of_trials(summary: Summary) -> str:
    """What a test takes for a sample, beside training runs: test classes."""
    return many(task_of(summary).group)


def task_of(summary: Summary) -> Task:
    """The task of the methods."""
    return find_task(summary.methods[0].row.experiment.task)


def meanings(metrics: Iterable[str]) -> list[str]:
    """A sentence on those metrics that not every reader knows, and one on half intervals."""
    names = list(metrics)
    told = [f"{metric_name(metric)}: {MEANINGS[metric]}" for metric in names if metric in MEANINGS]
    halves = [metric_name(metric) for metric in names if half_interval_of(metric)]
    told += [f"{listed(halves)}: {MEANING_OF_HALF_INTERVAL}"] if halves else []
    return [f"{'. '.join(told)}."] if told else []


def metric_title(metric: str) -> str:
    """The head of a column of a metric."""
    return f"{metric_name(metric)}, {'points' if half_interval_of(metric) else '%'}"


def metric_cell(metric: str, interval: Interval) -> str:
    """What stands in the column: a mean with its interval over seeds; of what is an interval itself, the mean alone."""
    return percent(interval.mean) if half_interval_of(metric) else mean_cell(interval)


def commit_of(machine: Machine) -> str:
    """The code's state, in words where there is none."""
    return machine.git_commit or "no git checkout"


def stage_steps(experiment: Experiment) -> str:
    """1,000, or 500 + 500 in two stages."""
    return " + ".join(f"{stage.training.steps:,}" for stage in experiment.stages)


def full_title(summary: Summary) -> str:
    """The title, with what no number must be read without."""
    changed = ", changed settings" if summary.changes else ""
    variant = "".join(f", {value} {name}" for name, value in summary.variant.items())
    return f"{summary.title}{variant}{changed}{', toy scale' if summary.is_toy else ''}"
