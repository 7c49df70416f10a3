"""One call on its way through the gate, from its message to the settled attempt."""
