"""Readings of agents, entries, keys and calls, made in one place for the commands and the pages that show them."""
