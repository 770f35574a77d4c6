from relbench.benchmarks.shards import measure


def test_a_small_measurement():
    whole, shards = measure(3_000, 8, 300, 2_000_000, rounds=1)
    assert len(whole) == len(shards) == 1
    assert whole[0].metrics == shards[0].metrics
    assert 0 < shards[0].metrics["recall@1"] < 1
    assert min(whole[0].seconds, shards[0].seconds) > 0
