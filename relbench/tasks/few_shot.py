"""Few-shot classification: queries of classes that training never showed, by a few support images of each.

A batch in training is an episode, too, of other classes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from relbench.counts import Counts
from relbench.data.samplers import EpisodeSampler
from relbench.data.table import ImageSource, check_classes, indices_of, labels_of
from relbench.episodes import Episode
from relbench.evaluation.few_shot import Episodes, EpisodeStream, draw_episodes, few_shot_interval, right_queries
from relbench.evaluation.knn.points import Embeddings
from relbench.evaluation.metric_names import HALF_INTERVAL
from relbench.experiment import FewShot, Net, Training
from relbench.models import Classifier, build_classifier
from relbench.plain_text import listed
from relbench.ranks import ALONE, Ranks
from relbench.tasks.shares import embeddings_of
from relbench.tasks.task import Measured, Model, not_as_counted, not_shares

EPISODES_AT_ONCE = 10_000
"""Episodes that are drawn before they are scored: their images take some 50 MB."""

STREAMS: Mapping[str, EpisodeStream] = {"test": "test episodes", "validation": "validation episodes"}


@dataclass(frozen=True)
class FewShotTask:
    """The accuracy over episodes, the same for all networks; the mean, and 1.96 standard errors as papers print them.

    Attributes:
        settings: of the task.
    """

    settings: FewShot
    trial = "query"
    group = "episode"
    not_covered = (
        "All episodes are drawn from the same test classes and images: intervals over new episodes do not cover other "
        "test classes, however many episodes there are."
    )
    balanced = True
    has_head = False
    without_head = ""
    by_neighbours = False
    growth = 0

    @property
    def primary(self) -> str:
        """The accuracy in episodes of the first number of classes."""
        return self._metric(self.settings.way[0])

    def _metric(self, way: int) -> str:
        return f"{way}way_{self.settings.shot}shot"

    def check(self, table: pd.DataFrame) -> None:
        """Refuse splits that share a class, or that have too few classes or images for an episode.

        Raises:
            ValueError: one line that says what to do.
        """
        try:
            check_classes(table, "disjoint")
        except ValueError as error:
            raise ValueError(f"{error} for few-shot: choose data.split = classes where there is such a split") from None
        for split in STREAMS:
            indices = indices_of(table, split)
            if len(indices):
                self._draw(labels_of(table, indices)[0], split, max(self._ways(split)), range(1))

    def _ways(self, split: str) -> tuple[int, ...]:
        """Classes of an episode; validation asks for the primary metric alone, as it may have few."""
        return self.settings.way if split == "test" else self.settings.way[:1]

    def sampler(self, labels: Tensor, seed: int, training: Training) -> EpisodeSampler:
        """Episodes of training images."""
        return EpisodeSampler(labels, self.episode(training), seed)

    def episode(self, training: Training) -> Episode:
        """The layout of a training episode, which a batch is.

        Raises:
            ValueError: a batch has no queries, or is no whole number of classes.
        """
        of_a_class, shot = training.images_per_class, self.settings.shot
        if of_a_class <= shot:
            raise ValueError(
                f"images_per_class = {of_a_class} leaves no queries beside {shot} support images of a class: raise it"
            )
        way, rest = divmod(training.batch_size, of_a_class)
        if rest or way < 2:
            raise ValueError(
                f"batch_size = {training.batch_size} is no episode of two or more classes of {of_a_class} images each "
                f"(support images: {shot}, queries: {of_a_class - shot}): choose a multiple of {of_a_class}"
            )
        return Episode(way, shot, of_a_class - shot, apart=self.settings.batch_norm == "apart")

    def steps_of_epoch(self, images: int, training: Training) -> int:
        """Refused: episodes are drawn each alone."""
        del images, training
        raise ValueError("few-shot draws each episode alone, and has no epochs: say how many steps to train")

    def head(self, net: Net, size: int, classes: int, seed: int) -> Classifier:
        """A linear classifier, for losses that take logits: it answers no query."""
        return build_classifier(net, size, classes, seed)

    def evaluate(self, model: Model, source: ImageSource, split: str) -> Measured:
        """Embed the images of a split in batches, once, and score all episodes."""
        indices = indices_of(source.table, split)
        labels, _ = labels_of(source.table, indices)
        embeddings = embeddings_of(model, source, indices)
        metrics, counts = self.score(embeddings, labels, split, ranks=model.ranks)
        return Measured(embeddings, metrics, counts.pop(self.primary), counts)

    def score(
        self,
        embeddings: Embeddings,
        labels: ArrayLike,
        split: str,
        progress: Callable[[int], None] | None = None,
        ranks: Ranks = ALONE,
    ) -> tuple[dict[str, float], dict[str, Counts]]:
        """Metrics of embeddings, and counts by metric.

        Args:
            embeddings: (images, dim), of the images of the split.
            labels: (images,): which classes an episode has follows from their order, numbers or names.
            split: whose episodes are drawn.
            progress: is called with the number of episodes done since the last call.
            ranks: that have the same embeddings; each scores its share of the episodes.

        Raises:
            ValueError: there are too few classes or images, or embeddings that can't be used.
        """
        metrics, counts = dict[str, float](), dict[str, Counts]()
        for way in self._ways(split):
            counted = self._counted(embeddings, labels, split, way, progress, ranks)
            accuracies = np.divide(counted.correct, counted.trials)
            counts[self._metric(way)] = counted
            metrics[self._metric(way)], metrics[f"{self._metric(way)}{HALF_INTERVAL}"] = few_shot_interval(accuracies)
        return metrics, counts

    def _counted(
        self,
        embeddings: Embeddings,
        labels: ArrayLike,
        split: str,
        way: int,
        progress: Callable[[int], None] | None = None,
        ranks: Ranks = ALONE,
    ) -> Counts:
        total, right = self._episodes(split), list[int]()
        own = range(total)[ranks.share(total)]
        for first in own[::EPISODES_AT_ONCE]:
            episodes = self._draw(labels, split, way, range(first, min(first + EPISODES_AT_ONCE, own.stop)))
            right += right_queries(embeddings, episodes, self.settings.scorer, progress).tolist()
        groups, trials = tuple(map(str, range(total))), (way * self.settings.queries,) * total
        return Counts(groups=groups, trials=trials, correct=tuple(chain.from_iterable(ranks.objects(right))))

    def _episodes(self, split: str) -> int:
        return self.settings.episodes if split == "test" else self.settings.validation_episodes

    def _draw(self, labels: ArrayLike, split: str, way: int, episodes: range) -> Episodes:
        asked = self.settings
        return draw_episodes(labels, way, asked.shot, asked.queries, episodes, asked.episode_seed, STREAMS[split])

    def contradictions(self, metrics: Mapping[str, float], counts: Mapping[str, Counts]) -> Iterator[str]:
        """What is no share, is not what the counts say, or another interval than theirs; and missing counts."""
        yield from not_shares(metrics)
        if counts and (missing := {self._metric(way) for way in self.settings.way} - counts.keys()):
            yield f"it has no counts of {listed(sorted(missing))}"
        yield from not_as_counted(metrics, counts)
        for metric, counted in counts.items():
            name, found = f"{metric}{HALF_INTERVAL}", np.divide(counted.correct, counted.trials)
            if abs(metrics.get(name, -1) - few_shot_interval(found)[1]) > 1e-9:
                yield f"{name} is not that of its counts"

    def rehearse(self, dim: int, images: int, device: torch.device) -> None:
        """Score all episodes of random embeddings; they are scored on the CPU."""
        del device
        of_a_class, way = self.settings.shot + self.settings.queries, max(self.settings.way)
        rows = torch.rand(max(images, way * of_a_class), dim, generator=torch.Generator().manual_seed(0))
        labels = torch.arange(len(rows)).numpy() % way
        for classes in self.settings.way:
            self._counted(rows, labels, "test", classes)
