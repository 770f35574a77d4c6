"""The command `relbench`, also as `python -m relbench`."""

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command; Ctrl-C is no error, not even in the seconds that loading takes.

    Args:
        arguments: those of the command line, if None.
    """
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal may lack a sign
    try:
        from relbench.cli import app  # noqa: PLC0415 - see above

        app(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # where even the help can't be printed
        sys.stderr.write(f"relbench: {error}\n")
        sys.exit(2)
    finally:
        _leave_quietly()


def _leave_quietly() -> None:
    """What can't be printed at the very end has been reported already: Python need not complain once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":  # a worker process imports this file under another name
    main()
