"""The stores: Redis and the journal, their scripts and records, and the agents' state files. The data is in STATE_DIR."""
