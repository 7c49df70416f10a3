"""The journal in PostgreSQL, which several hosts share. The table is the truth; each host reads a copy of its own."""
