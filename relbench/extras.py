"""Optional libraries: what brings one, where it is missing."""

from importlib.util import find_spec


def needed(module: str, extra: str, what: str) -> None:
    """Refuse what an optional library is needed for, where it is not installed.

    Args:
        module: its name in Python, such as "timm".
        extra: of relbench that brings it.
        what: needs it, as a message names it, such as "the trunk timm:resnet50d".

    Raises:
        ValueError: it is not installed; one line that says how it is.

    Example:
        >>> needed("a_library", "plots", "--plot")
        Traceback (most recent call last):
        ValueError: --plot needs a_library: pip install 'relbench-kd[plots]'
    """
    if find_spec(module) is None:
        raise ValueError(f"{what} needs {module}: pip install 'relbench-kd[{extra}]'")
