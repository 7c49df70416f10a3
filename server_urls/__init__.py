"""The URLs of servers in settings: what each may say, and what its client is given."""
