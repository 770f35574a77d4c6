"""`python -m relbench` is the command `relbench`."""

from relbench.cli import main

if __name__ == "__main__":  # a worker process imports this file under another name
    main()
