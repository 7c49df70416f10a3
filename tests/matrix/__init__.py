"""Each broker with each ledger and each journal: what works, and what a kill of each server costs."""
