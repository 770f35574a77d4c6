"""A Ray cluster that makes the runs of a grid: who is in it, what travels, and what happens when a part of it is lost.

The driver is the command: its executor has a thread for each job, which hears from the worker that makes it. A worker
is a process on a node of the cluster: it makes the runs of a job as one machine does, and looks at their folders.

What a job builds on goes to the node, in pieces, through Ray's object store; what the runs write comes back likewise,
as soon as it has changed. Where the node sees the results folder of the driver, neither is needed.
"""
