"""Copy a finished study into results/reference: record, rows, floors, tables and plots, not weights or embeddings."""

import shutil
import sys
from pathlib import Path

from relbench.analysis.results import read_results
from relbench.plain_text import counted
from relbench.studies.record import FILE, read_study

KEPT = {".json", ".md", ".csv", ".tex", ".png", ".svg", ".html"}


def missing(folder: Path) -> int:
    """How many runs of a study are not finished."""
    record = read_study(folder)
    return len(record.seeds) * len(record.paths) - len(read_results(record, folder).rows)


study = sys.argv[1] if len(sys.argv) > 1 else "quickstart"
source, target = Path("results") / study, Path("results/reference") / study
if not (source / FILE).exists() or not (source / "report.html").exists():
    sys.exit(f"{source} holds no finished study: run `relbench reproduce {study}` first, from the checkout's folder")
if runs := missing(source):
    sys.exit(f"{source} lacks {counted(runs, 'run')}: run `relbench reproduce {study}` again")
shutil.rmtree(target, ignore_errors=True)
for path in sorted(source.rglob("*")):
    if path.suffix in KEPT:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
