"""The journal on the disk: its records, what is written into it, and what it says of every key."""
