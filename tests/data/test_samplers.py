"""Batches: how many images of how many classes, and that each is a function of its step."""

import pickle
from collections import Counter
from itertools import count, islice

import pytest
import torch

from relbench.data.samplers import ClassBalancedSampler, EpochSampler


def labels_of(*sizes):
    """Classes of these sizes, mixed."""
    labels = torch.cat([torch.full((size,), 10 * number) for number, size in enumerate(sizes)])
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(7))]


def batches(labels, batch_size, images_per_class, seed=0):
    return map(ClassBalancedSampler(labels, batch_size, images_per_class, seed), count())


def test_the_authors_form():
    """128 images, 5 a class: 25 whole classes and one of 3; 25 x 5 x 4 + 3 x 2 = 506 ordered positive pairs."""
    labels = labels_of(*[12] * 100)
    for lines in islice(batches(labels, 128, 5), 20):
        assert lines.shape == (128,)
        chosen = labels[lines]
        assert sorted(Counter(chosen.tolist()).values()) == [3] + [5] * 25
        assert Counter(chosen.tolist())[chosen[-1].item()] == 3  # the last one has the rest
        assert len(set(lines.tolist())) == 128  # no image twice
        positive = (chosen[:, None] == chosen) & ~torch.eye(128, dtype=torch.bool)
        assert positive.sum() == 506


def test_images_of_a_class_stand_together():
    labels = labels_of(*[6] * 10)
    (lines,) = islice(batches(labels, 20, 5), 1)
    assert (labels[lines].view(4, 5) == labels[lines].view(4, 5)[:, :1]).all()


def test_classes_are_drawn_evenly_and_so_are_images():
    """Each of 10 classes is in half of all batches, each of its 4 images in half of those."""
    labels, steps = labels_of(*[4] * 10), 2000
    drawn = torch.cat(list(islice(batches(labels, 10, 2), steps)))
    times = torch.bincount(drawn, minlength=40) / steps
    assert times.sum() == 10
    assert times.min() > 0.25 - 0.04  # 4 standard deviations of sqrt(0.25 x 0.75 / 2000)
    assert times.max() < 0.25 + 0.04


def test_all_classes_when_as_many_are_needed():
    labels = labels_of(5, 5, 5)
    for lines in islice(batches(labels, 15, 5), 5):
        assert set(lines.tolist()) == set(range(15))


@pytest.mark.parametrize(("size", "times"), [(1, {5}), (2, {2, 3}), (3, {1, 2}), (4, {1, 2})])
def test_a_small_class_gives_some_images_twice_but_each_once(size, times):
    labels = labels_of(size, size)
    for lines in islice(batches(labels, 10, 5), 10):
        counts = Counter(lines.tolist())
        assert len(counts) == 2 * size
        assert set(counts.values()) == times


@pytest.mark.parametrize(("classes", "batch_size"), [(25, 128), (1, 6), (0, 2)])
def test_too_few_classes(classes, batch_size):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
        batches(labels_of(*[6] * classes) if classes else torch.tensor([]), batch_size, 5)
    message = str(caught.value)
    assert message.startswith(f"a batch of {batch_size} with 5 images per class needs {-(-batch_size // 5)} classes, ")
    assert message.endswith(f"but there are {classes} for training: lower batch_size or use more classes")


@pytest.mark.parametrize(("batch_size", "images_per_class"), [(5, 5), (4, 5), (128, 128)])
def test_a_batch_of_one_class(batch_size, images_per_class):
    message = f"a batch of {batch_size} with {images_per_class} images per class holds one class: raise batch_size or "
    with pytest.raises(ValueError, match=message):
        batches(labels_of(*[6] * 30), batch_size, images_per_class)


def test_as_many_classes_as_needed_are_enough():
    (lines,) = islice(batches(labels_of(*[6] * 26), 128, 5), 1)
    assert len(lines) == 128


def test_depends_on_seed_and_step_alone():
    labels = labels_of(*[4] * 10)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again, other = (torch.stack(list(islice(batches(labels, 12, 3, seed), 4))) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({tuple(lines) for lines in first.tolist()}) == 4
    assert torch.equal(torch.get_rng_state(), before)


def test_the_batch_of_a_step_does_not_depend_on_those_before():
    labels = labels_of(*[4] * 10)
    inorder = list(islice(batches(labels, 12, 3, seed=5), 7))
    sampler = ClassBalancedSampler(labels, 12, 3, 5)
    assert all(torch.equal(sampler(step), inorder[step]) for step in (6, 2, 2, 0))


@pytest.mark.parametrize(
    ("images", "batch_size", "drop", "sizes"),
    [(50, 16, False, [16, 16, 16, 2]), (50, 16, True, [16] * 3), (48, 16, False, [16] * 3)],
)
def test_an_epoch_shows_every_image_once(images, batch_size, drop, sizes):
    sampler = EpochSampler(images, batch_size, 3, drop_last=drop)
    assert sampler.batches == len(sizes)
    epochs = [[sampler(step) for step in range(start, start + len(sizes))] for start in (0, len(sizes))]
    for epoch in epochs:
        assert [len(batch) for batch in epoch] == sizes
        drawn = torch.cat(epoch).tolist()
        assert len(set(drawn)) == len(drawn) == sum(sizes)
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1]))


def test_a_batch_of_an_epoch_follows_from_its_step_alone():
    first, second = (EpochSampler(50, 16, 3, drop_last=False) for _ in range(2))
    found = [first(step) for step in range(12)]
    assert all(torch.equal(second(step), found[step]) for step in (11, 0, 7, 3))
    assert torch.equal(pickle.loads(pickle.dumps(second))(5), found[5])
    assert not torch.equal(EpochSampler(50, 16, 4, drop_last=False)(0), found[0])


@pytest.mark.parametrize(
    ("images", "message"), [(10, "10 training images, which fill no batch of 16"), (33, "would be a single image")]
)
def test_epochs_that_are_no_batches_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        EpochSampler(images, 16, 0, drop_last=False)
