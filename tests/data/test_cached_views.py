"""Views for evaluation are made once, as far as there is room for them."""

import torch

from relbench.data.cached_views import CachedViews


class Counting:
    """A source that counts what it makes."""

    table, shape, content, data_hash = None, None, "c", "h"

    def __init__(self):
        self.made = []

    def train_batch(self, lines, generator, only=None):
        views = torch.rand(len(lines), generator=generator)
        return views if only is None else views[only]

    def test_batch(self, lines):
        self.made.append(lines.tolist())
        return lines.float().repeat(4, 1).T


def test_views_are_made_once_and_kept():
    source = Counting()
    views = CachedViews(source)
    first, second = torch.arange(3), torch.arange(3, 5)
    for _ in range(2):
        assert torch.equal(views.test_batch(first), Counting().test_batch(first))
        assert torch.equal(views.test_batch(second), Counting().test_batch(second))
    assert source.made == [[0, 1, 2], [3, 4]]


def test_views_for_which_there_is_no_room_are_made_anew():
    source = Counting()
    views = CachedViews(source, room=3 * 4 * 4)  # three images of four numbers of four bytes
    for _ in range(2):
        views.test_batch(torch.arange(3))
        views.test_batch(torch.arange(3, 5))
    assert source.made == [[0, 1, 2], [3, 4], [3, 4]]


def test_training_views_are_never_kept():
    views, generator = CachedViews(Counting()), torch.Generator().manual_seed(0)
    assert not torch.equal(views.train_batch(torch.arange(3), generator), views.train_batch(torch.arange(3), generator))
