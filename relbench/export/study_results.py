"""The results of the study that a run was made for, where its folder is there: intervals over seeds, and verdicts.

Sentences and notes are those of the study's report, about all its methods; of its tables only the lines of this run's
method and of its teacher are shown.
"""

from collections.abc import Iterator

from relbench.analysis.results import Results, read_results
from relbench.analysis.summarise import summarise
from relbench.analysis.summary import Summary
from relbench.export.finished import FinishedRun
from relbench.report.grids import claim_table, formatted_parts
from relbench.report.headline import headline
from relbench.report.notes import notes
from relbench.report.reading import claims_caution, claims_title, footnotes, how_measured, reading
from relbench.report.table_formats import markdown_line, markdown_table
from relbench.report.tables import Table, method_table
from relbench.report.wording import full_title, verdict
from relbench.studies.record import StudyRecord, read_study

ALONE = "The study that this run was made for is not beside it: there are no intervals over seeds, and no verdict."


def study_results(run: FinishedRun) -> list[str]:
    """Paragraphs of Markdown: the part of the study's own table that is about a run, with its verdict and notes."""
    if run.study is None:
        return [ALONE]
    record = read_study(run.study)
    results, name = read_results(record, run.study), markdown_line(record.study.name)
    path = path_of(run, results)
    if path is None:
        return [f"The study {name} beside this run has other settings, and says nothing of it."]
    try:
        summary = summarise(record, results, (record.study.selection,))
    except ValueError as error:  # its teachers are not finished, say
        return [f"The study {name} has no table yet ({markdown_line(str(error))})."]
    place = f"In its study this run is {markdown_line(path)}, seed {run.experiment.seed}."
    told = _on_method(path, summary) if summary.methods else _on_cells(path, summary, record)
    return [f"### The study: {markdown_line(full_title(summary))}", place, *told]


def path_of(run: FinishedRun, results: Results) -> str | None:
    """The run's path in its study; None where it is none of the study's runs."""
    found = (path for (path, _), row in results.rows.items() if row.fingerprint == run.row.fingerprint)
    return next(found, None)


def _on_method(path: str, summary: Summary) -> Iterator[str]:
    """The verdict on a method over all seeds, its line of the table, and the study's headline and notes."""
    own = next(method for method in summary.methods if method.label == path)
    labels = {summary.methods[0].label, path, *(floor.label for floor in summary.all_floors)}
    if own.against_teacher:
        yield f"Verdict on {markdown_line(path)}, over all its seeds: **{markdown_line(verdict(own))}**."
    yield _lines(_of(method_table(summary), labels))
    yield markdown_line(f"All methods of the study: {headline(summary)}")
    yield _lines([f"- {markdown_line(note)}" for note in notes(summary)])


def _of(table: Table, labels: set[str]) -> list[str]:
    """The lines of a table that begin with some labels."""
    return markdown_table(Table(table.columns, tuple(row for row in table.rows if row[0] in labels)))


def _on_cells(path: str, summary: Summary, record: StudyRecord) -> Iterator[str]:
    """The cells of a run's path over all seeds, and what the study's claims about it come to."""
    shown = summary.replaced(cells=tuple(cell for cell in summary.cells if cell.path == path), floors={})
    yield markdown_line(how_measured(summary))
    for part in formatted_parts(shown):
        yield _lines([f"#### {markdown_line(part.title)}", "", *markdown_table(part.table)])
    yield _lines([f"- {markdown_line(note)}" for note in (*footnotes(shown), *reading(shown), *summary.notes)])
    asked = _claims_about(path, record)
    if asked.intersection(claim.text for claim in summary.claims):
        yield f"#### {markdown_line(claims_title(summary))} that name it"
        yield from map(markdown_line, claims_caution(summary))
        yield _lines(_of(claim_table(summary), asked))


def _claims_about(path: str, record: StudyRecord) -> set[str]:
    cells = record.study.cells_by_key
    return {
        claim.text for claim in record.study.claims if path in {cells[key].run for pair in claim.better for key in pair}
    }


def _lines(lines: list[str]) -> str:
    return "\n".join(lines)
