"""Tests of the journal in PostgreSQL, against a real server."""
