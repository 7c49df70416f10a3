"""The world outside: content, destinations, HTTP."""
