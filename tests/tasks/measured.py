"""Measurements that several processes share, for tests; here, so that these processes find them."""

from copy import copy
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from tasks.patterns import Patterns
from tasks.signs import SIGNS
from torch import nn

from relbench.experiment import Classification, FewShot, Net, Scorer
from relbench.models import build_classifier
from relbench.tasks import Model
from relbench.tasks.classification import ClassificationTask
from relbench.tasks.few_shot import FewShotTask
from relbench.tasks.retrieval import RetrievalTask
from relbench.tasks.shares import embeddings_of
from relbench.training.assemble import TrainedNetworks

CPU = torch.device("cpu")


class Shown(nn.Module):
    """Some of an image's numbers as its embedding: the same to the last bit, whatever else is in its batch."""

    def forward(self, images):
        return images.flatten(1)[:, 300:316]


def with_one_query():
    """Images of which only one asks, and all but it can be found."""
    source = copy(SIGNS)
    asks = np.arange(len(source.table)) == np.flatnonzero(source.table["split"] == "test")[3]
    source.table = source.table.assign(query=asks, gallery=~asks)
    return source


def measured(ranks):
    """By name: embeddings, metrics and counts of each task; embeddings of few images; constants of a teacher.

    Args:
        ranks: that share the work.
    """
    head, plain = build_classifier(Net(dim=16), 28, 4, 0), Model(Shown(), CPU, ranks=ranks)
    few_shot = {scorer: FewShotTask(FewShot(way=(3, 5), shot=2, queries=3, episodes=50, validation_episodes=2,
                                            scorer=scorer)) for scorer in get_args(Scorer)}  # fmt: skip
    found = {
        "retrieval": RetrievalTask(ks=(1, 3)).evaluate(plain, SIGNS, "test"),
        "one query": RetrievalTask(ks=(1, 3)).evaluate(plain, with_one_query(), "test"),
        "means": ClassificationTask(Classification(class_means=True)).evaluate(plain, Patterns(), "test"),
        "head": ClassificationTask(Classification()).evaluate(Model(Shown(), CPU, head, ranks), Patterns(), "test"),
        **{scorer: task.evaluate(plain, SIGNS, "test") for scorer, task in few_shot.items()},
        "two episodes": few_shot["nearest"].evaluate(plain, SIGNS, "validation"),
    }
    told = {
        name: (each.embeddings.tolist(), each.metrics, each.counts, each.other_counts) for name, each in found.items()
    }
    told |= {f"{count} images": embeddings_of(plain, SIGNS, np.arange(count)).tolist() for count in (1, 2, 10)}
    constants = TrainedNetworks(Path(), SIGNS, ranks)._constants(["centres"], Shown(), "cpu")
    return told | {name: constant.tolist() for name, constant in constants.items()}
