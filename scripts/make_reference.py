"""Copy the finished quick start into results/reference: rows, tables and plots, not weights or embeddings."""

import shutil
import sys
from pathlib import Path

source, target = Path("results/quickstart"), Path("results/reference/quickstart")
if not (source / "report.html").exists():
    sys.exit(
        "results/quickstart holds no finished quick start: run `make quickstart` first, from the checkout's folder"
    )
shutil.rmtree(target, ignore_errors=True)
for path in sorted(source.rglob("*")):
    if path.suffix in {".json", ".md", ".csv", ".tex", ".png", ".svg", ".html"}:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
