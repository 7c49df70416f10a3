"""Inject the same faults into Gatehouse and other task queues, and count their effects with the same server."""
