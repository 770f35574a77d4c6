"""Copy the finished quick start into results/reference: rows, tables and plots, not weights or embeddings."""

import shutil
from pathlib import Path

source, target = Path("results/quickstart"), Path("results/reference/quickstart")
shutil.rmtree(target, ignore_errors=True)
for path in sorted(source.rglob("*")):
    if path.suffix in {".json", ".md", ".csv", ".tex", ".png", ".svg", ".html"}:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
