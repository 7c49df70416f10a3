"""What people write in Python: import it, and name the line of a mistake."""
