from relbench.evaluation.gallery.plan import MOST_ITEMS, Plan


def test_shards_fit_and_are_no_larger_than_fast():
    few = Plan(memory=100_000_000, dim=128, itemsize=4)
    assert 0 < few.items < MOST_ITEMS
    assert few.items * few.item <= few.memory / 2 < (few.items + 1) * few.item
    assert Plan(memory=10**12, dim=128, itemsize=4).items == MOST_ITEMS
