"""The commands of the documentation, run as printed in a fresh clone."""
