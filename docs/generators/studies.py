"""The reference of studies: their docstrings, which are their lab notes, claims, and the numbers that papers print."""

import inspect
from collections.abc import Iterator, Sequence
from functools import cache

from generators.markdown import code, facts, link, plain, section, table
from relbench.data import data_title
from relbench.data.datasets.rendered import RENDERED
from relbench.data.download.card import card_names
from relbench.studies import STUDIES, build_study
from relbench.studies.study import DATA, Cell, Study


@cache
def built_studies() -> tuple[Study, ...]:
    """All studies, as they are built without options."""
    return tuple(map(build_study, STUDIES))


def studies() -> str:
    """A table of all studies, then a section for each."""
    found = built_studies()
    overview = table(
        ["study", "title", "runs of a seed"],
        ([link(code(study.name), "", anchor_of(study.name)), _title(study), str(len(study.runs))] for study in found),
    )
    return "\n\n".join([overview, *map(_section, found)])


def anchor_of(name: str) -> str:
    """Where the section of a study is."""
    return f"study-{name}"


def _title(study: Study) -> str:
    return plain(study.title.replace(DATA, data_title(study.data_sets[0])))


def _section(study: Study) -> str:
    builder = STUDIES[study.name]
    return section(
        2,
        code(study.name),
        f"**{_title(study)}**",
        facts(dict(_facts(study))),
        note(inspect.getmodule(builder).__doc__),
        _claims(study),
        *_printed(study),
        anchor=anchor_of(study.name),
    )


def _facts(study: Study) -> Iterator[tuple[str, str]]:
    yield "command", code(f"relbench reproduce {study.name}")
    if study.source:
        yield "source", plain(study.source)
    yield "data sets", ", ".join(map(_data_set, (*study.data_sets, *study.other_data)))
    yield "primary metric", ", ".join(dict.fromkeys(study.primary_of(path) for path in study.runs))
    yield "losses", ", ".join(link(code(name), "", f"loss-{name.replace('_', '-')}") for name in study.losses)
    for name, option in inspect.signature(STUDIES[study.name]).parameters.items():
        yield f"`--{name}`", f"default: {option.default}"


def _data_set(name: str) -> str:
    """A link to a data set; its name alone where the user has to add it."""
    return link(code(name), "", f"data-{name}") if name in {*RENDERED, *card_names()} else code(name)


def note(docstring: str) -> str:
    """A study's docstring as Markdown, which it nearly is: what is indented is shown as it is."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(each if each.startswith("    ") else plain(each) for each in paragraphs)


def _claims(study: Study) -> str:
    claims = [f"- {plain(claim.text)}" for claim in study.claims if claim.text]
    return "\n".join(["Claims that are judged below its table:", "", *dict.fromkeys(claims)]) if claims else ""


def _printed(study: Study) -> Iterator[str]:
    """The numbers that a paper prints, part by part."""
    printed = [cell for cell in study.cells if cell.published is not None]
    for part in dict.fromkeys(cell.part for cell in printed):
        cells = [cell for cell in printed if cell.part == part]
        yield f"Printed{f': {plain(part)}' if part else ''}, in percent:"
        yield _grid(cells)


def _grid(cells: Sequence[Cell]) -> str:
    rows, columns = (list(dict.fromkeys(names)) for names in ([c.row for c in cells], [c.column for c in cells]))
    numbers = {(cell.row, cell.column): _number(cell) for cell in cells}
    return table(
        ["", *map(plain, columns)],
        ([plain(row), *(numbers.get((row, column), "") for column in columns)] for row in rows),
    )


def _number(cell: Cell) -> str:
    half = f" ± {100 * cell.published_interval:.4g}" if cell.published_interval else ""
    return f"{100 * cell.published:.4g}{half}{' (doubtful)' if cell.doubt else ''}"
