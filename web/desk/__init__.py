"""The desk: pages on which a person sees what the agents do, and decides what waits."""
