"""A rolling upgrade from the version before, and the way back, with real processes of both versions side by side."""
