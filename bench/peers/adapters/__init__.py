"""One file per peer: the same task, written and configured as that peer's documentation advises against duplicates.

They run in the peers' own environment, each as `bench.peers.catalogue` starts it, and read what they need from the
environment: REDIS_URL, STATE_DIR (a folder of their own), and what `effect` needs.
"""
