"""The drill: proof on a running installation that a fault leaves one effect, and nothing behind."""
