"""Tests: unit (no processes of ours), acceptance (real server, real workers), and what they stand on."""
