"""A disk that is full, as far as this process can see."""

import resource
from contextlib import contextmanager


@contextmanager
def files_up_to(size):
    """The system refuses to let a file grow beyond a number of bytes, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
