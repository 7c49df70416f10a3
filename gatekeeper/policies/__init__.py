"""What the decorator was told, checked at import."""
