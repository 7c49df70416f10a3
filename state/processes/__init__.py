"""Liveness of the worker and beat processes, and the backlog of calls that wait for a worker."""
