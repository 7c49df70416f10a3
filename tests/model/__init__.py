"""The protocol of one key as a small exhaustive model; `python -m tests.model` searches it and prints what it found."""
