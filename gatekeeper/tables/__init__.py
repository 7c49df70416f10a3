"""Import the Python files that people write, and name the line of a mistake in them."""
