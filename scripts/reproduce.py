"""Make a study's table: scripts/reproduce.py STUDY [options], the same as `relbench reproduce STUDY [options]`."""

import sys

from relbench.cli import app

if __name__ == "__main__":  # a worker process imports this file under another name
    app(["reproduce", *sys.argv[1:]])
