"""What `relbench` offers in Python: embeddings measured and compared, results of studies as frames.

`relbench.evaluate`, `relbench.compare` and `relbench.load_results` are found here when they are first used.

    >>> import relbench
    >>> embeddings, labels = [[0.0], [1.0], [3.0], [3.5]], ["a", "a", "b", "b"]
    >>> relbench.evaluate(embeddings, labels, ks=(1,)).metrics
    {'recall@1': 1.0, 'r_precision': 1.0, 'map@r': 1.0}
"""
