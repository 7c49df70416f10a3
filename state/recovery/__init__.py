"""After a loss or a restart of Redis: compare it with the journal, and rebuild it."""
