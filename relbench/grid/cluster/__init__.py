"""A Ray cluster that makes the runs of a grid: who is in it, what travels, and what happens when a part of it is lost.

The driver is the command: its executor has a thread for each job, which hears from the worker that makes it. A worker
is a process on a node of the cluster: it makes the runs of a job as one machine does, and looks at their folders.

What a job builds on goes to the node, in pieces, through Ray's object store; what the runs write comes back likewise,
as soon as it has changed. Where the node sees the results folder of the driver, neither is needed.

No run differs by the node that makes it. A node must have the driver's Python, packages and source files of relbench:
these are compared and not sent, as nothing would then say that the packages around them are the same. It makes data
sets ready by itself (renders them, fetches published ones, or finds them where all nodes look), and their hashes must
be the driver's. Data that a user has added are not sent either: they may be large, and relbench knows no more of their
place than a path. A node that fails in any of this is told of in a line, and its jobs go to others.
"""
