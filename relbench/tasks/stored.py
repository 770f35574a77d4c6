"""Embeddings in files as a few-shot task measures them: those of a run of any task, or another program's."""

from collections.abc import Callable, Sequence

from relbench.evaluation.retrieval import check_labels
from relbench.evaluation.stored import Files, naming_files, read_files
from relbench.experiment import FewShot
from relbench.tasks.few_shot import FewShotTask


def stored_accuracies(
    files: Files,
    asked: Sequence[FewShot],
    advance: Callable[[int, int], None] | None = None,
) -> list[dict[str, float]]:
    """Accuracies of embeddings in files, and their intervals, as a run with these settings has them in its row.

    Images that a data set separates into queries and a gallery are all the same here: an episode draws its support
    images and its queries from all of them.

    Args:
        files: where they are.
        asked: settings that are measured one after the other.
        advance: is called with the number of episodes done since the last call, and of all episodes.

    Raises:
        ValueError: what `read_files` refuses; embeddings or labels that can't be used, or too few classes or
            images; the message names the files.
    """
    stored = read_files(files)
    total = sum(settings.episodes * len(settings.way) for settings in asked)

    def progress(done: int) -> None:
        if advance is not None:
            advance(done, total)

    with naming_files(*files.paths):
        labels = check_labels(stored.labels, len(stored.embeddings))
        return [FewShotTask(each).score(stored.embeddings, labels, "test", progress)[0] for each in asked]
