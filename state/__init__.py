"""Where facts live: the ledger in Redis, its scripts, and the agents' JSON."""
