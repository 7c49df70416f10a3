"""The outside world as the tests see it: a server that counts effects and misbehaves on request."""
