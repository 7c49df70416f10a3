"""Rates that belong to no agent: webhook sources, and the providers of models."""
