"""The report as one HTML page that needs nothing but itself."""

from typing import Any

from relbench.analysis.images import Distances
from relbench.analysis.power import family_plans
from relbench.analysis.summary import Summary
from relbench.evaluation.estimate import POWER
from relbench.evaluation.metric_names import in_sentence, metric_name
from relbench.report.citation import cite_relbench, cite_rkd
from relbench.report.examples import examples_shown
from relbench.report.figures.cells import cells_figure, cells_in_words
from relbench.report.figures.distances import distances_figure, distances_in_words, distances_measured
from relbench.report.figures.forest import forest_figure, forest_in_words
from relbench.report.figures.recall import has_recall_curves, recall_figure, recall_in_words
from relbench.report.figures.sizes import size_figure, size_in_words
from relbench.report.figures.training import training_figure, training_in_words
from relbench.report.grids import claim_table, formatted_parts
from relbench.report.headline import in_brief, outcome
from relbench.report.markup import grid_of, picture_of, rendered, with_addresses
from relbench.report.notes import notes, pair_note
from relbench.report.page_tables import cells_by_seed, machines, methods_by_seed, runs, settings
from relbench.report.power import POWER_TITLE, family_title, groups_in_words, power_notes, power_table
from relbench.report.reading import claims_caution, claims_title, footnotes, how_measured, reading
from relbench.report.tables import method_table, pair_table
from relbench.report.wording import PAIRS_TITLE, TOY, full_title


def page_text(summary: Summary) -> str:
    """The whole page: sections of methods, sections of cells, or both."""
    content = {
        "study": summary.name,
        "title": full_title(summary),
        "toy": TOY if summary.is_toy else "",
        "methods": _methods(summary) if summary.methods else None,
        "cells": _cells(summary) if summary.cells else None,
        "examples": examples_shown(summary.examples),
        "distances": _distances(summary.distances, summary) if summary.distances else None,
        "missing": summary.missing,
        "cite": {"relbench": cite_relbench(), "rkd": cite_rkd()},
        "power": _power(summary),
    }
    return rendered("report.html", content)


def _methods(summary: Summary) -> dict[str, Any]:
    same, different = settings(summary)
    first, others = in_brief(summary)
    compared = any(method.against_teacher for method in summary.methods)
    table = method_table(summary)
    return {
        "primary": metric_name(summary.primary),
        "primary_in_sentence": in_sentence(summary.primary),
        "headline": first,
        "further_findings": others,
        "forest": picture_of(forest_figure, summary, forest_in_words) if compared else None,
        "notes": notes(summary),
        "compared": grid_of("Results on test images", table.part(in_brief=True)),
        "further": grid_of("Size, batch and further metrics", table.part(in_brief=False)),
        "pairs": grid_of(PAIRS_TITLE, pair_table(summary)) if summary.pairs else None,
        "pair_note": pair_note(summary),
        "pairs_title": PAIRS_TITLE,
        "recall": picture_of(recall_figure, summary, recall_in_words) if has_recall_curves(summary) else None,
        "size": picture_of(size_figure, summary, size_in_words),
        "training": picture_of(training_figure, summary, training_in_words),
        "seeds": methods_by_seed(summary),
        "same": same,
        "different": different,
        "runs": runs(summary),
        "machines": machines(summary),
        "sources": [(name, with_addresses(source)) for name, source in summary.sources.items()],
        "own": _own_losses(summary),
    }


def _power(summary: Summary) -> dict[str, Any] | None:
    """What each comparison's seeds can show, and how many it needs; nothing where no variance is known."""
    plans, group = family_plans(summary), groups_in_words(summary)
    if not any(plan.typical for plan in plans):
        return None
    tables = [(family_title(plan), grid_of(family_title(plan), power_table(plan, group))) for plan in plans]
    return {"title": POWER_TITLE, "tables": tables, "notes": power_notes(plans, group, POWER)}


def _own_losses(summary: Summary) -> dict[str, str]:
    """Losses that are not relbench's, as text."""
    stages = [stage for row in summary.rows for stage in row.experiment.stages]
    return {term.loss: term.source for stage in stages for term in stage.terms if term.source}


def _distances(distances: Distances, summary: Summary) -> dict[str, Any]:
    picture = picture_of(distances_figure, summary, lambda _: distances_in_words(distances))
    return {"picture": picture, "measured": distances_measured(distances)}


def _cells(summary: Summary) -> dict[str, Any]:
    return {
        "source": with_addresses(summary.source) if summary.source else [],
        "measured": how_measured(summary),
        "outcome": outcome(summary),
        "parts": formatted_parts(summary),
        "footnotes": footnotes(summary),
        "reading": reading(summary),
        "picture": picture_of(cells_figure, summary, cells_in_words),
        "title": "The paper's numbers and ours" if summary.has_published else "Our numbers",
        "claims": claim_table(summary).rows,
        "claims_title": claims_title(summary),
        "claims_caution": claims_caution(summary),
        "notes": summary.notes,
        "seeds": cells_by_seed(summary),
    }
