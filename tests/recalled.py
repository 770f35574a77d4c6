"""A validation that ranks share as loops do, for tests; here, so that these processes find it."""

import numpy as np
import torch
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from relbench.evaluation.recall import Recall

IMAGES, CLASSES = 41, 5


def images():
    """Rounded, so that some distances are equal, and rows in another order would be ranked in another."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(IMAGES, 2, generator=generator).mul(2).round()
    return TensorDataset(rows, torch.arange(IMAGES) % CLASSES, torch.arange(IMAGES))


def validated(ranks, *, with_indices=True):
    """Each rank's metrics, of the images that a DistributedSampler gives it."""
    torch.set_num_threads(1)
    sampler = DistributedSampler(images(), ranks.count, ranks.rank, shuffle=False)
    recall = Recall(ks=(1, 3))
    for rows, labels, indices in DataLoader(images(), batch_size=4, sampler=sampler):
        recall.update(rows, labels, indices if with_indices else None)
    return ranks.objects(recall.compute())


def unevenly(ranks):
    """Each rank's metrics, where the first has no images; of strings for labels."""
    rows, labels, _ = images().tensors
    recall = Recall(ks=(1, 3))
    if not ranks.is_first:
        recall.update(rows, np.char.add("class ", labels.numpy().astype(str)))
    return ranks.objects(recall.compute())


def among(ranks):
    """All of these, in processes that are launched once."""
    return validated(ranks), validated(ranks, with_indices=False), unevenly(ranks)
