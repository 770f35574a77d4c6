"""Make a study's table: scripts/reproduce.py STUDY [options], the same as `relbench reproduce STUDY [options]`."""

import sys

from relbench.__main__ import main

if __name__ == "__main__":  # a worker process imports this file under another name
    main(["reproduce", *sys.argv[1:]])
