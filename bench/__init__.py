"""Measures what the gate costs: the same no-op tasks through plain Celery and through the gate, side by side."""
