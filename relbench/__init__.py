"""Does relational distillation make a student beat its teacher at retrieval, classification or few-shot learning?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relbench.api.embeddings import compare, evaluate
    from relbench.api.results import load_results
    from relbench.evaluation.recall import Recall

__all__ = ["Recall", "compare", "evaluate", "load_results"]
__version__ = "0.1.0"

_PLACES = {
    "Recall": "relbench.evaluation.recall",
    "compare": "relbench.api.embeddings",
    "evaluate": "relbench.api.embeddings",
    "load_results": "relbench.api.results",
}


def __getattr__(name: str) -> Any:
    """Names that are loaded when they are first used, so that `import relbench` waits for no library."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
