"""The connection to Redis, the names of its keys, and what makes its errors transient."""
