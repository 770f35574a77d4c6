"""The division of a batch among ranks and into parts with batch statistics of their own."""

import pytest
import torch
from ranked import random_images
from training.small_runs import run_of

from relbench.episodes import Episode
from relbench.experiment import FewShot, Term
from relbench.grid.estimate.calibration import kind_of
from relbench.models import initial_network
from relbench.ranks import ALONE, Ranks
from relbench.resolve import resolve
from relbench.settings import changed
from relbench.training.assemble import UntrainedNetworks, assemble
from relbench.training.division import Layout

RUN = run_of(Term(loss="triplet"))


def in_parts(parts):
    return changed(RUN, {"training": changed(RUN.training, {"batch_norm_parts": parts})})


@pytest.mark.parametrize("images", [2, 3, 5, 8, 25])
@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_parts_are_equal_and_of_two_images_at_least(parts, images):
    """So a small last batch has fewer."""
    groups = Layout(parts=parts).groups(images)
    sizes = [len(group) for group in groups]
    assert torch.cat(groups).tolist() == list(range(images))
    assert len(groups) == min(parts, images // 2)
    assert min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1


LAYOUTS = [{"parts": parts} for parts in (1, 2, 3, 4)] + [{"episode": Episode(2, 3, 4, apart=True)}]


@pytest.mark.parametrize("about", LAYOUTS, ids=str)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("images", [2, 5, 14])
def test_ranks_have_all_images_once(about, count, images):
    """And what they show comes back in the batch's order."""
    if "episode" in about:
        images = 14
    layouts = [Layout(**about, ranks=Ranks(rank, count)) for rank in range(count)]
    divisions = [layout.division(images) for layout in layouts]
    rows = torch.cat([division.own for division in divisions])
    assert rows[divisions[0].order].tolist() == list(range(images))
    groups = layouts[0].groups(images)
    for division in divisions:
        shown = [division.own[each.places] for each in division.passes]
        assert torch.equal(division.in_own_order(shown), division.own)
        assert division.lengths == tuple(len(other.own) for other in divisions)
        for places, each in zip(shown, division.passes, strict=True):
            assert set(places.tolist()) <= set(groups[each.group].tolist())
            assert each.shared.whole == (each.shared.images == len(places)) or count == 1


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_each_part_is_normalised_by_its_own_statistics(parts):
    """On one device: as if each part were shown by itself, one after the other."""
    experiment = in_parts(parts)
    setup = assemble(experiment, UntrainedNetworks(1, 9), random_images(ALONE, experiment))
    indices = setup.data.batch(0)
    images = setup.data.views(indices, torch.Generator().manual_seed(0)).float()
    setup.features.train()
    batch = setup.see(setup.show(indices, images), torch.Generator())
    network = initial_network(experiment, 1).train()
    expected = torch.cat([network(images[group]) for group in Layout(parts=parts).groups(len(images))])
    assert torch.equal(batch.embeddings, expected)
    for own, other in zip(setup.network.buffers(), network.buffers(), strict=True):
        assert torch.equal(own, other)
    if parts > 1:
        assert not torch.allclose(batch.embeddings, initial_network(experiment, 1).train()(images))


def test_support_and_queries_apart_have_no_parts():
    task = FewShot(way=(3,), shot=2, queries=3, batch_norm="apart")
    experiment = changed(in_parts(2), {"task": task})
    with pytest.raises(ValueError, match=r"\Astudent: training.batch_norm_parts = 2, but task.batch_norm = apart .+\Z"):
        resolve(experiment, "student")
    resolve(changed(experiment, {"task": changed(task, {"batch_norm": "together"})}), "student")


def test_the_time_of_a_step_is_measured_with_its_parts():
    assert kind_of(in_parts(2), 1) != kind_of(RUN, 1)
