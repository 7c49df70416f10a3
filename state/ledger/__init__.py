"""Who may run which key, and how each attempt ended."""
