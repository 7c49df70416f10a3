"""The schedule: the entries of `beat_schedule.py` and their due times."""
