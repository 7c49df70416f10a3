"""The HTTP API for programs: the calls, keys and agents behind a bearer token."""
