"""Servers of models that behave, and one that does not."""
