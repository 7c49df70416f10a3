"""The state of an agent as people see it: snapshot, facts, history of a key, events, and the state file."""
