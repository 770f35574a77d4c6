"""Retrieval past memory: the gallery is cut into shards, each is searched by itself, and answers are merged exactly.

What is merged is small and exact. With R the number of a query's positives and K the largest K of Recall@K, a shard
answers each query with

1. where R < K: the canonical distance and row of the nearest item of its class in the shard (16 bytes); the nearest
   over all shards is then known to all, and
2. the canonical distances and rows of the R nearest items in the shard (at most 16 R bytes, as no item beyond the R-th
   nearest of the shards before is sent), and how many items of the shard come before the nearest of its class (8 bytes;
   8 more say how many items were sent).

The R nearest of all are among the R nearest of each shard. Merged by distance, and by row where distances are equal,
they are those of the gallery in one piece: canonical distances depend on their two rows alone (`knn.points`). The rank
of the nearest of the class is one more than the sum of the counts. Keys, their centring, scale and error bound decide
only what a shard looks at, so that each shard has its own, and none needs to know of another's rows.

Passes over the gallery's file, with c chunks of queries: one to check all rows before the work begins (a NaN in the
last row must not end a search of hours), c to find the nearest of the class (skipped where R >= K for all), and c to
search. Distances: queries x gallery, in matrix products, once (a sample of queries that shows float32 to be too
imprecise for the data adds to them).

A shard has up to 131,072 rows; fewer where these, in float32 and float64, would be more than half of the memory. They
take, in float32, 4 dim bytes a row as they are and 4 (dim + 3) widened. A chunk has up to 65,536 queries; fewer where
16 R bytes each, six times over for merging, would be more than a quarter of the memory.
"""
