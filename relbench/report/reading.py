"""Sentences on how to read the cells of a table, and its claims."""

from relbench.analysis.summary import Summary
from relbench.evaluation.metric_names import in_sentence
from relbench.plain_text import counted, listed, many
from relbench.report.looks import looks_notes
from relbench.report.power import claims_lines
from relbench.report.wording import NOTHING, ONE_SEED, RAISED, RULES, meanings
from relbench.tasks import Task, find_task


def how_measured(summary: Summary) -> str:
    """Protocol and what was changed of it, scale, rules of selection, metrics and seeds, in one sentence."""
    changed = f", with changed settings ({summary.changes})" if summary.changes else ""
    fact, *facts = (f"{name}: {value}" for name, value in {**summary.variant, "scale": summary.scale}.items())
    first, *others = (RULES[rule] for rule in summary.shown)
    further = f" (further lines: {'; '.join(others)})" if others else ""
    metrics = listed([in_sentence(metric) for metric in dict.fromkeys(cell.metric for cell in summary.cells)])
    return (
        f"{fact[:1].upper()}{'; '.join([fact[1:] + changed, *facts])}; step that counts: {first}{further}; "
        f"{_seeds(summary)}; {metrics} in percent."
    )


def _seeds(summary: Summary) -> str:
    """How many stand behind a number, and which."""
    finished = [ours.seeds for cell in summary.cells for ours in cell.ours.values()]
    if not finished:
        return "no finished run that this rule applies to"
    fewest, most = min(map(len, finished)), max(map(len, finished))
    named = ", ".join(map(str, sorted({seed for seeds in finished for seed in seeds})))
    return f"{'' if fewest == most else f'{fewest} to '}{counted(most, 'seed')} ({named})"


def reading(summary: Summary) -> list[str]:
    """How to read the tables, a sentence each."""
    single = any(len(ours.seeds) == 1 for cell in summary.cells for ours in cell.ours.values())
    difference = f"Difference: ours ({RULES[summary.shown[0]]}) minus the paper's, in points."
    missing = ["no finished run", "none that the rule applies to"]
    missing += ["no published number"] if summary.has_published else []
    return [
        "Ours: mean over seeds ± half of its 95 % interval (Student's t), which covers new training runs only.",
        *([f"{ONE_SEED}: one seed, no interval."] if single else []),
        *_intervals(summary),
        *([difference] if summary.has_published else []),
        *([PEEKING] if "test" in summary.shown else []),
        f"{NOTHING}: {', '.join(missing[:-1])}, or {missing[-1]}. Blank: nothing to measure.",
        *meanings(dict.fromkeys(cell.metric for cell in summary.cells)),
        *dict.fromkeys(floor.how for floors in summary.floors.values() for floor in floors),
    ]


def _intervals(summary: Summary) -> list[str]:
    """What the printed intervals are, and ours beside them."""
    if all(cell.published_interval is None for cell in summary.cells):
        return []
    groups = listed([many(task.group) for task in _tasks(summary)])
    printed = f"Paper: the number ± half of its 95 % interval over {groups}, as printed."
    own = f"(±): that of ours, 1.96 standard errors over the {groups} of a network, mean over seeds."
    return [f"{printed} {own} Neither covers new training runs."]


PEEKING = (
    "Best on test images: peeking, since the step is chosen on the very images it is then measured on; "
    "such numbers are too high."
)


def claims_title(summary: Summary) -> str:
    """Whose claims they are: a table has its own where none of its runs answers to a number that was printed."""
    answered = any(cell.path and cell.published is not None for cell in summary.cells)
    return "Claims of the paper" if answered else "Claims"


def claims_caution(summary: Summary) -> list[str]:
    """Claims are answered by the first rule shown, and peeking is no answer to rely on; then how to read them."""
    peeking = [PEEKING_CLAIMS] if summary.claims and summary.shown[0] == "test" else []
    return [*peeking, *_differences(summary), *looks_notes(summary), *claims_lines(summary)]


def _differences(summary: Summary) -> list[str]:
    """What the differences beside the answers are, and what their intervals and p-values are over."""
    told = [claim.difference for claim in summary.claims if claim.difference]
    judged = [difference for difference in told if difference.p_adjusted is not None]
    if not told:
        return []
    tasks, over_groups = _tasks(summary), any(each.over_groups for each in judged)
    groups, of_networks = listed([many(task.group) for task in tasks]), any(each.of_networks for each in told)
    runs = f"new training runs{f' and new {groups} at once' if over_groups else ''}"
    interval = f", with its 95 % interval and p over {runs}" if judged else ""
    words = [f"Difference: what is claimed to be better minus the other, paired by seed{interval}."]
    if of_networks:
        words.append(f"For these networks alone: 95 % interval over new {groups}, not over new training runs.")
    if over_groups or of_networks:
        words += [task.not_covered for task in tasks if task.not_covered]
    return [*words, *_corrected({each.family for each in judged})]


def _corrected(families: set[int]) -> list[str]:
    """How p-values are corrected; intervals stay those of each comparison alone."""
    sizes = [str(size) for size in sorted(families - {1})]
    if not sizes:
        return []
    return [f"Holm p: corrected for the {listed(sizes)} comparisons that are claimed together; intervals are not."]


def _tasks(summary: Summary) -> list[Task]:
    """Of the networks of the cells, one for each word for groups of trials."""
    return list({task.group: task for task in map(find_task, summary.tasks)}.values())


PEEKING_CLAIMS = "These answers come from peeking: each network's step is the best on the test images."


def marks(summary: Summary) -> dict[str, str]:
    """A raised letter for each distinct note, of a network or of a published number, in the table's order."""
    letters = list(RAISED.values())
    texts = dict.fromkeys(text for cell in summary.cells for text in (cell.doubt, cell.note) if text)
    return {text: letters[index % len(letters)] * (index // len(letters) + 1) for index, text in enumerate(texts)}


def footnotes(summary: Summary) -> list[str]:
    """The notes of networks and of published numbers, each once, behind its letter."""
    return [f"{mark} {text}" for text, mark in marks(summary).items()]
