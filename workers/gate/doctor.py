"""`gate doctor`."""
commands = ()
