"""Copy a finished study into results/reference: rows, tables and plots, not weights or embeddings."""

import shutil
import sys
from pathlib import Path

study = sys.argv[1] if len(sys.argv) > 1 else "quickstart"
source, target = Path("results") / study, Path("results/reference") / study
if not (source / "report.html").exists():
    sys.exit(f"{source} holds no finished study: run `relbench reproduce {study}` first, from the checkout's folder")
shutil.rmtree(target, ignore_errors=True)
for path in sorted(source.rglob("*")):
    if path.suffix in {".json", ".md", ".csv", ".tex", ".png", ".svg", ".html"}:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
