"""What a person knows of an agent: its state, its history, its events, and the state file."""
