"""Asking models: the providers, one chat completion, and what to fall back on."""
