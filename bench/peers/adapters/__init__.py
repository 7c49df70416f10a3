"""One file per peer: the same tasks, written and configured as that peer's documentation advises.

`publish` is the task of the bench of faults, and `call(key)` asks for it. `noop` is the task of the bench of speed, and
`enqueue(n)` asks for it; if there is a `connect()`, it is called once before.

They run in the peers' own environment, each as `bench.peers.catalogue` or `bench.peers.speed.sides` starts it, and read
what they need from the environment: REDIS_URL, STATE_DIR (a folder of their own), and what `effect` and `processed` need.
"""
